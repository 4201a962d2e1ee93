// ChatTranscript writes a session's events as one Markdown text that only grows, for readers who
// take nothing back: each turn as "**Name:** words", with a blank line between. It gives what an
// event adds to the text.
//
// Words are given as they come. Of branches that speak at the same time one is shown; what the
// others say is kept until it is through, so that nobody is interrupted. Structured outputs, and
// what persons say, are shown when their message is durable. What was shown and does not hold is
// marked, never silently repeated: an attempt that failed, a step that broke off.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/event.h"
#include "flow/cast.h"
#include "server/chat_shapes.h"

namespace tertulia::server {

class ChatTranscript final {
 public:
  explicit ChatTranscript(flow::Cast cast) : cast_(std::move(cast)) {}

  // A durable event. They are to come in order and without gaps, from the session's first on.
  [[nodiscard]] std::string take(const engine::Event& event);
  [[nodiscard]] std::string take_token(const engine::Event& token);
  // The same as `take` for what is not to be shown.
  void learn(const engine::Event& event);
  // A token did not come here: the rest of its turn is shown once it is whole.
  void miss(const engine::Event& token);
  // A session that had come to rest is performed again.
  void go_on() { stopped_.reset(); }

  // How the session stands, where it has come to rest: it is over, paused, or waits for a person
  // and nobody else speaks. To be asked for after all events of a commit.
  [[nodiscard]] std::optional<ChatEnding> ending() const;

 private:
  // A turn that is under way.
  struct Turn {
    std::string role;
    bool is_shown_live = false;  // words that stream, as they come
    bool has_gap = false;
    bool has_begun = false;  // past the blanks and the name that some models begin with
    std::string text;        // of its tokens
    std::size_t shown = 0;   // bytes of it
  };
  struct Question {
    std::string role;
    std::string text;
    std::vector<std::string> choices;
  };

  void take_start(const base::json::object& data);
  [[nodiscard]] std::string take_message(const base::json::object& message);
  [[nodiscard]] std::string take_failure(std::int64_t order);
  [[nodiscard]] std::string take_end(const base::json::object& data);
  void take_question(const base::json::object& data);

  // What the turn has that is not shown yet, and can be.
  [[nodiscard]] std::string show(Turn& turn);
  // The shown turn is through: those that waited.
  [[nodiscard]] std::string next_turn();
  [[nodiscard]] std::string head(std::string_view name);
  [[nodiscard]] std::string block(std::string_view text);
  [[nodiscard]] std::string name_of(std::string_view role) const;

  const flow::Cast cast_;
  std::map<std::int64_t, Turn> turns_;  // by the row's order
  std::int64_t last_order_ = 0;         // of the rows that were begun
  std::set<std::int64_t> missed_;       // rows that begin with a gap
  std::int64_t shown_ = 0;              // whose turn is in the text now, unfinished; 0: nobody's
  std::deque<std::string> whole_;       // turns that ended while another was shown
  bool has_text_ = false;
  std::set<std::int64_t> speaking_;  // rows for which a model is asked
  std::map<std::int64_t, Question> questions_;
  std::optional<base::json::object> stopped_;  // the data of the event that said so
};

// The name as Markdown shows it, on one line, whatever it holds: "A\*b".
[[nodiscard]] std::string escape_markdown(std::string_view name);

}  // namespace tertulia::server
