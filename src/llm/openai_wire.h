// The wire of OpenAI's chat completions, apart from any network: the body of a request, and what
// the objects of a response mean. Pure.
#pragma once

#include <memory>
#include <string>

#include "llm/provider.h"
#include "llm/reply_reader.h"

namespace tertulia::llm {

// The body of POST /chat/completions. Keys in a fixed order: model, messages (the system text
// first), the parameters that are set, response_format, stream, stream_options. OpenAI's own
// server wants max_completion_tokens where all others know max_tokens.
[[nodiscard]] std::string chat_body(const Request& request, bool max_completion_tokens);

// Reads the response to such a request: chunks without choices or delta, empty ids, no usage are
// taken as they come. Its request id is the completion's.
[[nodiscard]] std::unique_ptr<WireDialect> openai_dialect();

}  // namespace tertulia::llm
