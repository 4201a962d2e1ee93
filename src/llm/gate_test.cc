// The gate with a clock that the test moves: no thread, no socket, no waiting.
#include "llm/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "llm/retry.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HandClock final : public base::Clock {
 public:
  base::Timestamp now() const override { return base::Timestamp(time.time_since_epoch()); }
  base::SteadyTime steady() const override { return base::SteadyTime(time.time_since_epoch()); }
  base::Timestamp time{std::chrono::hours(1)};
};

class GateTest : public ::testing::Test {
 protected:
  void open(ProfileLimits limits, BreakerOptions breaker = {}) {
    gate_ = Gate::make({.profile = "main", .limits = limits, .breaker = breaker}, clock_,
                       [this](base::SteadyTime due, std::function<void()> ring) {
                         alarm_ = {due, std::move(ring)};
                         return finished_call();
                       });
  }
  Gate::Ticket enter(int number, std::int64_t tokens = 0) {
    return gate_->enter(
        tokens, [this, number](Gate::Ticket ticket, const std::optional<Gate::Refusal>& refusal,
                               milliseconds queued) {
          if (refusal) {
            refused_.push_back(number);
            refusal_ = *refusal;
            return;
          }
          sent_.push_back(number);
          tickets_[number] = ticket;
          queued_[number] = queued;
        });
  }
  void end(int number, Outcome outcome = Outcome::ok, std::int64_t tokens = 0,
           std::optional<milliseconds> retry_after = {}) {
    Answer answer;
    answer.outcome = outcome;
    answer.error = outcome == Outcome::ok ? "" : "it broke";
    answer.http_status = outcome == Outcome::connection ? 0 : 200;
    answer.retry_after = retry_after;
    answer.usage = {.prompt_tokens = tokens, .reported = tokens > 0};
    gate_->ended(tickets_.at(number), answer);
  }
  // Moves the clock, ringing each alarm at its time.
  void pass(milliseconds time) {
    const auto until = clock_.steady() + time;
    while (alarm_.second && alarm_.first <= until) {
      clock_.time = base::Timestamp(
          std::chrono::duration_cast<std::chrono::microseconds>(alarm_.first.time_since_epoch()));
      if (clock_.steady() < alarm_.first) clock_.time += std::chrono::microseconds(1);
      std::exchange(alarm_.second, {})();
    }
    clock_.time = base::Timestamp(
        std::chrono::duration_cast<std::chrono::microseconds>(until.time_since_epoch()));
  }

  HandClock clock_;
  std::pair<base::SteadyTime, std::function<void()>> alarm_;
  std::shared_ptr<Gate> gate_;
  std::vector<int> sent_;
  std::vector<int> refused_;
  Gate::Refusal refusal_;
  std::map<int, Gate::Ticket> tickets_;
  std::map<int, milliseconds> queued_;
};

TEST_F(GateTest, WithoutLimitsNobodyWaits) {
  open({});
  for (int i = 0; i < 100; ++i) static_cast<void>(enter(i));
  EXPECT_EQ(sent_.size(), 100u);
  EXPECT_EQ(gate_->waiting(), 0u);
}

TEST_F(GateTest, SoManyAtOnceFirstComeFirstServed) {
  open({.concurrent = 2});
  for (int i = 1; i <= 5; ++i) static_cast<void>(enter(i));
  EXPECT_THAT(sent_, ElementsAre(1, 2));
  EXPECT_FALSE(alarm_.second) << "no time helps, only the end of a call";
  pass(seconds(7));
  end(2);
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3));
  EXPECT_EQ(queued_[1], milliseconds(0));
  EXPECT_EQ(queued_[3], seconds(7));
  end(1, Outcome::refused);
  end(3, Outcome::cancelled);
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3, 4, 5)) << "however a call ends, it makes room";
  EXPECT_EQ(gate_->in_flight(), 2u);
}

TEST_F(GateTest, ACancelledCallLeavesTheQueueAtOnce) {
  open({.concurrent = 1});
  const auto first = enter(1);
  const auto second = enter(2);
  static_cast<void>(enter(3));
  pass(seconds(3));
  EXPECT_EQ(gate_->withdraw(second), seconds(3));
  EXPECT_EQ(gate_->withdraw(second), std::nullopt) << "it is gone";
  EXPECT_EQ(gate_->withdraw(first), std::nullopt) << "it is under way";
  end(1);
  EXPECT_THAT(sent_, ElementsAre(1, 3));
}

TEST_F(GateTest, RequestsAMinuteAreABucketThatFillsEvenly) {
  open({.requests_per_minute = 60});
  for (int i = 0; i < 70; ++i) static_cast<void>(enter(i));
  EXPECT_EQ(sent_.size(), 60u) << "a full bucket";
  pass(milliseconds(999));
  EXPECT_EQ(sent_.size(), 60u);
  pass(milliseconds(2));
  EXPECT_EQ(sent_.size(), 61u) << "then one a second";
  pass(seconds(5));
  EXPECT_EQ(sent_.size(), 66u);
  pass(seconds(3600));
  EXPECT_EQ(sent_.size(), 70u);
  for (int i = 70; i < 200; ++i) static_cast<void>(enter(i));
  EXPECT_EQ(sent_.size(), 130u) << "and never above its capacity";
}

TEST_F(GateTest, TokensAreEstimatedBeforeAndCountedAfterwards) {
  open({.tokens_per_minute = 600});
  static_cast<void>(enter(1, 400));
  static_cast<void>(enter(2, 400));
  static_cast<void>(enter(3, 10));
  EXPECT_THAT(sent_, ElementsAre(1)) << "200 are left, and nobody overtakes";
  end(1, Outcome::ok, 100);  // 300 of the estimate come back
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3));
  end(2, Outcome::ok, 1000);  // 600 more than was thought: a debt
  static_cast<void>(enter(4, 10));
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3));
  pass(seconds(50));
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3)) << "510 owed, 10 wanted: 52 s";
  pass(seconds(3));
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3, 4));
}

TEST_F(GateTest, ACallThatNeverArrivedCostsNoTokens) {
  open({.tokens_per_minute = 100}, {.failures = 0});
  static_cast<void>(enter(1, 100));
  static_cast<void>(enter(2, 100));
  end(1, Outcome::connection);
  EXPECT_THAT(sent_, ElementsAre(1, 2));
}

TEST_F(GateTest, ACallAboveTheWholeAllowanceGoesWhenItIsFull) {
  open({.tokens_per_minute = 60});
  static_cast<void>(enter(1, 1));
  static_cast<void>(enter(2, 5000));
  EXPECT_THAT(sent_, ElementsAre(1));
  pass(milliseconds(1001));
  EXPECT_THAT(sent_, ElementsAre(1, 2));
}

TEST_F(GateTest, RetryAfterHoldsAll) {
  open({});
  static_cast<void>(enter(1));
  static_cast<void>(enter(2));
  end(1, Outcome::rate_limited, 0, seconds(20));
  end(2, Outcome::rate_limited, 0, seconds(5));  // a shorter one does not shorten it
  static_cast<void>(enter(3));
  pass(milliseconds(19'999));
  EXPECT_THAT(sent_, ElementsAre(1, 2));
  pass(milliseconds(1));
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3));
  EXPECT_EQ(queued_[3], seconds(20));
}

TEST_F(GateTest, WhatNobodyWaitsForIsRefusedUnsent) {
  open({});
  static_cast<void>(enter(1));
  end(1, Outcome::rate_limited, 0, std::chrono::hours(24));
  static_cast<void>(enter(2));
  EXPECT_THAT(sent_, ElementsAre(1));
  EXPECT_THAT(refused_, ElementsAre(2));
  EXPECT_EQ(refusal_.outcome, Outcome::rate_limited);
  EXPECT_GT(refusal_.retry_after, kMaxRetryAfter) << "so it is not tried again";
  pass(std::chrono::hours(24) - seconds(100));
  static_cast<void>(enter(3));
  EXPECT_THAT(refused_, ElementsAre(2)) << "a hundred seconds are waited for";
  pass(seconds(100));
  EXPECT_THAT(sent_, ElementsAre(1, 3));
}

TEST_F(GateTest, TheBreakerOpensTriesOneAndCloses) {
  open({}, {.failures = 3, .pause = seconds(30)});
  for (int i = 1; i <= 5; ++i) static_cast<void>(enter(i));
  end(1, Outcome::server);
  end(2, Outcome::connection);
  static_cast<void>(enter(6));
  EXPECT_EQ(sent_.size(), 6u) << "two failures are not three";
  end(3, Outcome::timeout);
  static_cast<void>(enter(7));
  static_cast<void>(enter(8));
  end(4, Outcome::server);  // was under way: does not make the pause longer
  EXPECT_EQ(sent_.size(), 6u);
  pass(milliseconds(29'999));
  EXPECT_EQ(sent_.size(), 6u);
  pass(milliseconds(1));
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3, 4, 5, 6, 7)) << "one probe alone";
  pass(seconds(300));
  EXPECT_EQ(sent_.size(), 7u);
  end(7);
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  end(8, Outcome::server);
  static_cast<void>(enter(9));
  EXPECT_EQ(sent_.back(), 9) << "the count began anew";
}

TEST_F(GateTest, AProbeThatFailsRefusesThoseThatWait) {
  open({}, {.failures = 1, .pause = seconds(30)});
  static_cast<void>(enter(1));
  end(1, Outcome::connection);
  for (int i = 2; i <= 4; ++i) static_cast<void>(enter(i));
  pass(seconds(30));
  EXPECT_THAT(sent_, ElementsAre(1, 2));
  end(2, Outcome::connection);
  EXPECT_THAT(refused_, ElementsAre(3, 4));
  EXPECT_EQ(refusal_.outcome, Outcome::connection);
  EXPECT_THAT(refusal_.error, HasSubstr("not sent: profile main has failed 2 times"));
  static_cast<void>(enter(5));
  pass(milliseconds(29'999));
  EXPECT_EQ(sent_.size(), 2u) << "and the pause begins anew";
  pass(milliseconds(1));
  EXPECT_THAT(sent_, ElementsAre(1, 2, 5));
  end(5, Outcome::rate_limited);  // a server that is there
  static_cast<void>(enter(6));
  EXPECT_EQ(sent_.back(), 6);
}

TEST_F(GateTest, AProbeThatIsStoppedLetsTheNextTry) {
  open({}, {.failures = 1, .pause = seconds(30)});
  static_cast<void>(enter(1));
  end(1, Outcome::server);
  static_cast<void>(enter(2));
  static_cast<void>(enter(3));
  pass(seconds(30));
  EXPECT_THAT(sent_, ElementsAre(1, 2));
  end(2, Outcome::cancelled);
  EXPECT_THAT(sent_, ElementsAre(1, 2, 3));
  EXPECT_THAT(refused_, IsEmpty());
}

TEST_F(GateTest, TheBreakerCanBeTurnedOff) {
  open({}, {.failures = 0});
  for (int i = 0; i < 50; ++i) {
    static_cast<void>(enter(i));
    ASSERT_EQ(sent_.size(), static_cast<std::size_t>(i) + 1);
    end(i, Outcome::connection);
  }
}

// Every outcome has its place: a failure, an answer, or nothing at all.
TEST(BreakerTest, EveryOutcomeIsAFailureASuccessOrNothing) {
  for (const Outcome outcome : kOutcomes) {
    Breaker breaker({.failures = 2, .pause = seconds(1)});
    const base::SteadyTime now;
    static_cast<void>(breaker.hear(Outcome::server, false, now));
    static_cast<void>(breaker.hear(outcome, false, now));
    const bool opened = breaker.state() == Breaker::State::open;
    const bool fails =
        outcome == Outcome::connection || outcome == Outcome::server || outcome == Outcome::timeout;
    EXPECT_EQ(opened, fails) << outcome_name(outcome);
    EXPECT_EQ(breaker.failures(), fails                           ? 2
                                  : outcome == Outcome::cancelled ? 1
                                                                  : 0)
        << outcome_name(outcome);
  }
}

}  // namespace
}  // namespace tertulia::llm
