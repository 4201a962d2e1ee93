#include "llm/token_estimate.h"

#include "base/utf8.h"

namespace tertulia::llm {
namespace {

enum class Kind { blank, letter, digit, punctuation, east_asian, other, high };

Kind kind_of(char32_t c) {
  if (c == ' ' || c == '\n' || c == '\r' || c == '\t') return Kind::blank;
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Kind::letter;
  if (c >= '0' && c <= '9') return Kind::digit;
  if (c < 0x80) return Kind::punctuation;
  if (c >= 0x10000) return (c >= 0x20000 && c <= 0x3FFFD) ? Kind::east_asian : Kind::high;
  if (c >= 0x2E80 && c <= 0xFFEF && !(c >= 0xD800 && c <= 0xF8FF)) return Kind::east_asian;
  if (c >= 0xAC00 && c <= 0xD7A3) return Kind::east_asian;
  return Kind::other;
}

std::int64_t cost_of_run(Kind kind, std::int64_t length, bool single_blank) {
  switch (kind) {
    case Kind::blank:
      return single_blank ? 0 : 1;
    case Kind::letter:
      return length <= 7 ? 1 : 1 + (length - 7 + 4) / 5;
    case Kind::digit:
      return (length + 2) / 3;
    case Kind::punctuation:
    case Kind::east_asian:
      return length;
    case Kind::other:
      return (length + 1) / 2;
    case Kind::high:
      return 2 * length;
  }
  return length;
}

}  // namespace

std::int64_t estimate_text_tokens(std::string_view text) {
  std::int64_t tokens = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t next = at;
    const char32_t first = base::next_code_point(text, next);
    const Kind kind = kind_of(first);
    std::int64_t length = 1;
    while (next < text.size()) {
      std::size_t after = next;
      if (kind_of(base::next_code_point(text, after)) != kind) break;
      next = after;
      ++length;
    }
    tokens += cost_of_run(kind, length, length == 1 && first == ' ');
    at = next;
  }
  return tokens;
}

}  // namespace tertulia::llm
