#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "base/utf8.h"

namespace tertulia::cli {
namespace {

bool colour_is_welcome() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (no_colour == nullptr || *no_colour == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

std::string sequence(std::string_view text, std::string_view code) {
  if (!output_is_terminal()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

}  // namespace

bool output_is_terminal() {
  static const bool is = ::isatty(STDOUT_FILENO) != 0 && colour_is_welcome();
  return is;
}

bool error_is_terminal() {
  return ::isatty(STDERR_FILENO) != 0;
}

bool input_is_terminal() {
  return ::isatty(STDIN_FILENO) != 0;
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
  return 100;
}

std::string styled(std::string_view text, Style style) {
  switch (style) {
    case Style::bold:
      return sequence(text, "1");
    case Style::dim:
      return sequence(text, "2");
    case Style::red:
      return sequence(text, "31");
    case Style::green:
      return sequence(text, "32");
    case Style::yellow:
      return sequence(text, "33");
    case Style::plain:
      break;
  }
  return std::string(text);
}

std::string in_speaker_colour(std::string_view text, std::size_t n) {
  constexpr std::array<std::string_view, 6> kColours = {"1;36", "1;35", "1;33",
                                                        "1;32", "1;34", "1;31"};
  return sequence(text, kColours[n % kColours.size()]);
}

std::string safe_for_terminal(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const char32_t c = base::next_code_point(text, at);
    if (c == U'\n' || c == U'\t' || (c >= 0x20 && c != 0x7F && !(c >= 0x80 && c < 0xA0))) {
      safe += text.substr(start, at - start);
    } else if (c < 0x20) {
      safe += {'\xE2', '\x90', static_cast<char>(0x80 + c)};  // U+2400 and on: pictures of controls
    } else {
      safe += "\xEF\xBF\xBD";
    }
  }
  return safe;
}

}  // namespace tertulia::cli
