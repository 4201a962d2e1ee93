#include "llm/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <cstdlib>
#include <fstream>

#include "llm/address_policy.h"

namespace tertulia::llm {

base::Result<std::string> endpoint_url(std::string_view base_url, std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("base_url {}: {}", display_url(base_url), why),
                       .remedy = "give a URL such as http://127.0.0.1:8080/v1"};
  };
  const auto parsed = boost::urls::parse_uri(base_url);
  if (!parsed) return refuse("not a URL");
  if (parsed->scheme_id() != boost::urls::scheme::http &&
      parsed->scheme_id() != boost::urls::scheme::https)
    return refuse("only http and https are spoken");
  if (parsed->has_userinfo())
    return refuse("a user name or password does not belong here; use `key`");
  if (parsed->has_fragment()) return refuse("a fragment (#...) has no meaning here");
  if (parsed->host().empty()) return refuse("the host is missing");
  if (is_forbidden_host(parsed->host()))
    return refuse("link-local addresses and cloud metadata services are never called");
  boost::urls::url url(*parsed);
  std::string own_path(url.encoded_path());
  while (own_path.ends_with('/')) own_path.pop_back();
  url.set_encoded_path(own_path + std::string(path));
  return std::string(url.buffer());
}

std::string display_url(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed) return std::string(url.substr(0, url.find_first_of("@?#")));
  boost::urls::url shown(*parsed);
  shown.remove_userinfo().remove_query().remove_fragment();
  return shown.buffer();
}

base::Result<std::string> read_key(const Endpoint& endpoint) {
  const auto missing = [&](std::string what, std::string remedy) {
    return base::Error{.code = base::Code::denied,
                       .message = fmt::format("model profile {}: {}", endpoint.profile, what),
                       .remedy = std::move(remedy)};
  };
  std::string key;
  if (!endpoint.key_env.empty()) {
    const char* const value = std::getenv(endpoint.key_env.c_str());
    if (value == nullptr || *value == '\0')
      return missing(
          fmt::format("no key: the environment variable {} is not set", endpoint.key_env),
          fmt::format("set {} to the key for {}", endpoint.key_env,
                      display_url(endpoint.base_url)));
    key = value;
  } else if (!endpoint.key_file.empty()) {
    std::ifstream file(endpoint.key_file, std::ios::binary);
    constexpr std::size_t kLongest = 16 * 1024;
    std::string text(kLongest, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    if (text.empty())
      return missing(
          fmt::format("no key: the file {} is not there, not readable or empty", endpoint.key_file),
          fmt::format("write the key for {} into it", display_url(endpoint.base_url)));
    key = std::move(text);
  }
  constexpr std::string_view kBlanks = " \t\r\n";
  key.erase(0, std::min(key.size(), key.find_first_not_of(kBlanks)));
  key.erase(key.find_last_not_of(kBlanks) + 1);
  // Anything else could end the header line and begin another.
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7F; }))
    return missing("the key holds characters that no key has", "give the key alone, on one line");
  return key;
}

std::string key_advice(const Endpoint& endpoint) {
  if (!endpoint.key_env.empty())
    return fmt::format(" (the key came from the environment variable {})", endpoint.key_env);
  if (!endpoint.key_file.empty())
    return fmt::format(" (the key came from the file {})", endpoint.key_file);
  return " (no key was sent: none is configured for this URL; `key` in a profile sets one)";
}

void mask_key(std::string& text, std::string_view key) {
  if (key.empty()) return;
  constexpr std::string_view kMask = "[key]";
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += kMask.size())
    text.replace(at, key.size(), kMask);
  // The server's words were shortened, perhaps inside the key: then its beginning stands before
  // the ellipsis.
  constexpr std::string_view kEllipsis = "…";
  const std::size_t ellipsis = text.rfind(kEllipsis);
  const std::size_t cut = ellipsis != std::string::npos ? ellipsis : text.size();
  for (std::size_t length = std::min(key.size() - 1, cut); length >= 4; --length)
    if (std::string_view(text).substr(cut - length, length) == key.substr(0, length)) {
      text.replace(cut - length, length, kMask);
      return;
    }
}

}  // namespace tertulia::llm
