#include "llm/retry.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "base/random.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;

constexpr double kTenYearsMs = 10.0 * 365 * 24 * 3600 * 1000;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<double> whole_number(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, failed] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (failed != std::errc() || at != end || !std::isfinite(number)) return {};
  return number;
}

std::optional<milliseconds> not_negative(double ms) {
  if (ms < 0) return {};
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::min(ms, kTenYearsMs))));
}

}  // namespace

bool is_retried(Outcome outcome) {
  switch (outcome) {
    case Outcome::connection:
    case Outcome::timeout:
    case Outcome::rate_limited:
    case Outcome::server:
    case Outcome::incomplete:
    case Outcome::malformed:
    case Outcome::wrong_output:
    case Outcome::interrupted:
      return true;
    case Outcome::ok:
    case Outcome::quota:
    case Outcome::auth:
    case Outcome::refused:
    case Outcome::context_overflow:
    case Outcome::content_filter:
    case Outcome::cancelled:
      return false;
  }
  return false;
}

std::optional<milliseconds> retry_delay(Outcome outcome, int attempt,
                                        std::optional<milliseconds> retry_after,
                                        const RetryPolicy& policy, std::uint64_t seed,
                                        std::string_view path) {
  if (!is_retried(outcome) || attempt >= policy.attempts) return {};
  const milliseconds asked = retry_after.value_or(milliseconds(0));
  if (asked > kMaxRetryAfter) return {};
  milliseconds ceiling = std::clamp(policy.backoff, milliseconds(0), kMaxBackoff);
  for (int i = 1; i < attempt && ceiling < kMaxBackoff; ++i)
    ceiling = std::min(ceiling * 2, kMaxBackoff);
  base::Random random(seed, fmt::format("{}#backoff{}", path, attempt));
  const auto jitter = random.below(static_cast<std::uint64_t>(ceiling.count()) + 1);
  return asked + milliseconds(static_cast<std::int64_t>(jitter));
}

std::optional<milliseconds> parse_retry_after(std::string_view retry_after_ms,
                                              std::string_view retry_after, base::Timestamp now) {
  if (const auto ms = whole_number(trimmed(retry_after_ms)))
    if (const auto wait = not_negative(*ms)) return wait;
  retry_after = trimmed(retry_after);
  if (const auto seconds = whole_number(retry_after)) return not_negative(*seconds * 1000);
  // A date has letters; curl_getdate would also read bare digits as a day.
  if (retry_after.size() > 64 || retry_after.find(',') == std::string_view::npos) return {};
  const std::time_t date = curl_getdate(std::string(retry_after).c_str(), nullptr);
  if (date < 0) return {};
  // Years of six digits have more microseconds than there are numbers: cut before they are counted.
  constexpr milliseconds kTenYears(static_cast<std::int64_t>(kTenYearsMs));
  const std::chrono::sys_seconds latest = std::chrono::ceil<std::chrono::seconds>(now + kTenYears);
  const auto when = std::min(std::chrono::sys_seconds(std::chrono::seconds(date)), latest);
  return std::clamp(std::chrono::ceil<milliseconds>(when - now), milliseconds(0), kTenYears);
}

}  // namespace tertulia::llm
