// ChatFollower tells a session's events as one answer of a chat model: whole at the end, or piece
// by piece in OpenAI's form of Server-Sent Events. Whoever speaks is named before their words, once
// a turn. docs/openai-endpoint.md has what is shown how.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "server/hub.h"
#include "server/outlet.h"

namespace tertulia::server {

// Where the answer goes.
struct ChatTarget {
  std::string id;                                 // of the completion
  std::string model;                              // as the request named it
  std::int64_t created = 0;                       // seconds since 1970
  std::map<std::string, std::string> names = {};  // role reference -> name
  // Streamed: the pieces; else null.
  std::shared_ptr<Outlet> outlet = {};
  bool with_usage = false;  // of a stream: the chunk with the usage before its end
  // Whole: called once with the JSON of the completion, or with nothing where the server ends
  // first.
  std::function<void(std::string)> done = {};
};

class ChatFollower final : public Follower {
 public:
  explicit ChatFollower(ChatTarget target);

  void take(const engine::Event& event, const Piece& sse) override;
  void take_token(const engine::Event& token, const Piece& sse) override;
  [[nodiscard]] bool is_full() const override;
  [[nodiscard]] bool is_done() const override;
  void end() override;

 private:
  void say(std::string_view text);
  void chunk(const base::json::object& delta, const char* finish_reason);
  // Puts the speaker's name before the turn of this row, if it is not there yet.
  void begin_turn(std::int64_t order, const std::string& speaker);
  void take_message(const base::json::object& message);
  void add_usage(const base::json::object& completed);
  void finish(const char* reason);
  [[nodiscard]] base::json::object usage() const;
  [[nodiscard]] std::string name_of(const std::string& role) const;

  const ChatTarget target_;
  std::string content_;
  std::map<std::int64_t, std::string> roles_;     // of open rows, by order
  std::map<std::int64_t, std::string> streamed_;  // what was shown of rows that are not said yet
  std::set<std::int64_t> structured_;
  std::int64_t turn_ = 0;  // the row whose words are being shown; 0: none
  std::int64_t prompt_tokens_ = 0;
  std::int64_t completion_tokens_ = 0;
  bool over_ = false;
};

}  // namespace tertulia::server
