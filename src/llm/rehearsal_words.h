// What the stand-in speaker of a rehearsal says: two to four sentences in the role's name that
// mention task and topic and refer to what the role was shown, so that a reader can see whether the
// context reached it. Always recognisable as rehearsal; it never claims to come from a model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "llm/provider.h"

namespace tertulia::llm {

// In English, or in Chinese where hints.language is "zh" (or begins so).
[[nodiscard]] std::string rehearsal_text(const Hints& hints, base::Random& random);

// A short phrase for a text inside a structured output.
[[nodiscard]] std::string rehearsal_phrase(std::string_view language, base::Random& random);

// The text in the pieces in which it streams: words, or two characters where words are not set
// apart by blanks. The pieces put together are the text.
[[nodiscard]] std::vector<std::string_view> stream_pieces(std::string_view text);

}  // namespace tertulia::llm
