// The provider for OpenAI's chat completions and the many servers that speak them.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "llm/provider.h"
#include "llm/transport.h"

namespace tertulia::llm {

// Where the key comes from, never the key: it is read at each call, sent as Authorization to
// base_url and nowhere else, and masked should a server repeat it in an error.
struct OpenAiConfig {
  std::string profile;   // for errors
  std::string base_url;  // such as https://api.openai.com/v1
  std::string key_env;   // at most one of the two; neither: no key is sent
  std::string key_file;
  std::string organization;  // sent if not empty
  std::string project;
};

// Invalid where base_url is not an http or https URL that may be called.
[[nodiscard]] base::Result<std::unique_ptr<Provider>> make_openai(OpenAiConfig config,
                                                                  Transport& transport);

// POST goes here: base_url with /chat/completions put after its path. Refuses user names,
// passwords and fragments in the URL, other schemes, and addresses that are never called.
[[nodiscard]] base::Result<std::string> chat_url(std::string_view base_url);

// A URL as errors may show it: without user, query and fragment.
[[nodiscard]] std::string display_url(std::string_view url);

}  // namespace tertulia::llm
