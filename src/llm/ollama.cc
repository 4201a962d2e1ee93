#include "llm/ollama.h"

#include <fmt/format.h>

#include "llm/http_provider.h"
#include "llm/ollama_wire.h"

namespace tertulia::llm {

base::Result<std::unique_ptr<Provider>> make_ollama(Endpoint endpoint,
                                                    std::optional<std::int64_t> context_window,
                                                    Transport& transport) {
  std::string_view base_url = endpoint.base_url;
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  if (base_url.ends_with("/v1"))
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("model profile {}: base_url {}: Ollama's own API is not under /v1",
                               endpoint.profile, display_url(base_url)),
        .remedy = "leave out the /v1, or use the provider openai, whose format is spoken there"};
  auto url = endpoint_url(base_url, "/api/chat");
  if (!url) return std::move(url).error().in(fmt::format("model profile {}", endpoint.profile));
  HttpProtocol protocol{
      .name = "ollama",
      .url = *std::move(url),
      .framing = Framing::lines,
      .headers = {"Accept: application/x-ndjson, application/json"},
      .key_header = "Authorization: Bearer ",
      .body =
          [context_window](const Request& request) { return ollama_body(request, context_window); },
      .dialect = [](const Request& request) { return ollama_dialect(request.model); }};
  return make_http_provider(std::move(endpoint), std::move(protocol), transport);
}

}  // namespace tertulia::llm
