#include "llm/openai_wire.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "llm/reply_fixture.h"
#include "support/model_server.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;
using test::sse_completion;
using test::sse_event;
using test::sse_word;

Heard read(const std::vector<std::string_view>& pieces, bool clean = true, int status = 200,
           std::string_view content_type = "text/event-stream") {
  return read_with(ReplyReader(status, content_type, Framing::events, openai_dialect()), pieces,
                   clean);
}

Request english() {
  Request request;
  request.model = "gpt-5-mini";
  request.system = "You are \"Critic\".\nSpeak only as Critic.";
  request.turns = {{Turn::Kind::user, "Author: A tab\there, a slash / and <html>."},
                   {Turn::Kind::assistant, "I disagree."},
                   {Turn::Kind::user, "It is your turn."}};
  request.parameters.temperature = 0.7;
  request.parameters.top_p = 1;
  request.parameters.max_tokens = 400;
  request.parameters.stop = {"END", "\n\n"};
  request.parameters.seed = -7;
  request.parameters.reasoning_effort = "low";
  request.schema = boost::json::parse(R"({"type":"object","required":["decision"],)"
                                      R"("properties":{"decision":{"enum":["accept","reject"]}}})")
                       .get_object();
  request.server_schema = true;
  // Hints must not reach the wire.
  request.hints.seed = 4711;
  request.hints.path = "hint-path";
  request.hints.topic = "hint-topic";
  return request;
}

Request chinese() {
  Request request;
  request.model = "qwen";
  request.system = "你是批评者。";
  request.turns = {{Turn::Kind::user, "作者：第一稿 🙂\n\n主持人：请评论。"}};
  request.schema = json::object{{"type", "object"}};  // without server_schema: not sent
  return request;
}

TEST(ChatBody, GoldenBytes) {
  EXPECT_EQ(chat_body(english(), true) + "\n", golden("openai-full.en.json"));
  EXPECT_EQ(chat_body(chinese(), false) + "\n", golden("openai-plain.zh.json"));
}

TEST(ChatBody, IsJsonThatSaysWhatTheRequestSays) {
  const Request request = english();
  const auto body = base::parse_json(chat_body(request, false));
  ASSERT_TRUE(body) << body.error().message;
  const json::object& object = body->get_object();
  EXPECT_EQ(object.at("max_tokens").to_number<int>(), 400);
  EXPECT_FALSE(object.contains("max_completion_tokens"));
  const json::array& messages = object.at("messages").get_array();
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].at("role").get_string(), "system");
  EXPECT_EQ(messages[0].at("content").get_string(), request.system);
  for (std::size_t i = 0; i < request.turns.size(); ++i)
    EXPECT_EQ(messages[i + 1].at("content").get_string(), request.turns[i].text);
  EXPECT_TRUE(base::equal(object.at("response_format").at("json_schema").at("schema"),
                          json::value(*request.schema)));
}

TEST(ChatBody, LeavesOutWhatIsNotSet) {
  Request request;
  request.model = "m";
  request.turns = {{Turn::Kind::user, "hi"}};
  EXPECT_EQ(chat_body(request, false),
            R"({"model":"m","messages":[{"role":"user","content":"hi"}],)"
            R"("stream":true,"stream_options":{"include_usage":true}})");
}

const std::string& long_stream() {
  static const std::string kStream = sse_completion(
      {"Hel", "lo, ", "你好", " 🙂", " \"quoted\"\n", "."}, "stop",
      test::CompletionUsage{
          .prompt_tokens = 12, .completion_tokens = 7, .cached_tokens = 5, .reasoning_tokens = 2});
  return kStream;
}
constexpr std::string_view kLongText = "Hello, 你好 🙂 \"quoted\"\n.";

void expect_long(const Heard& heard) {
  EXPECT_EQ(heard.answer.outcome, Outcome::ok) << heard.answer.error;
  EXPECT_EQ(heard.answer.text, kLongText);
  EXPECT_EQ(heard.text, kLongText);
  EXPECT_EQ(heard.answer.finish_reason, "stop");
  EXPECT_EQ(heard.answer.model, "scripted-1");
  EXPECT_EQ(heard.answer.request_id, "chatcmpl-1");
  EXPECT_TRUE(heard.answer.usage.reported);
  EXPECT_EQ(heard.answer.usage.prompt_tokens, 12);
  EXPECT_EQ(heard.answer.usage.completion_tokens, 7);
  EXPECT_EQ(heard.answer.usage.cached_tokens, 5);
  EXPECT_EQ(heard.answer.usage.reasoning_tokens, 2);
}

TEST(OpenAiReply, TheSameAnswerForEverySplit) {
  const std::string_view all = long_stream();
  for (std::size_t i = 0; i <= all.size(); ++i) {
    expect_long(read({all.substr(0, i), all.substr(i)}));
    if (HasFailure()) FAIL() << "split at " << i;
  }
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < all.size(); ++i) bytes.push_back(all.substr(i, 1));
  expect_long(read(bytes));
}

// Cut off at any byte, the answer is what had come whole; it is ok exactly from the byte on at
// which the finish_reason had come.
TEST(OpenAiReply, TruncationAtEveryByte) {
  const std::string_view all = long_stream();
  const std::size_t reason = all.find(R"("finish_reason":"stop")");
  const std::size_t whole = all.find("\n\n", reason);  // the end of that event
  ASSERT_NE(whole, std::string_view::npos);
  for (const bool clean : {true, false}) {
    std::string before;
    for (std::size_t length = 0; length < all.size(); ++length) {
      const Heard heard = read({all.substr(0, length)}, clean);
      EXPECT_EQ(heard.answer.outcome, length >= whole ? Outcome::ok : Outcome::incomplete)
          << length << ": " << heard.answer.error;
      EXPECT_EQ(heard.text, heard.answer.text);
      EXPECT_TRUE(kLongText.starts_with(heard.text)) << length;
      EXPECT_TRUE(heard.text.starts_with(before)) << length << ": text was lost";
      before = heard.text;
      EXPECT_EQ(heard.answer.error.empty(), length >= whole);
    }
    EXPECT_EQ(before, kLongText);
  }
}

struct Fault {
  const char* what;
  std::string stream;
  Outcome outcome;
  std::string text;
  std::string in_error = {};  // must appear in the error
};

TEST(OpenAiReply, TableOfStreams) {
  const std::string kHi = sse_word("Hi");
  const std::string kStop = sse_event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})");
  const std::string kDone = "data: [DONE]\n\n";
  const std::vector<Fault> faults{
      {"no [DONE]", kHi + kStop, Outcome::ok, "Hi"},
      {"[DONE] without finish_reason", kHi + kDone, Outcome::ok, "Hi"},
      {"finish_reason in the chunk with the text",
       sse_event(R"({"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]})"), Outcome::ok,
       "Hi"},
      {"empty finish_reason", kHi + sse_event(R"({"choices":[{"delta":{},"finish_reason":""}]})"),
       Outcome::incomplete, "Hi"},
      {"neither", kHi, Outcome::incomplete, "Hi"},
      {"nothing at all", "", Outcome::incomplete, ""},
      {"comments only", ": alive\n\n: alive\n\n", Outcome::incomplete, ""},
      {"text after [DONE] does not count", kHi + kDone + sse_word("!"), Outcome::ok, "Hi"},
      {"length", kHi + sse_event(R"({"choices":[{"delta":{},"finish_reason":"length"}]})"),
       Outcome::ok, "Hi"},
      {"content filter",
       kHi + sse_event(R"({"choices":[{"delta":{},"finish_reason":"content_filter"}]})"),
       Outcome::content_filter, "Hi"},
      {"empty choices", sse_event(R"({"choices":[]})") + kHi + kStop, Outcome::ok, "Hi"},
      {"no choices, no delta, null content",
       sse_event(R"({"id":"x"})") + sse_event(R"({"choices":[{"index":0}]})") +
           sse_event(R"({"choices":[{"delta":{"content":null}}]})") + kHi + kStop,
       Outcome::ok, "Hi"},
      {"empty ids", sse_event(R"({"id":"","choices":[{"delta":{"content":"Hi"}}]})") + kStop,
       Outcome::ok, "Hi"},
      {"reasoning is not text",
       sse_event(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})") + kHi + kStop,
       Outcome::ok, "Hi"},
      {"a second choice is not asked for",
       kHi + sse_event(R"({"choices":[{"index":1,"delta":{"content":"No"}}]})") + kStop,
       Outcome::ok, "Hi"},
      {"an error object inside", kHi + sse_event(R"({"error":{"message":"It overheated"}})"),
       Outcome::server, "Hi", "It overheated"},
      {"a rate limit inside",
       sse_event(R"({"error":{"message":"slow down","type":"rate_limit_error"}})"),
       Outcome::rate_limited, "", "slow down"},
      {"a status as code inside", sse_event(R"({"error":{"message":"slow down","code":429}})"),
       Outcome::rate_limited, "", "slow down"},
      {"quota inside", sse_event(R"({"error":{"message":"pay","code":"insufficient_quota"}})"),
       Outcome::quota, "", "pay"},
      {"overflow inside",
       sse_event(R"({"error":{"message":"too long","code":"context_length_exceeded"}})"),
       Outcome::context_overflow, "", "too long"},
      {"an error that is a text", sse_event(R"({"error":"It overheated"})"), Outcome::server, "",
       "It overheated"},
      {"error null is none",
       sse_event(R"({"error":null,"choices":[{"delta":{"content":"Hi"}}]})") + kStop, Outcome::ok,
       "Hi"},
      {"an error after the end", kHi + kStop + sse_event(R"({"error":{"message":"late"}})"),
       Outcome::server, "Hi", "late"},
      {"not JSON", kHi + "data: {\"choices\": oops}\n\n", Outcome::malformed, "Hi", "oops"},
      {"JSON that is no object", kHi + "data: [1]\n\n", Outcome::malformed, "Hi"},
      {"a NUL", kHi + sse_event(R"({"choices":[{"delta":{"content":"a\u0000b"}}]})") + kStop,
       Outcome::malformed, "Hia", "NUL"},
      {"invalid UTF-8",
       kHi + sse_event("{\"choices\":[{\"delta\":{\"content\":\"a\xFF\"}}]}") + kStop,
       Outcome::malformed, "Hia", "UTF-8"},
      {"a character cut in two by the events is put together",
       sse_event("{\"choices\":[{\"delta\":{\"content\":\"\xE4\xBD\"}}]}") +
           sse_event("{\"choices\":[{\"delta\":{\"content\":\"\xA0\"}}]}") + kStop,
       Outcome::ok, "你"},
      {"half a character at the end",
       kHi + sse_event("{\"choices\":[{\"delta\":{\"content\":\"\xE4\xBD\"}}]}") + kStop,
       Outcome::malformed, "Hi", "UTF-8"},
      {"half a character and no end",
       kHi + sse_event("{\"choices\":[{\"delta\":{\"content\":\"\xE4\xBD\"}}]}"),
       Outcome::incomplete, "Hi"},
      {"a lone surrogate",
       kHi + sse_event(R"({"choices":[{"delta":{"content":"\ud83d"}}]})") + kStop,
       Outcome::malformed, "Hi"},
      {"CR line ends", "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\r\rdata: [DONE]\r\r",
       Outcome::ok, "Hi"},
      {"CRLF line ends",
       "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n",
       Outcome::ok, "Hi"},
      {"a number too large does no harm",
       sse_event(R"({"created":1e400,"choices":[{"delta":{"content":"Hi"}}]})") + kStop,
       Outcome::ok, "Hi"},
      {"a nest too deep", kHi + "data: " + std::string(100, '[') + "\n\n", Outcome::malformed,
       "Hi"},
      {"a line over the limit", kHi + "data: " + std::string(17 * 1024 * 1024, 'x') + "\n\n",
       Outcome::malformed, "Hi", "16777216"},
  };
  for (const Fault& fault : faults) {
    const Heard heard = read({fault.stream});
    EXPECT_EQ(heard.answer.outcome, fault.outcome)
        << fault.what << ": " << outcome_name(heard.answer.outcome) << " " << heard.answer.error;
    EXPECT_EQ(heard.answer.text, fault.text) << fault.what;
    EXPECT_EQ(heard.text, fault.text) << fault.what;
    EXPECT_EQ(heard.answer.error.empty(), fault.outcome == Outcome::ok) << fault.what;
    EXPECT_NE(heard.answer.error.find(fault.in_error), std::string::npos)
        << fault.what << ": " << heard.answer.error;
    EXPECT_LT(heard.answer.error.size(), 2000U) << fault.what;
  }
}

TEST(OpenAiReply, AWholeCompletionInsteadOfAStream) {
  const std::string body =
      R"({"id":"c1","model":"m1","choices":[{"index":0,"message":{"role":"assistant",)"
      R"("content":"Hi"},"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}})";
  for (const char* const type : {"application/json", "text/event-stream", ""}) {
    if (std::string_view(type) == "text/event-stream") continue;
    for (std::size_t split = 0; split <= body.size(); ++split) {
      const Heard heard =
          read({std::string_view(body).substr(0, split), std::string_view(body).substr(split)},
               true, 200, type);
      ASSERT_EQ(heard.answer.outcome, Outcome::ok) << heard.answer.error;
      ASSERT_EQ(heard.text, "Hi");
      ASSERT_EQ(heard.answer.usage.prompt_tokens, 3);
    }
  }
  const std::string_view half = std::string_view(body).substr(0, body.size() / 2);
  EXPECT_EQ(read({half}, false, 200, "application/json").answer.outcome, Outcome::incomplete);
  EXPECT_EQ(read({half}, true, 200, "application/json").answer.outcome, Outcome::malformed);
  EXPECT_EQ(read({R"({"error":{"message":"no","code":"insufficient_quota"}})"}, true, 200,
                 "application/json")
                .answer.outcome,
            Outcome::quota);
}

TEST(OpenAiReply, ErrorStatuses) {
  struct Case {
    int status;
    const char* body;
    Outcome outcome;
  };
  const std::vector<Case> cases{
      {400, R"({"error":{"message":"bad schema","type":"invalid_request_error"}})",
       Outcome::refused},
      {400, R"({"error":{"message":"x","code":"context_length_exceeded"}})",
       Outcome::context_overflow},
      {400, R"({"error":{"message":"This model's maximum context length is 8192 tokens"}})",
       Outcome::context_overflow},
      {400, R"({"error":{"message":"x","type":"exceed_context_size_error"}})",
       Outcome::context_overflow},
      {400, R"({"error":{"message":"x","code":"content_filter"}})", Outcome::content_filter},
      {401, R"({"error":{"message":"Incorrect API key"}})", Outcome::auth},
      {402, R"({"error":{"message":"Insufficient Balance"}})", Outcome::quota},
      {403, "", Outcome::auth},
      {404, "404 page not found", Outcome::refused},
      {408, "", Outcome::timeout},
      {409, "", Outcome::server},
      {413, "", Outcome::refused},
      {422, R"({"detail":[{"msg":"field required"}]})", Outcome::refused},
      {429, R"({"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}})",
       Outcome::rate_limited},
      {429, "not JSON", Outcome::rate_limited},
      {429, R"({"error":{"message":"pay","type":"insufficient_quota"}})", Outcome::quota},
      {500, R"({"error":{"message":"boom"}})", Outcome::server},
      {502, "<html>Bad gateway</html>", Outcome::server},
      {503, "", Outcome::server},
      {529, "", Outcome::server},
      {301, "", Outcome::refused},
  };
  for (const Case& c : cases) {
    const Heard heard = read({c.body}, true, c.status, "application/json");
    EXPECT_EQ(heard.answer.outcome, c.outcome)
        << c.status << " " << c.body << ": " << outcome_name(heard.answer.outcome);
    EXPECT_TRUE(heard.text.empty());
    EXPECT_NE(heard.answer.error.find(std::to_string(c.status)), std::string::npos)
        << heard.answer.error;
  }
}

TEST(OpenAiReply, AServersWordsCannotFloodOrPaintTheTerminal) {
  const std::string words = "\x1B[31mred\r\n" + std::string(100'000, 'x');
  const Heard heard = read({words}, true, 500, "text/plain");
  EXPECT_LT(heard.answer.error.size(), 1000U);
  EXPECT_EQ(heard.answer.error.find_first_of("\x1B\r\n"), std::string::npos);
}

}  // namespace
}  // namespace tertulia::llm
