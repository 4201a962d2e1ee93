// An instruction as JSON, and back: what flow_steps.spec and step snapshots hold. What is a default
// is left out, because every row of the step log carries a copy.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "flow/program.h"

namespace tertulia::flow {

[[nodiscard]] json::object write_instruction(const Instruction& instruction);
// Invalid where the JSON is not what write_instruction gives for a program of `count` instructions.
[[nodiscard]] base::Result<Instruction> read_instruction(const json::value& value, int count);

// Reads the members of a JSON object, each with a default where it is absent, and remembers the
// first that is of another type. Borrows the value.
class Spec final {
 public:
  Spec(const json::value& value, std::string_view what);
  Spec(const json::object& object, std::string_view what) : object_(&object), what_(what) {}

  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] const json::value* find(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name);
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t otherwise);
  [[nodiscard]] bool flag(std::string_view name, bool otherwise);
  [[nodiscard]] const json::array& list(std::string_view name);
  [[nodiscard]] std::vector<std::string> text_list(std::string_view name);
  [[nodiscard]] json::object object(std::string_view name);
  [[nodiscard]] std::map<std::string, std::string> texts(std::string_view name);
  // An instruction's index below `count`, or kEnd or kBranchEnd where the way may end.
  [[nodiscard]] int index(std::string_view name, int count, bool may_end);

  void fail(std::string message);
  [[nodiscard]] std::optional<base::Error> take_error() { return std::exchange(error_, {}); }

 private:
  const json::object* object_ = nullptr;
  std::string what_;
  std::optional<base::Error> error_;
};

}  // namespace tertulia::flow
