// The HTTP API over the wire, on both engines. Every answer is held against the OpenAPI document.
#include <zlib.h>

#include <csignal>

#include "db/connection.h"
#include "support/server_fixture.h"

namespace tertulia::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::string unpacked(const std::string& packed) {
  z_stream stream{};
  if (::inflateInit2(&stream, 15 + 16) != Z_OK) return {};
  std::string out(std::size_t{1} << 22, '\0');
  std::string in = packed;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = ::inflate(&stream, Z_FINISH);
  out.resize(result == Z_STREAM_END ? stream.total_out : 0);
  ::inflateEnd(&stream);
  return out;
}

class ServerApiTest : public ServerFixture {
 protected:
  void SetUp() override {
    ServerFixture::SetUp();
    serve();
  }
  std::vector<std::int64_t> ids(const std::string& target) {
    std::vector<std::int64_t> found;
    const json::object page = get(target);
    for (const auto& item : page.at("items").as_array())
      found.push_back(item.as_object().at("id").as_int64());
    return found;
  }
  // The pointers of a refused body.
  std::vector<std::string> pointers(std::string_view target, std::string_view body, int status) {
    const HttpAnswer answer = ask("POST", target, body);
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.field("content-type"), "application/problem+json");
    std::vector<std::string> found;
    const json::object problem = answer.json();
    if (const auto* errors = problem.if_contains("errors"))
      for (const auto& error : errors->as_array())
        found.emplace_back(error.as_object().at("pointer").as_string());
    return found;
  }
  void sql(const std::string& text) {
    auto location = db::Location::parse(world_.database);
    ASSERT_TRUE(location);
    auto connection = db::open(*location, {.access = db::Access::write});
    ASSERT_TRUE(connection);
    auto done = (*connection)->run_script(text);
    ASSERT_TRUE(done) << done.error().message << done.error().detail;
  }
};
INSTANTIATE_TEST_SUITE_P(, ServerApiTest, testing::Bool(), engine_name);

TEST_P(ServerApiTest, ASessionFromItsFlowToItsEnd) {
  store_flow(kTalkingFlow);
  const HttpAnswer made =
      ask("POST", "/api/v1/sessions", R"({"flow":"talking","topic":"Tea","seed":3})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.field("location"), "/api/v1/sessions/1");
  EXPECT_EQ(made.json().at("topic"), "Tea");
  const json::object ended = wait_for("1", {"finished"});
  EXPECT_EQ(ended.at("stop_reason"), "end_of_flow");
  EXPECT_EQ(ended.at("model_calls"), 12);
  expect_explained("1");
  // Its record, in parts.
  std::size_t messages = 0, rows = 0;
  for (std::string cursor = "&"; !cursor.empty();) {
    const json::object page = get("/api/v1/sessions/1/messages?limit=5" + cursor);
    for (const auto& message : page.at("items").as_array())
      EXPECT_EQ(message.as_object().at("position"), static_cast<std::int64_t>(++messages));
    const auto& next = page.at("next_cursor");
    cursor = next.is_null() ? "" : "&cursor=" + base::to_text(next);
  }
  EXPECT_EQ(messages, 12U);
  for (std::string cursor = "&"; !cursor.empty();) {
    const json::object page = get("/api/v1/sessions/1/log?limit=4" + cursor);
    for (const auto& row : page.at("items").as_array())
      EXPECT_EQ(row.as_object().at("execution_order"), static_cast<std::int64_t>(++rows));
    const auto& next = page.at("next_cursor");
    cursor = next.is_null() ? "" : "&cursor=" + base::to_text(next);
  }
  EXPECT_GE(rows, 13U);
  EXPECT_TRUE(get("/api/v1/sessions/1/log?snapshots=true&limit=1")
                  .at("items")
                  .as_array()
                  .at(0)
                  .as_object()
                  .contains("step_snapshot"));
  EXPECT_EQ(get("/api/v1/sessions/1/log/2").at("execution_order"), 2);
  EXPECT_EQ(ask("GET", "/api/v1/sessions/1/log/99").status, 404);
  EXPECT_EQ(get("/api/v1/sessions/1/documents").at("items").as_array().size(), 0U);
  EXPECT_EQ(ask("GET", "/api/v1/sessions/1/documents/none").status, 404);
  EXPECT_EQ(get("/api/v1/usage").at("total").as_object().at("calls"), 12);
  // Whatever case the letters have: rehearsal's "Rehearsal" begins many a message.
  std::size_t holding = 0;
  const json::object said = get("/api/v1/sessions/1/messages");
  for (const auto& message : said.at("items").as_array()) {
    const std::string text(message.at("text").as_string());
    holding += text.find("rehearsal") != text.npos || text.find("Rehearsal") != text.npos ? 1 : 0;
  }
  EXPECT_GT(holding, 0U);
  EXPECT_EQ(get("/api/v1/search?q=reHEARsal").at("items").as_array().size(), holding);
  EXPECT_EQ(get("/api/v1/search?q=no+such+words").at("items").as_array().size(), 0U);
  EXPECT_EQ(ask("GET", "/api/v1/search").status, 400);
  EXPECT_EQ(ask("DELETE", "/api/v1/sessions/1").status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/sessions/1").status, 404);
  EXPECT_EQ(ask("DELETE", "/api/v1/sessions/1").status, 404);
}

TEST_P(ServerApiTest, ListsHavePagesAndFilters) {
  store_flow(kTalkingFlow);
  store_flow(kAskingFlow);
  for (int i = 1; i <= 7; ++i)
    begin(R"({"flow":")" + std::string(i % 2 == 0 ? "asking" : "talking") + R"(","topic":"topic )" +
          std::to_string(i) + R"(","autostart":false})");
  EXPECT_THAT(ids("/api/v1/sessions"), ElementsAre(7, 6, 5, 4, 3, 2, 1));
  std::vector<std::int64_t> all;
  std::string cursor;
  do {
    const json::object page =
        get("/api/v1/sessions?limit=3" + (cursor.empty() ? "" : "&cursor=" + cursor));
    for (const auto& item : page.at("items").as_array())
      all.push_back(item.as_object().at("id").as_int64());
    cursor = page.at("next_cursor").is_null() ? "" : base::to_text(page.at("next_cursor"));
  } while (!cursor.empty());
  EXPECT_THAT(all, ElementsAre(7, 6, 5, 4, 3, 2, 1));
  EXPECT_THAT(ids("/api/v1/sessions?flow=asking"), ElementsAre(6, 4, 2));
  EXPECT_THAT(ids("/api/v1/sessions?topic=topic%203"), ElementsAre(3));
  EXPECT_THAT(ids("/api/v1/sessions?topic=topic+3"), ElementsAre(3));
  EXPECT_THAT(ids("/api/v1/sessions?status=finished"), ElementsAre());
  EXPECT_EQ(ids("/api/v1/sessions?status=finished,not_started,paused").size() +
                ids("/api/v1/sessions?created_before=2020-01-01T00:00:00Z").size(),
            7U);
  EXPECT_THAT(ids("/api/v1/sessions?created_from=2020-01-01T00:00:00Z&limit=1"), ElementsAre(7));
  for (const char* wrong :
       {"limit=0", "limit=1001", "limit=a", "cursor=a", "cursor=-1", "created_from=yesterday",
        "batch=x", "status=unknown", "older_than=soon"})
    EXPECT_THAT(ask("GET", std::string("/api/v1/sessions?") + wrong).status,
                testing::AnyOf(400, 422))
        << wrong;
}

TEST_P(ServerApiTest, ARequestWithAKeyIsDoneOnce) {
  store_flow(kTalkingFlow);
  const std::string body = R"({"flow":"talking","autostart":false})";
  const HttpFields key = {{"Idempotency-Key", "one"}};
  const HttpAnswer first = ask("POST", "/api/v1/sessions", body, key);
  const HttpAnswer again = ask("POST", "/api/v1/sessions", body, key);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.field("idempotency-replayed"), "true");
  EXPECT_EQ(first.field("location"), "/api/v1/sessions/1");
  EXPECT_EQ(again.field("location"), "/api/v1/sessions/1");
  EXPECT_EQ(first.count("idempotency-replayed"), 0U);
  EXPECT_EQ(ids("/api/v1/sessions").size(), 1U);
  const json::object other =
      post("/api/v1/sessions", R"({"flow":"talking","topic":"x"})", 422, key);
  EXPECT_EQ(other.at("code"), "idempotency_key_reused");
  EXPECT_EQ(post("/api/v1/sessions/1/start", body, 422, key).at("code"), "idempotency_key_reused");
  // A refusal is an answer too; the same key elsewhere is another request.
  const HttpFields wrong = {{"Idempotency-Key", "wrong"}};
  post("/api/v1/sessions", "{}", 422, wrong);
  EXPECT_EQ(ask("POST", "/api/v1/sessions", "{}", wrong).field("idempotency-replayed"), "true");
  post("/api/v1/sessions", body, 422, {{"Idempotency-Key", std::string(256, 'k')}});
  // One whose answer is not there yet, as if it were being made.
  sql("UPDATE idempotency_keys SET status = NULL, content_type = NULL, body = NULL");
  const HttpAnswer busy = ask("POST", "/api/v1/sessions", body, key);
  EXPECT_EQ(busy.status, 409);
  EXPECT_EQ(busy.json().at("code"), "in_progress");
  EXPECT_EQ(busy.field("retry-after"), "1");
  EXPECT_EQ(ids("/api/v1/sessions").size(), 1U);
  // After a restart as well.
  sql("DELETE FROM idempotency_keys");
  const HttpAnswer second = ask("POST", "/api/v1/sessions", body, key);
  serve();
  EXPECT_EQ(ask("POST", "/api/v1/sessions", body, key).body, second.body);
  EXPECT_EQ(ids("/api/v1/sessions").size(), 2U);
}

TEST_P(ServerApiTest, ManyWithOneKeyMakeOneSession) {
  store_flow(kTalkingFlow);
  std::vector<HttpClient> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(client());
  for (HttpClient& client : clients)
    client.send(client.request("POST", "/api/v1/sessions", R"({"flow":"talking"})",
                               {{"Idempotency-Key", "together"}}));
  int made = 0;
  for (HttpClient& client : clients) {
    const auto answer = client.read();
    ASSERT_TRUE(answer);
    EXPECT_THAT(answer->status, testing::AnyOf(201, 409));
    if (answer->status == 201 && answer->count("idempotency-replayed") == 0) ++made;
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(ids("/api/v1/sessions").size(), 1U);
}

TEST_P(ServerApiTest, WhatHasNotChangedIsNotSentAgainAndEditsMeetWhatTheyKnow) {
  post("/api/v1/roles", R"({"name":"a","prompt":"one"})", 201);
  const HttpAnswer first = ask("GET", "/api/v1/roles/a");
  const std::string tag = first.field("etag");
  ASSERT_FALSE(tag.empty());
  for (const std::string& list : {tag, "W/" + tag, "\"other\", " + tag, std::string("*")}) {
    const HttpAnswer same = client().ask("GET", "/api/v1/roles/a", {}, {{"If-None-Match", list}});
    EXPECT_EQ(same.status, 304) << list;
    EXPECT_EQ(same.body, "");
    EXPECT_EQ(same.field("etag"), tag);
  }
  EXPECT_EQ(ask("GET", "/api/v1/roles/a", {}, {{"If-None-Match", "\"other\""}}).status, 200);
  const std::string two = R"({"prompt":"two"})", three = R"({"prompt":"three"})";
  EXPECT_EQ(ask("PUT", "/api/v1/roles/a", two, {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(ask("PUT", "/api/v1/roles/a", two, {{"If-Match", tag}}).status, 200);
  const HttpAnswer late = ask("PUT", "/api/v1/roles/a", three, {{"If-Match", tag}});
  EXPECT_EQ(late.status, 412);
  EXPECT_EQ(late.json().at("code"), "changed");
  EXPECT_EQ(ask("DELETE", "/api/v1/roles/a", {}, {{"If-Match", tag}}).status, 412);
  EXPECT_EQ(get("/api/v1/roles/a").at("prompt"), "two");
  EXPECT_EQ(ask("PUT", "/api/v1/roles/b", two, {{"If-Match", "*"}}).status, 412);
  EXPECT_EQ(ask("PUT", "/api/v1/roles/b", two).status, 200);
  const std::string now = ask("GET", "/api/v1/roles/a").field("etag");
  EXPECT_EQ(ask("DELETE", "/api/v1/roles/a", {}, {{"If-Match", now}}).status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/roles/a").status, 404);
}

TEST_P(ServerApiTest, LargeAnswersArePackedForWhoUnderstands) {
  const HttpAnswer plain = ask("GET", "/api/v1/openapi.json");
  EXPECT_EQ(plain.count("content-encoding"), 0U);
  for (const char* accepts : {"gzip", "br, gzip;q=0.5", "*"}) {
    const HttpAnswer packed =
        ask("GET", "/api/v1/openapi.json", {}, {{"Accept-Encoding", accepts}});
    EXPECT_EQ(packed.field("content-encoding"), "gzip") << accepts;
    EXPECT_EQ(packed.field("vary"), "Accept-Encoding");
    EXPECT_LT(packed.body.size(), plain.body.size() / 2);
    EXPECT_EQ(unpacked(packed.body), plain.body);
  }
  for (const char* accepts : {"gzip;q=0", "identity", "br", "xgzip"})
    EXPECT_EQ(ask("GET", "/api/v1/openapi.json", {}, {{"Accept-Encoding", accepts}})
                  .count("content-encoding"),
              0U)
        << accepts;
  EXPECT_EQ(ask("GET", "/healthz", {}, {{"Accept-Encoding", "gzip"}}).count("content-encoding"),
            0U);
}

TEST_P(ServerApiTest, WrongBodiesAreToldWhereTheyAreWrong) {
  store_flow(kTalkingFlow);
  const char* sessions = "/api/v1/sessions";
  EXPECT_THAT(pointers(sessions, "{", 400), ElementsAre(""));
  EXPECT_THAT(pointers(sessions, "[]", 400), ElementsAre(""));
  EXPECT_THAT(pointers(sessions, "{}", 422), ElementsAre("/flow"));
  EXPECT_THAT(
      pointers(sessions, R"({"flow":1,"topic":[],"limits":{"steps":"a","x":1},"y~/":2})", 422),
      testing::IsSupersetOf({"/flow", "/topic", "/limits/steps", "/limits/x", "/y~0~1"}));
  EXPECT_THAT(pointers(sessions, R"({"flow":"none"})", 422), ElementsAre("/flow"));
  EXPECT_THAT(pointers(sessions, R"({"flow":"talking","model":"none"})", 422),
              ElementsAre("/model"));
  EXPECT_THAT(pointers("/api/v1/roles", R"({"name":""})", 422),
              testing::UnorderedElementsAre("/name", "/prompt"));
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "[";
  EXPECT_THAT(pointers(sessions, R"({"flow":)" + deep, 400), ElementsAre(""));
  EXPECT_THAT(pointers(sessions, "{\"flow\":\"\xff\"}", 400), ElementsAre(""));
  EXPECT_THAT(pointers("/api/v1/sessions/import", "{}", 422).size(), 1U);
  EXPECT_THAT(pointers("/api/v1/sessions/prune", "{}", 422).size(), 1U);
}

TEST_P(ServerApiTest, RolesAndFlowsGoRound) {
  post("/api/v1/roles",
       R"({"name":"评论人","prompt":"You criticise.","settings":{"temperature":0.5}})", 201);
  post("/api/v1/roles", R"({"name":"评论人","prompt":"again"})", 409);
  const json::object role = get("/api/v1/roles/%E8%AF%84%E8%AE%BA%E4%BA%BA");
  EXPECT_EQ(role.at("prompt"), "You criticise.");
  EXPECT_EQ(get("/api/v1/roles").at("items").as_array().size(), 1U);
  store_flow(kTalkingFlow);
  EXPECT_EQ(get("/api/v1/flows/talking").at("version"), 1);
  const HttpAnswer yaml = ask("GET", "/api/v1/flows/talking", {}, {{"Accept", "application/yaml"}});
  EXPECT_EQ(yaml.field("content-type"), "application/yaml");
  EXPECT_EQ(yaml.body, kTalkingFlow);
  // The same text is the same version; another one is the next.
  const HttpFields as_yaml = {{"Content-Type", "application/yaml"}};
  EXPECT_EQ(post("/api/v1/flows", kTalkingFlow, 200, as_yaml).at("version"), 1);
  std::string changed = kTalkingFlow;
  changed.replace(changed.find("Bread"), 5, "Cakes");
  EXPECT_EQ(ask("PUT", "/api/v1/flows/talking", changed, as_yaml).json().at("version"), 2);
  EXPECT_EQ(ask("PUT", "/api/v1/flows/other", changed, as_yaml).status, 422);
  EXPECT_EQ(get("/api/v1/flows/talking/versions").at("items").as_array().size(), 2U);
  EXPECT_THAT(base::to_text(json::value(get("/api/v1/flows/talking?version=1"))),
              HasSubstr("Bread"));
  EXPECT_EQ(ask("GET", "/api/v1/flows/talking?version=3").status, 404);
  const json::object checked =
      post("/api/v1/flows/check", "tertulia: 1\nname: x\nsteps: [ {} ]\n", 200, as_yaml);
  EXPECT_EQ(checked.at("ok"), false);
  EXPECT_FALSE(checked.at("problems").as_array().empty());
  post("/api/v1/flows", "tertulia: 1\nname: x\nsteps: [ {} ]\n", 422, as_yaml);
  EXPECT_THAT(
      base::to_text(json::value(post("/api/v1/flows/talking/preview", R"({"step":"a"})", 200))),
      HasSubstr("You are Ann."));
  const json::object rehearsal =
      post("/api/v1/flows/talking/rehearse", R"({"topic":"Tea","cover":true})", 200);
  EXPECT_EQ(rehearsal.at("said").as_array().size(), 12U);
  EXPECT_EQ(get("/api/v1/sessions").at("items").as_array().size(), 0U);
  EXPECT_EQ(ask("DELETE", "/api/v1/flows/talking").status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/flows/talking").status, 404);
  EXPECT_EQ(get("/api/v1/flows/debate").at("shipped"), true);
}

TEST_P(ServerApiTest, SessionsAreSteered) {
  store_flow(kTalkingFlow);
  store_flow(kAskingFlow);
  // By single steps, with a pause after each; on under a limit, and to the end.
  const std::string stepped = begin(R"({"flow":"talking","autostart":false})");
  post(path(stepped, "/step"), "", 202);
  EXPECT_EQ(wait_for(stepped, {"paused"}).at("stop_reason"), "single_step");
  post(path(stepped, "/resume"), R"({"limits":{"steps":3}})", 202);
  // It stands as it stood until its first commit.
  json::object limited = wait_for(stepped, {"paused"});
  while (limited.at("stop_reason") == "single_step") limited = wait_for(stepped, {"paused"});
  EXPECT_EQ(limited.at("stop_reason"), "limit_steps");
  post(path(stepped, "/skip"), "", 202);
  wait_for(stepped, {"paused"});
  post(path(stepped, "/resume"), R"({"limits":{"steps":100}})", 202);
  wait_for(stepped, {"finished"});
  post(path(stepped, "/resume"), "", 200);  // what is over stays so
  post(path(stepped, "/step"), "", 409);
  post(path(stepped, "/pause"), "", 409);
  expect_explained(stepped);
  // A person is asked.
  const std::string asked = begin(R"({"flow":"asking"})");
  EXPECT_EQ(wait_for(asked, {"waiting"}).at("question"), "Which bread?");
  post(path(asked, "/answer"), "{}", 422);
  post(path(asked, "/answer"), R"({"text":"Rye","choice":"Rye"})", 422);
  post(path(asked, "/answer"), R"({"text":"Rye"})", 202);
  wait_for(asked, {"finished"});
  EXPECT_THAT(ask("GET", path(asked, "/messages")).body, HasSubstr("Rye"));
  expect_explained(asked);
  // One that waits is ended for good.
  const std::string ended = begin(R"({"flow":"asking"})");
  wait_for(ended, {"waiting"});
  post(path(ended, "/cancel"), "", 202);
  EXPECT_EQ(wait_for(ended, {"terminated"}).at("stop_reason"), "cancelled");
  post(path(ended, "/answer"), R"({"text":"Rye"})", 409);
  for (const char* what : {"/start", "/pause", "/cancel", "/step", "/skip", "/retry", "/resume"})
    EXPECT_EQ(ask("POST", path("99", what)).status, 404) << what;
}

TEST_P(ServerApiTest, WhatRunsIsPausedAndWhatFailedIsTriedAgain) {
  serve({"--model", "rehearsal?latency=10s"});
  store_flow(kTalkingFlow);
  const std::string running = begin(R"({"flow":"talking"})");
  post(path(running, "/pause"), R"({"now":true})", 202);
  EXPECT_EQ(wait_for(running, {"paused"}).at("stop_reason"), "asked");
  post(path(running, "/resume"), "", 202);
  EXPECT_EQ(ask("DELETE", path(running)).status, 409);
  post(path(running, "/cancel"), "", 202);
  wait_for(running, {"terminated"});
  expect_explained(running);
  const std::string failing = begin(R"({"flow":"talking","model":"rehearsal?fail=1&kind=auth"})");
  wait_for(failing, {"failed", "paused"});
  const auto events = get(path(failing)).at("last_event").as_int64();
  post(path(failing, "/retry"), "", 202);
  expect_explained(failing);  // whether it is tried again by now or not
  {
    EventStream again(served_->url(), path(failing, "/events"), std::to_string(events));
    while (const auto event = again.next())
      if (event->type == "session.paused") break;
  }
  EXPECT_EQ(get(path(failing)).at("model_calls"), 2);
  expect_explained(failing);
}

TEST_P(ServerApiTest, BranchesRerunsExportsAndImports) {
  store_flow(kTalkingFlow);
  const std::string parent = begin(R"({"flow":"talking","seed":3})");
  wait_for(parent, {"finished"});
  const HttpAnswer branch = ask("POST", path(parent, "/branch"), R"({"at":4,"autostart":true})");
  ASSERT_EQ(branch.status, 201) << branch.body;
  EXPECT_EQ(branch.field("location"), "/api/v1/sessions/2");
  wait_for("2", {"finished"});
  post(path(parent, "/rerun"), R"({"from":3})", 201);
  wait_for("3", {"finished"});
  post(path(parent, "/branch"), R"({"at":99})", 422);
  post(path(parent, "/branch"), "{}", 422);
  post(path(parent, "/rerun"), R"({"from":0})", 422);
  const json::object same = get("/api/v1/sessions/compare?first=1&second=2");
  EXPECT_TRUE(same.at("part_at").is_null()) << base::to_text(json::value(same));
  EXPECT_EQ(ask("GET", "/api/v1/sessions/compare?first=1").status, 400);
  EXPECT_EQ(ask("GET", "/api/v1/sessions/compare?first=1&second=99").status, 404);
  for (const char* format : {"md", "html", "jsonl"})
    EXPECT_EQ(client().ask("GET", path(parent, std::string("/export?format=") + format)).status,
              200);
  EXPECT_EQ(ask("GET", path(parent, "/export?format=exe")).status, 400);
  const HttpAnswer archive = ask("GET", path(parent, "/export"));
  EXPECT_EQ(archive.field("content-disposition"), "attachment; filename=\"session-1.json\"");
  const json::object imported = post("/api/v1/sessions/import", archive.body, 201);
  EXPECT_EQ(imported.at("session_id"), 4);
  for (const char* id : {"1", "2", "3", "4"}) expect_explained(id);
  EXPECT_TRUE(get("/api/v1/sessions/compare?first=1&second=4").at("part_at").is_null());
  EXPECT_EQ(get("/api/v1/sessions/stats").at("total").as_object().at("sessions"), 4);
  EXPECT_EQ(post("/api/v1/sessions/prune", R"({"ids":[2,3]})", 200).at("deleted"), 2);
  EXPECT_THAT(ids("/api/v1/sessions"), ElementsAre(4, 1));
  EXPECT_EQ(post("/api/v1/sessions/prune", R"({"status":["finished"]})", 200).at("deleted"), 2);
}

TEST_P(ServerApiTest, WhatRunsGoesOnAfterAnOrderlyStopAndAfterADeath) {
  const std::vector<std::string> slow = {"--model", "rehearsal?latency=200ms"};
  serve(slow);
  store_flow(kTalkingFlow);
  std::vector<std::string> sessions;
  for (int i = 0; i < 20; ++i) sessions.push_back(begin(R"({"flow":"talking"})"));
  {
    EventStream stream(served_->url(), path(sessions.back(), "/events"));
    while (const auto event = stream.next())
      if (event->type == "message") break;
  }
  const Finished stopped = stop();
  EXPECT_THAT(stopped.err, HasSubstr("stopped"));
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
  serve(slow);
  {
    EventStream stream(served_->url(), path(sessions.back(), "/events"), "12");
    while (const auto event = stream.next())
      if (event->type == "message") break;
  }
  kill();
  serve({"--model", "rehearsal"});
  for (const std::string& session : sessions) {
    EXPECT_EQ(wait_for(session, {"finished", "failed"}).at("status"), "finished");
    expect_explained(session);
  }
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

TEST_P(ServerApiTest, WhatWasBegunIsPerformedAfterADeathAtAnyCommit) {
  store_flow(kTalkingFlow);
  static_cast<void>(stop());
  int accepted = 0;
  for (int commit = 1; commit <= 8; ++commit) {
    world_.environment["TERTULIA_FAILPOINTS"] = "db.commit.before=kill@" + std::to_string(commit);
    HttpAnswer answer;
    try {
      served_.emplace(world_, std::vector<std::string>{"--model", "rehearsal?latency=20ms"});
      answer = client().ask("POST", "/api/v1/sessions", R"({"flow":"talking"})");
      kill();
    } catch (const std::runtime_error&) {
      served_.reset();  // it died before it served
    }
    world_.environment.erase("TERTULIA_FAILPOINTS");
    serve();
    if (answer.status == 201) {
      const std::string session = std::to_string(answer.json().at("id").as_int64());
      wait_for(session, {"finished"});
      expect_explained(session);
      ++accepted;
    }
    static_cast<void>(stop());
  }
  EXPECT_GT(accepted, 2);
}

// More than are taken up at a time.
TEST_P(ServerApiTest, ManyThatWereAcceptedAreAllBegunByTheNextServer) {
  constexpr int kMany = 1001;
  store_flow(
      "tertulia: 1\nname: brief\ntopic: Tea\nroles: { a: { name: Ann, prompt: p } }\n"
      "steps: [ { speak: a } ]\n");
  HttpClient connection = client();
  for (int i = 0; i < kMany; ++i)
    ASSERT_EQ(
        connection.ask("POST", "/api/v1/sessions", R"({"flow":"brief","autostart":false})").status,
        201);
  static_cast<void>(stop());
  // As a process leaves them that died between its claims and their first commits.
  sql("INSERT INTO leases (session_id, token, node) SELECT id, 1, 'gone' FROM sessions");
  serve();
  wait_for(std::to_string(kMany), {"finished"});
  EXPECT_EQ(get("/api/v1/sessions?status=not_started").at("items").as_array().size(), 0U);
}

TEST_P(ServerApiTest, WhatACommandPerformsIsWatchedAndTakenOver) {
  store_flow(kTalkingFlow);
  std::optional<Running> command(
      world_.start({"--json", "run", "talking", "--model", "rehearsal?latency=100ms"}));
  ASSERT_TRUE(command->wait_for("session.started"));
  EventStream watched(served_->url(), "/api/v1/sessions/1/events");
  std::vector<std::string> ids;
  std::size_t messages = 0;
  const auto take = [&](const SseEvent& event) {
    if (event.id.empty()) return;
    ids.push_back(event.id);
    if (event.type == "message") ++messages;
  };
  while (messages < 2) {
    const auto event = watched.next();
    ASSERT_TRUE(event);
    take(*event);
  }
  // The server does not perform it as well.
  EXPECT_EQ(ask("POST", "/api/v1/sessions/1/step").status, 409);
  command->signal(SIGKILL);
  command.reset();
  while (const auto event = watched.next()) take(*event);
  wait_for("1", {"finished"});
  EXPECT_EQ(messages, 12U);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], std::to_string(i + 1));
  expect_explained("1");
}

}  // namespace
}  // namespace tertulia::test
