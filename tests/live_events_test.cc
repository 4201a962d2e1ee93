// Live events over the wire: what was told live is what is read again later, numbers have no gaps,
// and who comes back gets exactly the rest, on both engines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "base/json.h"
#include "support/postgres_server.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

namespace json = base::json;

// The durable events of a stream: their data, tokens left out.
std::vector<std::string> durable(const std::string& stream) {
  std::vector<std::string> events;
  std::size_t at = 0;
  while ((at = stream.find("data: ", at)) != std::string::npos) {
    at += 6;
    const std::string line = stream.substr(at, stream.find('\n', at) - at);
    if (line.find("\"id\":") == 1) events.push_back(line);
  }
  return events;
}

std::int64_t id_of(const std::string& event) {
  auto value = base::parse_json(event);
  return value ? value->at("id").as_int64() : 0;
}

class LiveEvents : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
  }
  World world_;
};

TEST_P(LiveEvents, WhatWasToldLiveIsReadAgainLater) {
  Serving server(world_, {"--model", "rehearsal?latency=20ms"});
  ASSERT_EQ(server.post("/api/v1/sessions", R"({"flow":"llm-council","topic":"Tea?"})").status,
            201);
  const auto live = durable(server.events("/api/v1/sessions/1/events", "session.finished"));
  ASSERT_GT(live.size(), 10U);
  for (std::size_t i = 0; i < live.size(); ++i)
    EXPECT_EQ(id_of(live[i]), static_cast<std::int64_t>(i) + 1);
  EXPECT_EQ(durable(server.events("/api/v1/sessions/1/events", "session.finished")), live);
  // From each place the rest, and no more.
  for (std::size_t have = 1; have < live.size(); have += 5) {
    const auto rest = durable(server.events("/api/v1/sessions/1/events", "session.finished",
                                            {"Last-Event-ID: " + std::to_string(have)}));
    EXPECT_EQ(rest, std::vector(live.begin() + static_cast<std::ptrdiff_t>(have), live.end()));
  }
  EXPECT_EQ(
      server.get("/api/v1/sessions/1/events", {"Last-Event-ID: " + std::to_string(live.size())})
          .status,
      204);
  EXPECT_EQ(server.get("/api/v1/sessions/1/events", {"Last-Event-ID: x"}).status, 400);

  // Another server says the same.
  EXPECT_EQ(server.stop().status, 0);
  Serving next(world_);
  EXPECT_EQ(durable(next.events("/api/v1/sessions/1/events", "session.finished")), live);
  EXPECT_EQ(next.stop().status, 0);
}

TEST_P(LiveEvents, AStopAndAKillLoseNoneAndRepeatNone) {
  std::vector<std::string> all;
  const auto follow_to = [&](Serving& server, const std::string& type) {
    const std::string last = all.empty() ? "0" : std::to_string(id_of(all.back()));
    for (auto& event :
         durable(server.events("/api/v1/sessions/1/events", type, {"Last-Event-ID: " + last})))
      all.push_back(std::move(event));
  };
  {
    Serving server(world_, {"--model", "rehearsal?latency=60ms"});
    ASSERT_EQ(server.post("/api/v1/sessions", R"({"flow":"debate"})").status, 201);
    follow_to(server, "message");
    EXPECT_EQ(server.stop().status, 0);
  }
  {
    Serving server(world_, {"--model", "rehearsal?latency=60ms"});
    follow_to(server, "message");
    server.signal(SIGKILL);
    EXPECT_EQ(server.finish().signal, SIGKILL);
  }
  Serving server(world_);
  follow_to(server, "session.finished");
  ASSERT_FALSE(all.empty());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(id_of(all[i]), static_cast<std::int64_t>(i) + 1) << all[i];
  EXPECT_THAT(all.back(), testing::HasSubstr("\"status\":\"finished\""));
  EXPECT_THAT(server.post("/api/v1/sessions/1/replay").body, testing::HasSubstr("\"agrees\":true"));
  EXPECT_EQ(server.stop().status, 0);
}

TEST_P(LiveEvents, WhatAnotherProcessPerformsIsWatchedAndTakenOver) {
  Serving server(world_);
  Running cli = world_.start({"--json", "run", "debate", "--model", "rehearsal?latency=80ms"});
  ASSERT_TRUE(cli.wait_for("\"type\":\"message\""));
  const auto watched = durable(server.events("/api/v1/sessions/1/events", "message"));
  ASSERT_FALSE(watched.empty());
  EXPECT_EQ(id_of(watched.front()), 1);
  cli.signal(SIGKILL);
  EXPECT_EQ(cli.finish().signal, SIGKILL);
  // Its lease is a dead process's: the server goes on.
  const auto all = durable(server.events("/api/v1/sessions/1/events", "session.finished"));
  ASSERT_GT(all.size(), watched.size());
  EXPECT_TRUE(std::equal(watched.begin(), watched.end(), all.begin()));
  EXPECT_THAT(server.post("/api/v1/sessions/1/replay").body, testing::HasSubstr("\"agrees\":true"));
  EXPECT_EQ(server.stop().status, 0);
}

TEST_P(LiveEvents, ThoseOfAllSessionsGoOnFromTheirPlace) {
  Serving server(world_);
  ASSERT_EQ(server.post("/api/v1/sessions", R"({"flow":"writer-and-critic"})").status, 201);
  server.events("/api/v1/sessions/1/events", "session.finished");
  const auto all = server.events("/api/v1/events", "session.finished", {"Last-Event-ID: 1.1"});
  const auto own =
      durable(server.events("/api/v1/sessions/1/events", "session.finished", {"Last-Event-ID: 1"}));
  EXPECT_EQ(durable(all), own);
  EXPECT_THAT(all, testing::HasSubstr("id: 1.2\n"));
  EXPECT_EQ(server.stop().status, 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, LiveEvents, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "PostgreSQL" : "SQLite";
});

}  // namespace
}  // namespace tertulia::test
