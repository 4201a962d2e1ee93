// Condition is what `if`, `until`, `while` and a goto's `when` ask. Evaluated without I/O from what
// the session has recorded.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "flow/text.h"

namespace re2 {
class RE2;
}

namespace tertulia::flow {

namespace json = boost::json;

struct Condition {
  enum class Kind {
    contains,
    matches,
    equals,
    output,
    variable,
    rounds_at_least,
    judge,
    all,
    any,
    not_
  };
  enum class Test { equals, not_equals, gt, gte, lt, lte, in };

  Kind kind = Kind::all;
  std::string text;     // contains, matches, equals: what to look for in the message
  std::string of;       // ... in the last message of this role; empty: in the last message
  std::string subject;  // output: the step's name; variable: its name; judge: the role
  std::string pointer;  // output: RFC 6901
  Test test = Test::equals;
  json::value operand;
  std::int64_t rounds = 0;
  Text question;                          // judge
  std::vector<Condition> parts;           // all, any; not_ has one
  std::shared_ptr<const re2::RE2> regex;  // matches: compiled once

  // The same words as in a flow's text; `from_json` compiles regular expressions.
  [[nodiscard]] json::value to_json() const;
  [[nodiscard]] static base::Result<Condition> from_json(const json::value& value);
  // Whether a judge is in it.
  [[nodiscard]] bool asks_judge() const;
};

// equals, not_equals, gt ...: as in a flow's text.
[[nodiscard]] std::string_view test_name(Condition::Test test);

// What a condition may ask of a session. Absent is null: an output not produced, a role that has
// not spoken.
class Facts {
 public:
  virtual ~Facts() = default;
  [[nodiscard]] virtual std::optional<std::string_view> last_message(
      std::string_view role) const = 0;
  [[nodiscard]] virtual const json::value* output(std::string_view step) const = 0;
  [[nodiscard]] virtual const json::value* variable(std::string_view name) const = 0;
  [[nodiscard]] virtual std::int64_t round() const = 0;
};

// gt, gte, lt and lte hold only between two numbers or two texts; `in` for a list. A judge that
// was not asked counts as no.
[[nodiscard]] bool holds(const Condition& condition, const Facts& facts);

// As `holds`, with what judges have said so far, in the order in which they were asked. Judges are
// asked one after another, and only where the rest does not decide.
struct Verdict {
  std::optional<bool> holds;         // absent: a judge must be asked
  const Condition* judge = nullptr;  // ... this one
};
[[nodiscard]] Verdict judged(const Condition& condition, const Facts& facts,
                             const std::vector<bool>& answers);

}  // namespace tertulia::flow
