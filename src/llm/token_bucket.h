// TokenBucket is an allowance a minute, as servers count it: full at first, filled evenly, never
// above its capacity. What is taken may leave it in debt: an estimate that was too low is paid for
// by those who come later.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "base/clock.h"

namespace tertulia::llm {

class TokenBucket final {
 public:
  // Zero: no limit.
  TokenBucket(std::int64_t a_minute, base::SteadyTime now)
      : capacity_(static_cast<double>(a_minute)), level_(capacity_), filled_(now) {}

  [[nodiscard]] bool is_limited() const { return capacity_ > 0; }
  // When so much is there; now or earlier if it is. More than the capacity is given when it is
  // full, or such a call would wait for ever.
  [[nodiscard]] base::SteadyTime when(double amount, base::SteadyTime now) {
    if (!is_limited()) return now;
    fill(now);
    const double lacking = std::min(amount, capacity_) - level_;
    if (lacking <= kDust) return now;
    return now + std::chrono::nanoseconds(
                     static_cast<std::int64_t>(std::ceil(lacking / capacity_ * kMinuteNs)));
  }
  // A negative amount is given back.
  void take(double amount) {
    if (is_limited()) level_ = std::min(capacity_, level_ - amount);
  }

 private:
  static constexpr double kMinuteNs = 60e9;
  static constexpr double kDust = 1e-6;  // of rounding

  void fill(base::SteadyTime now) {
    if (now <= filled_) return;
    const auto passed = std::chrono::duration<double, std::nano>(now - filled_).count();
    level_ = std::min(capacity_, level_ + passed / kMinuteNs * capacity_);
    filled_ = now;
  }

  double capacity_;
  double level_;
  base::SteadyTime filled_;
};

}  // namespace tertulia::llm
