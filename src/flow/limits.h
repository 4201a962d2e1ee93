// What a session may take at most, and what it has taken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace tertulia::flow {

namespace json = boost::json;

// Of one role in a session. What is absent has no limit.
struct RoleLimits {
  std::optional<std::int64_t> steps;
  std::optional<std::int64_t> tokens;     // prompt and answer
  std::optional<std::int64_t> cost_nano;  // thousand-millionths of a US dollar
  [[nodiscard]] bool empty() const { return !steps && !tokens && !cost_nano; }
};

struct Limits {
  std::int64_t steps = 200;
  std::int64_t rounds = 50;
  std::optional<std::int64_t> time_ms;
  std::optional<std::int64_t> tokens;
  std::optional<std::int64_t> cost_nano;
  bool finish = false;                                   // on_limit: finish instead of pause
  std::map<std::string, RoleLimits, std::less<>> roles;  // by role reference

  [[nodiscard]] json::object to_json() const;
  [[nodiscard]] static base::Result<Limits> from_json(const json::value& value);
};

// What calls to models have used. Costs are whole numbers, so that sums do not depend on the order
// in which they are made.
struct Spent {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cost_nano = 0;

  [[nodiscard]] std::int64_t tokens() const { return prompt_tokens + completion_tokens; }
  [[nodiscard]] bool empty() const { return tokens() == 0 && cost_nano == 0; }
  Spent& operator+=(const Spent& other);
  [[nodiscard]] bool operator==(const Spent&) const = default;
};

// In a row's result_data: `tokens`, and `cost_usd` where it cost something. Read back: nothing
// where the row does not say.
void put_spent(json::object& result_data, const Spent& spent);
[[nodiscard]] std::optional<Spent> spent_in(const json::object& result_data);

struct RoleSpent {
  std::int64_t steps = 0;
  Spent spent;
};

// US dollars as whole thousand-millionths, and back.
[[nodiscard]] std::int64_t to_nano(double usd);
[[nodiscard]] double from_nano(std::int64_t nano);

}  // namespace tertulia::flow
