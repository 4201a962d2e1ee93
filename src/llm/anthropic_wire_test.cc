#include "llm/anthropic_wire.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "llm/reply_fixture.h"
#include "support/model_streams.h"

namespace tertulia::llm {
namespace {

using test::anthropic_completion;
using test::anthropic_error;
using test::anthropic_word;

Heard read(const std::vector<std::string_view>& pieces, bool clean = true, int status = 200,
           std::string_view content_type = "text/event-stream") {
  return read_with(ReplyReader(status, content_type, Framing::events, anthropic_dialect()), pieces,
                   clean);
}

TEST(MessagesBody, GoldenBytes) {
  Request full;
  full.model = "claude-example-1";
  full.system = "You are \"Critic\".\nSpeak only as Critic.";
  full.turns = {{Turn::Kind::user, "作者：第一稿 🙂"},
                {Turn::Kind::assistant, "I disagree."},
                {Turn::Kind::user, "It is your turn."}};
  full.parameters.temperature = 0.7;
  full.parameters.top_p = 1;
  full.parameters.max_tokens = 400;
  full.parameters.stop = {"END", "\n\n"};
  full.parameters.seed = -7;  // the wire has none
  full.parameters.reasoning_effort = "low";
  full.schema = boost::json::parse(R"({"type":"object","required":["score"]})").get_object();
  full.server_schema = true;
  full.hints.topic = "hint-topic";
  EXPECT_EQ(messages_body(full) + "\n", golden("anthropic-full.json"));
}

TEST(MessagesBody, LeavesOutWhatIsNotSetButMaxTokens) {
  Request request;
  request.model = "m";
  request.turns = {{Turn::Kind::user, "hi"}};
  request.schema = base::json::object{{"type", "object"}};  // without server_schema: not sent
  EXPECT_EQ(messages_body(request),
            R"({"model":"m","max_tokens":8192,"messages":[{"role":"user","content":"hi"}],)"
            R"("stream":true})");
}

struct Fault {
  const char* what;
  std::string stream;
  Outcome outcome;
  std::string text;
  std::string finish_reason = {};
  std::string in_error = {};
};

TEST(AnthropicReply, TableOfStreams) {
  const std::string kHi = anthropic_word("Hi");
  const auto stop = [](std::string_view reason) {
    return "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" + std::string(reason) +
           "\"}}\n\n";
  };
  const std::string kStop = "data: {\"type\":\"message_stop\"}\n\n";
  const std::vector<Fault> faults{
      {"end_turn", anthropic_completion({"Hi"}), Outcome::ok, "Hi", "stop"},
      {"stop_sequence", anthropic_completion({"Hi"}, "stop_sequence"), Outcome::ok, "Hi", "stop"},
      {"max_tokens", anthropic_completion({"Hi"}, "max_tokens"), Outcome::ok, "Hi", "length"},
      {"the window is full", anthropic_completion({"Hi"}, "model_context_window_exceeded"),
       Outcome::ok, "Hi", "length"},
      {"a new reason", anthropic_completion({"Hi"}, "bored"), Outcome::ok, "Hi", "bored"},
      {"refusal", anthropic_completion({"Hi"}, "refusal"), Outcome::content_filter, "Hi", "refusal",
       "refused"},
      {"no message_stop", kHi + stop("end_turn"), Outcome::ok, "Hi", "stop"},
      {"message_stop without a reason", kHi + kStop, Outcome::ok, "Hi"},
      {"neither", kHi, Outcome::incomplete, "Hi", "", "message_stop"},
      {"nothing at all", "", Outcome::incomplete, ""},
      {"pings only", "event: ping\ndata: {\"type\":\"ping\"}\n\n", Outcome::incomplete, ""},
      {"text after message_stop does not count", kHi + kStop + anthropic_word("!"), Outcome::ok,
       "Hi"},
      {"two text blocks",
       kHi +
           "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":"
           "{\"type\":\"text\",\"text\":\" there\"}}\n\n" +
           kStop,
       Outcome::ok, "Hi there"},
      {"tool input is no text",
       "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
       "{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\n" +
           kHi + kStop,
       Outcome::ok, "Hi"},
      {"overloaded in mid-stream", kHi + anthropic_error("overloaded_error", "Overloaded"),
       Outcome::server, "Hi", "", "Overloaded"},
      {"a rate limit in mid-stream", anthropic_error("rate_limit_error", "slow down"),
       Outcome::rate_limited, "", "", "slow down"},
      {"an internal error in mid-stream", anthropic_error("api_error", "oops"), Outcome::server, "",
       "", "oops"},
      {"a wrong request in mid-stream", anthropic_error("invalid_request_error", "no"),
       Outcome::refused, "", "", "no"},
      {"without the events' names",
       "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
       "\"text\":\"Hi\"}}\n\n" +
           kStop,
       Outcome::ok, "Hi"},
      {"events without content",
       "data: {\"type\":\"message_start\"}\n\n"
       "data: {\"type\":\"content_block_delta\"}\n\ndata: {}\n\n" +
           kHi + kStop,
       Outcome::ok, "Hi"},
      {"not JSON", kHi + "data: {\"type\": oops}\n\n", Outcome::malformed, "Hi", "", "oops"},
      {"a NUL", kHi + anthropic_word(std::string_view("a\0b", 3)) + kStop, Outcome::malformed,
       "Hia", "", "NUL"},
  };
  for (const Fault& fault : faults) {
    const Heard heard = read({fault.stream});
    EXPECT_EQ(heard.answer.outcome, fault.outcome)
        << fault.what << ": " << outcome_name(heard.answer.outcome) << " " << heard.answer.error;
    EXPECT_EQ(heard.answer.text, fault.text) << fault.what;
    EXPECT_EQ(heard.text, fault.text) << fault.what;
    EXPECT_EQ(heard.answer.finish_reason, fault.finish_reason) << fault.what;
    EXPECT_EQ(heard.answer.error.empty(), fault.outcome == Outcome::ok) << fault.what;
    EXPECT_NE(heard.answer.error.find(fault.in_error), std::string::npos)
        << fault.what << ": " << heard.answer.error;
  }
}

TEST(AnthropicReply, AWholeMessageInsteadOfAStream) {
  const std::string body =
      R"({"id":"msg_1","type":"message","role":"assistant","model":"m1",)"
      R"("content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Hi"}],)"
      R"("stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}})";
  for (const auto& pieces : every_split(body)) {
    const Heard heard = read(pieces, true, 200, "application/json");
    ASSERT_EQ(heard.answer.outcome, Outcome::ok) << heard.answer.error;
    ASSERT_EQ(heard.text, "Hi");
    ASSERT_EQ(heard.answer.usage.prompt_tokens, 3);
    ASSERT_EQ(heard.answer.usage.completion_tokens, 1);
  }
}

TEST(AnthropicReply, ErrorStatuses) {
  struct Case {
    int status;
    const char* type;
    const char* message;
    Outcome outcome;
  };
  for (const Case& c : std::vector<Case>{
           {400, "invalid_request_error", "max_tokens: required", Outcome::refused},
           {400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum",
            Outcome::context_overflow},
           {400, "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API", Outcome::quota},
           {401, "authentication_error", "invalid x-api-key", Outcome::auth},
           {402, "billing_error", "pay", Outcome::quota},
           {403, "permission_error", "no", Outcome::auth},
           {404, "not_found_error", "model: nobody", Outcome::refused},
           {413, "request_too_large", "Request exceeds the maximum size",
            Outcome::context_overflow},
           {429, "rate_limit_error", "slow down", Outcome::rate_limited},
           {500, "api_error", "Internal server error", Outcome::server},
           {504, "timeout_error", "too slow", Outcome::server},
           {529, "overloaded_error", "Overloaded", Outcome::server},
       }) {
    const std::string body = R"({"type":"error","error":{"type":")" + std::string(c.type) +
                             R"(","message":")" + c.message + R"("},"request_id":"req_1"})";
    const Heard heard = read({body}, true, c.status, "application/json");
    EXPECT_EQ(heard.answer.outcome, c.outcome)
        << c.status << " " << c.type << ": " << outcome_name(heard.answer.outcome);
    EXPECT_NE(heard.answer.error.find(c.message), std::string::npos) << heard.answer.error;
  }
}

}  // namespace
}  // namespace tertulia::llm
