// The table of model faults, each made by a scripted server on a real socket, for every protocol.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "llm/wires_fixture.h"

namespace tertulia::llm {
namespace {

using namespace std::chrono_literals;
using ProviderFaults = EveryWire;
INSTANTIATE_TEST_SUITE_P(Wires, ProviderFaults, ::testing::ValuesIn(all_wires()), wire_name);

struct Fault {
  const char* what;
  ModelServer::Handler handler;
  Outcome outcome;
  std::string text = {};
  std::optional<std::chrono::milliseconds> retry_after = {};
  const char* in_error = "";
};

ModelServer::Handler status(int code, std::string headers, std::string body = "{}") {
  return [=](const ReceivedRequest&, Reply& reply) {
    reply.answer(code, body, "application/json", headers);
  };
}

// A gzip file made by hand, so that no library is needed: one block with the fixed codes of
// RFC 1951, each byte as a literal, the last byte of the text repeated `more` times 258.
class Gzip final {
 public:
  static std::string of(std::string_view text, std::size_t more = 0) {
    Gzip gzip;
    gzip.out_ = std::string("\x1F\x8B\x08\0\0\0\0\0\0\xFF", 10);
    gzip.code(0b110, 3);  // the last block; fixed codes (written from the lowest bit)
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      byte < 144 ? gzip.code(0x30U + byte, 8) : gzip.code(0x190U + byte - 144U, 9);
    }
    for (std::size_t i = 0; i < more; ++i) {
      gzip.code(0b11000101, 8);  // length 258
      gzip.code(0, 5);           // distance 1
    }
    gzip.code(0, 7);  // end of block
    if (gzip.bits_ > 0) gzip.out_ += static_cast<char>(gzip.byte_);
    gzip.number(crc32(text));
    gzip.number(static_cast<std::uint32_t>(text.size()));
    return gzip.out_;
  }

 private:
  void code(std::uint32_t value, int length) {  // the highest bit first
    while (length-- > 0) {
      byte_ |= ((value >> length) & 1U) << bits_;
      if (++bits_ < 8) continue;
      out_ += static_cast<char>(byte_);
      byte_ = 0;
      bits_ = 0;
    }
  }
  void number(std::uint32_t value) {
    for (int i = 0; i < 4; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  static std::uint32_t crc32(std::string_view text) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char c : text) {
      crc ^= static_cast<unsigned char>(c);
      for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    return ~crc;
  }

  std::string out_;
  std::uint32_t byte_ = 0;
  int bits_ = 0;
};

TEST_P(ProviderFaults, TableOfFaultsOnASocket) {
  const Wire& wire = GetParam();
  const std::string kType(wire.content_type);
  const std::string kHead = "HTTP/1.1 200 OK\r\nContent-Type: " + kType + "\r\n";
  const std::string kWhole = wire.completion({"Hi"});
  const std::string kStopped = kWhole.substr(
      0, kWhole.find(wire.object_end, kWhole.find(wire.stop_mark)) + wire.object_end.size());
  const std::string kWord = wire.word("Hi");
  const std::vector<Fault> faults{
      {"429 with seconds", status(429, "Retry-After: 7\r\n"), Outcome::rate_limited, "", 7s},
      {"429 with milliseconds", status(429, "Retry-After: 7\r\nretry-after-ms: 150\r\n"),
       Outcome::rate_limited, "", 150ms},
      {"429 with 0", status(429, "Retry-After: 0\r\n"), Outcome::rate_limited, "", 0ms},
      {"429 with -1", status(429, "Retry-After: -1\r\n"), Outcome::rate_limited, ""},
      {"429 with a day", status(429, "Retry-After: 86400\r\n"), Outcome::rate_limited, "", 24h},
      {"429 with a date past", status(429, "Retry-After: Tue, 24 Nov 2020 10:00:00 GMT\r\n"),
       Outcome::rate_limited, "", 0ms},
      {"429 without", status(429, ""), Outcome::rate_limited, ""},
      {"429 for money", status(429, "", R"({"error":{"code":"insufficient_quota"}})"),
       Outcome::quota, ""},
      {"503 with seconds", status(503, "Retry-After: 3\r\n"), Outcome::server, "", 3s},
      {"403", status(403, ""), Outcome::auth, "", {}, kKeyVariable},
      {"a redirect",
       status(302, "Location: http://127.0.0.1:1/v1\r\n"),
       Outcome::refused,
       "",
       {},
       "redirect"},
      {"closed before the first byte", [](const ReceivedRequest&, Reply& reply) { reply.close(); },
       Outcome::connection},
      {"reset before the first byte", [](const ReceivedRequest&, Reply& reply) { reply.reset(); },
       Outcome::connection},
      {"reset after the head",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.raw(kHead + "Transfer-Encoding: chunked\r\n\r\n");
         reply.reset();
       },
       Outcome::incomplete},
      {"closed inside a chunk",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.begin(200, kType);
         reply.chunk(kWord);
         reply.raw(fmt::format("{:x}\r\n", kWord.size()) + kWord.substr(0, kWord.size() / 2));
         reply.close();
       },
       Outcome::incomplete, "Hi"},
      {"closed after it said why it stopped, without the last chunk",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.begin(200, kType);
         reply.chunk(kStopped);
         reply.close();
       },
       Outcome::ok, "Hi"},
      {"a stream until the connection closes, without a length",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.raw(kHead + "\r\n");
         reply.raw(kWhole);
         reply.close();
       },
       Outcome::ok, "Hi"},
      {"the same, cut off",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.raw(kHead + "\r\n");
         reply.raw(kWord);
         reply.close();
       },
       Outcome::incomplete, "Hi"},
      {"an empty answer",
       [=](const ReceivedRequest&, Reply& reply) { reply.answer(200, "", kType); },
       Outcome::incomplete},
      {"gzip",
       [=](const ReceivedRequest& request, Reply& reply) {
         EXPECT_NE(request.header("accept-encoding").find("gzip"), std::string::npos);
         reply.answer(200, Gzip::of(kWhole), kType, "Content-Encoding: gzip\r\n");
       },
       Outcome::ok, "Hi"},
      {"gzip that is none",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, kWhole, kType, "Content-Encoding: gzip\r\n");
       },
       Outcome::malformed},
      {"gzip bomb",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, Gzip::of("\n", 80 * 1024 * 1024 / 258), kType,
                      "Content-Encoding: gzip\r\n");
       },
       Outcome::malformed,
       "",
       {},
       "67108864"},
      {"not HTTP",
       [](const ReceivedRequest&, Reply& reply) {
         reply.raw("SSH-2.0-OpenSSH_9.2\r\n");
         reply.close();
       },
       Outcome::malformed},
      {"an endless header",
       [](const ReceivedRequest&, Reply& reply) {
         reply.raw("HTTP/1.1 200 OK\r\n");
         for (int i = 0; i < 100; ++i) reply.raw("X-Long: " + std::string(8000, 'x') + "\r\n");
         reply.close();
       },
       Outcome::malformed},
      {"an interim response first",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.raw("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n");
         reply.answer(200, kWhole, kType);
       },
       Outcome::ok, "Hi"},
      {"10 MB in one line",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, wire.ballast(10 * 1024 * 1024) + kWhole, kType);
       },
       Outcome::ok, "Hi"},
      {"17 MB in one line",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, wire.overlong(17 * 1024 * 1024), kType);
       },
       Outcome::malformed,
       "",
       {},
       "16777216"},
      {"529", status(529, "Retry-After: 2\r\n", R"({"error":{"type":"overloaded_error"}})"),
       Outcome::server, "", 2s},
      {"too long for the model",
       status(400, "", R"({"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}})"),
       Outcome::context_overflow},
      {"an error object inside the stream",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, kWord + wire.failure("It overheated") + kWhole, kType);
       },
       Outcome::server,
       "Hi",
       {},
       "It overheated"},
      {"invalid JSON in the stream",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, kWord + wire.overlong(10) + kWhole, kType);
       },
       Outcome::malformed,
       "Hi",
       {},
       "xxxxxxxxxx"},
      {"a character cut in two by the pieces is put together",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, wire.completion({"\xE4\xBD", "\xA0"}), kType);
       },
       Outcome::ok, "你"},
      {"half a character at the end",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, wire.completion({"Hi", "\xE4\xBD"}), kType);
       },
       Outcome::malformed,
       "Hi",
       {},
       "UTF-8"},
      {"half a character where the length ran out",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, wire.cut_short({"Hi", "\xE4\xBD"}), kType);
       },
       Outcome::ok, "Hi"},
      {"CRLF line ends",
       [=](const ReceivedRequest&, Reply& reply) {
         std::string lines;
         for (const char c : kWhole) lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
         reply.answer(200, lines, kType);
       },
       Outcome::ok, "Hi"},
      {"only what says nothing",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, wire.ballast(5) + wire.ballast(5), kType);
       },
       Outcome::incomplete},
  };
  for (const Fault& fault : faults) {
    const Answer answer = ask_server(fault.handler);
    EXPECT_EQ(answer.outcome, fault.outcome)
        << fault.what << ": " << outcome_name(answer.outcome) << " " << answer.error;
    EXPECT_EQ(answer.text, fault.text) << fault.what;
    EXPECT_EQ(answer.retry_after, fault.retry_after) << fault.what;
    EXPECT_EQ(answer.error.empty(), fault.outcome == Outcome::ok) << fault.what;
    EXPECT_NE(answer.error.find(fault.in_error), std::string::npos)
        << fault.what << ": " << answer.error;
    if (fault.outcome != Outcome::ok) {
      EXPECT_NE(answer.error.find("main"), std::string::npos) << answer.error;
      EXPECT_NE(answer.error.find("http://127.0.0.1:"), std::string::npos) << answer.error;
    }
  }
}

TEST_P(ProviderFaults, TruncationAtEveryByteOnASocket) {
  const Wire& wire = GetParam();
  const std::string all = wire.completion({"He", "llo"});
  const std::size_t whole = all.find(wire.object_end, all.find(wire.stop_mark));
  std::atomic<std::size_t> cut = 0;  // read by the server's threads
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    reply.begin(200, wire.content_type);
    reply.chunk(std::string_view(all).substr(0, cut));
    reply.close();
  });
  const auto provided = provider(server);
  for (cut = 0; cut < all.size(); ++cut) {
    const Answer answer = ask(*provided);
    ASSERT_EQ(answer.outcome, cut >= whole ? Outcome::ok : Outcome::incomplete)
        << cut << ": " << answer.error;
    ASSERT_TRUE(std::string_view("Hello").starts_with(answer.text));
  }
}

TEST_P(ProviderFaults, TheLimitOnLengthIsSaidAndNoFailure) {
  const Answer answer =
      ask_server(test::always_stream(GetParam().cut_short({"Hi"}), GetParam().content_type));
  EXPECT_EQ(answer.outcome, Outcome::ok) << answer.error;
  EXPECT_EQ(answer.finish_reason, "length");
}

// Bytes without meaning, comments and pings among them, must not keep a dead model's call alive.
TEST_P(ProviderFaults, Deadlines) {
  const Wire& wire = GetParam();
  const Deadlines generous{.connect = 60s, .first_byte = 60s, .idle = 60s, .total = 60s};
  const auto word_then = [&wire](const std::string& for_ever) {
    return [&wire, for_ever](const ReceivedRequest&, Reply& reply) {
      reply.begin(200, wire.content_type);
      reply.chunk(wire.word("Hi"));
      while (!for_ever.empty() && !reply.closed()) reply.chunk(for_ever);
      reply.wait_until_client_leaves();
    };
  };
  Deadlines first_byte = generous;
  first_byte.first_byte = 50ms;
  Deadlines idle = generous;
  idle.idle = 50ms;
  Deadlines total = generous;
  total.total = 80ms;
  struct Case {
    const char* what;
    ModelServer::Handler handler;
    Deadlines deadlines;
    std::string text;
  };
  std::vector<Case> cases{
      {"first byte", [](const ReceivedRequest&, Reply& reply) { reply.wait_until_client_leaves(); },
       first_byte, ""},
      {"idle", word_then(""), idle, "Hi"},
      {"idle, with what says nothing", word_then(wire.ballast(5)), idle, "Hi"},
      {"total", word_then(""), total, "Hi"},
  };
  if (wire.name == "anthropic")
    cases.push_back(
        {"idle, with pings", word_then("event: ping\ndata: {\"type\":\"ping\"}\n\n"), idle, "Hi"});
  for (const Case& c : cases) {
    const Answer answer = ask_server(c.handler, c.deadlines);
    EXPECT_EQ(answer.outcome, Outcome::timeout) << c.what << ": " << answer.error;
    EXPECT_EQ(answer.text, c.text) << c.what;
  }
}

TEST_P(ProviderFaults, CancelInMidStreamKeepsWhatHadCome) {
  const Wire& wire = GetParam();
  ModelServer server([&wire](const ReceivedRequest&, Reply& reply) {
    reply.begin(200, wire.content_type);
    reply.chunk(wire.word("Hi"));
    reply.wait_until_client_leaves();
  });
  const auto provided = provider(server);
  Ear ear;
  const auto call = provided->start(hello(), provided->wire_body(hello()), {}, ear.listener());
  ear.wait_for_text("Hi");
  call->cancel();
  const Answer answer = ear.wait();
  EXPECT_EQ(answer.outcome, Outcome::cancelled);
  EXPECT_EQ(answer.text, "Hi");
}

}  // namespace
}  // namespace tertulia::llm
