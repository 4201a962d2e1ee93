// The lines in which two texts differ.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tertulia::service {

struct DiffLine {
  enum class Kind { same, removed, added };
  Kind kind = Kind::same;
  std::string text;
};

// By the longest common subsequence of lines (Hunt and Szymanski's problem, solved by the plain
// table: documents have thousands of lines at most; larger ones are told as replaced whole).
[[nodiscard]] std::vector<DiffLine> diff_lines(std::string_view before, std::string_view after);

}  // namespace tertulia::service
