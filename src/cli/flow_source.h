// Finding a flow by what a person wrote: a file, or the name of a stored or shipped flow; and
// storing it, so that sessions have a version to refer to.
#pragma once

#include <string>

#include "cli/context.h"
#include "flow/check.h"
#include "store/flows.h"

namespace tertulia::cli {

struct FlowText {
  std::string shown;  // for messages: the file's path, or "debate (shipped)"
  std::string source;
  std::string folder;  // of a file; empty for others
  bool is_shipped = false;
};

// A name with a slash or an ending .yaml, .yml or .json is a file; else a stored flow that the user
// imported, else a shipped one. not_found names what is near.
[[nodiscard]] base::Result<FlowText> find_flow_text(Context& context, const std::string& name);

// Reads a file with its size limited; "-" is standard input.
[[nodiscard]] base::Result<std::string> read_text_file(const std::string& path,
                                                       std::size_t most_bytes);

[[nodiscard]] flow::CheckedFlow check_text(Context& context, const FlowText& text);

// Prints problems as FILE:LINE:COLUMN: words; on standard error, or as JSON lines on standard
// output.
void print_problems(const FlowText& text, const std::vector<flow::Problem>& problems, bool json);

struct StoredFlow {
  flow::Program program;  // with the roles' prompts
  store::SavedFlow saved;
};
// Checks and stores. Where the check finds errors they are printed, and the error says only how
// many; nothing is stored.
[[nodiscard]] base::Result<StoredFlow> store_flow(Context& context, const FlowText& text,
                                                  bool quiet_warnings);

}  // namespace tertulia::cli
