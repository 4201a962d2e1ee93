#include "llm/retry.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

TEST(Retry, EveryOutcomeHasItsLine) {
  const std::map<Outcome, bool> retried{
      {Outcome::ok, false},
      {Outcome::connection, true},
      {Outcome::timeout, true},
      {Outcome::rate_limited, true},
      {Outcome::quota, false},
      {Outcome::server, true},
      {Outcome::auth, false},
      {Outcome::refused, false},
      {Outcome::context_overflow, false},
      {Outcome::content_filter, false},
      {Outcome::incomplete, true},
      {Outcome::malformed, true},
      {Outcome::wrong_output, true},
      {Outcome::interrupted, true},
      {Outcome::cancelled, false},
  };
  ASSERT_EQ(retried.size(), kOutcomes.size());
  for (const Outcome outcome : kOutcomes) {
    ASSERT_TRUE(retried.contains(outcome)) << outcome_name(outcome);
    EXPECT_EQ(is_retried(outcome), retried.at(outcome)) << outcome_name(outcome);
    const RetryPolicy policy{.attempts = 2, .backoff = 1s};
    EXPECT_EQ(retry_delay(outcome, 1, {}, policy, 1, "p").has_value(), retried.at(outcome))
        << outcome_name(outcome);
  }
}

TEST(Retry, AttemptsAreUsedUp) {
  const RetryPolicy policy{.attempts = 3, .backoff = 1s};
  EXPECT_TRUE(retry_delay(Outcome::server, 1, {}, policy, 1, "p"));
  EXPECT_TRUE(retry_delay(Outcome::server, 2, {}, policy, 1, "p"));
  EXPECT_FALSE(retry_delay(Outcome::server, 3, {}, policy, 1, "p"));
  EXPECT_FALSE(retry_delay(Outcome::server, 1, {}, {.attempts = 1, .backoff = 1s}, 1, "p"));
}

// Full jitter: over many paths the delays fill [0, base * 2^(n-1)], and never leave it.
TEST(Retry, JitterFillsTheDoublingWindowUpToTheCap) {
  const RetryPolicy policy{.attempts = 100, .backoff = 1s};
  const std::map<int, milliseconds> ceilings{{1, 1s},  {2, 2s},          {3, 4s},
                                             {6, 32s}, {7, kMaxBackoff}, {50, kMaxBackoff}};
  for (const auto& [attempt, ceiling] : ceilings) {
    milliseconds least = ceiling;
    milliseconds most{0};
    for (int i = 0; i < 500; ++i) {
      const auto delay =
          retry_delay(Outcome::server, attempt, {}, policy, 7, "path" + std::to_string(i));
      ASSERT_TRUE(delay);
      least = std::min(least, *delay);
      most = std::max(most, *delay);
    }
    EXPECT_GE(least, 0ms) << attempt;
    EXPECT_LE(most, ceiling) << attempt;
    EXPECT_LT(least, ceiling / 10) << attempt;
    EXPECT_GT(most, ceiling * 9 / 10) << attempt;
  }
}

TEST(Retry, TheSameSeedPathAndAttemptWaitTheSame) {
  const RetryPolicy policy{.attempts = 9, .backoff = 8s};
  std::set<milliseconds> seen;
  for (int attempt = 4; attempt < 9; ++attempt) {
    const auto delay = retry_delay(Outcome::timeout, attempt, {}, policy, 5, "a/b");
    EXPECT_EQ(delay, retry_delay(Outcome::timeout, attempt, {}, policy, 5, "a/b"));
    seen.insert(delay.value());
  }
  EXPECT_GT(seen.size(), 1U) << "the attempts share one draw";
  EXPECT_NE(retry_delay(Outcome::timeout, 5, {}, policy, 5, "a/b"),
            retry_delay(Outcome::timeout, 5, {}, policy, 6, "a/b"));
}

TEST(Retry, RetryAfterIsALowerBoundAndOverTwoMinutesTheEnd) {
  const RetryPolicy policy{.attempts = 3, .backoff = 1s};
  for (int i = 0; i < 100; ++i) {
    const auto delay =
        retry_delay(Outcome::rate_limited, 1, 30s, policy, 1, "path" + std::to_string(i));
    ASSERT_TRUE(delay);
    EXPECT_GE(*delay, 30s);
    EXPECT_LE(*delay, 31s);
  }
  EXPECT_TRUE(retry_delay(Outcome::rate_limited, 1, 120s, policy, 1, "p"));
  EXPECT_FALSE(retry_delay(Outcome::rate_limited, 1, 120'001ms, policy, 1, "p"));
  EXPECT_TRUE(retry_delay(Outcome::rate_limited, 1, 0ms, policy, 1, "p"));
}

TEST(Retry, ZeroBackoffDoesNotWait) {
  EXPECT_EQ(retry_delay(Outcome::server, 1, {}, {.attempts = 2, .backoff = 0ms}, 1, "p"), 0ms);
}

TEST(Retry, ReadsRetryAfterInAllItsForms) {
  const base::Timestamp now = *base::parse_iso8601("2026-11-24T11:00:00Z");
  struct Case {
    const char* ms;
    const char* plain;
    std::optional<milliseconds> wait;
  };
  const std::vector<Case> cases{
      {"", "", {}},
      {"", "0", 0ms},
      {"", "20", 20s},
      {"", " 20 ", 20s},
      {"", "1.5", 1500ms},
      {"", "-1", {}},
      {"", "86400", 24h},
      {"", "soon", {}},
      {"", "20s", {}},
      {"", "nan", {}},
      {"", "inf", {}},
      {"", "1e400", {}},
      {"", "Tue, 24 Nov 2026 11:00:30 GMT", 30s},
      {"", "Tue, 24 Nov 2026 10:00:00 GMT", 0ms},
      {"", "Wed, 25 Nov 2026 11:00:00 GMT", 24h},
      {"", "Tue, 99 Nov 2026 11:00:30 GMT", {}},
      {"250", "20", 250ms},
      {"0", "20", 0ms},
      {"-5", "20", 20s},
      {"x", "20", 20s},
  };
  for (const Case& c : cases)
    EXPECT_EQ(parse_retry_after(c.ms, c.plain, now), c.wait)
        << "'" << c.ms << "' '" << c.plain << "'";
  const auto century = parse_retry_after("", "99999999999999999999", now);
  ASSERT_TRUE(century) << "a number too large for a clock is cut, not dropped";
  EXPECT_GT(*century, kMaxRetryAfter);
  const auto aeons = parse_retry_after("", "Fri, 31 Dec 1999235 23:59:59 GMT", now);
  ASSERT_TRUE(aeons) << "so is a date that no clock comes to";
  EXPECT_GT(*aeons, kMaxRetryAfter);
}

}  // namespace
}  // namespace tertulia::llm
