#include "server/chat_follower.h"

#include <fmt/format.h>

namespace tertulia::server {
namespace {

namespace json = base::json;
using engine::Event;

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t integer_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

// A name as Markdown shows it, whatever is in it.
std::string as_markdown(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '\n' || c == '\r') {
      out += ' ';
      continue;
    }
    if (std::string_view("\\`*_{}[]<>#|~!").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

ChatFollower::ChatFollower(ChatTarget target) : target_(std::move(target)) {
  if (!target_.outlet) return;
  json::object first;
  first["role"] = "assistant";
  first["content"] = "";
  chunk(first, nullptr);
}

bool ChatFollower::is_full() const {
  return target_.outlet && target_.outlet->is_full();
}

bool ChatFollower::is_done() const {
  return over_ || (target_.outlet && target_.outlet->is_closed());
}

std::string ChatFollower::name_of(const std::string& role) const {
  const auto found = target_.names.find(role);
  return found == target_.names.end() ? role : found->second;
}

void ChatFollower::chunk(const json::object& delta, const char* finish_reason) {
  json::object choice;
  choice["index"] = 0;
  choice["delta"] = delta;
  choice["finish_reason"] =
      finish_reason == nullptr ? json::value(nullptr) : json::value(finish_reason);
  json::object out;
  out["id"] = target_.id;
  out["object"] = "chat.completion.chunk";
  out["created"] = target_.created;
  out["model"] = target_.model;
  out["choices"] = json::array{std::move(choice)};
  if (target_.with_usage) out["usage"] = nullptr;
  target_.outlet->push(std::make_shared<const std::string>(
      "data: " + base::to_text(json::value(std::move(out))) + "\n\n"));
}

void ChatFollower::say(std::string_view text) {
  if (text.empty()) return;
  content_ += text;
  if (!target_.outlet) return;
  json::object delta;
  delta["content"] = text;
  chunk(delta, nullptr);
}

void ChatFollower::begin_turn(std::int64_t order, const std::string& speaker) {
  if (turn_ == order) return;
  turn_ = order;
  say(fmt::format("{}**{}:** ", content_.empty() ? "" : "\n\n", as_markdown(speaker)));
}

void ChatFollower::take_token(const Event& token, const Piece&) {
  if (over_ || !target_.outlet) return;
  const std::int64_t order = integer_of(token.data, "order");
  // One at a time: the others of a parallel are shown whole when they are said.
  if ((turn_ != 0 && turn_ != order) || structured_.count(order) > 0) return;
  const auto role = roles_.find(order);
  if (role == roles_.end()) return;
  const std::string text = text_of(token.data, "text");
  begin_turn(order, name_of(role->second));
  streamed_[order] += text;
  say(text);
}

void ChatFollower::take_message(const json::object& message) {
  const std::int64_t order = integer_of(message, "order");
  const std::string text = text_of(message, "text");
  const std::string shown = streamed_[order];
  if (!shown.empty() && turn_ == order && text.rfind(shown, 0) == 0) {
    say(std::string_view(text).substr(shown.size()));
  } else if (turn_ == order && !shown.empty()) {
    say("\n\n[The words that count:]\n\n");
    say(text);
  } else if (turn_ == 0 || turn_ == order) {
    begin_turn(order, text_of(message, "speaker"));
    say(text);
  } else {
    // Somebody else's turn is being shown: theirs goes on after it.
    const std::int64_t before = turn_;
    turn_ = 0;
    begin_turn(order, text_of(message, "speaker"));
    say(text);
    turn_ = 0;
    streamed_.erase(order);
    const auto role = roles_.find(before);
    if (role != roles_.end() && !streamed_[before].empty()) {
      begin_turn(before, name_of(role->second));
      say("… ");
    }
    return;
  }
  streamed_.erase(order);
  turn_ = 0;
}

void ChatFollower::take(const Event& event, const Piece&) {
  if (over_) return;
  const json::object& data = event.data;
  switch (event.type) {
    case Event::Type::step_started:
      roles_[integer_of(data, "order")] = text_of(data, "role");
      if (text_of(data, "kind") != "speak" && text_of(data, "kind") != "discuss" &&
          text_of(data, "kind") != "ask")
        structured_.insert(integer_of(data, "order"));  // a judge's words are no part of the talk
      if (data.if_contains("structured") != nullptr) structured_.insert(integer_of(data, "order"));
      break;
    case Event::Type::message:
      if (const json::value* message = data.if_contains("message"); message && message->is_object())
        take_message(message->get_object());
      break;
    case Event::Type::attempt_failed: {
      const std::int64_t order = integer_of(data, "order");
      if (turn_ == order && !streamed_[order].empty()) {
        say("\n\n[This attempt broke off.]\n\n");
        streamed_.erase(order);
      }
      break;
    }
    case Event::Type::step_completed:
      roles_.erase(integer_of(data, "order"));
      add_usage(data);
      break;
    case Event::Type::session_waiting:
      say(fmt::format("{}**{}** is asked: {}", content_.empty() ? "" : "\n\n",
                      as_markdown(name_of(text_of(data, "role"))), text_of(data, "question")));
      if (const json::value* choices = data.if_contains("choices"); choices && choices->is_array())
        for (const auto& choice : choices->get_array())
          if (choice.is_string()) say(fmt::format("\n- {}", std::string(choice.get_string())));
      finish("stop");
      break;
    case Event::Type::session_paused: {
      const std::string reason = text_of(data, "stop_reason");
      say(fmt::format("{}[Paused: {}{}{}]", content_.empty() ? "" : "\n\n", reason,
                      text_of(data, "text").empty() ? "" : ": ", text_of(data, "text")));
      finish(reason.rfind("limit_", 0) == 0 ? "length" : "stop");
      break;
    }
    case Event::Type::session_finished:
      if (text_of(data, "status") == "failed")
        say(fmt::format("{}[Failed: {}]", content_.empty() ? "" : "\n\n", text_of(data, "text")));
      finish(text_of(data, "stop_reason").rfind("limit_", 0) == 0 ? "length" : "stop");
      break;
    default:
      break;
  }
}

void ChatFollower::add_usage(const json::object& completed) {
  const json::value* result = completed.if_contains("result_data");
  if (result == nullptr) return;
  const json::value* tokens = base::at_pointer(*result, "/tokens");
  if (tokens == nullptr || !tokens->is_array() || tokens->get_array().size() != 2) return;
  const json::value& prompt = tokens->get_array()[0];
  const json::value& completion = tokens->get_array()[1];
  if (!prompt.is_int64() || !completion.is_int64()) return;
  prompt_tokens_ += prompt.get_int64();
  completion_tokens_ += completion.get_int64();
}

json::object ChatFollower::usage() const {
  json::object out;
  out["prompt_tokens"] = prompt_tokens_;
  out["completion_tokens"] = completion_tokens_;
  out["total_tokens"] = prompt_tokens_ + completion_tokens_;
  return out;
}

void ChatFollower::finish(const char* reason) {
  over_ = true;
  if (target_.outlet) {
    chunk({}, reason);
    if (target_.with_usage) {
      json::object last;
      last["id"] = target_.id;
      last["object"] = "chat.completion.chunk";
      last["created"] = target_.created;
      last["model"] = target_.model;
      last["choices"] = json::array{};
      last["usage"] = usage();
      target_.outlet->push(std::make_shared<const std::string>(
          "data: " + base::to_text(json::value(std::move(last))) + "\n\n"));
    }
    target_.outlet->push(std::make_shared<const std::string>("data: [DONE]\n\n"));
    target_.outlet->close();
    return;
  }
  json::object message;
  message["role"] = "assistant";
  message["content"] = content_;
  message["refusal"] = nullptr;
  json::object choice;
  choice["index"] = 0;
  choice["message"] = std::move(message);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = reason;
  json::object out;
  out["id"] = target_.id;
  out["object"] = "chat.completion";
  out["created"] = target_.created;
  out["model"] = target_.model;
  out["choices"] = json::array{std::move(choice)};
  out["usage"] = usage();
  target_.done(base::to_text(json::value(std::move(out))));
}

void ChatFollower::end() {
  if (over_) return;
  over_ = true;
  if (target_.outlet) {
    target_.outlet->close();
  } else {
    target_.done({});
  }
}

}  // namespace tertulia::server
