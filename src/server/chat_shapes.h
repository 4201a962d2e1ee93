// The forms in which OpenAI's clients read a chat completion: whole, or as the chunks of a stream.
// Errors have theirs from as_openai_error (problem.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "server/http.h"
#include "server/outlet.h"
#include "store/step_log.h"

namespace tertulia::server {

// What all parts of one answer say of it.
struct ChatHead {
  std::string id;    // "chatcmpl-..."
  std::string name;  // the model's: "flow:debate"
  std::int64_t created = 0;
  std::int64_t session = 0;
  bool wants_usage = false;  // a stream's last chunk has it, and the others say null
};

// How a session stands when an answer ends. `status` and `stop_reason` are the session's own words.
struct ChatEnding {
  std::string finish_reason;  // stop, length
  std::string words;          // what the content still has to say
  std::string status;
  std::string stop_reason;
};

// A whole answer. No usage where it could not be read.
[[nodiscard]] base::json::object chat_completion_json(const ChatHead& head,
                                                      std::string_view content,
                                                      const ChatEnding& ending,
                                                      const std::optional<store::UsageSum>& usage);

// The pieces of a stream.
[[nodiscard]] Piece chat_first_chunk(const ChatHead& head);
[[nodiscard]] Piece chat_chunk(const ChatHead& head, std::string_view content);
// The chunk with the finish_reason, that with the usage if it is wanted, and [DONE].
[[nodiscard]] Piece chat_last_chunks(const ChatHead& head, const ChatEnding& ending,
                                     const std::optional<store::UsageSum>& usage);
// A problem in the midst of a stream, after which nothing comes.
[[nodiscard]] Piece chat_error_chunk(Response problem);

}  // namespace tertulia::server
