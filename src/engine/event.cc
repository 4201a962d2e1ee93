#include "engine/event.h"

#include <algorithm>

namespace tertulia::engine {

std::string_view event_name(Event::Type type) {
  switch (type) {
    case Event::Type::session_started:
      return "session.started";
    case Event::Type::step_started:
      return "step.started";
    case Event::Type::token:
      return "token";
    case Event::Type::message:
      return "message";
    case Event::Type::message_placed:
      return "message.placed";
    case Event::Type::step_completed:
      return "step.completed";
    case Event::Type::attempt_failed:
      return "attempt.failed";
    case Event::Type::session_waiting:
      return "session.waiting";
    case Event::Type::session_paused:
      return "session.paused";
    case Event::Type::session_finished:
      return "session.finished";
  }
  return "";
}

std::optional<Event::Type> event_type(std::string_view name) {
  for (int type = 0; type <= static_cast<int>(Event::Type::session_finished); ++type)
    if (event_name(static_cast<Event::Type>(type)) == name) return static_cast<Event::Type>(type);
  return {};
}

base::json::object Event::to_json() const {
  base::json::object object;
  if (id != 0) object["id"] = id;
  object["type"] = event_name(type);
  object["session_id"] = session_id;
  object["time"] = base::to_iso8601(time);
  for (const auto& member : data) object[member.key()] = member.value();
  return object;
}

std::optional<Event> Subscription::next() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return closed_ || !events_.empty(); });
  if (events_.empty()) return {};
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<Event> Subscription::next_until(base::SteadyTime deadline, bool& closed) {
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, deadline, [&] { return closed_ || interrupted_ || !events_.empty(); });
  interrupted_ = false;
  closed = closed_ && events_.empty();
  if (events_.empty()) return {};
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Subscription::interrupt() {
  {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
  }
  wake_.notify_all();
}

void Subscription::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
}

bool Subscription::was_cut_off() const {
  const std::lock_guard lock(mutex_);
  return cut_off_;
}

void Subscription::push(const Event& event) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    if (event.type == Event::Type::token && !wants_tokens_) return;
    if (event.type == Event::Type::token && events_.size() >= kMaxTokens) return;
    if (events_.size() >= kMaxEvents) {
      cut_off_ = closed_ = true;
    } else {
      events_.push_back(event);
    }
  }
  wake_.notify_one();
}

std::shared_ptr<Subscription> EventBus::subscribe() {
  auto subscription = std::make_shared<Subscription>();
  const std::lock_guard lock(mutex_);
  subscriptions_.push_back(subscription);
  watchers_ = static_cast<int>(subscriptions_.size());
  return subscription;
}

bool EventBus::wants_tokens() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(subscriptions_.begin(), subscriptions_.end(), [](const auto& weak) {
    const auto subscription = weak.lock();
    return subscription && subscription->wants_tokens_;
  });
}

void EventBus::publish(const Event& event) {
  const std::lock_guard lock(mutex_);
  std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
  watchers_ = static_cast<int>(subscriptions_.size());
  for (const auto& weak : subscriptions_)
    if (const auto subscription = weak.lock()) subscription->push(event);
}

}  // namespace tertulia::engine
