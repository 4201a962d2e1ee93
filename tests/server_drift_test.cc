// A server whose database is hurt under it: it says so, by name, does no more with it, and goes on
// when it is mended, without a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "base/json.h"
#include "support/http_client.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;

void execute(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10'000);
  char* words = nullptr;
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &words), SQLITE_OK)
      << sql << ": " << (words != nullptr ? words : "");
  sqlite3_free(words);
  sqlite3_close(db);
}

std::string member(const std::string& body, std::string_view name) {
  auto value = base::parse_json(body);
  if (!value || !value->is_object()) return {};
  const auto* found = value->get_object().if_contains(name);
  if (found == nullptr) return {};
  return found->is_string() ? std::string(found->get_string()) : base::to_text(*found);
}

TEST(ServerDrift, ATableThatIsDroppedUnderALiveServer) {
  World world;
  Serving server(world, {"--model", "rehearsal?latency=50ms"});
  const auto before = server.post("/api/v1/sessions", R"({"flow":"writer-and-critic"})");
  ASSERT_EQ(before.status, 201) << before.body;
  server.events("/api/v1/sessions/1/events", "session.finished");
  const auto running = server.post("/api/v1/sessions", R"({"flow":"debate"})");
  ASSERT_EQ(running.status, 201);
  server.events("/api/v1/sessions/2/events", "message");

  execute(world.database,
          "PRAGMA foreign_keys = OFF; ALTER TABLE model_calls RENAME TO model_calls_away;");

  // The first call that meets it names it already.
  const Answer refused = server.get("/api/v1/sessions/1/log/1");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(member(refused.body, "code"), "schema_drift");
  EXPECT_THAT(member(refused.body, "detail"), HasSubstr("table model_calls is missing"));
  EXPECT_EQ(member(refused.body, "remedy"), "tertulia db repair");
  // Then all that need the database, before they touch it.
  EXPECT_EQ(server.get("/api/v1/roles").status, 503);
  EXPECT_EQ(server.post("/api/v1/sessions", R"({"flow":"debate"})").status, 503);
  const Answer ready = server.get("/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("model_calls"));
  // What needs none goes on.
  EXPECT_EQ(server.get("/healthz").status, 200);
  EXPECT_THAT(server.get("/metrics").body, HasSubstr("tertulia_schema_ready 0"));
  EXPECT_EQ(server.get("/api/v1/openapi.json").status, 200);
  EXPECT_EQ(member(server.get("/api/v1/schema").body, "state"), "drifted");

  execute(world.database, "ALTER TABLE model_calls_away RENAME TO model_calls;");
  EXPECT_EQ(server.get("/readyz").status, 200);
  EXPECT_EQ(server.get("/api/v1/sessions/1/log/1").status, 200);
  // The session that was under way is gone on with, to its end, and its log explains it.
  const std::string events = server.events("/api/v1/sessions/2/events", "session.finished");
  EXPECT_THAT(events, HasSubstr("\"status\":\"finished\""));
  EXPECT_EQ(member(server.post("/api/v1/sessions/2/replay").body, "agrees"), "true");
  EXPECT_EQ(server.stop().status, 0);
}

// It is not left waiting for what does not come: the session has stopped where the table was.
TEST(ServerDrift, AChatUnderWayIsTold) {
  World world;
  Serving server(world, {"--model", "rehearsal?latency=300ms"});
  const char* const kAsk =
      R"({"model":"flow:debate","messages":[{"role":"user","content":"Tea?"}]})";
  HttpClient whole(server.url());
  ASSERT_TRUE(whole.send(whole.request("POST", "/v1/chat/completions", kAsk)));
  server.events("/api/v1/events", "message");
  HttpClient streamed(server.url());
  ASSERT_TRUE(streamed.send(streamed.request("POST", "/v1/chat/completions",
                                             std::string(kAsk).insert(1, R"("stream":true,)"))));
  ASSERT_EQ(streamed.read_head()->status, 200);
  execute(world.database,
          "PRAGMA foreign_keys = OFF; ALTER TABLE step_execution_logs RENAME TO logs_away;");
  const auto told = whole.read();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->status, 503) << told->body;
  EXPECT_THAT(told->body, HasSubstr("schema_drift"));
  EXPECT_THAT(told->body, HasSubstr("step_execution_logs"));
  EXPECT_EQ(told->field("x-tertulia-session"), "1");
  std::string last;
  while (const auto chunk = streamed.read_chunk()) last = *chunk;
  EXPECT_THAT(last, HasSubstr("\"code\":\"schema_drift\""));
  EXPECT_THAT(last, HasSubstr("step_execution_logs"));

  execute(world.database, "ALTER TABLE logs_away RENAME TO step_execution_logs;");
  EXPECT_EQ(server.get("/readyz").status, 200);
  for (const std::string session : {"/api/v1/sessions/1", "/api/v1/sessions/2"}) {
    EXPECT_THAT(server.events(session + "/events", "session.finished"),
                HasSubstr("\"status\":\"finished\""))
        << server.get(session).body;
    EXPECT_EQ(member(server.post(session + "/replay").body, "agrees"), "true");
  }
}

TEST(ServerDrift, AfterARepairEverythingGoesOn) {
  World world;
  Serving server(world);
  ASSERT_EQ(server.post("/api/v1/sessions", R"({"flow":"writer-and-critic"})").status, 201);
  server.events("/api/v1/sessions/1/events", "session.finished");
  execute(world.database, "PRAGMA foreign_keys = OFF; DROP TABLE step_execution_logs;");
  const Answer refused = server.get("/api/v1/sessions/1/log");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("table step_execution_logs is missing"));

  EXPECT_EQ(world.run({"db", "repair"}).status, 0);
  EXPECT_EQ(server.get("/readyz").status, 200);
  const Answer made = server.post("/api/v1/sessions", R"({"flow":"writer-and-critic"})");
  ASSERT_EQ(made.status, 201) << made.body;
  server.events("/api/v1/sessions/2/events", "session.finished");
  EXPECT_EQ(member(server.post("/api/v1/sessions/2/replay").body, "agrees"), "true");
  // What was lost stays lost, and is told.
  EXPECT_EQ(member(server.post("/api/v1/sessions/1/replay").body, "agrees"), "false");
  EXPECT_EQ(server.stop().status, 0);
}

}  // namespace
}  // namespace tertulia::test
