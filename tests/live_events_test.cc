// What a program tells while it performs a session is what the database keeps of it: `run --json`
// prints events as they are published, a server gives them as they are read, on both engines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/json.h"
#include "support/postgres_server.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

// Those with an id: tokens, and what else is printed, have none.
std::vector<std::string> durable(const std::string& text, const std::string& before) {
  std::vector<std::string> events;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(before + "{\"id\":", 0) == 0) events.push_back(line.substr(before.size()));
  return events;
}

class LiveEvents : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
  }

  // Performs the flow, and compares.
  void expect_kept(const std::vector<std::string>& run) {
    std::vector<std::string> all = {"--json", "run"};
    all.insert(all.end(), run.begin(), run.end());
    const auto told = durable(world_.run(all).out, "");
    ASSERT_FALSE(told.empty());
    const auto last = base::parse_json(told.back());
    ASSERT_TRUE(last);
    Serving server(world_);
    const std::string session = std::to_string(++sessions_);
    const auto kept = durable(server.events("/api/v1/sessions/" + session + "/events",
                                            std::string(last->at("type").as_string())),
                              "data: ");
    EXPECT_EQ(kept, told) << testing::PrintToString(run);
    EXPECT_EQ(server.stop().status, 0);
  }

  World world_;
  int sessions_ = 0;
};

TEST_P(LiveEvents, WhatIsToldIsWhatIsKept) {
  // Branches whose words get their places later, choices, structured outputs, documents, judges.
  for (const char* flow : {"llm-council", "writer-and-critic", "six-thinking-hats", "mock-trial"})
    expect_kept({flow, "--seed", "7"});
  // Attempts that fail, and a session that pauses for them.
  expect_kept({"debate", "--seed", "7", "--model", "rehearsal?fail=0.4"});
  expect_kept({"debate", "--seed", "7", "--model", "rehearsal?fail=1"});
  expect_kept({"debate", "--seed", "7", "--max-steps", "2"});
  // A question to a person.
  expect_kept({"panel-interview", "--seed", "7", "--play", "candidate"});
}

INSTANTIATE_TEST_SUITE_P(Engines, LiveEvents, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "PostgreSQL" : "SQLite";
});

}  // namespace
}  // namespace tertulia::test
