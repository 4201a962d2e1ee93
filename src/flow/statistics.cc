#include "flow/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tertulia::flow {
namespace {

namespace json = boost::json;

// A whole number is written as one ("7"; Boost.JSON writes the double as "7E0").
json::value number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (!std::isfinite(value)) return nullptr;
  if (std::abs(value) <= kExact && value == std::trunc(value))
    return static_cast<std::int64_t>(value);
  return value;
}

double quantile(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

json::value majority(const std::vector<const json::value*>& values) {
  struct Votes {
    const json::value* value;
    std::size_t count;
  };
  std::vector<Votes> votes;
  for (const json::value* value : values) {
    const auto same = std::find_if(votes.begin(), votes.end(), [&](const Votes& other) {
      return base::equal(*other.value, *value);
    });
    if (same != votes.end())
      ++same->count;
    else
      votes.push_back({value, 1});
  }
  const Votes* most = nullptr;
  bool tie = false;
  for (const Votes& candidate : votes) {
    if (most != nullptr && candidate.count == most->count) tie = true;
    if (most == nullptr || candidate.count > most->count) {
      most = &candidate;
      tie = false;
    }
  }
  return most == nullptr || tie ? json::value(nullptr) : *most->value;
}

}  // namespace

json::value statistic(std::string_view stat, const std::vector<json::value>& values) {
  std::vector<const json::value*> present;
  std::vector<double> numbers;
  for (const json::value& value : values) {
    if (!value.is_null()) present.push_back(&value);
    if (value.is_number()) numbers.push_back(value.to_number<double>());
  }
  if (stat == "count") return static_cast<std::int64_t>(present.size());
  if (stat == "majority") return majority(present);
  if (numbers.empty()) return nullptr;

  std::sort(numbers.begin(), numbers.end());
  if (stat == "min") return number(numbers.front());
  if (stat == "max") return number(numbers.back());
  if (stat == "mean") {
    double sum = 0;
    for (const double each : numbers) sum += each;
    return number(sum / static_cast<double>(numbers.size()));
  }
  if (stat == "median") return number(quantile(numbers, 0.5));
  if (stat == "q1") return number(quantile(numbers, 0.25));
  if (stat == "q3") return number(quantile(numbers, 0.75));
  if (stat == "spread")
    return number((quantile(numbers, 0.75) - quantile(numbers, 0.25)) / quantile(numbers, 0.5));
  return nullptr;
}

}  // namespace tertulia::flow
