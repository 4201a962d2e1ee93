// A flow's text, checked whole: every mistake with line and column, what was found, what was
// expected, and a near name where one is likely meant. Only a text without errors becomes a
// Program.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flow/program.h"

namespace tertulia::flow {

struct Problem {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  int line = 1;    // from 1
  int column = 1;  // from 1, in characters
  std::string message;
};

struct CheckOptions {
  // Reads a file that a role's `prompt_file` names, relative to the flow's folder. The check has
  // refused names that lead out of it. Absent: prompt_file is an error.
  std::function<base::Result<std::string>(const std::string& name)> read_file;
  // The flow that a `call` names, checked: not_found where there is none, invalid where it has
  // mistakes or calls itself. Absent: no flow can be called.
  std::function<base::Result<std::shared_ptr<const Program>>(const std::string& name)> find_flow;
  // The model profiles that are configured; absent: names are not held against anything.
  std::optional<std::vector<std::string>> profiles;
  // The names of the stored roles that `use` may name; absent: as with profiles.
  std::optional<std::vector<std::string>> stored_roles;
};

struct CheckedFlow {
  std::optional<Program> program;  // absent if there are errors
  std::vector<Problem> problems;   // by position
  std::string name;                // the flow's, if it could be read
  std::string format;              // yaml or json

  [[nodiscard]] bool ok() const { return program.has_value(); }
};

// What a flow may be at most; larger texts are refused with the limit named.
inline constexpr std::size_t kMaxFlowBytes = 1 << 20;
inline constexpr int kMaxFlowDepth = 64;
inline constexpr int kMaxFlowNodes = 100'000;
inline constexpr int kMaxFlowSteps = 2'000;
inline constexpr std::size_t kMaxInstructions = 8'000;  // with those of called flows
inline constexpr int kMaxCallDepth = 8;
inline constexpr int kMaxFlowRoles = 200;

[[nodiscard]] CheckedFlow check_flow(std::string_view source, const CheckOptions& options = {});

}  // namespace tertulia::flow
