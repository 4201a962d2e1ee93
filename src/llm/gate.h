// Gate is the door through which every call of a model profile goes, whichever session makes it:
// so many calls at once, so many requests and tokens a minute, first come, first served; closed
// while a server has asked for it (Retry-After) and while its breaker is open.
//
//   enter -> waits -> admitted, at once or later -> the call -> ended
//              |-> withdrawn (its call was stopped)
//              '-> refused: the breaker's probe has failed, or the server asks for more time than
//                  anybody waits; nothing was sent
//
// Thread-safe. `Admitted` is called on the thread that made room (the transport's, or that of
// `enter` before it returns), one at a time, with nothing locked; it must not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "llm/breaker.h"
#include "llm/profile.h"
#include "llm/provider.h"
#include "llm/token_bucket.h"
#include "llm/transport.h"

namespace tertulia::llm {

struct GateOptions {
  std::string profile;  // for words
  ProfileLimits limits = {};
  BreakerOptions breaker = {};
};

class Gate final : public std::enable_shared_from_this<Gate> {
 public:
  // Calls `ring` once at about `due`, on any thread; dropping the Call forgets it.
  using Alarm =
      std::function<std::unique_ptr<Call>(base::SteadyTime due, std::function<void()> ring)>;
  // Why a call was not sent.
  struct Refusal {
    Outcome outcome = Outcome::connection;
    std::string error;
    std::optional<std::chrono::milliseconds> retry_after;
  };
  using Ticket = std::uint64_t;
  using Admitted = std::function<void(Ticket ticket, const std::optional<Refusal>& refusal,
                                      std::chrono::milliseconds queued)>;

  // `clock` and what `alarm` uses must outlive the gate.
  [[nodiscard]] static std::shared_ptr<Gate> make(GateOptions options, const base::Clock& clock,
                                                  Alarm alarm);
  // With the machine's clock, and the transport's thread to be woken on.
  [[nodiscard]] static std::shared_ptr<Gate> make(GateOptions options, Transport& transport);

  // `tokens` is an estimate of what the call will be charged; 0 where nobody counts.
  [[nodiscard]] Ticket enter(std::int64_t tokens, Admitted admitted);
  // Leaves the queue at once, and gives how long it has waited; `Admitted` is then not called.
  // Nothing where the ticket has been, or is being, admitted already.
  [[nodiscard]] std::optional<std::chrono::milliseconds> withdraw(Ticket ticket);
  // What came of an admitted call. Exactly once for each that was not refused.
  void ended(Ticket ticket, const Answer& answer);

  [[nodiscard]] bool counts_tokens() const { return options_.limits.tokens_per_minute > 0; }
  // What an answer of this profile has cost of late, in tokens: the estimate for the next.
  [[nodiscard]] std::int64_t usual_answer() const;
  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::size_t in_flight() const;

 private:
  struct Entry {
    double tokens = 0;
    base::SteadyTime since;
    Admitted admitted;
  };
  struct Flight {
    double tokens = 0;
    bool is_probe = false;
  };
  struct Leaving {
    Ticket ticket = 0;
    Entry entry;
    std::optional<Refusal> refusal;
  };

  Gate(GateOptions options, const base::Clock& clock, Alarm alarm);
  void pump();
  void take_ready(base::SteadyTime now, std::vector<Leaving>& leaving);
  // When the first in the queue may go, if time alone keeps it; nothing where an end of a call
  // does.
  [[nodiscard]] std::optional<base::SteadyTime> first_may_go(base::SteadyTime now);
  void refuse_all(const Refusal& refusal);

  const GateOptions options_;
  const base::Clock& clock_;
  const Alarm alarm_;
  mutable std::mutex mutex_;  // guards the rest
  std::map<Ticket, Entry> queue_;
  std::map<Ticket, Flight> flights_;
  std::vector<Leaving> refused_;  // taken from the queue, to be told
  Ticket last_ticket_ = 0;
  TokenBucket requests_;
  TokenBucket tokens_;
  double usual_answer_ = 256;
  Breaker breaker_;
  base::SteadyTime held_until_;
  std::unique_ptr<Call> alarm_call_;
  std::optional<base::SteadyTime> alarm_due_;
  bool pumping_ = false;
  bool again_ = false;
};

}  // namespace tertulia::llm
