// The JSON Schema (draft 7) of the flow language, for editors: `tertulia flow schema` prints it.
// Its keys are the parser's own (keys.h), so it can offer none that the parser refuses. It is
// looser than the check: names that must be declared, and what depends on other parts, it does not
// see.
#pragma once

#include "base/json.h"

namespace tertulia::flow {

[[nodiscard]] base::json::object language_schema();

}  // namespace tertulia::flow
