// Batches over the HTTP API, on both engines: whatever is sent twice is done once, and what does
// not fit changes nothing. What the command line makes of it: batch_test.cc.
#include "support/server_fixture.h"

namespace tertulia::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kNew =
    R"({"flow":"debate","source":"here","name":"first","model":"rehearsal"})";
constexpr std::string_view kInputs =
    R"({"inputs":[{"id":"a","topic":"Tea"},{"id":"b","topic":"Coffee","seed":7}]})";

class ServerBatchesTest : public ServerFixture {
 protected:
  void SetUp() override {
    ServerFixture::SetUp();
    serve();
  }
  json::array items(std::string_view target) { return get(target).at("items").as_array(); }
  json::array posted(std::string_view target, std::string_view body) {
    return post(target, body, 200).at("items").as_array();
  }
  // Performs sessions 1 and 2, of batch 1.
  void perform() {
    const json::object begun = post("/api/v1/batches/1/begin", R"({"sessions":[1,2]})", 202);
    EXPECT_TRUE(begun.at("refused").as_array().empty()) << base::to_text(begun);
    for (const char* session : {"1", "2"}) wait_for(session, {"finished"});
  }
};
INSTANTIATE_TEST_SUITE_P(, ServerBatchesTest, testing::Bool(), engine_name);

TEST_P(ServerBatchesTest, FromItsInputsToItsResults) {
  const json::object made = post("/api/v1/batches", kNew, 201);
  EXPECT_EQ(made.at("flow"), "debate");
  EXPECT_EQ(made.at("results"), 0);
  EXPECT_EQ(post("/api/v1/batches", kNew, 200), made) << "found again";
  for (int times = 0; times < 2; ++times) {
    const json::array placed = posted("/api/v1/batches/1/inputs", kInputs);
    ASSERT_EQ(placed.size(), 2u);
    EXPECT_EQ(placed[1].at("id"), "b");
    EXPECT_EQ(placed[1].at("session"), 2);
    EXPECT_EQ(placed[1].at("status"), "not_started");
    EXPECT_EQ(placed[1].at("has_result"), false);
  }
  EXPECT_EQ(items("/api/v1/sessions").size(), 2u) << "sent twice, made once";

  // Nobody performs them yet; nothing that is not finished gets a line.
  EXPECT_EQ(posted("/api/v1/batches/1/stopped", R"({"sessions":[1,2]})").size(), 2u);
  EXPECT_EQ(post("/api/v1/batches/1/results", R"({"sessions":[1,2]})", 200).at("results"), 0);
  perform();
  for (int times = 0; times < 2; ++times)
    EXPECT_EQ(post("/api/v1/batches/1/results", R"({"sessions":[2]})", 200).at("results"), 1);
  const json::array open = items("/api/v1/batches/1/open");
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].at("id"), "a");
  EXPECT_EQ(open[0].at("status"), "finished");
  EXPECT_EQ(post("/api/v1/batches/1/results", R"({"sessions":[2,1]})", 200).at("results"), 2);
  const json::array results = items("/api/v1/batches/1/results");
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].at("input"), "b");
  EXPECT_EQ(results[1].at("line"), 2);
  EXPECT_THAT(std::string(results[0].at("text").as_string()), HasSubstr(R"("topic":"Coffee")"));
  const json::object page =
      get("/api/v1/batches/1/results?limit=1&cursor=1&format=openai&as=proposer");
  EXPECT_THAT(std::string(page.at("items").as_array().at(0).at("text").as_string()),
              HasSubstr(R"({"messages":[{"role":"system")"));
  EXPECT_EQ(posted("/api/v1/batches/1/inputs", kInputs)[0].at("has_result"), true);
  const json::object whole = get("/api/v1/batches/1");
  EXPECT_EQ(whole.at("results"), 2);
  EXPECT_GT(whole.at("model_calls").as_int64(), 0);

  // A result whose session is gone keeps its line.
  EXPECT_EQ(ask("DELETE", "/api/v1/sessions/2").status, 204);
  EXPECT_TRUE(items("/api/v1/batches/1/results")[0].at("text").is_null());
  EXPECT_EQ(posted("/api/v1/batches/1/inputs", kInputs)[1].at("has_result"), true);
}

TEST_P(ServerBatchesTest, WhatDoesNotFitChangesNothing) {
  struct Wrong {
    const char *target, *body;
    int status;
    const char* words;
  };
  post("/api/v1/batches", kNew, 201);
  posted("/api/v1/batches/1/inputs", R"({"inputs":[{"id":"a","topic":"Tea"}]})");
  for (const Wrong& wrong : {
           Wrong{"", R"({"source":"x"})", 422, R"("pointer":"/flow")"},
           {"", R"({"flow":"debate"})", 422, R"("pointer":"/source")"},
           {"", R"({"flow":"debte","source":"x"})", 422, "debate"},
           {"", R"({"flow":"debate","flow_version":9,"source":"x"})", 422, "/flow_version"},
           {"", R"({"flow":"debate","source":"x","model":"nobody"})", 422, "/model"},
           {"/check", R"({"flow":"debate","inputs":[]})", 422, R"("pointer":"/inputs")"},
           {"/check", R"({"flow":"debate","inputs":[{"id":"a"},{"id":"b","vars":{"x":1}}]})", 422,
            R"("pointer":"/inputs/1")"},
           {"/check", R"({"flow":"debate","inputs":[{"id":"a"}],"needs_price":true})", 422,
            "has none"},
           {"/1/inputs", R"({"inputs":[{"id":"b"},{"topic":"Tea"}]})", 422,
            R"("pointer":"/inputs/1","detail":"it has no id")"},
           {"/1/inputs", R"({"inputs":[{"id":"b"},7]})", 422, R"("pointer":"/inputs/1")"},
           {"/1/inputs", R"({"inputs":[{"id":"b"},{"id":"c","tpic":"x"}]})", 422, "topic"},
           {"/1/inputs", R"({"inputs":[{"id":"b"},{"id":"c","cast":{"opponent":"Nobody"}}]})", 422,
            "input 'c'"},
           {"/1/inputs", R"({"inputs":[{"id":"b"},{"id":"a","topic":"Rum"}]})", 409,
            "another input under the id 'a'"},
           {"/1/begin", R"({"sessions":["1"]})", 422, R"("pointer":"/sessions")"},
           {"/7/begin", R"({"sessions":[1]})", 404, "no batch 7"},
           {"/7/inputs", R"({"inputs":[{"id":"b"}]})", 404, "no batch 7"},
       }) {
    const HttpAnswer answer =
        ask("POST", std::string("/api/v1/batches") + wrong.target, wrong.body);
    EXPECT_EQ(answer.status, wrong.status) << wrong.target << wrong.body << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(wrong.words)) << wrong.target << wrong.body;
  }
  for (const auto& [target, status] : {std::pair{"/7", 404},
                                       {"/7/results", 404},
                                       {"/x/open", 404},
                                       {"/1/results?format=csv", 400},
                                       {"/1/results?format=openai", 422},
                                       {"/1/results?roles=nobody", 422}})
    EXPECT_EQ(ask("GET", std::string("/api/v1/batches") + target).status, status) << target;
  EXPECT_EQ(items("/api/v1/sessions").size(), 1u);
  EXPECT_EQ(items("/api/v1/batches/1/open").size(), 1u);
}

TEST_P(ServerBatchesTest, SessionsThatCannotBeginAreNamedAndTheOthersBegin) {
  post("/api/v1/batches", kNew, 201);
  posted("/api/v1/batches/1/inputs", kInputs);
  post("/api/v1/sessions/2/cancel", "", 202);
  wait_for("2", {"terminated"});
  const json::object begun = post("/api/v1/batches/1/begin", R"({"sessions":[2,1,99]})", 202);
  std::vector<std::int64_t> refused;
  for (const auto& each : begun.at("refused").as_array())
    refused.push_back(each.at("session").as_int64());
  EXPECT_THAT(refused, ElementsAre(2, 99)) << base::to_text(begun);
  wait_for("1", {"finished"});
}

TEST_P(ServerBatchesTest, ABatchReachesItsOwnSessionsAlone) {
  post("/api/v1/batches", kNew, 201);
  posted("/api/v1/batches/1/inputs", kInputs);
  const std::string other = std::to_string(
      post("/api/v1/sessions", R"({"flow":"debate","model":"rehearsal","autostart":false})", 201)
          .at("id")
          .as_int64());
  const std::string wish = R"({"sessions":[)" + other + "]}";
  const json::object begun = post("/api/v1/batches/1/begin", wish, 202);
  EXPECT_THAT(base::to_text(begun), HasSubstr("batch 1 has no input whose session is " + other));
  for (const char* path : {"/stopped", "/pause"})
    EXPECT_EQ(ask("POST", std::string("/api/v1/batches/1") + path, wish).status, 404) << path;
  EXPECT_EQ(get("/api/v1/sessions/" + other).at("status"), "not_started");
}

TEST_P(ServerBatchesTest, PausedSessionsGoOn) {
  serve({"--model", "rehearsal?latency=50ms"});
  post("/api/v1/batches", R"({"flow":"debate","source":"slow"})", 201);
  posted("/api/v1/batches/1/inputs", R"({"inputs":[{"id":"a"}]})");
  post("/api/v1/batches/1/begin", R"({"sessions":[1]})", 202);
  EXPECT_EQ(ask("POST", "/api/v1/batches/1/pause", R"({"sessions":[1],"now":true})").status, 204);
  EXPECT_EQ(wait_for("1", {"paused"}).at("stop_reason"), "asked");
  json::array stopped;
  while (stopped.empty()) stopped = posted("/api/v1/batches/1/stopped", R"({"sessions":[1]})");
  EXPECT_EQ(stopped[0].at("stop_reason"), "asked");
  post("/api/v1/batches/1/begin", R"({"sessions":[1]})", 202);
  wait_for("1", {"finished"});
}

TEST_P(ServerBatchesTest, AnEstimateMakesNothing) {
  const json::object checked = post(
      "/api/v1/batches/check", R"({"flow":"debate","estimate":true,"inputs":[{"id":"a"}]})", 200);
  EXPECT_GT(checked.at("estimate").at("calls").to_number<double>(), 0);
  EXPECT_TRUE(items("/api/v1/sessions").empty());
}

}  // namespace
}  // namespace tertulia::test
