#include "llm/ollama_wire.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "llm/reply_fixture.h"
#include "support/model_streams.h"

namespace tertulia::llm {
namespace {

using test::ollama_completion;
using test::ollama_word;

Heard read(const std::vector<std::string_view>& pieces, bool clean = true, int status = 200) {
  return read_with(
      ReplyReader(status, "application/x-ndjson", Framing::lines, ollama_dialect("llama3.2")),
      pieces, clean);
}

TEST(OllamaBody, GoldenBytes) {
  Request full;
  full.model = "llama3.2";
  full.system = "You are \"Critic\".\nSpeak only as Critic.";
  full.turns = {{Turn::Kind::user, "作者：第一稿 🙂"},
                {Turn::Kind::assistant, "I disagree."},
                {Turn::Kind::user, "It is your turn."}};
  full.parameters.temperature = 0.7;
  full.parameters.top_p = 1;
  full.parameters.max_tokens = 400;
  full.parameters.stop = {"END", "\n\n"};
  full.parameters.seed = -7;
  full.parameters.reasoning_effort = "low";
  full.schema = boost::json::parse(R"({"type":"object","required":["score"]})").get_object();
  full.server_schema = true;
  full.hints.topic = "hint-topic";
  EXPECT_EQ(ollama_body(full, 16'000) + "\n", golden("ollama-full.json"));
}

TEST(OllamaBody, LeavesOutWhatIsNotSetButTheContext) {
  Request request;
  request.model = "m";
  request.turns = {{Turn::Kind::user, "hi"}};
  request.parameters.reasoning_effort = "none";
  request.schema = base::json::object{{"type", "object"}};  // without server_schema: not sent
  EXPECT_EQ(ollama_body(request, {}),
            R"({"model":"m","messages":[{"role":"user","content":"hi"}],"think":false,)"
            R"("options":{"num_ctx":8192},"truncate":false,"shift":false,"stream":true})");
}

// As much as is needed, in few sizes; the profile's window where it has one.
TEST(OllamaBody, AsksForTheContextThatItNeeds) {
  const auto context = [](std::size_t words, std::int64_t max_tokens,
                          std::optional<std::int64_t> window) {
    Request request;
    std::string text;
    for (std::size_t i = 0; i < words; ++i) text += "word ";
    request.turns = {{Turn::Kind::user, text}};
    if (max_tokens > 0) request.parameters.max_tokens = max_tokens;
    return ollama_context(request, window);
  };
  EXPECT_EQ(context(10, 0, {}), 8192);
  EXPECT_EQ(context(4'000, 0, {}), 8192);
  EXPECT_EQ(context(6'000, 0, {}), 16'384);
  EXPECT_EQ(context(10, 9'000, {}), 16'384);
  EXPECT_EQ(context(40'000, 0, {}), 65'536);
  EXPECT_EQ(context(10, 0, 4'096), 4'096);
  EXPECT_EQ(context(40'000, 9'000, 4'096), 4'096);
}

struct Fault {
  const char* what;
  std::string stream;
  Outcome outcome;
  std::string text;
  std::string finish_reason = {};
  std::string in_error = {};
};

TEST(OllamaReply, TableOfStreams) {
  const std::string kHi = ollama_word("Hi");
  const std::vector<Fault> faults{
      {"stop", ollama_completion({"Hi"}), Outcome::ok, "Hi", "stop"},
      {"length", ollama_completion({"Hi"}, "length"), Outcome::ok, "Hi", "length"},
      {"an older server gives no reason",
       kHi + R"({"done":true})"
             "\n",
       Outcome::ok, "Hi", "stop"},
      {"the last line without an end", kHi + R"({"done":true})", Outcome::ok, "Hi", "stop"},
      {"text in the last line",
       R"({"message":{"content":"Hi"},"done":true,"done_reason":"stop"})"
       "\n",
       Outcome::ok, "Hi", "stop"},
      {"no last line", kHi, Outcome::incomplete, "Hi", "", "done"},
      {"nothing at all", "", Outcome::incomplete, ""},
      {"empty lines", "\n\n" + kHi + "\n\n" + ollama_completion({}), Outcome::ok, "Hi", "stop"},
      {"text after the end does not count", ollama_completion({"Hi"}) + kHi, Outcome::ok, "Hi",
       "stop"},
      {"thinking is no text",
       R"({"message":{"content":"","thinking":"hm"},"done":false})"
       "\n" +
           ollama_completion({"Hi"}),
       Outcome::ok, "Hi", "stop"},
      {"an error line",
       kHi + R"({"error":"llama runner process has terminated"})"
             "\n",
       Outcome::server, "Hi", "", "has terminated"},
      {"out of context",
       R"({"error":"the input length exceeds the context length"})"
       "\n",
       Outcome::context_overflow, "", "", "context length"},
      {"a line that is cut", kHi + R"({"message":{"content":"th)", Outcome::incomplete, "Hi"},
      {"a line that is no JSON", kHi + "oops\n" + kHi, Outcome::malformed, "Hi", "", "oops"},
      {"a line that is no object", "[1]\n" + kHi, Outcome::malformed, ""},
      {"done that is no boolean",
       kHi + R"({"done":"true"})"
             "\n",
       Outcome::incomplete, "Hi"},
      {"a NUL", kHi + ollama_word(std::string_view("a\0b", 3)), Outcome::malformed, "Hia", "",
       "NUL"},
  };
  for (const Fault& fault : faults) {
    for (const auto& pieces : every_split(fault.stream)) {
      const Heard heard = read(pieces);
      ASSERT_EQ(heard.answer.outcome, fault.outcome)
          << fault.what << ": " << outcome_name(heard.answer.outcome) << " " << heard.answer.error;
      ASSERT_EQ(heard.answer.text, fault.text) << fault.what;
      ASSERT_EQ(heard.text, fault.text) << fault.what;
      ASSERT_EQ(heard.answer.finish_reason, fault.finish_reason) << fault.what;
      ASSERT_EQ(heard.answer.error.empty(), fault.outcome == Outcome::ok) << fault.what;
      ASSERT_NE(heard.answer.error.find(fault.in_error), std::string::npos)
          << fault.what << ": " << heard.answer.error;
    }
  }
}

TEST(OllamaReply, CountsAreBelievedOnlyWhereBothAreGiven) {
  const Answer cached = read({R"({"message":{"content":"Hi"},"done":true,"eval_count":3})"
                              "\n"})
                            .answer;
  EXPECT_FALSE(cached.usage.reported);
}

TEST(OllamaReply, AModelThatIsNotThereSaysHowToGetIt) {
  const Answer missing = read({R"({"error":"model 'llama3.2' not found"})"}, true, 404).answer;
  EXPECT_EQ(missing.outcome, Outcome::refused);
  EXPECT_NE(missing.error.find("ollama pull llama3.2"), std::string::npos) << missing.error;
  const Answer other = read({"404 page not found"}, true, 404).answer;
  EXPECT_EQ(other.outcome, Outcome::refused);
  EXPECT_EQ(other.error.find("ollama pull"), std::string::npos) << other.error;
}

}  // namespace
}  // namespace tertulia::llm
