// The provider for Anthropic's messages.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "llm/endpoint.h"
#include "llm/provider.h"
#include "llm/transport.h"

namespace tertulia::llm {

// Invalid where base_url is not an http or https URL that may be called. It may be given with or
// without the /v1 at its end.
[[nodiscard]] base::Result<std::unique_ptr<Provider>> make_anthropic(Endpoint endpoint,
                                                                     Transport& transport);

}  // namespace tertulia::llm
