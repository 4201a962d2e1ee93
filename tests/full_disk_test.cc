// A disk that fills up under the real program: no file of SQLite's, or of PostgreSQL's databases,
// may grow any further. The session is paused, says why, and goes on when there is room; nothing
// that was told is lost.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "support/disk_quota.h"
#include "support/flows.h"
#include "support/http_client.h"
#include "support/postgres_server.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;

constexpr int kPaused = 5;

class FullDiskTest : public testing::TestWithParam<bool> {
 protected:
  static DiskQuota& quota() {
    static DiskQuota quota;
    return quota;
  }
  static PostgresServer& postgres() {
    static PostgresServer server(quota().environment());
    return server;
  }

  void SetUp() override {
    if (GetParam()) {
      world_.database = postgres().create_database();
    } else {
      // Where the quota holds.
      std::filesystem::create_directory(world_.path("base"));
      world_.database = world_.path("base/t.db");
      for (const std::string& each : quota().environment())
        world_.environment[each.substr(0, each.find('='))] = each.substr(each.find('=') + 1);
      // A sanitized program wants to be the first library.
      const char* options = std::getenv("ASAN_OPTIONS");
      world_.environment["ASAN_OPTIONS"] =
          (options != nullptr ? std::string(options) + ":" : "") + "verify_asan_link_order=0";
    }
    flow_ = world_.write("flow.yaml", kLongFlow);
    ASSERT_EQ(world_.run({"db", "init"}).status, 0);
    ASSERT_EQ(world_.run({"flow", "import", flow_}).status, 0);
  }
  void TearDown() override { make_room(); }
  // A few steps find room; a commit of SQLite's writes each page twice, as it counts.
  static void fill_disk() { quota().set(GetParam() ? 60 : 600); }
  static void make_room() { quota().set(-1); }
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    std::istringstream lines(world_.run({"session", "messages", "1", "--json"}).out);
    for (std::string line; std::getline(lines, line);)
      all.push_back(std::string(base::parse_json(line).value().at("text").get_string()));
    return all;
  }
  void expect_explained() {
    const Finished replay = world_.run({"session", "replay", "1"});
    EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
    const Finished verified = world_.run({"db", "verify"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }
  // All that was said before still stands first.
  void expect_whole(const std::vector<std::string>& before) {
    const auto all = texts();
    EXPECT_EQ(all.size(), 600u);
    ASSERT_LE(before.size(), all.size());
    EXPECT_TRUE(std::equal(before.begin(), before.end(), all.begin()));
    expect_explained();
  }

  World world_;
  std::string flow_;
};
std::string engine_name(const testing::TestParamInfo<bool>& on_postgres) {
  return on_postgres.param ? "PostgreSQL" : "SQLite";
}
INSTANTIATE_TEST_SUITE_P(, FullDiskTest, testing::Bool(), engine_name);

TEST_P(FullDiskTest, ARunIsPausedAndGoesOn) {
  fill_disk();
  const Finished run = world_.run({"run", "long", "--model", "rehearsal", "--seed", "4"});
  const Finished again = world_.run({"session", "resume", "1"});
  make_room();
  EXPECT_EQ(run.status, kPaused) << run.err;
  EXPECT_THAT(run.err, HasSubstr("is paused (storage_full): no space left on the"));
  EXPECT_THAT(run.err, HasSubstr("free some space"));
  EXPECT_THAT(run.err, HasSubstr("tertulia session resume 1\n"));
  EXPECT_NE(again.status, 0);
  EXPECT_THAT(again.err, HasSubstr("no space left"));
  const auto before = texts();
  EXPECT_GT(before.size(), 3u);
  expect_explained();

  const Finished resumed = world_.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  expect_whole(before);
}

TEST_P(FullDiskTest, EventsSayWhy) {
  fill_disk();
  const Finished run = world_.run({"run", "long", "--model", "rehearsal", "--json"});
  make_room();
  EXPECT_EQ(run.status, kPaused) << run.err;
  const std::string last = run.out.substr(run.out.rfind("\n", run.out.size() - 2) + 1);
  EXPECT_THAT(last, HasSubstr("\"type\":\"session.paused\""));
  EXPECT_THAT(last, HasSubstr("\"stop_reason\":\"storage_full\""));
  EXPECT_THAT(last, HasSubstr("no space left"));
}

TEST_P(FullDiskTest, AServerSaysSoAndGoesOnWhenItIsAsked) {
  Serving serving(world_);
  ASSERT_EQ(serving.post("/api/v1/sessions", R"({"flow": "long", "autostart": false})").status,
            201);
  fill_disk();
  ASSERT_EQ(serving.post("/api/v1/sessions/1/start", "{}").status, 202);
  Answer shown;
  do {
    shown = serving.get("/api/v1/sessions/1");
  } while (shown.body.find("\"stop_reason\"") == std::string::npos);
  EXPECT_THAT(shown.body, HasSubstr("\"status\":\"paused\""));
  EXPECT_THAT(shown.body, HasSubstr("\"stop_reason\":\"storage_full\""));
  EXPECT_THAT(shown.body, HasSubstr("no space left"));
  EXPECT_EQ(serving.get("/readyz").status, 200);

  make_room();
  // What could not be written is, now.
  EXPECT_THAT(serving.events("/api/v1/sessions/1/events", "session.paused"),
              HasSubstr("storage_full"));
  const auto before = texts();
  EXPECT_EQ(serving.post("/api/v1/sessions/1/resume", "{}").status, 202);
  EXPECT_THAT(serving.events("/api/v1/sessions/1/events", "session.finished"),
              HasSubstr("end_of_flow"));
  expect_whole(before);
}

TEST_P(FullDiskTest, WhoFollowsASessionIsToldWhileTheDiskIsFull) {
  Serving serving(world_);
  ASSERT_EQ(serving.post("/api/v1/sessions", R"({"flow": "long", "autostart": false})").status,
            201);
  EventStream events(serving.url(), "/api/v1/sessions/1/events");
  HttpClient chat(serving.url());
  ASSERT_TRUE(chat.send(
      chat.request("POST", "/v1/chat/completions",
                   R"({"model": "flow:long", "messages": [{"role": "user", "content": "Tea"}]})")));
  fill_disk();
  ASSERT_EQ(serving.post("/api/v1/sessions/1/start", "{}").status, 202);
  std::optional<SseEvent> event;
  do {
    event = events.next();
    ASSERT_TRUE(event);
  } while (event->type != "session.paused");
  EXPECT_THAT(event->data, HasSubstr("\"stop_reason\":\"storage_full\""));
  const auto answer = chat.read();
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, HasSubstr("storage_full"));
  EXPECT_THAT(answer->body, HasSubstr("no space left"));
}

TEST_P(FullDiskTest, ACommandThroughAServerIsToldToo) {
  Serving serving(world_);
  World client;
  client.environment["TERTULIA_SERVER"] = serving.url();
  fill_disk();
  const Finished run = client.run({"run", "long", "--seed", "4"});
  const Finished again = client.run({"session", "resume", "1"});
  make_room();
  EXPECT_EQ(run.status, kPaused) << run.err;
  EXPECT_THAT(run.err, HasSubstr("is paused (storage_full): no space left on the"));
  EXPECT_THAT(run.err, HasSubstr("free some space"));
  EXPECT_NE(again.status, 0);
  EXPECT_THAT(again.err, HasSubstr("no space left"));
  const auto before = texts();
  EXPECT_GT(before.size(), 3u);

  const Finished resumed = client.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  expect_whole(before);
}

}  // namespace
}  // namespace tertulia::test
