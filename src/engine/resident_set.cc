#include "engine/resident_set.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>

namespace tertulia::engine {

double resident_set_mb() {
  using Clock = std::chrono::steady_clock;
  constexpr auto kFresh = std::chrono::milliseconds(250);
  static std::atomic<Clock::rep> read_at = 0;
  static std::atomic<double> latest = 0;
  const auto now = Clock::now().time_since_epoch();
  if (now.count() - read_at.load() > std::chrono::duration_cast<Clock::duration>(kFresh).count()) {
    std::ifstream statm("/proc/self/statm");
    long total = 0, resident = 0;
    if (statm >> total >> resident)
      latest = static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
    read_at = now.count();
  }
  return latest;
}

}  // namespace tertulia::engine
