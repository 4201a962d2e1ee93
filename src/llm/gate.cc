#include "llm/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "llm/retry.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;

class Ring final : public Ticker {
 public:
  explicit Ring(std::function<void()> ring) : ring_(std::move(ring)) {}
  std::optional<Time> on_tick() override {
    ring_();
    return {};
  }
  void on_cancel() override {}

 private:
  const std::function<void()> ring_;
};

// What a call that ended so was charged, as far as anybody knows.
double charged(const Answer& answer, double estimate) {
  const auto counted =
      static_cast<double>(answer.usage.prompt_tokens + answer.usage.completion_tokens);
  if (answer.usage.reported || (answer.outcome == Outcome::ok && counted > 0)) return counted;
  return answer.http_status == 0 && answer.text.empty() ? 0 : estimate;
}

}  // namespace

std::shared_ptr<Gate> Gate::make(GateOptions options, const base::Clock& clock, Alarm alarm) {
  return std::shared_ptr<Gate>(new Gate(std::move(options), clock, std::move(alarm)));
}

std::shared_ptr<Gate> Gate::make(GateOptions options, Transport& transport) {
  return make(std::move(options), base::Clock::system(),
              [&transport](base::SteadyTime due, std::function<void()> ring) {
                return transport.tick(due, std::make_unique<Ring>(std::move(ring)));
              });
}

Gate::Gate(GateOptions options, const base::Clock& clock, Alarm alarm)
    : options_(std::move(options)),
      clock_(clock),
      alarm_(std::move(alarm)),
      requests_(options_.limits.requests_per_minute, clock.steady()),
      tokens_(options_.limits.tokens_per_minute, clock.steady()),
      breaker_(options_.breaker),
      held_until_(clock.steady()) {}

Gate::Ticket Gate::enter(std::int64_t tokens, Admitted admitted) {
  Ticket ticket = 0;
  {
    const std::scoped_lock lock(mutex_);
    ticket = ++last_ticket_;
    queue_.emplace(ticket, Entry{.tokens = static_cast<double>(tokens),
                                 .since = clock_.steady(),
                                 .admitted = std::move(admitted)});
  }
  pump();
  return ticket;
}

std::optional<milliseconds> Gate::withdraw(Ticket ticket) {
  milliseconds queued{0};
  {
    const std::scoped_lock lock(mutex_);
    const auto found = queue_.find(ticket);
    if (found == queue_.end()) return {};
    queued = std::chrono::duration_cast<milliseconds>(clock_.steady() - found->second.since);
    queue_.erase(found);
  }
  pump();  // it may have been the first, and the next needs less
  return queued;
}

void Gate::ended(Ticket ticket, const Answer& answer) {
  {
    const std::scoped_lock lock(mutex_);
    const auto found = flights_.find(ticket);
    if (found == flights_.end()) return;
    const Flight flight = found->second;
    flights_.erase(found);
    const base::SteadyTime now = clock_.steady();
    tokens_.take(charged(answer, flight.tokens) - flight.tokens);
    if (answer.outcome == Outcome::ok && answer.usage.completion_tokens > 0)
      usual_answer_ += (static_cast<double>(answer.usage.completion_tokens) - usual_answer_) * 0.05;
    const bool asks_for_time =
        answer.outcome == Outcome::rate_limited || answer.outcome == Outcome::server;
    if (asks_for_time && answer.retry_after)
      held_until_ = std::max(held_until_, now + *answer.retry_after);
    const Breaker::State before = breaker_.state();
    const bool probe_failed = breaker_.hear(answer.outcome, flight.is_probe, now);
    if (breaker_.state() == Breaker::State::open && before == Breaker::State::closed)
      spdlog::warn(
          "model profile {}: {} calls failed one after another ({}); the next is sent in {}",
          options_.profile, breaker_.failures(), answer.error,
          base::duration_words(options_.breaker.pause));
    if (breaker_.state() == Breaker::State::closed && before != Breaker::State::closed)
      spdlog::warn("model profile {}: its server answers again", options_.profile);
    if (probe_failed)
      refuse_all({.outcome = answer.outcome,
                  .error = fmt::format(
                      "not sent: profile {} has failed {} times one after another, last with: {}",
                      options_.profile, breaker_.failures(), answer.error),
                  .retry_after = {}});
  }
  pump();
}

std::int64_t Gate::usual_answer() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::int64_t>(usual_answer_);
}

std::size_t Gate::waiting() const {
  const std::scoped_lock lock(mutex_);
  return queue_.size();
}

std::size_t Gate::in_flight() const {
  const std::scoped_lock lock(mutex_);
  return flights_.size();
}

// One thread at a time tells the admitted, in order; what happens meanwhile (a call may end before
// its start returns) is left to it. So the stack does not grow with the queue.
void Gate::pump() {
  std::unique_lock lock(mutex_);
  if (pumping_) {
    again_ = true;
    return;
  }
  pumping_ = true;
  std::vector<Leaving> leaving;
  do {
    again_ = false;
    take_ready(clock_.steady(), leaving);
    if (leaving.empty()) continue;
    lock.unlock();
    for (Leaving& each : leaving)
      each.entry.admitted(
          each.ticket, each.refusal,
          std::chrono::duration_cast<milliseconds>(clock_.steady() - each.entry.since));
    leaving.clear();  // what they held goes with nothing locked
    lock.lock();
    again_ = true;
  } while (again_);
  pumping_ = false;
  const auto due = queue_.empty() ? std::nullopt : first_may_go(clock_.steady());
  if (due == alarm_due_) return;
  alarm_due_ = due;
  std::unique_ptr<Call> old = std::exchange(alarm_call_, nullptr);
  if (due)
    alarm_call_ = alarm_(*due, [weak = weak_from_this()] {
      const auto gate = weak.lock();
      if (!gate) return;
      {
        const std::scoped_lock guard(gate->mutex_);
        gate->alarm_due_.reset();
      }
      gate->pump();
    });
  lock.unlock();
}

void Gate::take_ready(base::SteadyTime now, std::vector<Leaving>& leaving) {
  leaving = std::exchange(refused_, {});
  if (held_until_ - now > kMaxRetryAfter && !queue_.empty()) {
    // Longer than a session waits for one server: it is told, and pauses.
    const auto left = std::chrono::ceil<milliseconds>(held_until_ - now);
    refuse_all({.outcome = Outcome::rate_limited,
                .error = fmt::format("not sent: the server of profile {} asks for {} without calls",
                                     options_.profile, base::duration_words(left)),
                .retry_after = left});
    for (Leaving& each : std::exchange(refused_, {})) leaving.push_back(std::move(each));
  }
  while (!queue_.empty()) {
    const auto due = first_may_go(now);
    if (!due || *due > now) return;
    const auto first = queue_.begin();
    requests_.take(1);
    tokens_.take(first->second.tokens);
    flights_.emplace(first->first,
                     Flight{.tokens = first->second.tokens, .is_probe = breaker_.send()});
    leaving.push_back({first->first, std::move(first->second), {}});
    queue_.erase(first);
  }
}

std::optional<base::SteadyTime> Gate::first_may_go(base::SteadyTime now) {
  const auto concurrent = static_cast<std::size_t>(options_.limits.concurrent);
  if (concurrent > 0 && flights_.size() >= concurrent) return {};
  if (breaker_.state() == Breaker::State::probing) return {};
  base::SteadyTime due = std::max(now, held_until_);
  if (const auto ends = breaker_.pause_ends()) due = std::max(due, *ends);
  due = std::max(due, requests_.when(1, now));
  return std::max(due, tokens_.when(queue_.begin()->second.tokens, now));
}

void Gate::refuse_all(const Refusal& refusal) {
  for (auto& [ticket, entry] : queue_) refused_.push_back({ticket, std::move(entry), refusal});
  queue_.clear();
}

}  // namespace tertulia::llm
