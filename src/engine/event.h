// Events tell whoever watches what happens in sessions: the terminal, browsers, other programs.
// docs/events.md has the closed table. Durable events are published only after the commit that made
// them true; tokens are best effort and come while a model speaks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "model/rows.h"

namespace tertulia::engine {

struct Event {
  enum class Type {
    session_started,
    step_started,
    token,
    message,
    message_placed,
    step_completed,
    attempt_failed,
    session_waiting,
    session_paused,
    session_finished,
  };
  std::int64_t id = 0;  // a durable event's number in its session, from 1 on; 0 for tokens
  Type type = Type::token;
  model::Id session_id = 0;
  base::Timestamp time;
  base::json::object data;  // the members that the type has beyond these

  [[nodiscard]] base::json::object to_json() const;
};
[[nodiscard]] std::string_view event_name(Event::Type type);
[[nodiscard]] std::optional<Event::Type> event_type(std::string_view name);

// One watcher's queue. It is bounded: a watcher that does not keep up loses tokens first, and is
// cut off (next gives nothing more) before durable events would be lost silently.
class Subscription final {
 public:
  // Waits for the next event; nothing once the subscription is closed and empty.
  [[nodiscard]] std::optional<Event> next();
  // As next, but gives up at the deadline; `closed` tells the two apart.
  [[nodiscard]] std::optional<Event> next_until(base::SteadyTime deadline, bool& closed);
  // A `next_until` that waits returns at once, without an event; so does the next, if none waits.
  void interrupt();
  // Whether it is given tokens: it is, unless it says otherwise. Each one wakes who waits; a
  // watcher with nobody to tell spares that.
  void want_tokens(bool wanted) { wants_tokens_ = wanted; }
  void close();
  [[nodiscard]] bool was_cut_off() const;

 private:
  friend class EventBus;
  void push(const Event& event);

  std::atomic<bool> wants_tokens_ = true;
  static constexpr std::size_t kMaxTokens = 10'000;
  static constexpr std::size_t kMaxEvents = 100'000;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Event> events_;
  bool closed_ = false;
  bool interrupted_ = false;
  bool cut_off_ = false;
};

// Safe from any thread.
class EventBus final {
 public:
  [[nodiscard]] std::shared_ptr<Subscription> subscribe();
  // Is there anybody to tell? Spares making events that nobody reads.
  [[nodiscard]] bool has_watchers() const { return watchers_.load(std::memory_order_relaxed) > 0; }
  // The same of tokens, at this moment.
  [[nodiscard]] bool wants_tokens() const;
  void publish(const Event& event);

 private:
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<Subscription>> subscriptions_;
  std::atomic<int> watchers_ = 0;
};

}  // namespace tertulia::engine
