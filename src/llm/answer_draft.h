// AnswerDraft is what has come of an answer so far. A WireDialect writes into it what it reads in
// the objects of its protocol; ReplyReader asks it how things stand and makes the Answer of it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "llm/provider.h"

namespace tertulia::llm {

class AnswerDraft final {
 public:
  using OnText = std::function<void(std::string_view text)>;

  explicit AnswerDraft(int status) : status_(status) {}

  // New text, perhaps cut inside a character: whole characters are handed on. Anything but UTF-8,
  // and NUL, makes the answer malformed.
  void say(std::string_view text, const OnText& on_text);
  // Whatever shows that the model is alive: the idle deadline starts anew.
  void stir() { stirred_ = true; }
  // The first wins; quotable.
  void name_request(std::string_view id);
  void name_model(std::string_view model);
  void report_usage(const Usage& usage);
  // Why the model stopped, in the words of Answer::finish_reason.
  void stop(std::string_view reason);
  // The end of the stream as the protocol marks it: nothing after it counts.
  void close() { closed_ = stirred_ = true; }
  // The first failure stays.
  void fail(Outcome outcome, std::string error);
  // The same, as the server reports it.
  void fail_as(const base::json::value& error);

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool complete() const { return closed_ || !answer_.finish_reason.empty(); }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const Answer& answer() const { return answer_; }
  // Whether it stirred since the last time this was asked.
  [[nodiscard]] bool take_stir() { return std::exchange(stirred_, false); }

  // The answer as it is now; malformed where its text ends inside a character, but for a limit on
  // length, which may well fall there.
  [[nodiscard]] Answer conclude();

 private:
  int status_;
  Answer answer_;
  std::string partial_;  // the first bytes of a character whose others have not come
  bool failed_ = false;
  bool closed_ = false;
  bool stirred_ = false;
};

}  // namespace tertulia::llm
