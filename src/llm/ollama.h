// The provider for Ollama's own API.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "llm/endpoint.h"
#include "llm/provider.h"
#include "llm/transport.h"

namespace tertulia::llm {

// `context_window`: the size that every call asks for; without it, as much as each call needs (see
// ollama_context in ollama_wire.h). Invalid where base_url is not an http or https URL that may be
// called, or ends in /v1, where Ollama speaks OpenAI's format.
[[nodiscard]] base::Result<std::unique_ptr<Provider>> make_ollama(
    Endpoint endpoint, std::optional<std::int64_t> context_window, Transport& transport);

}  // namespace tertulia::llm
