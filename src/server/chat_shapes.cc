#include "server/chat_shapes.h"

#include <fmt/format.h>

#include <utility>

#include "server/problem.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

json::object part(const ChatHead& head, std::string_view object) {
  json::object out;
  out["id"] = head.id;
  out["object"] = object;
  out["created"] = head.created;
  out["model"] = head.name;
  return out;
}

json::object usage_json(const store::UsageSum& usage) {
  json::object out;
  out["prompt_tokens"] = usage.prompt_tokens;
  out["completion_tokens"] = usage.completion_tokens;
  out["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  return out;
}

// What OpenAI's forms have no place for; its clients pass over members that they do not know.
json::object session_json(const ChatHead& head, const ChatEnding& ending) {
  json::object out;
  out["session_id"] = head.session;
  out["status"] = ending.status;
  if (!ending.stop_reason.empty()) out["stop_reason"] = ending.stop_reason;
  return out;
}

json::object chunk(const ChatHead& head, json::object delta, std::string_view finish_reason) {
  json::object out = part(head, "chat.completion.chunk");
  json::object choice;
  choice["index"] = 0;
  choice["delta"] = std::move(delta);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = nullptr;
  if (!finish_reason.empty()) choice["finish_reason"] = finish_reason;
  out["choices"] = json::array{json::value(std::move(choice))};
  if (head.wants_usage) out["usage"] = nullptr;
  return out;
}

std::string frame(json::object data) {
  return fmt::format("data: {}\n\n", base::to_text(json::value(std::move(data))));
}

Piece piece(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

}  // namespace

json::object chat_completion_json(const ChatHead& head, std::string_view content,
                                  const ChatEnding& ending,
                                  const std::optional<store::UsageSum>& usage) {
  json::object out = part(head, "chat.completion");
  json::object message;
  message["role"] = "assistant";
  message["content"] = content;
  message["refusal"] = nullptr;
  json::object choice;
  choice["index"] = 0;
  choice["message"] = std::move(message);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = ending.finish_reason;
  out["choices"] = json::array{json::value(std::move(choice))};
  if (usage) out["usage"] = usage_json(*usage);
  out["tertulia"] = session_json(head, ending);
  return out;
}

Piece chat_first_chunk(const ChatHead& head) {
  json::object delta;
  delta["role"] = "assistant";
  delta["content"] = "";
  return piece(frame(chunk(head, std::move(delta), {})));
}

Piece chat_chunk(const ChatHead& head, std::string_view content) {
  json::object delta;
  delta["content"] = content;
  return piece(frame(chunk(head, std::move(delta), {})));
}

Piece chat_last_chunks(const ChatHead& head, const ChatEnding& ending,
                       const std::optional<store::UsageSum>& usage) {
  json::object last = chunk(head, {}, ending.finish_reason);
  last["tertulia"] = session_json(head, ending);
  std::string text = frame(std::move(last));
  if (head.wants_usage && usage) {
    json::object counted = part(head, "chat.completion.chunk");
    counted["choices"] = json::array{};
    counted["usage"] = usage_json(*usage);
    text += frame(std::move(counted));
  }
  return piece(text + "data: [DONE]\n\n");
}

Piece chat_error_chunk(Response problem) {
  return piece(fmt::format("data: {}\n\n", as_openai_error(std::move(problem)).body));
}

}  // namespace tertulia::server
