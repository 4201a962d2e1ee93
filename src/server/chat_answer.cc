#include "server/chat_answer.h"

#include <fmt/format.h>

#include "server/problem.h"

namespace tertulia::server {

ChatAnswer::ChatAnswer(ChatHead head, ChatTranscript transcript, store::UsageSum before,
                       Submit submit, Respond respond, std::shared_ptr<Outlet> outlet)
    : head_(std::move(head)),
      transcript_(std::move(transcript)),
      before_(std::move(before)),
      submit_(std::move(submit)),
      respond_(std::move(respond)),
      outlet_(std::move(outlet)) {
  if (outlet_) outlet_->push(chat_first_chunk(head_));
}

void ChatAnswer::say(std::string_view words) {
  if (words.empty()) return;
  if (outlet_) {
    outlet_->push(chat_chunk(head_, words));
  } else {
    content_ += words;
  }
}

void ChatAnswer::take(const engine::Event& event, const Piece&) {
  if (!done_) say(transcript_.take(event));
}

void ChatAnswer::take_token(const engine::Event& token, const Piece&) {
  // Whole answers are made of what is kept.
  if (!done_ && outlet_) say(transcript_.take_token(token));
}

void ChatAnswer::take_unstored(const engine::Event& event, const Piece& sse) {
  take(event, sse);
  end_commit();
}

void ChatAnswer::end_commit() {
  if (done_) return;
  if (auto ending = transcript_.ending()) end_with(*std::move(ending));
}

void ChatAnswer::end_with(ChatEnding ending) {
  if (done_.exchange(true)) return;
  say(ending.words);
  // What the session took is read by a worker: the hub's thread does not wait for the database.
  const auto self = shared_from_this();
  auto job = [self, ending](base::Result<db::Connection*> reader) {
    std::optional<store::UsageSum> usage;
    if (reader)
      if (auto sum = store::sum_usage(**reader, self->head_.session)) {
        usage = *sum;
        usage->prompt_tokens -= self->before_.prompt_tokens;
        usage->completion_tokens -= self->before_.completion_tokens;
      }
    self->complete(ending, usage);
    return usage.has_value();
  };
  if (!submit_(job)) complete(ending, {});
}

void ChatAnswer::complete(const ChatEnding& ending, const std::optional<store::UsageSum>& usage) {
  if (outlet_) {
    outlet_->push(chat_last_chunks(head_, ending, usage));
    outlet_->close();
    return;
  }
  Response response = json_response(chat_completion_json(head_, content_, ending, usage));
  response.fields.emplace_back(kSessionField, std::to_string(head_.session));
  respond_(std::move(response));
}

void ChatAnswer::refuse(Response problem) {
  if (outlet_) {
    outlet_->push(chat_error_chunk(std::move(problem)));
    outlet_->close();
    return;
  }
  problem.fields.emplace_back(kSessionField, std::to_string(head_.session));
  respond_(std::move(problem));
}

void ChatAnswer::fail(const base::Error& error) {
  if (done_.exchange(true)) return;
  // By a worker: whoever tells of the error must not wait until it is known what hurt the database.
  auto job = [self = shared_from_this(), error](const base::Result<db::Connection*>&) {
    self->refuse(problem(error));
    return true;
  };
  if (!submit_(job)) refuse(problem(error));
}

void ChatAnswer::end() {
  if (done_.exchange(true)) return;
  refuse(problem(503, "unavailable", "the server stops; the session goes on with the next",
                 fmt::format("GET /api/v1/sessions/{} tells how it stands", head_.session)));
}

}  // namespace tertulia::server
