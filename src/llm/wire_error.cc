#include "llm/wire_error.h"

#include <algorithm>

#include "base/utf8.h"
#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

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

Outcome classify_error(int status, const json::value& error) {
  std::string code;
  if (const json::object* const object = error.if_object()) {
    const json::value* const given = object->if_contains("code");
    if (given != nullptr && given->is_int64() && given->get_int64() >= 400 &&
        given->get_int64() < 600)
      status = static_cast<int>(given->get_int64());  // several proxies put the status there
    code = lower(text_at(*object, "code")) + " " + lower(text_at(*object, "type"));
  }
  const std::string words = lower(error_words(error));
  if (has_any(code, {"insufficient_quota", "billing_hard_limit", "insufficient_balance",
                     "billing_error"}) ||
      has_any(words, {"credit balance is too low"}) || status == 402)
    return Outcome::quota;
  if (has_any(code, {"context_length_exceeded", "exceed_context_size", "request_too_large"}))
    return Outcome::context_overflow;
  if (has_any(code, {"content_filter", "content_policy"})) return Outcome::content_filter;
  if (status != 429 && has_any(words, {"context length", "context window", "context size",
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

std::string_view error_words(const json::value& error) {
  if (const auto* const object = error.if_object()) {
    for (const std::string_view key : {"message", "code", "type"})
      if (const std::string_view words = text_at(*object, key); !words.empty()) return words;
  } else if (error.is_string()) {
    return {error.get_string().data(), error.get_string().size()};
  }
  return {};
}

}  // namespace tertulia::llm
