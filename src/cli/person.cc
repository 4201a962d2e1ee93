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
  if (waiting.schema)
    words += fmt::format("  as JSON that fits {}\n",
                         safe_for_terminal(base::to_text(base::json::value(*waiting.schema))));
  if (waiting.until)
    words +=
        fmt::format("  until {}{}\n", base::to_iso8601(*waiting.until),
                    waiting.otherwise.empty() ? std::string()
                                              : "; then: " + safe_for_terminal(waiting.otherwise));
  return words;
}

namespace {

// JSON may take several lines: what is begun and not whole goes on, up to an empty line.
void read_on(std::string& words) {
  if (!words.starts_with('{') && !words.starts_with('[')) return;
  std::string line;
  while (!base::parse_json(words) && std::getline(std::cin, line) && !line.empty())
    words += "\n" + line;
}

}  // namespace

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
    if (waiting.schema) read_on(line);
    auto accepted = waiting.accept(line);
    if (accepted) return std::move(accepted->words);
    fmt::print("{}\n", styled(safe_for_terminal(accepted.error().message), Style::yellow));
  }
}

}  // namespace tertulia::cli
