#include "cli/person.h"

#include <fmt/format.h>

#include <iostream>

#include "cli/terminal.h"

namespace tertulia::cli {

std::string question_words(const engine::Waiting& waiting) {
  std::string words = fmt::format("{} is asked: {}\n", safe_for_terminal(waiting.name),
                                  safe_for_terminal(waiting.question));
  for (std::size_t i = 0; i < waiting.choices.size(); ++i)
    words += fmt::format("  {}. {}\n", i + 1, safe_for_terminal(waiting.choices[i]));
  if (waiting.until)
    words +=
        fmt::format("  until {}{}\n", base::to_iso8601(*waiting.until),
                    waiting.otherwise.empty() ? std::string()
                                              : "; then: " + safe_for_terminal(waiting.otherwise));
  return words;
}

std::optional<std::string> ask_at_terminal(const engine::Waiting& waiting) {
  fmt::print("\n{}", question_words(waiting));
  for (;;) {
    fmt::print("{} ", styled(safe_for_terminal(waiting.name) + ">", Style::bold));
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) {
      fmt::print("\n");
      return {};
    }
    auto words = waiting.accept(line);
    if (words) return *std::move(words);
    fmt::print("{}\n", styled(words.error().message, Style::yellow));
  }
}

}  // namespace tertulia::cli
