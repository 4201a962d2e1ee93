#include "llm/answer_draft.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "llm/wire_error.h"
#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

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

}  // namespace

void AnswerDraft::say(std::string_view text, const OnText& on_text) {
  stirred_ = true;
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

void AnswerDraft::name_request(std::string_view id) {
  if (answer_.request_id.empty()) answer_.request_id = quotable(id);
}

void AnswerDraft::name_model(std::string_view model) {
  if (answer_.model.empty()) answer_.model = quotable(model);
}

void AnswerDraft::report_usage(const Usage& usage) {
  stirred_ = true;
  answer_.usage = usage;
  answer_.usage.reported = true;
}

void AnswerDraft::stop(std::string_view reason) {
  if (reason.empty()) return;
  answer_.finish_reason = quotable(reason);
  stirred_ = true;
}

void AnswerDraft::fail(Outcome outcome, std::string error) {
  if (failed_) return;
  failed_ = true;
  answer_.outcome = outcome;
  answer_.error = std::move(error);
}

void AnswerDraft::fail_as(const base::json::value& error) {
  const std::string_view words = error_words(error);
  const std::string said =
      words.empty() ? "gave no reason" : fmt::format("said: {}", quotable(words));
  const bool own_status = status_ < 200 || status_ > 299;
  fail(classify_error(status_, error),
       own_status ? fmt::format("status {}, the server {}", status_, said)
                  : fmt::format("the server reported an error in its answer and {}", said));
}

Answer AnswerDraft::conclude() {
  if (!partial_.empty() && answer_.finish_reason != "length")
    fail(Outcome::malformed, "the answer's text ends inside a UTF-8 character");
  if (!failed_) answer_.outcome = Outcome::ok;
  return std::move(answer_);
}

}  // namespace tertulia::llm
