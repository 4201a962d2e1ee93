// Spread collects figures and says how they are spread.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tertulia::bench {

class Spread final {
 public:
  void add(double value) {
    values_.push_back(value);
    sorted_ = false;
  }
  [[nodiscard]] std::size_t count() const { return values_.size(); }
  // The value that this part of all (0 to 1) does not exceed; 0 where there are none.
  [[nodiscard]] double at(double part) {
    if (values_.empty()) return 0;
    if (!sorted_) std::sort(values_.begin(), values_.end());
    sorted_ = true;
    return values_[std::min(values_.size() - 1,
                            static_cast<std::size_t>(part * static_cast<double>(values_.size())))];
  }
  [[nodiscard]] double most() { return at(1); }
  // "p50 0.41, p90 0.80, p99 1.92, most 4.10 ms (5000)"
  [[nodiscard]] std::string shown(const char* unit = "ms") {
    return fmt::format("p50 {:.2f}, p90 {:.2f}, p99 {:.2f}, most {:.2f} {} ({})", at(0.5), at(0.9),
                       at(0.99), most(), unit, count());
  }

 private:
  std::vector<double> values_;
  bool sorted_ = false;
};

}  // namespace tertulia::bench
