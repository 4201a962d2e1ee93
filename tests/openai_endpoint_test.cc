// The OpenAI-compatible endpoint over the wire: flows as models, whole and streamed, sessions gone
// on with, and errors in OpenAI's form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

namespace json = base::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kAsking = R"({"tertulia": 1, "name": "quick", "topic": "x",
  "roles": {"a": {"name": "Ann", "prompt": "You are Ann."}, "me": {"prompt": "You decide."}},
  "steps": [{"speak": "a", "task": "Say it."},
            {"ask": "me", "prompt": "Good?", "choices": ["yes", "no"]},
            {"speak": "a", "task": "Thank."}]})";

json::value parsed(const Answer& answer) {
  auto value = base::parse_json(answer.body);
  EXPECT_TRUE(value) << answer.body;
  return value ? *value : json::value(nullptr);
}

std::string text_at(const json::value& value, std::string_view pointer) {
  const json::value* found = base::at_pointer(value, pointer);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::int64_t number_at(const json::value& value, std::string_view pointer) {
  const json::value* found = base::at_pointer(value, pointer);
  return found != nullptr && found->is_int64() ? found->get_int64() : -1;
}

std::string request(const std::string& model, const std::string& words,
                    const std::string& more = "") {
  return R"({"model":")" + model + R"(","messages":[{"role":"system","content":"Be brief."},)" +
         R"({"role":"user","content":")" + words + "\"}]" + more + "}";
}

// The chunks of a stream, whose last line must be [DONE].
std::vector<json::value> chunks_of(const std::string& stream) {
  std::vector<json::value> chunks;
  bool is_done = false;
  for (std::size_t at = 0; (at = stream.find("data: ", at)) != std::string::npos;) {
    at += 6;
    const std::string line = stream.substr(at, stream.find('\n', at) - at);
    EXPECT_FALSE(is_done) << "after [DONE]: " << line;
    if (line == "[DONE]") {
      is_done = true;
      continue;
    }
    auto value = base::parse_json(line);
    EXPECT_TRUE(value) << line;
    if (value) chunks.push_back(*std::move(value));
  }
  EXPECT_TRUE(is_done);
  return chunks;
}

TEST(OpenAiEndpoint, EveryFlowIsAModel) {
  World world;
  Serving server(world);
  EXPECT_THAT(server.get("/v1/models").body, HasSubstr(R"("id":"flow:debate")"));
  EXPECT_EQ(text_at(parsed(server.get("/v1/models/flow:debate")), "/id"), "flow:debate");
  const Answer none = server.get("/v1/models/gpt-9");
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(text_at(parsed(none), "/error/code"), "model_not_found");
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, ACompletionIsASession) {
  World world;
  Serving server(world);
  const Answer answer = server.post("/v1/chat/completions", request("flow:debate", "Tea?"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value completion = parsed(answer);
  const std::string content = text_at(completion, "/choices/0/message/content");
  EXPECT_EQ(content.rfind("**Proposer:** ", 0), 0U) << content;
  EXPECT_THAT(content, HasSubstr("\n\n**Opponent:** "));
  EXPECT_EQ(text_at(completion, "/choices/0/finish_reason"), "stop");
  ASSERT_EQ(answer.fields.at("x-tertulia-session"), "1");
  const json::value session = parsed(server.get("/api/v1/sessions/1"));
  EXPECT_EQ(text_at(session, "/topic"), "Tea?");
  EXPECT_EQ(text_at(session, "/status"), "finished");
  EXPECT_GT(number_at(completion, "/usage/prompt_tokens"), 0);
  EXPECT_EQ(number_at(completion, "/usage/prompt_tokens"), number_at(session, "/prompt_tokens"));
  EXPECT_EQ(number_at(completion, "/usage/completion_tokens"),
            number_at(session, "/completion_tokens"));
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, AStreamSaysTheSameWords) {
  World world;
  Serving server(world, {"--model", "rehearsal?latency=30ms"});
  const Answer answer = server.post(
      "/v1/chat/completions",
      request("flow:debate", "Tea?", R"(,"stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.fields.at("content-type"), "text/event-stream");
  const auto chunks = chunks_of(answer.body);
  ASSERT_GT(chunks.size(), 10U);
  EXPECT_EQ(text_at(chunks.front(), "/choices/0/delta/role"), "assistant");
  std::string content;
  for (const auto& chunk : chunks) content += text_at(chunk, "/choices/0/delta/content");
  EXPECT_EQ(text_at(chunks[chunks.size() - 2], "/choices/0/finish_reason"), "stop");
  EXPECT_GT(number_at(chunks.back(), "/usage/total_tokens"), 0);
  // Each message is in it whole, and once, after its speaker's name.
  std::string whole;
  const json::value messages = parsed(server.get("/api/v1/sessions/1/messages"));
  for (const auto& message : messages.at("items").as_array())
    whole += (whole.empty() ? "**" : "\n\n**") + text_at(message, "/speaker") + ":** " +
             text_at(message, "/text");
  EXPECT_EQ(content, whole);
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, ASessionThatWaitsIsAnsweredByTheNextMessage) {
  World world;
  Serving server(world);
  ASSERT_EQ(server.post("/api/v1/flows", kAsking).status, 201);
  const Answer asked = server.post("/v1/chat/completions", request("flow:quick", "Tea?"));
  ASSERT_EQ(asked.status, 200) << asked.body;
  const std::string question = text_at(parsed(asked), "/choices/0/message/content");
  EXPECT_THAT(question, HasSubstr("is asked: Good?\n- yes\n- no"));
  const std::string session = "X-Tertulia-Session: " + asked.fields.at("x-tertulia-session");

  const Answer wrong =
      server.post("/v1/chat/completions", request("flow:quick", "perhaps"), {session});
  EXPECT_EQ(wrong.status, 422);
  EXPECT_THAT(text_at(parsed(wrong), "/error/message"), HasSubstr("none of the choices"));

  const Answer thanked =
      server.post("/v1/chat/completions", request("flow:quick", "yes"), {session});
  ASSERT_EQ(thanked.status, 200) << thanked.body;
  const std::string rest = text_at(parsed(thanked), "/choices/0/message/content");
  EXPECT_EQ(rest.rfind("**me:** yes", 0), 0U) << rest;
  EXPECT_THAT(rest, Not(HasSubstr("is asked")));
  const Answer over = server.post("/v1/chat/completions", request("flow:quick", "yes"), {session});
  EXPECT_EQ(over.status, 409);
  EXPECT_EQ(server.stop().status, 0);
}

// Two persons and a role, at the same time.
constexpr const char* kSurvey = R"({"tertulia": 1, "name": "survey", "topic": "x",
  "roles": {"a": {"name": "Ann", "prompt": "You are Ann."}, "p": {"name": "Pat", "prompt": "."},
            "q": {"name": "Quin", "prompt": "."}},
  "steps": [{"parallel": [[{"ask": "p", "prompt": "Pat?"}], [{"ask": "q", "prompt": "Quin?"}],
                          [{"speak": "a", "task": "One."}, {"speak": "a", "task": "Two."}]]},
            {"speak": "a", "task": "Thank."}]})";

TEST(OpenAiEndpoint, SeveralPersonsAreAskedOneAfterTheOther) {
  World world;
  Serving server(world, {"--model", "rehearsal?latency=30ms"});
  const Answer stored = server.post("/api/v1/flows", kSurvey);
  ASSERT_EQ(stored.status, 201) << stored.body;
  const auto content = [&](const Answer& answer) {
    EXPECT_EQ(answer.status, 200) << answer.body;
    return text_at(parsed(answer), "/choices/0/message/content");
  };
  const Answer first = server.post("/v1/chat/completions", request("flow:survey", "Tea?"));
  const std::string asked = content(first);
  // It does not end while Ann speaks.
  const auto ann = asked.find("**Ann:** ");
  ASSERT_NE(ann, std::string::npos) << asked;
  EXPECT_NE(asked.find("**Ann:** ", ann + 1), std::string::npos) << asked;
  EXPECT_THAT(asked, testing::EndsWith("**Pat** is asked: Pat?"));
  EXPECT_EQ(text_at(parsed(first), "/tertulia/status"), "waiting");
  const std::string session = "X-Tertulia-Session: " + first.fields.at("x-tertulia-session");
  const auto answer = [&](const char* words) {
    return content(server.post("/v1/chat/completions", request("flow:survey", words), {session}));
  };
  EXPECT_EQ(answer("Mine"), "**Pat:** Mine\n\n**Quin** is asked: Quin?");
  const std::string rest = answer("And mine");
  EXPECT_EQ(rest.rfind("**Quin:** And mine\n\n**Ann:** ", 0), 0U) << rest;
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, FailedAttemptsAreMarkedAndEveryTurnIsWholeAtItsEnd) {
  World world;
  Serving server(world, {"--model", "rehearsal?latency=20ms&fail=0.3&kind=incomplete"});
  const Answer answer = server.post(
      "/v1/chat/completions", request("flow:llm-council", "Tea?", R"(,"stream":true,"seed":3)"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  std::string content;
  for (const auto& chunk : chunks_of(answer.body))
    content += text_at(chunk, "/choices/0/delta/content");
  const json::value messages = parsed(server.get("/api/v1/sessions/1/messages"));
  for (const auto& message : messages.at("items").as_array()) {
    const std::string turn =
        "**" + text_at(message, "/speaker") + ":** " + text_at(message, "/text");
    const auto at = content.find(turn);
    EXPECT_NE(at, std::string::npos) << turn << "\nis not in\n" << content;
    EXPECT_EQ(content.find(turn, at + 1), std::string::npos) << turn << "\nis twice in\n"
                                                             << content;
  }
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, ALimitEndsItAsLength) {
  World world;
  Serving server(world);
  ASSERT_EQ(server
                .post("/api/v1/flows", R"({"tertulia": 1, "name": "short", "topic": "x",
      "limits": {"steps": 1}, "roles": {"a": {"name": "Ann", "prompt": "."}},
      "steps": [{"speak": "a", "task": "One."}, {"speak": "a", "task": "Two."}]})")
                .status,
            201);
  const json::value completion =
      parsed(server.post("/v1/chat/completions", request("flow:short", "Tea?")));
  EXPECT_EQ(text_at(completion, "/choices/0/finish_reason"), "length");
  EXPECT_EQ(text_at(completion, "/tertulia/stop_reason"), "limit_steps");
  EXPECT_THAT(text_at(completion, "/choices/0/message/content"), HasSubstr("[The session is "));
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, AnyKeyWillDoWhereNoneIsNeededButNoTokenThatIsNone) {
  World world;
  Serving server(world);
  EXPECT_EQ(server.get("/v1/models", {"Authorization: Bearer sk-unused"}).status, 200);
  EXPECT_EQ(server.get("/v1/models", {"Authorization: Bearer tt_unknown"}).status, 401);
  EXPECT_EQ(server.get("/v1/models", {"Authorization: Basic c2s6"}).status, 401);
  EXPECT_EQ(server.get("/api/v1/sessions", {"Authorization: Bearer sk-unused"}).status, 401);
  EXPECT_EQ(server.stop().status, 0);
}

TEST(OpenAiEndpoint, ErrorsHaveItsForm) {
  World world;
  Serving server(world);
  const auto error = [&](const std::string& body, int status) {
    const Answer answer = server.post("/v1/chat/completions", body);
    EXPECT_EQ(answer.status, status) << body << "\n" << answer.body;
    const json::value value = parsed(answer);
    EXPECT_NE(text_at(value, "/error/message"), "") << answer.body;
    EXPECT_NE(text_at(value, "/error/type"), "") << answer.body;
    return text_at(value, "/error/code");
  };
  EXPECT_EQ(error(request("flow:nope", "x"), 404), "model_not_found");
  EXPECT_EQ(error(request("gpt-9", "x"), 404), "model_not_found");
  EXPECT_EQ(error(request("flow:debate", "x", R"(,"n":2)"), 400), "unsupported_parameter");
  EXPECT_EQ(error(request("flow:debate", "x", R"(,"tools":[{"type":"function"}])"), 400),
            "unsupported_parameter");
  error("{", 400);
  error("{}", 400);
  error(R"({"model":"flow:debate","messages":[]})", 400);
  for (const char* more :
       {R"(,"functions":[{}])", R"(,"tool_choice":"required")", R"(,"stop":["."])",
        R"(,"response_format":{"type":"json_object"})", R"(,"modalities":["text","audio"])",
        R"(,"logprobs":true)", R"(,"n":"1")"})
    EXPECT_EQ(error(request("flow:debate", "x", more), 400), "unsupported_parameter") << more;
  EXPECT_EQ(error(R"({"model":"flow:debate","messages":[{"role":"user","content":[
                     {"type":"image_url","image_url":{"url":"data:,"}}]}]})",
                  400),
            "invalid");
  error(request("flow:debate", " "), 400);
  error(request("flow:debate", "x", R"(,"user":")" + std::string(9 << 20, 'x') + "\""), 413);
  EXPECT_EQ(server.get("/v1/chat/completions").status, 405);
  EXPECT_EQ(
      server.post("/v1/chat/completions", request("flow:debate", "x"), {"X-Tertulia-Session: 99"})
          .status,
      404);
  // What is harmless is taken, and nothing above has made a session.
  EXPECT_THAT(server.get("/api/v1/sessions").body, HasSubstr(R"("items":[])"));
  EXPECT_EQ(server
                .post("/v1/chat/completions",
                      request("flow:writer-and-critic", "x",
                              R"(,"temperature":0.2,"n":1,"tools":[],"user":"u")"))
                .status,
            200);
  const Answer host = server.get("/v1/models", {"Host: evil.example"});
  EXPECT_EQ(host.status, 421);
  EXPECT_NE(text_at(parsed(host), "/error/message"), "");
  EXPECT_EQ(server.stop().status, 0);
}

}  // namespace
}  // namespace tertulia::test
