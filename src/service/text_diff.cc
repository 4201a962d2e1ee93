#include "service/text_diff.h"

#include <algorithm>

namespace tertulia::service {
namespace {

constexpr std::size_t kMaxCells = 25'000'000;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

}  // namespace

std::vector<DiffLine> diff_lines(std::string_view before, std::string_view after) {
  using Kind = DiffLine::Kind;
  const auto a = lines_of(before), b = lines_of(after);
  std::vector<DiffLine> diff;
  const auto add = [&](Kind kind, std::string_view text) {
    diff.push_back({kind, std::string(text)});
  };
  if ((a.size() + 1) * (b.size() + 1) > kMaxCells) {
    for (const auto line : a) add(Kind::removed, line);
    for (const auto line : b) add(Kind::added, line);
    return diff;
  }
  // longest[i][j]: of the common subsequences of a from i and b from j.
  const std::size_t width = b.size() + 1;
  std::vector<std::uint32_t> longest((a.size() + 1) * width, 0);
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      longest[i * width + j] =
          a[i] == b[j] ? longest[(i + 1) * width + j + 1] + 1
                       : std::max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      add(Kind::same, a[i]);
      ++i;
      ++j;
    } else if (j == b.size() ||
               (i < a.size() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      add(Kind::removed, a[i++]);
    } else {
      add(Kind::added, b[j++]);
    }
  }
  return diff;
}

}  // namespace tertulia::service
