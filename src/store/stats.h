// What sessions took: counts, tokens, cost and time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/sessions.h"

namespace tertulia::store {

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

// The same sessions, grouped in four ways; the largest groups first.
struct Stats {
  StatsLine total;
  std::vector<StatsLine> by_flow;
  std::vector<StatsLine> by_role;
  std::vector<StatsLine> by_model;
  std::vector<StatsLine> by_status;
};

// How much is read in one transaction. Every transaction that reads keeps SQLite's write-ahead log
// from being used anew, and a log that grows slows down everybody: so what reads everything does it
// in slices. PostgreSQL has no such log; there a slice is bounded by its sessions alone.
struct StatsSlice {
  std::int64_t sessions = 500;  // by their ids
  std::int64_t rows = 2500;     // a slice ends with the session that comes to so many
};

// Each session is as it stood at one moment, and counted once; different ones at different moments,
// where they are so many that they are read in slices.
[[nodiscard]] base::Result<Stats> load_stats(db::Connection& connection,
                                             const SessionFilter& filter,
                                             const StatsSlice& slice = {});

}  // namespace tertulia::store
