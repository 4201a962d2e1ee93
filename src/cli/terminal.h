// What is known of the terminal, and text for it: colour only where people look.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tertulia::cli {

// Is standard output (error) a terminal on which colour is welcome? NO_COLOR and TERM=dumb are
// respected.
[[nodiscard]] bool output_is_terminal();
[[nodiscard]] bool error_is_terminal();
[[nodiscard]] bool input_is_terminal();
// Columns of the terminal; 100 where there is none.
[[nodiscard]] std::size_t terminal_columns();

enum class Style { plain, bold, dim, red, green, yellow };
[[nodiscard]] std::string styled(std::string_view text, Style style);
// The text in the n-th of the colours for speakers.
[[nodiscard]] std::string in_speaker_colour(std::string_view text, std::size_t n);

// Control characters made visible, so that what a model said cannot drive the terminal: all but
// line feed and tab become their Unicode pictures.
[[nodiscard]] std::string safe_for_terminal(std::string_view text);

}  // namespace tertulia::cli
