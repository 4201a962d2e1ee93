#include "llm/breaker.h"

namespace tertulia::llm {

bool Breaker::lets_through(base::SteadyTime now) const {
  return state_ == State::closed || (state_ == State::open && now >= until_);
}

std::optional<base::SteadyTime> Breaker::pause_ends() const {
  if (state_ != State::open) return {};
  return until_;
}

bool Breaker::send() {
  if (state_ == State::closed) return false;
  state_ = State::probing;
  return true;
}

bool Breaker::hear(Outcome outcome, bool was_probe, base::SteadyTime now) {
  const bool probes = was_probe && state_ == State::probing;
  if (outcome == Outcome::cancelled) {
    // Nothing was learnt: the next call in the queue is the probe.
    if (probes) {
      state_ = State::open;
      until_ = now;
    }
    return false;
  }
  if (!is_failure(outcome)) {
    state_ = State::closed;
    failures_ = 0;
    return false;
  }
  ++failures_;
  if (probes) {
    open(now);
    return true;
  }
  // Calls that were under way when it opened do not make the pause longer.
  if (state_ == State::closed && options_.failures > 0 && failures_ >= options_.failures) open(now);
  return false;
}

bool Breaker::is_failure(Outcome outcome) {
  return outcome == Outcome::connection || outcome == Outcome::server ||
         outcome == Outcome::timeout;
}

void Breaker::open(base::SteadyTime now) {
  state_ = State::open;
  until_ = now + options_.pause;
}

}  // namespace tertulia::llm
