#include "llm/openai_wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>

#include "base/utf8.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

constexpr std::size_t kMaxErrorBody = 64 * 1024;

void append_quoted(std::string& out, std::string_view text) {
  out += json::serialize(json::string_view(text.data(), text.size()));
}

void append_message(std::string& out, std::string_view role, std::string_view text) {
  if (out.back() != '[') out += ',';
  fmt::format_to(std::back_inserter(out), R"({{"role":"{}","content":)", role);
  append_quoted(out, text);
  out += '}';
}

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  return found == nullptr ? nullptr : found->if_object();
}

std::optional<std::int64_t> count_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  constexpr double kExact = 9007199254740992.0;
  if (found == nullptr) return {};
  if (found->is_int64() && found->get_int64() >= 0) return found->get_int64();
  if (found->is_double() && found->get_double() >= 0 && found->get_double() <= kExact)
    return static_cast<std::int64_t>(found->get_double());
  return {};
}

// One line of a server's words, short enough for an error and without control characters.
std::string quotable(std::string_view text) {
  std::string line;
  text = base::clip_bytes(text, 2000);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = base::next_code_point(text, at);
    if (c < 0x20 || c == 0x7F)
      line += ' ';
    else if (c == 0xFFFD)
      line += "\xEF\xBF\xBD";
    else
      line += text.substr(begin, at - begin);
  }
  return base::shorten(line, 300);
}

bool is_start_of_character(std::string_view bytes) {
  if (bytes.empty() || bytes.size() > 3) return false;
  const auto lead = static_cast<unsigned char>(bytes[0]);
  const std::size_t length = lead >= 0xF0 && lead <= 0xF4   ? 4
                             : lead >= 0xE0 && lead < 0xF0  ? 3
                             : lead >= 0xC2 && lead <= 0xDF ? 2
                                                            : 0;
  return bytes.size() < length && std::all_of(bytes.begin() + 1, bytes.end(), [](char c) {
           return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
         });
}

json::parse_options lenient() {
  json::parse_options options;
  options.max_depth = 64;
  // Some servers cut their events inside a character: whole characters are put together, and
  // what remains invalid is refused, in take_text.
  options.allow_invalid_utf8 = true;
  return options;
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string out(base::clip_bytes(text, 2000));
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

}  // namespace

std::string chat_body(const Request& request, bool max_completion_tokens) {
  std::string out = R"({"model":)";
  append_quoted(out, request.model);
  out += R"(,"messages":[)";
  if (!request.system.empty()) append_message(out, "system", request.system);
  for (const Turn& turn : request.turns)
    append_message(out, turn.kind == Turn::Kind::user ? "user" : "assistant", turn.text);
  out += ']';
  const auto put = [&out](std::string_view key, const auto& value) {
    fmt::format_to(std::back_inserter(out), R"(,"{}":{})", key, value);
  };
  // fmt writes 0.7 where Boost.JSON would write 7E-1: people read these bytes in a preview.
  const Parameters& parameters = request.parameters;
  if (parameters.temperature) put("temperature", *parameters.temperature);
  if (parameters.top_p) put("top_p", *parameters.top_p);
  if (parameters.max_tokens)
    put(max_completion_tokens ? "max_completion_tokens" : "max_tokens", *parameters.max_tokens);
  if (!parameters.stop.empty())
    put("stop", json::serialize(json::array(parameters.stop.begin(), parameters.stop.end())));
  if (parameters.seed) put("seed", *parameters.seed);
  if (!parameters.reasoning_effort.empty()) {
    out += R"(,"reasoning_effort":)";
    append_quoted(out, parameters.reasoning_effort);
  }
  if (request.schema && request.server_schema) {
    out += R"(,"response_format":{"type":"json_schema","json_schema":{"name":"output","schema":)";
    out += base::to_text(*request.schema);
    out += "}}";
  }
  out += R"(,"stream":true,"stream_options":{"include_usage":true}})";
  return out;
}

Outcome classify_error(int status, const json::value& error) {
  std::string code;
  std::string words;
  if (const json::object* const object = error.if_object()) {
    const json::value* const given = object->if_contains("code");
    if (given != nullptr && given->is_int64() && given->get_int64() >= 400 &&
        given->get_int64() < 600)
      status = static_cast<int>(given->get_int64());  // several proxies put the status there
    code = lower(text_at(*object, "code")) + " " + lower(text_at(*object, "type"));
    words = lower(text_at(*object, "message"));
  } else if (error.is_string()) {
    words = lower({error.get_string().data(), error.get_string().size()});
  }
  if (has_any(code, {"insufficient_quota", "billing_hard_limit", "insufficient_balance"}) ||
      status == 402)
    return Outcome::quota;
  if (has_any(code, {"context_length_exceeded", "exceed_context_size"})) {
    return Outcome::context_overflow;
  }
  if (has_any(code, {"content_filter", "content_policy"})) return Outcome::content_filter;
  const bool client_fault = status == 0 || status == 200 || (status >= 400 && status < 429);
  if (client_fault && has_any(words, {"context length", "context window", "context size",
                                      "maximum context", "prompt is too long"}))
    return Outcome::context_overflow;
  if (status == 401 || status == 403) return Outcome::auth;
  if (status == 429) return Outcome::rate_limited;
  if (status == 408) return Outcome::timeout;
  if (status == 409 || status == 425 || status >= 500) return Outcome::server;
  if (status >= 300) return Outcome::refused;
  // An error inside a 200 stream has no status of its own.
  if (has_any(code, {"rate_limit"})) return Outcome::rate_limited;
  if (has_any(code, {"invalid_api_key", "authentication", "permission"})) return Outcome::auth;
  if (has_any(code, {"invalid_request", "not_found"})) return Outcome::refused;
  return Outcome::server;
}

ChatReply::ChatReply(int status, std::string_view content_type) : status_(status) {
  if (status < 200 || status > 299)
    format_ = Format::error;
  else if (lower(content_type).starts_with("text/event-stream"))
    format_ = Format::events;
}

ChatReply::Progress ChatReply::feed(std::string_view bytes, const OnText& on_text) {
  if (failed_) return Progress::hopeless;
  if (format_ == Format::unknown) {
    // A wrong or missing content type is common: the first byte tells.
    const std::size_t first = bytes.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos)
      format_ = bytes[first] == '{' ? Format::object : Format::events;
  }
  if (format_ == Format::error) {
    body_ += bytes.substr(0, kMaxErrorBody - std::min(kMaxErrorBody, body_.size()));
    return Progress::meaningful;
  }
  if (format_ == Format::object) {
    body_ += bytes;
    return Progress::meaningful;
  }
  meaningful_ = false;
  const auto fed = decoder_.feed(
      bytes, [&](const SseDecoder::Event& event) { take_event(event.data, on_text); });
  if (!fed) fail(Outcome::malformed, fed.error().message);
  if (failed_) return Progress::hopeless;
  if (done_) return Progress::complete;
  if (!meaningful_) return Progress::nothing;
  return complete() ? Progress::finishing : Progress::meaningful;
}

void ChatReply::take_event(std::string_view data, const OnText& on_text) {
  if (failed_ || done_) return;
  while (data.ends_with(' ')) data.remove_suffix(1);
  if (data.empty()) return;
  if (data == "[DONE]") {
    done_ = meaningful_ = true;
    return;
  }
  std::array<unsigned char, 4096> room;
  json::monotonic_resource memory(room.data(), room.size());
  json::error_code error;
  const json::value value =
      json::parse(json::string_view(data.data(), data.size()), error, &memory, lenient());
  if (error || !value.is_object()) {
    if (at_end_) return;  // the last line, cut off
    return fail(Outcome::malformed,
                fmt::format("an event of the stream is not a JSON object: {}", quotable(data)));
  }
  any_event_ = true;
  take_object(value.get_object(), false, on_text);
}

void ChatReply::take_object(const json::object& object, bool whole, const OnText& on_text) {
  if (const json::value* const error = object.if_contains("error");
      error != nullptr && !error->is_null())
    return fail_as(*error);
  if (answer_.request_id.empty()) answer_.request_id = quotable(text_at(object, "id"));
  if (answer_.model.empty()) answer_.model = quotable(text_at(object, "model"));
  if (const json::value* const usage = object.if_contains("usage")) take_usage(*usage);
  const json::value* const choices = object.if_contains("choices");
  if (choices == nullptr || !choices->is_array()) return;
  for (const json::value& choice : choices->get_array()) {
    if (!choice.is_object()) continue;
    const auto index = count_at(choice.get_object(), "index");
    if (index.value_or(0) == 0) take_choice(choice.get_object(), whole, on_text);
  }
}

void ChatReply::take_choice(const json::object& choice, bool whole, const OnText& on_text) {
  if (const auto* const said = object_at(choice, whole ? "message" : "delta")) {
    if (!seen_role_ && said->contains("role")) seen_role_ = meaningful_ = true;
    for (const std::string_view thought : {"reasoning_content", "reasoning"})
      if (!text_at(*said, thought).empty()) meaningful_ = true;
    if (said->contains("tool_calls")) meaningful_ = true;
    if (const auto refusal = text_at(*said, "refusal"); !refusal.empty()) {
      meaningful_ = true;
      refusal_ += refusal;
    }
    if (const auto text = text_at(*said, "content"); !text.empty()) take_text(text, on_text);
  }
  if (const auto reason = text_at(choice, "finish_reason"); !reason.empty()) {
    answer_.finish_reason = quotable(reason);
    meaningful_ = true;
  }
}

void ChatReply::take_text(std::string_view text, const OnText& on_text) {
  meaningful_ = true;
  std::string joined;
  if (!partial_.empty()) {
    joined = partial_ + std::string(text);
    text = joined;
  }
  const std::size_t valid = base::first_invalid_utf8(text).value_or(text.size());
  const std::string rest(text.substr(valid));
  if (valid > 0) {
    answer_.text += text.substr(0, valid);
    if (on_text) on_text(text.substr(0, valid));
  }
  partial_ = rest;
  if (!rest.empty() && !is_start_of_character(rest)) {
    partial_.clear();
    fail(Outcome::malformed, rest[0] == '\0' ? "the answer's text holds a NUL character"
                                             : "the answer's text is not valid UTF-8");
  }
}

void ChatReply::take_usage(const json::value& usage) {
  const json::object* const object = usage.if_object();
  if (object == nullptr) return;
  const auto prompt = count_at(*object, "prompt_tokens");
  const auto completion = count_at(*object, "completion_tokens");
  if (!prompt && !completion) return;
  meaningful_ = true;
  Usage& out = answer_.usage;
  out.reported = true;
  out.prompt_tokens = prompt.value_or(0);
  out.completion_tokens = completion.value_or(0);
  if (const auto* const details = object_at(*object, "prompt_tokens_details"))
    out.cached_tokens = count_at(*details, "cached_tokens").value_or(0);
  if (const auto* const details = object_at(*object, "completion_tokens_details"))
    out.reasoning_tokens = count_at(*details, "reasoning_tokens").value_or(0);
}

void ChatReply::fail(Outcome outcome, std::string error) {
  if (failed_) return;
  failed_ = true;
  answer_.outcome = outcome;
  answer_.error = std::move(error);
}

void ChatReply::fail_as(const json::value& error) {
  std::string_view words;
  if (const auto* const object = error.if_object()) {
    words = text_at(*object, "message");
    if (words.empty()) words = text_at(*object, "code");
    if (words.empty()) words = text_at(*object, "type");
  } else if (error.is_string()) {
    words = {error.get_string().data(), error.get_string().size()};
  }
  const std::string said =
      words.empty() ? "gave no reason" : fmt::format("said: {}", quotable(words));
  const bool own_status = status_ < 200 || status_ > 299;
  fail(classify_error(status_, error),
       own_status ? fmt::format("status {}, the server {}", status_, said)
                  : fmt::format("the server reported an error in its answer and {}", said));
}

Answer ChatReply::finish(bool clean, const OnText& on_text) {
  at_end_ = true;
  if (format_ == Format::events && !failed_) {
    const auto fed =
        decoder_.finish([&](const SseDecoder::Event& event) { take_event(event.data, on_text); });
    if (!fed) fail(Outcome::malformed, fed.error().message);
  } else if (format_ == Format::object && !failed_) {
    finish_object(clean, on_text);
  } else if (format_ == Format::error) {
    finish_error();
  }
  if (!failed_) conclude(clean);
  return std::move(answer_);
}

void ChatReply::finish_object(bool clean, const OnText& on_text) {
  json::error_code error;
  const json::value value =
      json::parse(json::string_view(body_.data(), body_.size()), error, {}, lenient());
  if (!error && value.is_object()) {
    any_event_ = true;
    take_object(value.get_object(), true, on_text);
  } else if (clean) {
    fail(Outcome::malformed, fmt::format("the answer is not JSON: {}", quotable(body_)));
  }
}

void ChatReply::finish_error() {
  json::error_code error;
  const json::value value =
      json::parse(json::string_view(body_.data(), body_.size()), error, {}, lenient());
  const json::object* const object = error ? nullptr : value.if_object();
  if (object != nullptr) {
    const json::value* const inner = object->if_contains("error");
    return fail_as(inner != nullptr && !inner->is_null() ? *inner : value);
  }
  fail_as(json::value(body_.empty() ? json::string() : json::string(quotable(body_))));
}

void ChatReply::conclude(bool clean) {
  if (!refusal_.empty() && answer_.text.empty())
    return fail(Outcome::content_filter,
                fmt::format("the model refused to answer: {}", quotable(refusal_)));
  if (answer_.finish_reason == "content_filter")
    return fail(Outcome::content_filter, "the server withheld the answer (content_filter)");
  if (!complete()) {
    if (clean && !any_event_ && format_ == Format::unknown)
      return fail(Outcome::incomplete, "the answer is empty");
    return fail(Outcome::incomplete, clean ? "the answer ended without finish_reason or [DONE]"
                                           : "the answer broke off before finish_reason or [DONE]");
  }
  // A limit on length may well fall inside a character; any other end may not.
  if (!partial_.empty() && answer_.finish_reason != "length")
    return fail(Outcome::malformed, "the answer's text ends inside a UTF-8 character");
  answer_.outcome = Outcome::ok;
}

}  // namespace tertulia::llm
