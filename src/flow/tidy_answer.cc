#include <algorithm>

#include "flow/prompt.h"

namespace tertulia::flow {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Takes "NAME:" off the front, also as "**NAME:**" and "**NAME**:", with either kind of colon.
bool take_name(std::string_view& text, std::string_view name) {
  std::string_view rest = text;
  const bool bold = take(rest, "**");
  if (name.empty() || !take(rest, name)) return false;
  bool bold_ended = bold && take(rest, "**");
  while (take(rest, " ")) {
  }
  if (!take(rest, ":") && !take(rest, "：")) return false;
  if (bold && !bold_ended) bold_ended = take(rest, "**");
  if (bold != bold_ended) return false;
  text = rest;
  return true;
}

bool speaks_as(std::string_view text, const CastRole& role) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    if (take_name(line, role.name)) return true;
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return false;
}

}  // namespace

TidyAnswer tidy_answer(std::string_view text, const CastRole& speaker, const Cast& cast) {
  text = trim(text);
  if (take_name(text, speaker.name)) text = trim(text);
  TidyAnswer tidy{.text = std::string(text), .spoke_for = {}};
  for (const CastRole& other : cast.roles)
    if (other.ref != speaker.ref && other.name != speaker.name && speaks_as(text, other))
      tidy.spoke_for.push_back(other.name);
  return tidy;
}

}  // namespace tertulia::flow
