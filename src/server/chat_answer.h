// ChatAnswer follows a session for one chat completion, and answers when the session has come to
// rest: whole, or piece by piece in a stream. It holds no thread meanwhile.
//
// Whoever asked may go away: the session goes on, for it is none of the answer's. Its functions are
// called on the hub's thread, but for `cancel` and `fail`, which any thread may call, and for
// `end_with` of one that follows nothing.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "server/chat_transcript.h"
#include "server/hub.h"
#include "server/router.h"
#include "server/workers.h"

namespace tertulia::server {

class ChatAnswer final : public Follower, public std::enable_shared_from_this<ChatAnswer> {
 public:
  // A job on a worker, as Workers::submit takes it.
  using Submit = std::function<bool(Workers::Job)>;

  // `respond` is called at the end; with an outlet it is not, and the stream is closed instead.
  // The usage is what the session has taken by then above `before`. `submit` outlives it.
  ChatAnswer(ChatHead head, ChatTranscript transcript, store::UsageSum before, Submit submit,
             Respond respond, std::shared_ptr<Outlet> outlet);

  // Ends at once.
  void end_with(ChatEnding ending);
  // The session could not be performed to where it stops: what is said so far is not the answer.
  void fail(const base::Error& error);
  // Wants nothing more, and answers nothing.
  void cancel() { done_ = true; }

  void take(const engine::Event& event, const Piece& sse) override;
  void end_commit() override;
  void take_token(const engine::Event& token, const Piece& sse) override;
  void miss_token(const engine::Event& token) override { transcript_.miss(token); }
  void take_unstored(const engine::Event& event, const Piece& sse) override;
  [[nodiscard]] bool is_full() const override { return outlet_ && outlet_->is_full(); }
  [[nodiscard]] bool is_done() const override { return done_ || (outlet_ && outlet_->is_closed()); }
  void end() override;

 private:
  void say(std::string_view words);
  void refuse(Response problem);
  void complete(const ChatEnding& ending, const std::optional<store::UsageSum>& usage);

  const ChatHead head_;
  ChatTranscript transcript_;
  const store::UsageSum before_;
  const Submit submit_;
  const Respond respond_;
  const std::shared_ptr<Outlet> outlet_;  // of a stream; else null
  std::string content_;                   // of a whole answer
  std::atomic<bool> done_ = false;
};

// The response header, and the request's, that names an answer's session.
inline constexpr std::string_view kSessionField = "X-Tertulia-Session";

}  // namespace tertulia::server
