// EventFollower reads a server's live events (Server-Sent Events). Where the connection breaks it
// comes back with the last id that it had, so that no durable event is lost or told twice; tokens
// are best effort.
//
// One thread at a time; borrows the client.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/event.h"
#include "remote/api_client.h"

namespace tertulia::remote {

class EventFollower final {
 public:
  // `target` is the path of a stream; `last_id` the last event that is not wanted ("" or "0": all).
  // A server that is away is waited for as long as `patience`.
  EventFollower(const ApiClient& client, std::string target, std::string last_id,
                std::chrono::milliseconds patience = std::chrono::minutes(2));
  ~EventFollower();
  EventFollower(const EventFollower&) = delete;
  EventFollower& operator=(const EventFollower&) = delete;

  // The next event; nothing where none came in this time. An error is final: the server refuses
  // (denied, not_found, drift), or was away too long (unavailable).
  [[nodiscard]] base::Result<std::optional<engine::Event>> next(std::chrono::milliseconds wait);
  // The server has said that there will be nothing more: the session is over.
  [[nodiscard]] bool is_over() const { return is_over_; }
  // It is away at the moment, and expected back.
  [[nodiscard]] bool is_away() const { return away_since_.has_value(); }
  [[nodiscard]] const std::string& last_id() const { return last_id_; }

 private:
  struct Stream;
  void connect();
  // Ends the connection; when to come back.
  void disconnect(bool was_well);
  [[nodiscard]] base::Result<void> on_end();
  void take(std::string_view bytes);
  void take_line(std::string_view line);

  const ApiClient& client_;
  const std::string target_;
  const std::chrono::milliseconds patience_;
  std::string last_id_;
  std::unique_ptr<Stream> stream_;
  std::deque<engine::Event> events_;
  std::string line_, data_, id_;
  bool is_over_ = false;
  int repetition_ = 0;
  std::chrono::steady_clock::time_point retry_at_;
  std::chrono::steady_clock::time_point heard_at_;
  std::optional<std::chrono::steady_clock::time_point> away_since_;
};

// What Event::to_json wrote; nothing where it is no event that this program knows.
[[nodiscard]] std::optional<engine::Event> event_from_json(const base::json::object& object);

}  // namespace tertulia::remote
