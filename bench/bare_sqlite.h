// The yardstick: what a step of a session writes, written by bare sqlite3 with prepared statements,
// in C style, with nothing around it. What Tertulia cannot be faster than.
#pragma once

#include <string>

namespace tertulia::bench {

struct BareResult {
  double seconds = 0;
  double bytes_per_step = 0;  // of the file, after a checkpoint
};

// Writes `steps` steps into a fresh migrated database at `path`, `per_transaction` at a time, by
// turns to so many sessions: steps of one session touch the same pages, those of a hundred do not.
// `with_events`: also the row of durable events that each commit of the engine has, which the
// limits' definition does not list.
[[nodiscard]] BareResult run_bare(const std::string& path, int sessions, int steps,
                                  int per_transaction, bool with_events = false);

}  // namespace tertulia::bench
