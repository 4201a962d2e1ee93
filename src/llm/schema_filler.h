// Fills a JSON Schema of the flow language's subset with a valid value, drawn at random: what
// rehearsal answers where a structured output is asked for. The subset: type, properties, required,
// additionalProperties, items, enum, const, minimum, maximum, minLength, maxLength, minItems,
// maxItems, pattern, anyOf, $defs and local $ref.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/random.h"
#include "base/result.h"

namespace tertulia::llm {

// Invalid, with the place in the schema, where no value could be made: a contradiction, a pattern
// beyond matching_text, or a recursion without end.
[[nodiscard]] base::Result<base::json::value> fill_schema(const base::json::object& schema,
                                                          std::string_view language,
                                                          base::Random& random);

}  // namespace tertulia::llm
