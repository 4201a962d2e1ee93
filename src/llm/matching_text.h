// matching_text makes a text that a regular expression matches, drawn at random: rehearsal fills
// the `pattern` of a structured output with it. Understood: literals, escapes (\d \w \s \. ...),
// classes without negation, the dot, groups, alternatives, ? * + {n} {n,} {n,m}, and the anchors
// ^ and $ at the ends. Nothing for any other pattern.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"

namespace tertulia::llm {

[[nodiscard]] std::optional<std::string> matching_text(std::string_view pattern,
                                                       base::Random& random);

}  // namespace tertulia::llm
