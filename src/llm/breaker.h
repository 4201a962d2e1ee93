// Breaker keeps a server that fails from being asked again and again: after so many failures one
// after another nothing is sent for a while, then one call is sent to try it (the probe), and its
// success lets all through. A table of three states, without threads or clock of its own.
//
//   closed  --failures in a row-->  open  --pause is over, a call is sent-->  probing
//     ^------------- any success ------'                                        |  |
//     ^------------------------------- success ---------------------------------'  |
//                                    open  <------------- failure -----------------'
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "llm/provider.h"

namespace tertulia::llm {

struct BreakerOptions {
  std::int64_t failures = 5;  // one after another; 0: never opens
  std::chrono::milliseconds pause{30'000};
  bool operator==(const BreakerOptions&) const = default;
};

class Breaker final {
 public:
  enum class State { closed, open, probing };
  explicit Breaker(const BreakerOptions& options) : options_(options) {}

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] std::int64_t failures() const { return failures_; }
  // May a call be sent now?
  [[nodiscard]] bool lets_through(base::SteadyTime now) const;
  // When the pause is over, while it is open.
  [[nodiscard]] std::optional<base::SteadyTime> pause_ends() const;

  // A call is sent, which lets_through allows; true if it is the probe.
  bool send();
  // What came of a call that was sent. True where it was the probe and has failed.
  bool hear(Outcome outcome, bool was_probe, base::SteadyTime now);

  // The failures that count: no connection, a server's own error, time that ran out. Any other
  // answer shows a server that is there; a call that somebody stopped shows nothing.
  [[nodiscard]] static bool is_failure(Outcome outcome);

 private:
  void open(base::SteadyTime now);

  const BreakerOptions options_;
  State state_ = State::closed;
  std::int64_t failures_ = 0;
  base::SteadyTime until_;
};

}  // namespace tertulia::llm
