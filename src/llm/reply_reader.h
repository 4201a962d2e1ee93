// ReplyReader reads one response to a request, whole or as it streams in, apart from any network:
// it cuts the bytes into the JSON objects of the protocol, which a WireDialect understands, and
// decides what the answer came to. It accepts what servers really send: a wrong or missing content
// type, a whole object where a stream was asked for, an error object inside a stream, an end that
// is not marked. An answer is complete only if the server said why it stopped, or marked the end.
// Every line of the table of model faults is decided here or in the dialect (docs/architecture.md).
// One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "llm/answer_draft.h"
#include "llm/line_decoder.h"
#include "llm/provider.h"
#include "llm/sse_decoder.h"

namespace tertulia::llm {

// What one protocol's objects mean. One for each response.
class WireDialect {
 public:
  virtual ~WireDialect() = default;
  // The next object of the stream, or the whole answer. Errors under `error` are taken already.
  virtual void take(const base::json::object& object, bool whole, AnswerDraft& draft,
                    const AnswerDraft::OnText& on_text) = 0;
  // The end has come, and nothing has failed: the last chance to fail.
  virtual void end(AnswerDraft&) {}
  // What a complete answer has, for the error where it lacks.
  [[nodiscard]] virtual std::string_view mark_of_the_end() const = 0;
  // What to do about an error that the server reported; empty if no more is known.
  [[nodiscard]] virtual std::string remedy(int /*status*/, const Answer&) const { return {}; }
};

enum class Framing { events, lines };  // Server-Sent Events, or newline-delimited JSON

class ReplyReader final {
 public:
  using OnText = AnswerDraft::OnText;
  enum class Progress { nothing, meaningful, finishing, complete, hopeless };

  ReplyReader(int status, std::string_view content_type, Framing framing,
              std::unique_ptr<WireDialect> dialect);

  // Takes the next bytes, however they were cut; hands on new text, in whole characters.
  Progress feed(std::string_view bytes, const OnText& on_text);

  // The connection has ended; cleanly, or not as far as is known. Gives outcome, text, usage (as
  // reported), finish_reason, model, request_id and error, the latter in the server's words:
  // masking secrets is the caller's part.
  [[nodiscard]] Answer finish(bool clean, const OnText& on_text);

 private:
  enum class Format { unknown, events, lines, object, error };

  void take_text(std::string_view text, const OnText& on_text);
  void take_object(const base::json::object& object, bool whole, const OnText& on_text);
  void finish_reading(bool clean, const OnText& on_text);
  void finish_object(bool clean, const OnText& on_text);
  void finish_error();
  void conclude(bool clean);

  Framing framing_;
  std::unique_ptr<WireDialect> dialect_;
  AnswerDraft draft_;
  Format format_ = Format::unknown;
  SseDecoder events_;
  LineDecoder lines_;
  std::string body_;  // of an object or error
  bool at_end_ = false;
  bool any_object_ = false;
};

}  // namespace tertulia::llm
