// The wire of OpenAI's chat completions, apart from any network: the body of a request, and the
// reading of a response, whole or as it streams in. Pure; every line of the table of model faults
// is decided here (see docs/architecture.md).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "llm/provider.h"
#include "llm/sse_decoder.h"

namespace tertulia::llm {

// The body of POST /chat/completions. Keys in a fixed order: model, messages (the system text
// first), the parameters that are set, response_format, stream, stream_options. OpenAI's own
// server wants max_completion_tokens where all others know max_tokens.
[[nodiscard]] std::string chat_body(const Request& request, bool max_completion_tokens);

// ChatReply reads one response to such a request. It accepts what servers really send: chunks
// without choices or delta, empty ids, no [DONE], no usage, an error object inside a stream, a
// whole completion object where a stream was asked for. It is complete only if finish_reason or
// [DONE] was seen.
class ChatReply final {
 public:
  using OnText = std::function<void(std::string_view text)>;
  enum class Progress { nothing, meaningful, finishing, complete, hopeless };

  explicit ChatReply(int status, std::string_view content_type = {});

  // Takes the next bytes, however they were cut; hands on new text, in whole characters.
  Progress feed(std::string_view bytes, const OnText& on_text);

  // The connection has ended; cleanly, or not as far as is known. Gives outcome, text, usage (as
  // reported), finish_reason, model, request_id (the completion's id) and error, the latter in the
  // server's words: masking secrets is the caller's part.
  [[nodiscard]] Answer finish(bool clean, const OnText& on_text);

  [[nodiscard]] bool complete() const { return done_ || !answer_.finish_reason.empty(); }

 private:
  enum class Format { unknown, events, object, error };

  void take_event(std::string_view data, const OnText& on_text);
  void take_object(const base::json::object& object, bool whole, const OnText& on_text);
  void take_choice(const base::json::object& choice, bool whole, const OnText& on_text);
  void take_text(std::string_view text, const OnText& on_text);
  void take_usage(const base::json::value& usage);
  void finish_object(bool clean, const OnText& on_text);
  void finish_error();
  void fail(Outcome outcome, std::string error);
  void fail_as(const base::json::value& error);
  void conclude(bool clean);

  int status_;
  Format format_ = Format::unknown;
  SseDecoder decoder_;
  std::string body_;     // of an object or error; while the format is unknown, its first bytes
  std::string partial_;  // the first bytes of a character whose others have not come
  std::string refusal_;
  Answer answer_;
  bool failed_ = false;
  bool done_ = false;
  bool seen_role_ = false;
  bool at_end_ = false;
  bool meaningful_ = false;  // since the beginning of this feed
  bool any_event_ = false;
};

// What an error answer means: by its code and type where these are known, else by the status.
[[nodiscard]] Outcome classify_error(int status, const base::json::value& error);

}  // namespace tertulia::llm
