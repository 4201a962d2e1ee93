// Endpoint is where the calls of a profile go, and where the key for it comes from.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tertulia::llm {

// Where the key comes from, never the key: it is read at each call, sent to base_url and nowhere
// else, and masked should a server repeat it in an error.
struct Endpoint {
  std::string profile;   // for errors
  std::string base_url;  // such as https://api.openai.com/v1
  std::string key_env;   // at most one of the two; neither: no key is sent
  std::string key_file;
};

// POST goes here: `path` put after base_url's own. Refuses user names, passwords and fragments in
// the URL, other schemes than http and https, and addresses that are never called.
[[nodiscard]] base::Result<std::string> endpoint_url(std::string_view base_url,
                                                     std::string_view path);

// A URL as errors may show it: without user, query and fragment.
[[nodiscard]] std::string display_url(std::string_view url);

// The key as it is now; empty where none is configured. Denied, with a remedy, where it is missing
// or could not stand in a header.
[[nodiscard]] base::Result<std::string> read_key(const Endpoint& endpoint);

// For an answer that says that the key is wrong: where it came from.
[[nodiscard]] std::string key_advice(const Endpoint& endpoint);

// Puts [key] wherever the key, or its beginning before an ellipsis, stands in the text.
void mask_key(std::string& text, std::string_view key);

}  // namespace tertulia::llm
