// How a batch stands, on standard error: a bar that is drawn over itself on a terminal, a line
// every ten seconds elsewhere.
#pragma once

#include <string>

#include "base/clock.h"
#include "engine/batch.h"

namespace tertulia::cli {

// "120 of 500 done, 2 failed, 64 in flight, 12.3/s, $0.42 of about $1.75, 31 s left"
[[nodiscard]] std::string progress_words(const engine::BatchProgress& progress);
// "$0.42"; small sums with more digits.
[[nodiscard]] std::string dollars(double sum);

class BatchView final {
 public:
  BatchView();
  void show(const engine::BatchProgress& progress);
  // Takes the bar away, for what is said next.
  void finish();

 private:
  const bool is_terminal_;
  bool has_bar_ = false;
  base::SteadyTime last_line_;
};

}  // namespace tertulia::cli
