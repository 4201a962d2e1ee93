// Finding a flow by what a person wrote: a file, or the name of a stored or shipped flow; and
// storing it, so that sessions have a version to refer to.
#pragma once

#include <string>

#include "cli/context.h"
#include "service/flow_library.h"

namespace tertulia::cli {

// Does what a person wrote name a file? A name with a slash, an ending .yaml, .yml or .json, or
// "-".
[[nodiscard]] bool names_a_file(const std::string& name);
[[nodiscard]] base::Result<service::FlowText> text_of_file(const std::string& path);

// The text of a file; other names are looked for by service::find_flow_text.
[[nodiscard]] base::Result<service::FlowText> find_flow_text(Context& context,
                                                             const std::string& name);

// Reads a file with its size limited; "-" is standard input.
[[nodiscard]] base::Result<std::string> read_text_file(const std::string& path,
                                                       std::size_t most_bytes);

// The configured profiles, what lies in the folder of a flow's file, and the flows of the database,
// which is opened when one is called; through a server, its profiles and flows, and no files.
[[nodiscard]] base::Result<service::FlowSurroundings> surroundings(Context& context);

[[nodiscard]] base::Result<flow::CheckedFlow> check_text(Context& context,
                                                         const service::FlowText& text);

// Prints problems as FILE:LINE:COLUMN: words; on standard error, or as JSON lines on standard
// output.
void print_problems(const service::FlowText& text, const std::vector<flow::Problem>& problems,
                    bool json);

// A flow that is only looked at or tried: found and checked, and not stored. Where the check finds
// errors they are printed.
[[nodiscard]] base::Result<flow::Program> find_program(Context& context, const std::string& name);

// Checks and stores, in the database or at the server. Where the check finds errors they are
// printed, and the error says only how many; nothing is stored.
[[nodiscard]] base::Result<service::StoredFlow> store_flow(Context& context,
                                                           const service::FlowText& text,
                                                           bool quiet_warnings);

}  // namespace tertulia::cli
