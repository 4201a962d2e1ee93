// UTF-8 (RFC 3629) and what people see of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tertulia::base {

// Where the text stops being UTF-8 (byte offset), or nothing if it is valid throughout. Overlong
// forms, surrogates and NUL are not valid: no text of Tertulia may hold them.
[[nodiscard]] std::optional<std::size_t> first_invalid_utf8(std::string_view text);

// A code point of a text, U+FFFD for a byte that is not UTF-8; moves `at` past it.
[[nodiscard]] char32_t next_code_point(std::string_view text, std::size_t& at);

// Columns on a terminal: 2 for East Asian wide characters, 0 for combining marks, else 1.
[[nodiscard]] std::size_t display_width(std::string_view text);

// The text cut to at most `columns` columns, with "…" where something was cut; never inside a
// character.
[[nodiscard]] std::string shorten(std::string_view text, std::size_t columns);

// The longest prefix of at most `bytes` bytes that does not end inside a character.
[[nodiscard]] std::string_view clip_bytes(std::string_view text, std::size_t bytes);

}  // namespace tertulia::base
