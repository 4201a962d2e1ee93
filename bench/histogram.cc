#include "bench/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace tertulia::bench {

Histogram::Histogram(std::string_view page, const std::string& name) {
  const std::string wanted = name + "_bucket{";
  while (!page.empty()) {
    const std::string line(page.substr(0, page.find('\n')));
    page.remove_prefix(std::min(page.size(), line.size() + 1));
    const auto bound = line.find("le=\"");
    if (line.rfind(wanted, 0) != 0 || bound == std::string::npos) continue;
    counts_[std::strtod(line.c_str() + bound + 4, nullptr) * 1000] +=  // "+Inf" is read as well
        std::strtod(line.c_str() + line.rfind(' '), nullptr);
  }
}

Histogram Histogram::since(const Histogram& earlier) const {
  Histogram left;
  for (const auto& [bound, number] : counts_) {
    const auto before = earlier.counts_.find(bound);
    left.counts_[bound] = number - (before == earlier.counts_.end() ? 0 : before->second);
  }
  return left;
}

double Histogram::count() const {
  return counts_.empty() ? 0 : counts_.rbegin()->second;
}

double Histogram::within(double part) const {
  for (const auto& [bound, number] : counts_)
    if (number >= part * count()) return bound;
  return std::numeric_limits<double>::infinity();
}

double Histogram::up_to(double bound) const {
  const auto found = counts_.lower_bound(bound * 0.999);
  return found == counts_.end() || count() == 0 ? 0 : found->second / count();
}

std::string Histogram::shown() const {
  return fmt::format(
      "p50 within {:g}, p90 within {:g}, p99 within {:g} ms; {:.2f} % within 10 ms ({:.0f})",
      within(0.5), within(0.9), within(0.99), 100 * up_to(10), count());
}

}  // namespace tertulia::bench
