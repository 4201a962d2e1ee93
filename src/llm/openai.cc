#include "llm/openai.h"

#include <fmt/format.h>

#include <algorithm>

#include "llm/http_provider.h"
#include "llm/openai_wire.h"

namespace tertulia::llm {
namespace {

bool is_header_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7F; });
}

}  // namespace

base::Result<std::unique_ptr<Provider>> make_openai(Endpoint endpoint, const OpenAiAccount& account,
                                                    Transport& transport) {
  auto url = endpoint_url(endpoint.base_url, kOpenAiPath);
  if (!url) return std::move(url).error().in(fmt::format("model profile {}", endpoint.profile));
  if (!is_header_text(account.organization) || !is_header_text(account.project))
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("model profile {}: organization and project must be "
                                              "printable ASCII",
                                              endpoint.profile)};
  HttpProtocol protocol{.name = "openai",
                        .url = *std::move(url),
                        .framing = Framing::events,
                        .headers = {"Accept: text/event-stream, application/json"},
                        .key_header = "Authorization: Bearer ",
                        .body = {},
                        .dialect = [](const Request&) { return openai_dialect(); }};
  if (!account.organization.empty())
    protocol.headers.push_back("OpenAI-Organization: " + account.organization);
  if (!account.project.empty()) protocol.headers.push_back("OpenAI-Project: " + account.project);
  const bool own_server = protocol.url.starts_with("https://api.openai.com/");
  protocol.body = [own_server](const Request& request) { return chat_body(request, own_server); };
  return make_http_provider(std::move(endpoint), std::move(protocol), transport);
}

}  // namespace tertulia::llm
