#include "cli/batch_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/utf8.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

constexpr std::chrono::seconds kBetweenLines{10};
constexpr std::size_t kBar = 24;

std::string bar(const engine::BatchProgress& progress) {
  const double share =
      std::clamp(static_cast<double>(progress.done + progress.failed) /
                     static_cast<double>(std::max<std::int64_t>(1, progress.inputs)),
                 0.0, 1.0);
  const auto full = static_cast<std::size_t>(share * kBar);
  std::string text;
  for (std::size_t i = 0; i < kBar; ++i) text += i < full ? "█" : "░";
  return fmt::format("{} {:3.0f}% ", text, share * 100);
}

}  // namespace

std::string dollars(double sum) {
  return sum == 0 || sum >= 0.1 ? fmt::format("${:.2f}", sum) : fmt::format("${:.2g}", sum);
}

std::string progress_words(const engine::BatchProgress& progress) {
  std::string words = fmt::format("{} of {} done", progress.done, progress.inputs);
  if (progress.failed > 0) words += fmt::format(", {} failed", progress.failed);
  if (progress.in_flight > 0) words += fmt::format(", {} in flight", progress.in_flight);
  const double seconds = static_cast<double>(progress.elapsed.count()) / 1000.0;
  if (progress.done_now > 0 && seconds > 0)
    words += fmt::format(", {:.1f}/s", static_cast<double>(progress.done_now) / seconds);
  if (progress.cost_usd)
    words += fmt::format(", {} of about {}", dollars(*progress.cost_usd),
                         dollars(progress.expected_cost_usd.value_or(*progress.cost_usd)));
  if (progress.left && progress.left->count() > 0)
    words += fmt::format(", {} left", base::duration_words(*progress.left));
  return words;
}

BatchView::BatchView()
    : is_terminal_(error_is_terminal()), last_line_(std::chrono::steady_clock::now()) {}

void BatchView::show(const engine::BatchProgress& progress) {
  if (is_terminal_) {
    const std::string line =
        base::shorten(bar(progress) + progress_words(progress), terminal_columns() - 1);
    fmt::print(stderr, "\r\x1b[2K{}", line);
    std::fflush(stderr);
    has_bar_ = true;
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (now - last_line_ < kBetweenLines) return;
  last_line_ = now;
  fmt::print(stderr, "{}\n", progress_words(progress));
}

void BatchView::finish() {
  if (!has_bar_) return;
  fmt::print(stderr, "\r\x1b[2K");
  std::fflush(stderr);
  has_bar_ = false;
}

}  // namespace tertulia::cli
