// What sessions took: counts, tokens, cost and time, summed by the database.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/sessions.h"

namespace tertulia::store {

enum class StatsBy { flow, role, model, status };

// One group. Tokens, cost and duration are those of the calls to models, failed ones included; a
// call belongs to the session that made it, not to its branches.
struct StatsLine {
  std::string name;
  std::int64_t sessions = 0;
  std::int64_t steps = 0;  // rows of the log; by role and model those in which one was asked
  std::int64_t calls = 0;
  std::int64_t failed_calls = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::optional<double> cost_usd;  // absent where no call had a price
  std::int64_t duration_ms = 0;
};

// The largest groups first.
[[nodiscard]] base::Result<std::vector<StatsLine>> load_stats(db::Connection& connection,
                                                              StatsBy by,
                                                              const SessionFilter& filter);

}  // namespace tertulia::store
