// What can be told before a flow runs of a place in a structured output: whether the output's
// schema lets anything stand there, and which values. Internal to the language's half of the room.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "flow/condition.h"

namespace tertulia::flow {

class OutputPlace final {
 public:
  // Of a schema that OutputSchema compiles, which must outlive this; the pointer is RFC 6901.
  OutputPlace(const json::object& schema, std::string_view pointer);

  // False where no value that fits the schema has such a place: a property that it does not name
  // (unless it says additionalProperties: true), or one below a text or a number.
  [[nodiscard]] bool possible() const { return open_ || !ends_.empty(); }
  // If not possible: the part that is not there, and the properties that are.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  [[nodiscard]] const std::vector<std::string>& known() const { return known_; }

  // Whether a value there can pass the test. True where it cannot be told.
  [[nodiscard]] bool may_hold(Condition::Test test, const json::value& operand) const;

 private:
  void follow(const json::object& schema, std::string_view pointer);
  [[nodiscard]] const json::object* target_of(const json::value& reference) const;

  const json::object& root_;
  std::vector<const json::object*> ends_;  // the schemas of what can stand there
  bool open_ = false;                      // or anything
  std::string missing_;
  std::vector<std::string> known_;
};

// The value as JSON Schema's `type` calls it, or a type that includes it: an integer is a number.
[[nodiscard]] bool has_type(const json::value& value, std::string_view type);

}  // namespace tertulia::flow
