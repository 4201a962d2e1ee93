// A person who plays a role at the terminal: what they are asked, and their words.
#pragma once

#include <optional>
#include <string>

#include "engine/waiting.h"

namespace tertulia::cli {

// The question with its choices and the time there is, for people.
[[nodiscard]] std::string question_words(const engine::Waiting& waiting);

// Asks at the terminal until the words are good; nothing where input ends before.
[[nodiscard]] std::optional<std::string> ask_at_terminal(const engine::Waiting& waiting);

}  // namespace tertulia::cli
