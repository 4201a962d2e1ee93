// LiveView shows a session as it happens, from the engine's events: speakers in colour, words as
// they stream, a status line while a model thinks; plain lines where standard output is no
// terminal; the events themselves with --json.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"
#include "engine/event.h"

namespace tertulia::cli {

class LiveView final {
 public:
  // Of the session that this document (service::session_json) tells of.
  LiveView(const base::json::object& session, bool json);

  // The conversation's head: flow and topic.
  void begin();
  void show(const engine::Event& event);
  // Every so often while nothing happens: moves the status line on.
  void tick();
  // Takes the status line away.
  void finish();

 private:
  void show_step(const base::json::object& data);
  void show_token(const base::json::object& data);
  void show_message(const base::json::object& message);
  void show_completed(const base::json::object& data);
  void show_decision(const base::json::object& result);
  void speaker_line(std::string_view ref, std::string_view to);
  void status();
  void clear_status();

  struct Speaker {
    std::string name;
    std::size_t colour = 0;
  };
  std::map<std::string, Speaker, std::less<>> speakers_;
  model::Id session_ = 0;
  std::string flow_;
  std::string topic_;
  bool is_rehearsal_ = false;
  const bool json_;
  const bool is_live_;  // on a terminal

  // The step that a model is asked for now.
  std::int64_t order_ = 0;
  std::string role_;
  bool is_structured_ = false;
  bool is_streaming_ = false;
  std::string streamed_;
  std::int64_t round_ = 1;
  std::int64_t shown_round_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t steps_ = 0;
  bool has_status_ = false;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

// A JSON value for people: an object as "key: value" lines.
[[nodiscard]] std::string value_words(const base::json::value& value);

}  // namespace tertulia::cli
