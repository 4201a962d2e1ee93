#include "llm/anthropic.h"

#include <fmt/format.h>

#include "llm/anthropic_wire.h"
#include "llm/http_provider.h"

namespace tertulia::llm {

base::Result<std::unique_ptr<Provider>> make_anthropic(Endpoint endpoint, Transport& transport) {
  std::string_view base_url = endpoint.base_url;
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  auto url = endpoint_url(base_url, base_url.ends_with("/v1") ? "/messages" : "/v1/messages");
  if (!url) return std::move(url).error().in(fmt::format("model profile {}", endpoint.profile));
  HttpProtocol protocol{
      .name = "anthropic",
      .url = *std::move(url),
      .framing = Framing::events,
      .headers = {"Accept: text/event-stream, application/json", "anthropic-version: 2023-06-01"},
      .key_header = "x-api-key: ",
      .body = [](const Request& request) { return messages_body(request); },
      .dialect = [](const Request&) { return anthropic_dialect(); }};
  return make_http_provider(std::move(endpoint), std::move(protocol), transport);
}

}  // namespace tertulia::llm
