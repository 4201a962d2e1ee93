// The wire of Anthropic's messages, apart from any network: the body of a request, and what the
// objects of a response mean. Pure.
#pragma once

#include <memory>
#include <string>

#include "llm/provider.h"
#include "llm/reply_reader.h"

namespace tertulia::llm {

// What an answer may have at most where nobody set max_tokens, which this wire wants: all models
// in service allow it, and it holds a long document.
inline constexpr std::int64_t kAnthropicMaxTokens = 8192;

// The body of POST /v1/messages. Keys in a fixed order: model, max_tokens, system, messages, the
// parameters that are set, output_config, stream. The wire knows no seed; it is left out.
[[nodiscard]] std::string messages_body(const Request& request);

// Reads the response to such a request. Only text blocks are words; thinking is alive and nothing
// more. Stop reasons become Answer::finish_reason's: end_turn and stop_sequence stop, max_tokens
// and model_context_window_exceeded length, refusal a content filter. Prompt tokens count those
// written to and read from the cache, which this wire counts apart.
[[nodiscard]] std::unique_ptr<WireDialect> anthropic_dialect();

}  // namespace tertulia::llm
