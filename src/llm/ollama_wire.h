// The wire of Ollama's own /api/chat, apart from any network: the body of a request, and what the
// objects of a response mean. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "llm/provider.h"
#include "llm/reply_reader.h"

namespace tertulia::llm {

// The context that a request asks for (num_ctx): the profile's window where it has one. Else what
// the estimate of the request and its answer needs, from 8,192 up in powers of two, because the
// server loads the model anew for every other size. Its own default is small, and it then drops the
// beginning of the conversation without a word.
[[nodiscard]] std::int64_t ollama_context(const Request& request,
                                          std::optional<std::int64_t> context_window);

// The body of POST /api/chat. Keys in a fixed order: model, messages (the system text first),
// think, format, options, truncate and shift (both false: an error is wanted where the conversation
// does not fit, not a shorter one), stream.
[[nodiscard]] std::string ollama_body(const Request& request,
                                      std::optional<std::int64_t> context_window);

// Reads the response to such a request. `model` is for the advice where the server does not have
// it.
[[nodiscard]] std::unique_ptr<WireDialect> ollama_dialect(std::string model);

}  // namespace tertulia::llm
