// The provider for every protocol that is a POST with JSON and a streamed answer: it reads the key,
// sends, listens, and judges the answer in the light of how the connection ended. What is the
// protocol's own is in HttpProtocol.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llm/endpoint.h"
#include "llm/provider.h"
#include "llm/reply_reader.h"
#include "llm/transport.h"

namespace tertulia::llm {

struct HttpProtocol {
  std::string_view name;
  std::string url;  // POST goes here
  Framing framing = Framing::events;
  std::vector<std::string> headers;  // of every call, "Name: value"
  std::string key_header;            // what stands before the key: "Authorization: Bearer "
  std::function<std::string(const Request&)> body;
  std::function<std::unique_ptr<WireDialect>(const Request&)> dialect;
};

[[nodiscard]] std::unique_ptr<Provider> make_http_provider(Endpoint endpoint, HttpProtocol protocol,
                                                           Transport& transport);

// An estimate of the whole request's tokens, the frames around its messages included.
[[nodiscard]] std::int64_t estimate_request_tokens(const Request& request);

}  // namespace tertulia::llm
