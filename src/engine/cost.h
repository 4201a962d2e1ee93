// What calls cost, by the price in a profile as sessions keep it.
#pragma once

#include <optional>

#include "base/json.h"
#include "llm/provider.h"

namespace tertulia::engine {

[[nodiscard]] bool has_price(const base::json::object& model);
// US dollars; nothing where the profile has no price.
[[nodiscard]] std::optional<double> price_of(const base::json::object& model,
                                             const llm::Usage& usage);

}  // namespace tertulia::engine
