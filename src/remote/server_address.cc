#include "remote/server_address.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>
#include <optional>

namespace tertulia::remote {
namespace {

struct Parts {
  std::string scheme;
  std::string host;  // IPv6 in brackets
  std::string port;
  std::string path;
  bool has_more = false;  // user, password, query or fragment

  [[nodiscard]] std::string text() const {
    return fmt::format("{}://{}:{}{}", scheme, host, port, path);
  }
};

std::optional<Parts> parse(const std::string& url) {
  struct Free {
    void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
  };
  const std::unique_ptr<CURLU, Free> handle(curl_url());
  if (!handle || curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const auto part = [&](CURLUPart which, unsigned flags = 0) -> std::optional<std::string> {
    char* text = nullptr;
    if (curl_url_get(handle.get(), which, &text, flags) != CURLUE_OK) return {};
    std::string out(text);
    curl_free(text);
    return out;
  };
  Parts parts;
  parts.scheme = part(CURLUPART_SCHEME).value_or("");
  if (parts.scheme != "http" && parts.scheme != "https") return {};
  parts.host = part(CURLUPART_HOST).value_or("");
  for (char& c : parts.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (parts.host.empty()) return {};
  parts.port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT).value_or("");
  parts.path = part(CURLUPART_PATH).value_or("");
  while (!parts.path.empty() && parts.path.back() == '/') parts.path.pop_back();
  for (const CURLUPart more :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT})
    parts.has_more = parts.has_more || part(more).has_value();
  return parts;
}

// Names that reach this machine and no other.
bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

base::Result<ServerAddress> checked(ServerAddress address) {
  const auto parts = parse(address.url);
  // What may hold a password is not repeated.
  if (parts && parts->has_more)
    return base::Error{
        .code = base::Code::invalid,
        .message = "a server's URL has no user, no password, no query and no fragment",
        .remedy = "a token comes from TERTULIA_TOKEN or --token-file FILE"};
  if (!parts)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("'{}' is no server's URL", address.url),
                       .remedy = "such as https://tertulia.example:5010"};
  if (!address.token.empty() && parts->scheme == "http" && !is_loopback(parts->host) &&
      !address.allows_plain_http)
    return base::Error{
        .code = base::Code::denied,
        .message = fmt::format("{} is not encrypted: everybody on the way could read the token, "
                               "and use it",
                               parts->text()),
        .remedy =
            "use https://, or an ssh tunnel to a port of this machine; --allow-plain-http sends "
            "it all the same, in a network that is all yours"};
  for (const char c : address.token)
    if (c < '!' || c > '~')
      return base::Error{.code = base::Code::invalid,
                         .message = "the token holds a character that no token has",
                         .remedy = "tertulia token create makes tokens; they are one word"};
  address.url = parts->text();
  return address;
}

bool is_this_machine(const std::string& url) {
  const auto parts = parse(url);
  return parts && is_loopback(parts->host);
}

bool is_same_server(const std::string& a, const std::string& b) {
  const auto one = parse(a), other = parse(b);
  return one && other && one->text() == other->text();
}

}  // namespace tertulia::remote
