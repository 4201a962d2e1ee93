// JSON as people write it, for texts that people read: what rehearsal says, and the bodies that a
// preview shows. Boost.JSON writes 0.7 as 7E-1.
#pragma once

#include <string>

#include "base/json.h"

namespace tertulia::llm {

// One line, keys in their order; numbers in the shortest form that reads back as an equal number.
[[nodiscard]] std::string plain_json(const base::json::value& value);

}  // namespace tertulia::llm
