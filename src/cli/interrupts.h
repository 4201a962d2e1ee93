// Ctrl-C (and SIGTERM) as a number that a command looks at, while an InterruptGuard stands.
#pragma once

#include <csignal>

namespace tertulia::cli {

// How often it came since the guard was made.
[[nodiscard]] int interrupts();

class InterruptGuard final {
 public:
  InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  ~InterruptGuard();

 private:
  struct sigaction old_int_ {};
  struct sigaction old_term_ {};
};

}  // namespace tertulia::cli
