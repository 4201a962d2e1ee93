#include "llm/recorded_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

json::object usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"reasoning_tokens", usage.reasoning_tokens},
          {"reported", usage.reported}};
}

json::object answer_json(const Answer& answer) {
  json::object out{{"outcome", outcome_name(answer.outcome)}};
  const auto put = [&out](std::string_view key, const std::string& text) {
    if (!text.empty()) out[key] = text;
  };
  put("finish_reason", answer.finish_reason);
  put("error", answer.error);
  if (answer.http_status != 0) out["http_status"] = answer.http_status;
  put("request_id", answer.request_id);
  put("model", answer.model);
  out["usage"] = usage_json(answer.usage);
  out["first_token_ms"] = answer.first_token.count();
  out["duration_ms"] = answer.duration.count();
  return out;
}

base::Result<Answer> answer_of(const json::object& given) {
  Answer answer;
  const auto outcome = outcome_from_name(text_at(given, "outcome"));
  if (!outcome)
    return base::Error{.code = base::Code::invalid, .message = "the answer's outcome is unknown"};
  answer.outcome = *outcome;
  answer.finish_reason = text_at(given, "finish_reason");
  answer.error = text_at(given, "error");
  answer.http_status = static_cast<int>(count_at(given, "http_status").value_or(0));
  answer.request_id = text_at(given, "request_id");
  answer.model = text_at(given, "model");
  if (const auto* const usage = object_at(given, "usage")) {
    answer.usage.prompt_tokens = count_at(*usage, "prompt_tokens").value_or(0);
    answer.usage.completion_tokens = count_at(*usage, "completion_tokens").value_or(0);
    answer.usage.cached_tokens = count_at(*usage, "cached_tokens").value_or(0);
    answer.usage.reasoning_tokens = count_at(*usage, "reasoning_tokens").value_or(0);
    answer.usage.reported = base::flag_at(*usage, "reported");
  }
  answer.first_token = std::chrono::milliseconds(count_at(given, "first_token_ms").value_or(0));
  answer.duration = std::chrono::milliseconds(count_at(given, "duration_ms").value_or(0));
  return answer;
}

// Both texts around the place where they part.
std::string text_difference(std::string_view what, std::string_view expected,
                            std::string_view found) {
  std::size_t at = 0;
  std::size_t characters = 1;
  while (at < expected.size() && at < found.size()) {
    std::size_t next = at;
    static_cast<void>(base::next_code_point(expected, next));
    if (expected.substr(at, next - at) != found.substr(at, next - at)) break;
    at = next;
    ++characters;
  }
  const auto rest = [at](std::string_view text) {
    return at >= text.size() ? std::string("its end")
                             : "'" + quotable(base::clip_bytes(text.substr(at), 60)) + "'";
  };
  return fmt::format("{} from character {} on: expected {}, found {}", what, characters,
                     rest(expected), rest(found));
}

std::string value_words(const json::value* value) {
  return value == nullptr ? "none" : base::shorten(base::to_text(*value), 80);
}

std::string member_difference(std::string_view what, const json::value* expected,
                              const json::value* found) {
  if (expected == nullptr && found == nullptr) return {};
  if (expected != nullptr && found != nullptr && base::equal(*expected, *found)) return {};
  return fmt::format("{}: expected {}, found {}", what, value_words(expected), value_words(found));
}

struct Message {
  std::string_view role;
  std::string_view text;
};

std::vector<Message> messages_of(const json::object& request) {
  std::vector<Message> messages;
  const json::value* const turns = request.if_contains("turns");
  if (turns == nullptr || !turns->is_array()) return messages;
  for (const json::value& turn : turns->get_array())
    if (turn.is_object())
      messages.push_back({text_at(turn.get_object(), "role"), text_at(turn.get_object(), "text")});
  return messages;
}

std::string message_difference(const json::object& expected, const json::object& found) {
  const std::vector<Message> was = messages_of(expected);
  const std::vector<Message> is = messages_of(found);
  for (std::size_t i = 0; i < std::min(was.size(), is.size()); ++i) {
    if (was[i].role != is[i].role)
      return fmt::format("message {}: expected one of {}, found one of {}", i + 1, was[i].role,
                         is[i].role);
    if (was[i].text != is[i].text)
      return text_difference(fmt::format("message {} ({})", i + 1, was[i].role), was[i].text,
                             is[i].text);
  }
  if (was.size() == is.size()) return {};
  return fmt::format("the number of messages: expected {}, found {}", was.size(), is.size());
}

std::string parameter_difference(const json::object& expected, const json::object& found) {
  static const json::object kNone;
  const auto set_of = [](const json::object& request) -> const json::object& {
    const auto* const set = object_at(request, "parameters");
    return set != nullptr ? *set : kNone;
  };
  const json::object& was = set_of(expected);
  const json::object& is = set_of(found);
  for (const json::object* const each : {&was, &is})
    for (const auto& member : *each) {
      const std::string key(member.key());
      if (auto words =
              member_difference("parameter " + key, was.if_contains(key), is.if_contains(key));
          !words.empty())
        return words;
    }
  return {};
}

}  // namespace

json::object canonical_request(const Request& request) {
  json::object out{{"model", request.model}, {"system", request.system}};
  json::array turns;
  for (const Turn& turn : request.turns)
    turns.push_back(json::object{{"role", turn.kind == Turn::Kind::user ? "user" : "assistant"},
                                 {"text", turn.text}});
  out["turns"] = std::move(turns);
  if (request.schema) out["schema"] = *request.schema;
  if (json::object set = request.parameters.to_json(); !set.empty())
    out["parameters"] = std::move(set);
  return out;
}

std::string request_difference(const json::object& expected, const json::object& found) {
  if (auto words =
          member_difference("the model", expected.if_contains("model"), found.if_contains("model"));
      !words.empty())
    return words;
  if (text_at(expected, "system") != text_at(found, "system"))
    return text_difference("the system text", text_at(expected, "system"),
                           text_at(found, "system"));
  if (auto words = message_difference(expected, found); !words.empty()) return words;
  if (auto words = member_difference("the output schema", expected.if_contains("schema"),
                                     found.if_contains("schema"));
      !words.empty())
    return words;
  return parameter_difference(expected, found);
}

json::object RecordedCall::to_json() const {
  return {{"type", "call"},
          {"call", number},
          {"profile", profile},
          {"seed", seed},
          {"path", path},
          {"attempt", attempt},
          {"step", step},
          {"iteration", iteration},
          {"request", request},
          {"pieces", json::array(pieces.begin(), pieces.end())},
          {"answer", answer_json(answer)}};
}

base::Result<RecordedCall> RecordedCall::from_json(const json::object& line) {
  const auto wrong = [](std::string_view what) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("not a recorded call: {}", what)};
  };
  RecordedCall call;
  call.number = count_at(line, "call").value_or(0);
  if (call.number < 1) return wrong("its number is missing");
  call.profile = text_at(line, "profile");
  if (const json::value* const seed = line.if_contains("seed"); seed != nullptr) {
    json::error_code failed;
    call.seed = seed->is_number() ? seed->to_number<std::uint64_t>(failed) : 0;
    if (failed || !seed->is_number()) return wrong("its seed is no number");
  }
  call.path = text_at(line, "path");
  call.attempt = static_cast<int>(count_at(line, "attempt").value_or(1));
  call.step = text_at(line, "step");
  call.iteration = count_at(line, "iteration").value_or(0);
  const auto* const request = object_at(line, "request");
  if (request == nullptr) return wrong("its request is missing");
  call.request = *request;
  const json::value* const pieces = line.if_contains("pieces");
  if (pieces == nullptr || !pieces->is_array()) return wrong("its pieces are missing");
  for (const json::value& piece : pieces->get_array()) {
    if (!piece.is_string()) return wrong("a piece is no text");
    call.pieces.emplace_back(piece.get_string());
  }
  const auto* const given = object_at(line, "answer");
  if (given == nullptr) return wrong("its answer is missing");
  auto answer = answer_of(*given);
  if (!answer) return wrong(answer.error().message);
  call.answer = *std::move(answer);
  for (const std::string& piece : call.pieces) call.answer.text += piece;
  return call;
}

}  // namespace tertulia::llm
