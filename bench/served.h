// Served is `tertulia serve` as a process of its own, for benchmarks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tertulia::bench {

// Ends the benchmark with a line on standard error.
[[noreturn]] void give_up(const std::string& why);

class Served final {
 public:
  // Starts it on a free port with the database (a path or a URL) and these arguments more; returns
  // when it serves. Gives up where it does not.
  Served(const std::string& database, const std::vector<std::string>& arguments);
  // Kills it where `stop` was not called.
  ~Served();
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // From spawning it to its line that says where it serves.
  [[nodiscard]] double start_ms() const { return start_ms_; }
  // VmRSS or VmHWM of /proc/PID/status, in MB.
  [[nodiscard]] double memory_mb(const char* name) const;
  // User and system time so far.
  [[nodiscard]] double cpu_seconds() const;
  // SIGTERM, and its end.
  void stop();

 private:
  pid_t process_ = 0;
  int out_ = -1;
  std::uint16_t port_ = 0;
  double start_ms_ = 0;
};

// What all programs of the machine have used of its processors so far, and what this one has.
[[nodiscard]] double machine_cpu_seconds();
[[nodiscard]] double own_cpu_seconds();

// The calling thread goes before all others from now on, where that is allowed: what stands for
// other machines must not wait for the one that is measured. Says (once) where it is not.
void go_first();

// Runs the program to its end; gives up where it fails.
void run_program(const std::string& database, const std::vector<std::string>& arguments);

}  // namespace tertulia::bench
