// Whether and when a failed attempt is tried again. Pure: the jitter is drawn from the session's
// seed and the execution's path, so that a session gone on with after a crash waits as it would
// have waited.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "llm/provider.h"

namespace tertulia::llm {

struct RetryPolicy {
  int attempts = 3;                          // in all, the first included
  std::chrono::milliseconds backoff{1'000};  // doubled with each failure, up to kMaxBackoff
};

inline constexpr std::chrono::milliseconds kMaxBackoff{60'000};
// A server that asks for more than this is not waited for: the attempt is not repeated.
inline constexpr std::chrono::milliseconds kMaxRetryAfter{120'000};

// Whether another attempt can help at all. A table; every outcome has its line in the test.
[[nodiscard]] bool is_retried(Outcome outcome);

// How long to wait before the attempt after `attempt` (from 1), which ended so; nothing if it is
// not to be tried again. Full jitter (uniform from 0 to the back-off), on top of what the server
// asked for: the sum keeps Retry-After a lower bound and still spreads those who were told the
// same time.
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_delay(
    Outcome outcome, int attempt, std::optional<std::chrono::milliseconds> retry_after,
    const RetryPolicy& policy, std::uint64_t seed, std::string_view path);

// What a server asks for with `retry-after-ms` (read first) or `retry-after` (seconds, or an HTTP
// date): 0 for a date that is past, nothing for what is absent, negative or senseless. Times over
// ten years are cut to that.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view retry_after_ms, std::string_view retry_after, base::Timestamp now);

}  // namespace tertulia::llm
