// What a batch asks of its place, and how often: a question may be a request to a server, so that
// what is done already must cost one a group and no waiting. That the results are right is told by
// tests/batch_test.cc, over the real places.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "engine/batch.h"
#include "support/temp_dir.h"

namespace tertulia::engine {
namespace {

constexpr std::int64_t kGroup = 64;  // of batch.cc

// Sessions that finish as soon as they begin.
class CountingPlace final : public BatchPlace {
 public:
  // Of the next batch, so many first inputs have their results.
  explicit CountingPlace(std::int64_t done) : done_(done), lines_(done) {}

  std::int64_t placed = 0, begun = 0, waits = 0;  // calls
  std::size_t most_at_once = 0;                   // sessions, in one call of `begin`

  base::Result<void> check(const std::vector<BatchInput>&, bool) override { return {}; }
  base::Result<BatchEstimate> estimate(const std::vector<BatchInput>& inputs) override {
    const auto count = static_cast<std::int64_t>(inputs.size());
    return BatchEstimate{.inputs = count, .sampled = count, .cost_usd = {}};
  }
  base::Result<BatchStanding> open(const std::string&, const std::string&) override {
    return standing();
  }
  base::Result<BatchStanding> standing() override {
    return BatchStanding{.id = 1, .results = lines_, .usage = {}};
  }
  base::Result<std::vector<PlacedInput>> place(const std::vector<BatchInput>& inputs) override {
    ++placed;
    std::vector<PlacedInput> all;
    for (const BatchInput& input : inputs)
      all.push_back({.has_result = input.line <= done_, .session = input.line});
    return all;
  }
  base::Result<void> begin(const std::vector<Id>& sessions) override {
    ++begun;
    most_at_once = std::max(most_at_once, sessions.size());
    stopped_ = sessions;
    return {};
  }
  base::Result<std::vector<StoppedSession>> take_stopped() override {
    std::vector<StoppedSession> all;
    for (const Id id : std::exchange(stopped_, {}))
      all.push_back({.session = id,
                     .status = model::SessionStatus::finished,
                     .stop_reason = {},
                     .reason = {},
                     .spent_usd = {},
                     .error = {}});
    return all;
  }
  void wait(std::chrono::milliseconds) override { ++waits; }
  void wake() override {}
  base::Result<void> pause(bool) override { return {}; }
  void abandon() override {}
  base::Result<std::int64_t> give_lines(const std::vector<Id>& finished) override {
    for (const Id id : finished) EXPECT_TRUE(given_.insert(id).second) << id;
    return lines_ = done_ + static_cast<std::int64_t>(given_.size());
  }
  base::Result<std::vector<ResultLine>> lines(std::int64_t first, std::int64_t limit) override {
    std::vector<ResultLine> all;
    for (std::int64_t at = first; at <= lines_ && at < first + limit; ++at)
      all.push_back({.number = at, .input = std::to_string(at), .text = fmt::format("{}", at)});
    return all;
  }
  base::Result<std::vector<store::OpenBatchInput>> open_inputs(Id, std::int64_t) override {
    return std::vector<store::OpenBatchInput>();
  }

 private:
  const std::int64_t done_;
  std::int64_t lines_;
  std::set<Id> given_;
  std::vector<Id> stopped_;
};

class BatchAsksTest : public testing::Test {
 protected:
  // Performs a batch of so many inputs.
  void perform(std::int64_t inputs, CountingPlace& place) {
    const std::string path = folder_.file("inputs.jsonl");
    std::ofstream file(path);
    for (std::int64_t i = 1; i <= inputs; ++i) file << "{\"topic\": \"Tea\"}\n";
    file.close();
    Batch batch({.inputs = path,
                 .out = folder_.file("out.jsonl"),
                 .name = {},
                 .concurrency = 10,
                 .max_cost_usd = {}},
                place);
    ASSERT_TRUE(batch.check());
    auto report = batch.run({});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->progress.done, inputs);
  }

  test::TempDir folder_;
};

std::int64_t groups(std::int64_t inputs) {
  return (inputs + kGroup - 1) / kGroup + 1;  // the last finds the file's end
}

TEST_F(BatchAsksTest, WhatIsDoneCostsAQuestionAGroupAndNoWaiting) {
  CountingPlace place(1000);
  perform(1000, place);
  EXPECT_LE(place.placed, groups(1000));
  EXPECT_EQ(place.begun, 0);
  EXPECT_EQ(place.waits, 0);
}

TEST_F(BatchAsksTest, AfterWhatIsDoneTheRestBeginsAtOnce) {
  CountingPlace place(1000);
  perform(1030, place);
  EXPECT_LE(place.placed, groups(1030));
  EXPECT_EQ(place.begun, 3) << "ten at a time";
  EXPECT_EQ(place.waits, 3);
}

TEST_F(BatchAsksTest, NoMoreAreBegunThanMayBeInFlight) {
  CountingPlace place(0);
  perform(200, place);
  EXPECT_EQ(place.most_at_once, 10u);
  EXPECT_EQ(place.begun, 20);
  EXPECT_EQ(place.waits, 20);
  EXPECT_LE(place.placed, groups(200));
}

}  // namespace
}  // namespace tertulia::engine
