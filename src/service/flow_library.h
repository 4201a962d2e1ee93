// The flows of a database and those that ship with the program: found by name, checked together
// with the flows that they call, stored as versions that sessions refer to, and told as JSON.
//
// Any thread, each with a connection of its own. A connection that only reads is enough but for
// `store_flow`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "flow/check.h"
#include "service/shipped_flows.h"
#include "store/flows.h"

namespace tertulia::service {

struct FlowText {
  std::string shown;  // for messages: a file's path, or "debate (shipped)"
  std::string source;
  std::string folder = {};  // of a file; empty for others
  bool is_shipped = false;
};

// A stored flow that a user imported, else a shipped one of that name, else a shipped one that is
// stored. not_found names what is near.
[[nodiscard]] base::Result<FlowText> find_flow_text(db::Connection& reader,
                                                    const std::string& name);
[[nodiscard]] FlowText text_of(const ShippedFlow& shipped);

// What a flow's text may name. A member that is absent: nothing of its kind is there, or, for
// profiles, names are not held against anything.
struct FlowSurroundings {
  std::optional<std::vector<std::string>> profiles = {};
  // A file that a role's prompt_file names, of a text that has a folder.
  std::function<base::Result<std::string>(const FlowText& of, const std::string& name)> read_file =
      {};
  // The flow that a call names.
  std::function<base::Result<FlowText>(const FlowText& caller, const std::string& name)> find_flow =
      {};
};
// The flows of the database, and no files. Borrows the connection.
[[nodiscard]] FlowSurroundings surroundings_of(db::Connection& reader,
                                               std::vector<std::string> profiles);

// The flows that it calls are found and checked likewise; one that calls itself, over others or
// not, is an error.
[[nodiscard]] flow::CheckedFlow check_flow_text(const FlowText& text,
                                                const FlowSurroundings& surroundings);

// {type, severity, file, line, column, message}; `shown` is the text's.
[[nodiscard]] base::json::object problem_json(std::string_view shown, const flow::Problem& problem);
// How many mistakes a text has that was not stored.
[[nodiscard]] base::Error mistakes_error(std::string_view shown, const flow::CheckedFlow& checked);

struct StoredFlow {
  flow::Program program;  // with the roles' prompts
  store::SavedFlow saved;
};
// Stores what was checked, in a transaction of its own; the same text again finds the version that
// has it. Invalid (mistakes_error) where the check found mistakes.
[[nodiscard]] base::Result<StoredFlow> store_flow(db::Connection& writer, const FlowText& text,
                                                  const flow::CheckedFlow& checked,
                                                  base::Timestamp now);

// {items: [{name, title, version, sessions, shipped}]}; version 0 is that of a shipped flow which
// is not stored.
[[nodiscard]] base::Result<base::json::object> list_flows_json(
    db::Connection& reader, const FlowSurroundings& surroundings);
// The flow's header with its compiled steps.
[[nodiscard]] base::json::object flow_json(const flow::Program& program);
// The text of a stored version as it was written.
[[nodiscard]] base::Result<std::string> load_flow_source(db::Connection& reader,
                                                         const std::string& name,
                                                         std::int64_t version);

}  // namespace tertulia::service
