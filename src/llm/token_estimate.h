// How many tokens a text will be, before a server has counted: by fixed rules, the same on every
// machine, so that a restarted session drops the same messages from a full context.
//
// The byte-pair vocabularies in use (cl100k, o200k, those of Llama and Qwen) cut text by kind, and
// so does the rule:
//   a word of ASCII letters   1, and 1 more for each 5 letters after the first 7; a blank before
//                             it is part of it (English prose: about 1.3 tokens a word)
//   digits                    1 for each 3
//   punctuation               1 each; why code costs more than prose of the same length
//   line ends, blanks         1 for each run of them, but a single blank is free
//   Han, kana, hangul         1 each (measured 0.7 to 1.1 for Chinese)
//   other letters             1 for each 2 (Cyrillic, Greek, Arabic, accented Latin)
//   beyond the basic plane    2 each (emoji)
#pragma once

#include <cstdint>
#include <string_view>

namespace tertulia::llm {

[[nodiscard]] std::int64_t estimate_text_tokens(std::string_view text);

}  // namespace tertulia::llm
