#include "llm/reply_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/monotonic_resource.hpp>

#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

constexpr std::size_t kMaxErrorBody = 64 * 1024;

bool names_event_stream(std::string_view content_type) {
  constexpr std::string_view kName = "text/event-stream";
  return content_type.size() >= kName.size() &&
         std::equal(kName.begin(), kName.end(), content_type.begin(),
                    [](char name, char c) { return name == (c >= 'A' && c <= 'Z' ? c + 32 : c); });
}

}  // namespace

ReplyReader::ReplyReader(int status, std::string_view content_type, Framing framing,
                         std::unique_ptr<WireDialect> dialect)
    : framing_(framing), dialect_(std::move(dialect)), draft_(status) {
  if (status < 200 || status > 299)
    format_ = Format::error;
  else if (framing == Framing::lines)
    format_ = Format::lines;  // a whole object is a stream of one line
  else if (names_event_stream(content_type))
    format_ = Format::events;
}

ReplyReader::Progress ReplyReader::feed(std::string_view bytes, const OnText& on_text) {
  if (draft_.failed()) return Progress::hopeless;
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
  const auto fed =
      format_ == Format::lines
          ? lines_.feed(bytes, [&](std::string_view line) { take_text(line, on_text); })
          : events_.feed(bytes,
                         [&](const SseDecoder::Event& event) { take_text(event.data, on_text); });
  if (!fed) draft_.fail(Outcome::malformed, fed.error().message);
  if (draft_.failed()) return Progress::hopeless;
  if (draft_.closed()) return Progress::complete;
  if (!draft_.take_stir()) return Progress::nothing;
  return draft_.complete() ? Progress::finishing : Progress::meaningful;
}

void ReplyReader::take_text(std::string_view text, const OnText& on_text) {
  if (draft_.failed() || draft_.closed()) return;
  while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty()) return;
  // OpenAI's mark; proxies put it behind the streams of others too.
  if (text == "[DONE]" && framing_ == Framing::events) return draft_.close();
  std::array<unsigned char, 4096> room;
  json::monotonic_resource memory(room.data(), room.size());
  const auto value = parse_wire(text, &memory);
  if (!value || !value->is_object()) {
    if (at_end_) return;  // the last line, cut off
    return draft_.fail(
        Outcome::malformed,
        fmt::format("{} of the stream is not a JSON object: {}",
                    framing_ == Framing::lines ? "a line" : "an event", quotable(text)));
  }
  take_object(value->get_object(), false, on_text);
}

void ReplyReader::take_object(const json::object& object, bool whole, const OnText& on_text) {
  any_object_ = true;
  if (const json::value* const error = object.if_contains("error");
      error != nullptr && !error->is_null())
    return draft_.fail_as(*error);
  dialect_->take(object, whole, draft_, on_text);
}

Answer ReplyReader::finish(bool clean, const OnText& on_text) {
  at_end_ = true;
  if (!draft_.failed()) finish_reading(clean, on_text);
  if (!draft_.failed()) conclude(clean);
  Answer answer = draft_.conclude();
  if (answer.outcome != Outcome::ok) answer.error += dialect_->remedy(draft_.status(), answer);
  return answer;
}

void ReplyReader::finish_reading(bool clean, const OnText& on_text) {
  switch (format_) {
    case Format::unknown:
      break;
    case Format::events: {
      const auto fed =
          events_.finish([&](const SseDecoder::Event& event) { take_text(event.data, on_text); });
      if (!fed) draft_.fail(Outcome::malformed, fed.error().message);
      break;
    }
    case Format::lines:
      lines_.finish([&](std::string_view line) { take_text(line, on_text); });
      break;
    case Format::object:
      finish_object(clean, on_text);
      break;
    case Format::error:
      finish_error();
      break;
  }
}

void ReplyReader::finish_object(bool clean, const OnText& on_text) {
  const auto value = parse_wire(body_);
  if (value && value->is_object()) {
    take_object(value->get_object(), true, on_text);
  } else if (clean) {
    draft_.fail(Outcome::malformed, fmt::format("the answer is not JSON: {}", quotable(body_)));
  }
}

void ReplyReader::finish_error() {
  const auto value = parse_wire(body_);
  const json::object* const object = value ? value->if_object() : nullptr;
  if (object != nullptr) {
    const json::value* const inner = object->if_contains("error");
    return draft_.fail_as(inner != nullptr && !inner->is_null() ? *inner : *value);
  }
  draft_.fail_as(json::value(body_.empty() ? json::string() : json::string(quotable(body_))));
}

void ReplyReader::conclude(bool clean) {
  dialect_->end(draft_);
  if (draft_.failed() || draft_.complete()) return;
  if (clean && !any_object_ && format_ == Format::unknown)
    return draft_.fail(Outcome::incomplete, "the answer is empty");
  draft_.fail(Outcome::incomplete,
              fmt::format("the answer {} {}", clean ? "ended without" : "broke off before",
                          dialect_->mark_of_the_end()));
}

}  // namespace tertulia::llm
