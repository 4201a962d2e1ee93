// Histogram is one of those that a server shows on /metrics, its label sets taken together: what
// the server itself has measured. Between two bounds it knows nothing more.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace tertulia::bench {

class Histogram final {
 public:
  // Out of a page of /metrics.
  Histogram(std::string_view page, const std::string& name);

  // What was counted since an earlier page.
  [[nodiscard]] Histogram since(const Histogram& earlier) const;
  [[nodiscard]] double count() const;
  // The least bound, in ms, that this part of all (0 to 1) does not exceed.
  [[nodiscard]] double within(double part) const;
  // The part of all that is not above a bound, in ms; it must be one.
  [[nodiscard]] double up_to(double bound) const;
  // "p50 within 0.5, p90 within 1, p99 within 5 ms; 99.62 % within 10 ms (8000)"
  [[nodiscard]] std::string shown() const;

 private:
  Histogram() = default;
  std::map<double, double> counts_;  // by the bound in ms: how many are not above it
};

}  // namespace tertulia::bench
