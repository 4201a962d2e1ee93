// The provider for OpenAI's chat completions and the many servers that speak them.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "llm/endpoint.h"
#include "llm/provider.h"
#include "llm/transport.h"

namespace tertulia::llm {

inline constexpr std::string_view kOpenAiPath = "/chat/completions";

// Sent as headers if not empty.
struct OpenAiAccount {
  std::string organization;
  std::string project;
};

// Invalid where base_url is not an http or https URL that may be called.
[[nodiscard]] base::Result<std::unique_ptr<Provider>> make_openai(Endpoint endpoint,
                                                                  const OpenAiAccount& account,
                                                                  Transport& transport);

}  // namespace tertulia::llm
