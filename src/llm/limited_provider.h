// A provider whose calls go through their profile's gate (gate.h): all that share the gate share
// its limits. The time a call waits there is in `Answer::queued`, and neither in its duration nor
// taken from its deadlines.
#pragma once

#include <memory>

#include "llm/gate.h"
#include "llm/provider.h"

namespace tertulia::llm {

[[nodiscard]] std::shared_ptr<Provider> make_limited(std::shared_ptr<Provider> inner,
                                                     std::shared_ptr<Gate> gate);

}  // namespace tertulia::llm
