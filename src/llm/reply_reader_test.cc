// Recorded responses, in every protocol's own sequence of objects, read whole, split at every byte,
// and cut off at every byte.
#include "llm/reply_reader.h"

#include <gtest/gtest.h>

#include "llm/reply_fixture.h"
#include "llm/wires_fixture.h"

namespace tertulia::llm {
namespace {

struct Recorded {
  const char* file;
  std::string_view wire;
  std::string_view text;
  std::string_view finish_reason;
  std::string_view request_id;
  std::string_view model;
  Usage usage;
  std::string_view stop_mark;
};

const std::vector<Recorded> kRecorded{
    {"openai-chat.sse",
     "openai",
     "Hello, 你好 🙂",
     "stop",
     "chatcmpl-123",
     "gpt-example",
     {19, 10, 8, 2, true},
     R"("finish_reason":"stop")"},
    {"anthropic-text.sse",
     "anthropic",
     "Good day, 你好 🙂",
     "stop",
     "msg_01TextExample",
     "claude-example-1",
     {25, 15, 0, 0, true},
     R"("stop_reason": "end_turn")"},
    {"anthropic-thinking.sse",
     "anthropic",
     "No, it is not prime.",
     "length",
     "msg_01ThinkingExample",
     "claude-example-1",
     {2103, 40, 2000, 0, true},
     R"("stop_reason":"max_tokens")"},
    {"ollama-chat.ndjson",
     "ollama",
     "Rayleigh scattering, 散射 🙂",
     "stop",
     "",
     "llama3.2",
     {26, 282, 0, 0, true},
     R"("done":true)"},
};

Wire wire_called(std::string_view name) {
  for (Wire& wire : all_wires())
    if (wire.name == name) return wire;
  ADD_FAILURE() << "no wire is called " << name;
  return {};
}

class RecordedReply : public ::testing::TestWithParam<Recorded> {
 protected:
  Heard read(const std::vector<std::string_view>& pieces, bool clean = true) const {
    return read_with(ReplyReader(200, wire_.content_type, wire_.framing, wire_.dialect()), pieces,
                     clean);
  }

  const Wire wire_ = wire_called(GetParam().wire);
  const std::string all_ = golden(GetParam().file);
};
std::string file_name(const ::testing::TestParamInfo<Recorded>& recorded) {
  std::string name = recorded.param.file;
  for (char& c : name)
    if (c == '-' || c == '.') c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Files, RecordedReply, ::testing::ValuesIn(kRecorded), file_name);

TEST_P(RecordedReply, TheSameAnswerForEverySplit) {
  for (const auto& pieces : every_split(all_)) {
    const Heard heard = read(pieces);
    ASSERT_EQ(heard.answer.outcome, Outcome::ok) << heard.answer.error;
    ASSERT_EQ(heard.answer.text, GetParam().text);
    ASSERT_EQ(heard.text, GetParam().text);
    ASSERT_EQ(heard.answer.finish_reason, GetParam().finish_reason);
    ASSERT_EQ(heard.answer.request_id, GetParam().request_id);
    ASSERT_EQ(heard.answer.model, GetParam().model);
    const Usage& usage = heard.answer.usage;
    ASSERT_TRUE(usage.reported);
    ASSERT_EQ(usage.prompt_tokens, GetParam().usage.prompt_tokens);
    ASSERT_EQ(usage.completion_tokens, GetParam().usage.completion_tokens);
    ASSERT_EQ(usage.cached_tokens, GetParam().usage.cached_tokens);
    ASSERT_EQ(usage.reasoning_tokens, GetParam().usage.reasoning_tokens);
  }
}

// Cut off at any byte, the answer is what had come whole; it is ok exactly from the byte on at
// which the server had said why it stopped.
TEST_P(RecordedReply, TruncationAtEveryByte) {
  const std::string_view all = all_;
  const std::size_t stop = all.find(GetParam().stop_mark);
  ASSERT_NE(stop, std::string_view::npos);
  const std::size_t whole = all.find('\n', stop);
  for (const bool clean : {true, false}) {
    std::string before;
    for (std::size_t length = 0; length < all.size(); ++length) {
      const Heard heard = read({all.substr(0, length)}, clean);
      ASSERT_EQ(heard.answer.outcome, length >= whole ? Outcome::ok : Outcome::incomplete)
          << length << ": " << heard.answer.error;
      ASSERT_EQ(heard.text, heard.answer.text);
      ASSERT_TRUE(GetParam().text.starts_with(heard.text)) << length;
      ASSERT_TRUE(heard.text.starts_with(before)) << length << ": text was lost";
      before = heard.text;
      if (length < whole) {
        ASSERT_FALSE(heard.answer.usage.reported) << length;
      }
    }
    EXPECT_EQ(before, GetParam().text);
  }
}

}  // namespace
}  // namespace tertulia::llm
