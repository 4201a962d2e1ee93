// A SQLite database of many sessions, for benchmarks of reading. It is made once and kept.
#pragma once

#include <string>

namespace tertulia::bench {

struct ManySessions {
  std::string path;
  int sessions = 0;
  int steps = 0;  // rows of the step log
};

// Makes it in the folder where it is not there yet, or is of an older schema: two sessions that the
// program performed, of two flows, and then so many copies of all their rows, with ids and topics
// of their own. Says how long it took and how large it is.
[[nodiscard]] ManySessions make_many_sessions(const std::string& folder, int sessions);

// Sessions that a benchmark left under way are ended, so that the next server does not go on with
// them.
void end_left_sessions(const std::string& path);

}  // namespace tertulia::bench
