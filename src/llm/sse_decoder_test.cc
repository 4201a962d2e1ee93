#include "llm/sse_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tertulia::llm {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;  // type, data

SseDecoder::Sink into(Events& events) {
  return [&events](const SseDecoder::Event& event) { events.emplace_back(event.type, event.data); };
}

Events decode(std::vector<std::string_view> pieces, bool finish = false) {
  Events events;
  SseDecoder decoder;
  for (const std::string_view piece : pieces) EXPECT_TRUE(decoder.feed(piece, into(events)).ok());
  if (finish) {
    EXPECT_TRUE(decoder.finish(into(events)).ok());
  }
  return events;
}

Events messages(std::initializer_list<const char*> data) {
  Events out;
  for (const char* const text : data) out.emplace_back("message", text);
  return out;
}

struct Case {
  const char* what;
  std::string stream;
  Events events;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"LF", "data: a\n\ndata: b\n\n", messages({"a", "b"})},
      {"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", messages({"a", "b"})},
      {"CR", "data: a\r\rdata: b\r\r", messages({"a", "b"})},
      {"mixed line ends", "data: a\r\n\ndata: b\r\n\r", messages({"a", "b"})},
      {"no blank after the colon", "data:a\n\n", messages({"a"})},
      {"only the first blank is taken off", "data:  a\n\n", messages({" a"})},
      {"several data lines", "data: a\ndata: b\ndata:\ndata: c\n\n", messages({"a\nb\n\nc"})},
      {"data without a colon", "data\n\n", messages({""})},
      {"comments", ": alive\n\n:\n\ndata: a\n: between\ndata: b\n\n", messages({"a\nb"})},
      {"a byte order mark",
       "\xEF\xBB\xBF"
       "data: a\n\n",
       messages({"a"})},
      {"a byte order mark elsewhere is no mark",
       "data: a\n\n\xEF\xBB\xBF"
       "data: b\n\n",
       messages({"a"})},
      {"the type, for its own event only",
       "event: ping\ndata: a\n\ndata: b\n\n",
       {{"ping", "a"}, {"message", "b"}}},
      {"an event without data is none", "event: ping\n\nid: 7\n\nretry: 10\n\n", {}},
      {"unknown fields", "dat: x\ndata2: x\ndata: a\n\n", messages({"a"})},
      {"empty lines", "\n\n\r\n\r\ndata: a\n\n\n\n", messages({"a"})},
      {"no empty line at the end", "data: a\n\ndata: b\n", messages({"a"})},
      {"characters of several bytes", "data: 你好 🙂\n\n", messages({"你好 🙂"})},
      {"a colon in the data", "data: a: b\n\n", messages({"a: b"})},
  };
  return kCases;
}

TEST(SseDecoder, WholeStreams) {
  for (const Case& c : cases()) EXPECT_EQ(decode({c.stream}), c.events) << c.what;
}

TEST(SseDecoder, TheSameEventsForEverySplitInThree) {
  for (const Case& c : cases()) {
    const std::string_view all = c.stream;
    for (std::size_t i = 0; i <= all.size(); ++i)
      for (std::size_t j = i; j <= all.size(); ++j)
        ASSERT_EQ(decode({all.substr(0, i), all.substr(i, j - i), all.substr(j)}), c.events)
            << c.what << ", split at " << i << " and " << j;
  }
}

TEST(SseDecoder, TheSameEventsByteByByte) {
  for (const Case& c : cases()) {
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < c.stream.size(); ++i)
      bytes.push_back(std::string_view(c.stream).substr(i, 1));
    EXPECT_EQ(decode(bytes), c.events) << c.what;
  }
}

TEST(SseDecoder, FinishHandsOnWhatAnEmptyLineWouldHaveEnded) {
  EXPECT_EQ(decode({"data: a\n\ndata: b\n"}, true), messages({"a", "b"}));
  EXPECT_EQ(decode({"data: a\n\ndata: b"}, true), messages({"a", "b"}));
  EXPECT_EQ(decode({"data: a\n\n: only a comment"}, true), messages({"a"}));
  EXPECT_EQ(decode({""}, true), Events{});
}

TEST(SseDecoder, ALineAsLongAsTheLimitPassesAndOneByteMoreDoesNot) {
  constexpr std::size_t kLimit = 64;
  const std::string fits = "data: " + std::string(kLimit - 6, 'x');
  Events events;
  SseDecoder roomy(kLimit);
  EXPECT_TRUE(roomy.feed(fits + "\n\n", into(events)).ok());
  EXPECT_EQ(events, messages({fits.substr(6).c_str()}));

  for (const std::size_t split : {std::size_t{0}, std::size_t{10}, kLimit}) {
    SseDecoder decoder(kLimit);
    const std::string line = fits + "x";
    auto fed = decoder.feed(std::string_view(line).substr(0, split), into(events));
    if (fed) fed = decoder.feed(std::string_view(line).substr(split), into(events));
    ASSERT_FALSE(fed.ok()) << split;
    EXPECT_NE(fed.error().message.find("64 bytes"), std::string::npos) << fed.error().message;
  }
}

TEST(SseDecoder, ManyShortDataLinesOfOneEventAreBoundedToo) {
  SseDecoder decoder(64);
  Events events;
  base::Result<void> fed;
  for (int i = 0; fed && i < 100; ++i) fed = decoder.feed("data: 12345\n", into(events));
  EXPECT_FALSE(fed.ok());
  EXPECT_TRUE(events.empty());
}

TEST(SseDecoder, TenMegabytesInOneLine) {
  const std::string data(10 * 1024 * 1024, 'x');
  Events events;
  SseDecoder decoder;
  ASSERT_TRUE(decoder.feed("data: " + data + "\n\n", into(events)).ok());
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].second == data);
}

}  // namespace
}  // namespace tertulia::llm
