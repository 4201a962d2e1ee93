// SQL as text, as far as migrations and introspection need it: tokens without blanks and comments,
// a script's statements, and a form in which two spellings of one expression are equal.
// Both engines' quoting is understood: '...', E'...', "...", `...`, $tag$...$tag$, -- and /* */.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tertulia::schema {

struct Token {
  enum class Kind { word, quoted_name, string, symbol };
  Kind kind = Kind::symbol;
  // Words in lower case; quoted names without their quotes; all else as it stands.
  std::string text;
  std::size_t begin = 0;  // in the script, with quotes
  std::size_t end = 0;

  [[nodiscard]] bool is(std::string_view word) const {
    return text == word && (kind == Kind::word || kind == Kind::symbol);
  }
  [[nodiscard]] bool is_name() const { return kind == Kind::word || kind == Kind::quoted_name; }
};

// Invalid where a quote or a comment does not end, or a comment stands in a comment (PostgreSQL
// nests them, SQLite does not); the line is named.
[[nodiscard]] base::Result<std::vector<Token>> tokens_of(std::string_view sql);

// The statements of a script, without their semicolons, comments around them left off. The bodies
// of triggers and of functions are one statement with what they belong to.
[[nodiscard]] base::Result<std::vector<std::string_view>> statements_of(std::string_view script);

// Tokens with one blank between them, names unquoted where they need no quotes: for comparing
// expressions of which an engine keeps nothing but the text.
[[nodiscard]] std::string normalised(const std::vector<Token>& tokens, std::size_t begin,
                                     std::size_t end);
[[nodiscard]] std::string normalised(std::string_view sql);

// Where the parenthesis that stands at `open` is closed; the number of tokens if nowhere.
[[nodiscard]] std::size_t closing(const std::vector<Token>& tokens, std::size_t open);

// A name as SQL: in double quotes where it must be.
[[nodiscard]] std::string sql_name(std::string_view name);
// A name in double quotes, whatever it is: of tables that may be anybody's.
[[nodiscard]] std::string quoted_name(std::string_view name);
// A text as SQL, in single quotes.
[[nodiscard]] std::string sql_literal(std::string_view text);

}  // namespace tertulia::schema
