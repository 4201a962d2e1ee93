// The table of model faults, each made by a scripted server on a real socket.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "llm/openai_fixture.h"

namespace tertulia::llm {
namespace {

using namespace std::chrono_literals;
using OpenAiFaults = OpenAi;

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

TEST_F(OpenAiFaults, TableOfFaultsOnASocket) {
  const std::string kHead =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string kHalf = "1c\r\ndata: {\"choices\":[{\"delta\":{";
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
         reply.raw(kHead);
         reply.reset();
       },
       Outcome::incomplete},
      {"closed inside a chunk",
       [=](const ReceivedRequest&, Reply& reply) {
         reply.begin();
         reply.chunk(sse_word("Hi"));
         reply.raw(kHalf);
         reply.close();
       },
       Outcome::incomplete, "Hi"},
      {"closed after finish_reason, without the last chunk",
       [](const ReceivedRequest&, Reply& reply) {
         const std::string all = sse_completion({"Hi"});
         reply.begin();
         reply.chunk(all.substr(0, all.find("data: [DONE]")));
         reply.close();
       },
       Outcome::ok, "Hi"},
      {"a stream until the connection closes, without a length",
       [](const ReceivedRequest&, Reply& reply) {
         reply.raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
         reply.raw(sse_completion({"Hi"}));
         reply.close();
       },
       Outcome::ok, "Hi"},
      {"the same, cut off",
       [](const ReceivedRequest&, Reply& reply) {
         reply.raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
         reply.raw(sse_word("Hi"));
         reply.close();
       },
       Outcome::incomplete, "Hi"},
      {"an empty answer",
       [](const ReceivedRequest&, Reply& reply) { reply.answer(200, "", "text/event-stream"); },
       Outcome::incomplete},
      {"gzip",
       [](const ReceivedRequest& request, Reply& reply) {
         EXPECT_NE(request.header("accept-encoding").find("gzip"), std::string::npos);
         reply.answer(200, Gzip::of(sse_completion({"Hi"})), "text/event-stream",
                      "Content-Encoding: gzip\r\n");
       },
       Outcome::ok, "Hi"},
      {"gzip that is none",
       [](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, sse_completion({"Hi"}), "text/event-stream",
                      "Content-Encoding: gzip\r\n");
       },
       Outcome::malformed},
      {"gzip bomb",
       [](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, Gzip::of("\n", 80 * 1024 * 1024 / 258), "text/event-stream",
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
       [](const ReceivedRequest&, Reply& reply) {
         reply.raw("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n");
         reply.answer(200, sse_completion({"Hi"}), "text/event-stream");
       },
       Outcome::ok, "Hi"},
      {"10 MB in one line",
       [](const ReceivedRequest&, Reply& reply) {
         reply.answer(200,
                      ": " + std::string(10 * 1024 * 1024, 'x') + "\n" + sse_completion({"Hi"}),
                      "text/event-stream");
       },
       Outcome::ok, "Hi"},
      {"17 MB in one line",
       [](const ReceivedRequest&, Reply& reply) {
         reply.answer(200, "data: " + std::string(17 * 1024 * 1024, 'x') + "\n\n",
                      "text/event-stream");
       },
       Outcome::malformed,
       "",
       {},
       "16777216"},
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

TEST_F(OpenAiFaults, TruncationAtEveryByteOnASocket) {
  const std::string all = sse_completion({"He", "llo"});
  const std::size_t whole = all.find("\n\n", all.find(R"("finish_reason":"stop")"));
  std::atomic<std::size_t> cut = 0;  // read by the server's threads
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(std::string_view(all).substr(0, cut));
    reply.close();
  });
  const auto openai = provider(server.base_url());
  for (cut = 0; cut < all.size(); ++cut) {
    const Answer answer = ask(*openai);
    ASSERT_EQ(answer.outcome, cut >= whole ? Outcome::ok : Outcome::incomplete)
        << cut << ": " << answer.error;
    ASSERT_TRUE(std::string_view("Hello").starts_with(answer.text));
  }
}

}  // namespace
}  // namespace tertulia::llm
