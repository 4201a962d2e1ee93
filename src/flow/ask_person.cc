#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "flow/program.h"

namespace tertulia::flow {
namespace {

std::string_view trimmed(std::string_view words) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = words.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return words.substr(first, words.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

base::Result<std::string> AskPerson::accept(std::string_view words) const {
  words = trimmed(words);
  if (words.empty())
    return base::Error{.code = base::Code::invalid, .message = "the answer has no words"};
  if (choices.empty()) return std::string(words);
  if (std::find(choices.begin(), choices.end(), words) != choices.end()) return std::string(words);
  std::size_t number = 0;
  const auto [end, failed] = std::from_chars(words.data(), words.data() + words.size(), number);
  if (failed == std::errc() && end == words.data() + words.size() && number >= 1 &&
      number <= choices.size())
    return choices[number - 1];
  return base::Error{
      .code = base::Code::invalid,
      .message = fmt::format("'{}' is none of the choices: {}", words, fmt::join(choices, ", "))};
}

}  // namespace tertulia::flow
