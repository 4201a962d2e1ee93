// Failpoints: named places where a test makes the program fail as the world would. Compiled in
// always; inert (one relaxed load) unless armed by a test or by the environment:
//
//   TERTULIA_FAILPOINTS='commit.before=kill@3;request.sent=error'
//
// arms `kill` for the third passage of "commit.before". Without @N the action is taken at every
// passage. Actions: error (the place reports failure), kill (SIGKILL to this very process), abort,
// enospc and eio (the place reports storage failure of that kind), delay:MS.
#pragma once

#include <atomic>
#include <string_view>

#include "base/result.h"

namespace tertulia::base {

namespace internal {
extern std::atomic<bool> failpoints_armed;
Result<void> pass_armed_failpoint(std::string_view name);
}  // namespace internal

// To be called at the place; the caller reports the error as if the world had made it.
inline Result<void> failpoint(std::string_view name) {
  if (!internal::failpoints_armed.load(std::memory_order_relaxed)) return {};
  return internal::pass_armed_failpoint(name);
}

// Arms failpoints from a text as above; an error names what is wrong in it. Replaces what was
// armed before; an empty text disarms all. Thread-safe.
[[nodiscard]] Result<void> arm_failpoints(std::string_view text);

}  // namespace tertulia::base
