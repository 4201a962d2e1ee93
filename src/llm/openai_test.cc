#include "llm/openai.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "support/model_server.h"
#include "support/temp_dir.h"

namespace tertulia::llm {
namespace {

using namespace std::chrono_literals;
using test::Gate;
using test::ModelServer;
using test::ReceivedRequest;
using test::Reply;
using test::sse_completion;
using test::sse_word;

constexpr const char* kKeyVariable = "TERTULIA_TEST_KEY";
constexpr const char* kCanary = "sk-canary-0123456789abcdefghij";

// What a listener heard of one call.
class Ear final {
 public:
  Listener listener() {
    return {.on_text = [this](std::string_view text) { take(text); },
            .on_done = [this](Answer answer) { take(std::move(answer)); }};
  }
  Answer wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_ > 0; });
    return answer_;
  }
  void wait_for_text(std::string_view text) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ > 0 || text_.find(text) != std::string::npos; });
  }
  std::string text() {
    const std::scoped_lock lock(mutex_);
    return text_;
  }
  int pieces() {
    const std::scoped_lock lock(mutex_);
    return pieces_;
  }
  int done() {
    const std::scoped_lock lock(mutex_);
    return done_;
  }

 private:
  void take(std::string_view text) {
    const std::scoped_lock lock(mutex_);
    EXPECT_EQ(done_, 0) << "text after the end";
    text_ += text;
    ++pieces_;
    changed_.notify_all();
  }
  void take(Answer answer) {
    const std::scoped_lock lock(mutex_);
    ++done_;
    answer_ = std::move(answer);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  Answer answer_;
  int pieces_ = 0;
  int done_ = 0;
};

Request hello() {
  Request request;
  request.model = "any";
  request.system = "You are brief.";
  request.turns = {{Turn::Kind::user, "Say hello."}};
  return request;
}

class OpenAi : public ::testing::Test {
 protected:
  OpenAi() { ::setenv(kKeyVariable, kCanary, 1); }
  ~OpenAi() override { ::unsetenv(kKeyVariable); }

  std::unique_ptr<Provider> provider(const std::string& base_url, bool with_key = true) {
    auto made = make_openai({.profile = "main",
                             .base_url = base_url,
                             .key_env = with_key ? kKeyVariable : "",
                             .key_file = {},
                             .organization = {},
                             .project = {}},
                            transport_);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(made).value();
  }

  Answer ask(Provider& provider, const Deadlines& deadlines = {}) {
    Ear ear;
    const Request request = hello();
    const auto call =
        provider.start(request, provider.wire_body(request), deadlines, ear.listener());
    Answer answer = ear.wait();
    EXPECT_EQ(ear.text(), answer.text) << "what streamed is what is reported";
    EXPECT_EQ(answer.error.find(kCanary), std::string::npos) << answer.error;
    return answer;
  }

  Answer ask_server(ModelServer::Handler handler, const Deadlines& deadlines = {}) {
    ModelServer server(std::move(handler));
    return ask(*provider(server.base_url()), deadlines);
  }

  Transport transport_;
};

TEST_F(OpenAi, SendsExactlyTheBodyAndTheKeyOnlyAsAuthorization) {
  ModelServer server(test::always_stream(sse_completion({"Hel", "lo"})));
  const auto openai = provider(server.base_url());
  const Answer answer = ask(*openai);
  EXPECT_EQ(answer.outcome, Outcome::ok) << answer.error;
  EXPECT_EQ(answer.text, "Hello");
  EXPECT_EQ(answer.http_status, 200);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].target, "/v1/chat/completions");
  EXPECT_EQ(requests[0].body, openai->wire_body(hello()));
  EXPECT_EQ(requests[0].header("content-type"), "application/json");
  EXPECT_EQ(requests[0].header("authorization"), std::string("Bearer ") + kCanary);
  EXPECT_EQ(requests[0].body.find(kCanary), std::string::npos);
  for (const auto& [name, value] : requests[0].headers)
    if (name != "Authorization") {
      EXPECT_EQ(value.find(kCanary), std::string::npos) << name;
    }
}

TEST_F(OpenAi, WithoutAConfiguredKeyNoneIsSent) {
  ModelServer server(test::always_stream(sse_completion({"Hi"})));
  EXPECT_EQ(ask(*provider(server.base_url(), false)).outcome, Outcome::ok);
  EXPECT_EQ(server.requests().at(0).header("authorization"), "");
}

TEST_F(OpenAi, AMissingKeyIsNamedBeforeAnythingIsSent) {
  ModelServer server(test::always_stream(sse_completion({"Hi"})));
  const auto openai = provider(server.base_url());
  ::unsetenv(kKeyVariable);
  const Answer answer = ask(*openai);
  EXPECT_EQ(answer.outcome, Outcome::auth);
  EXPECT_NE(answer.error.find("main"), std::string::npos) << answer.error;
  EXPECT_NE(answer.error.find(kKeyVariable), std::string::npos) << answer.error;
  EXPECT_EQ(server.connections(), 0U);
  ::setenv(kKeyVariable, "two\r\nX-Injected: lines", 1);
  EXPECT_EQ(ask(*openai).outcome, Outcome::auth);
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(OpenAi, TheKeyFromAFileIsReadAtEachCall) {
  const test::TempDir folder;
  ModelServer server(test::always_stream(sse_completion({"Hi"})));
  auto openai = make_openai({.profile = "main",
                             .base_url = server.base_url(),
                             .key_env = {},
                             .key_file = folder.file("key"),
                             .organization = {},
                             .project = {}},
                            transport_);
  ASSERT_TRUE(openai);
  const Answer missing = ask(**openai);
  EXPECT_EQ(missing.outcome, Outcome::auth);
  EXPECT_NE(missing.error.find(folder.file("key")), std::string::npos) << missing.error;
  std::ofstream(folder.file("key")) << "  " << kCanary << "\n";
  EXPECT_EQ(ask(**openai).outcome, Outcome::ok);
  EXPECT_EQ(server.requests().at(0).header("authorization"), std::string("Bearer ") + kCanary);
}

TEST_F(OpenAi, AServerThatRepeatsTheKeyIsMasked) {
  const Answer answer = ask_server([](const ReceivedRequest& request, Reply& reply) {
    const std::string key = request.header("authorization").substr(7);
    reply.answer(401, R"({"error":{"message":"Incorrect API key provided: )" + key + R"("}})",
                 "application/json", "X-Request-Id: " + key + "\r\n");
  });
  EXPECT_EQ(answer.outcome, Outcome::auth);
  EXPECT_EQ(answer.request_id.find(kCanary), std::string::npos);
  EXPECT_NE(answer.error.find(kKeyVariable), std::string::npos)
      << "the advice says where the key came from: " << answer.error;
}

// Clipping the server's words must not leave the beginning of a key where the mask no longer
// recognises it.
TEST_F(OpenAi, AKeyThatIsCutByClippingIsMaskedToo) {
  for (std::size_t padding = 270; padding < 305; ++padding) {
    const Answer answer = ask_server([padding](const ReceivedRequest& request, Reply& reply) {
      const std::string key = request.header("authorization").substr(7);
      reply.answer(padding % 2 == 0 ? 500 : 401,
                   std::string(padding, 'x') + key + std::string(500, 'y'), "text/plain");
    });
    ASSERT_EQ(answer.error.find("sk-canary"), std::string::npos) << answer.error;
  }
}

TEST_F(OpenAi, WordsArriveWhileTheServerIsStillSpeaking) {
  Gate more;
  ModelServer server([&more](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(sse_word("one "));
    more.wait();
    reply.chunk(sse_completion({"two"}));
    reply.end();
  });
  const auto openai = provider(server.base_url());
  Ear ear;
  const auto call = openai->start(hello(), openai->wire_body(hello()), {}, ear.listener());
  ear.wait_for_text("one ");
  EXPECT_EQ(ear.done(), 0);
  more.open();
  const Answer answer = ear.wait();
  EXPECT_EQ(answer.text, "one two");
  EXPECT_GE(ear.pieces(), 2);
  EXPECT_GE(answer.duration, answer.first_token);
  EXPECT_GT(answer.first_token, 0ms);
}

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

TEST_F(OpenAi, TableOfFaultsOnASocket) {
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

TEST_F(OpenAi, TruncationAtEveryByteOnASocket) {
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

TEST_F(OpenAi, ReportsTheServersRequestIdAndUsageOrAnEstimate) {
  const Answer told = ask_server([](const ReceivedRequest&, Reply& reply) {
    reply.begin(200, "text/event-stream", "X-Request-ID: req-9\r\n");
    reply.chunk(sse_completion({"Hi"}, "stop",
                               test::CompletionUsage{.prompt_tokens = 1000,
                                                     .completion_tokens = 2,
                                                     .cached_tokens = 900,
                                                     .reasoning_tokens = 1}));
    reply.end();
  });
  EXPECT_EQ(told.request_id, "req-9");
  EXPECT_TRUE(told.usage.reported);
  EXPECT_EQ(told.usage.prompt_tokens, 1000);
  EXPECT_EQ(told.usage.cached_tokens, 900);

  const Answer untold = ask_server(test::always_stream(sse_completion({"Hi", " there"})));
  EXPECT_EQ(untold.request_id, "chatcmpl-1");
  EXPECT_FALSE(untold.usage.reported);
  EXPECT_GT(untold.usage.prompt_tokens, 0);
  EXPECT_EQ(untold.usage.completion_tokens, 2);
}

TEST_F(OpenAi, NobodyListens) {
  std::string url;
  {
    ModelServer server(test::always_stream(""));
    url = server.base_url();
  }
  const Answer answer = ask(*provider(url));
  EXPECT_EQ(answer.outcome, Outcome::connection);
  EXPECT_NE(answer.error.find(url), std::string::npos) << answer.error;
  EXPECT_EQ(answer.http_status, 0);
}

TEST_F(OpenAi, Deadlines) {
  const Deadlines generous{.connect = 60s, .first_byte = 60s, .idle = 60s, .total = 60s};
  const auto silent = [](const ReceivedRequest&, Reply& reply) {
    reply.wait_until_client_leaves();
  };
  const auto head_then_silence = [](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(sse_word("Hi"));
    reply.wait_until_client_leaves();
  };
  // Bytes without meaning: they must not keep a dead model's call alive.
  const auto comments_for_ever = [](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(sse_word("Hi"));
    while (!reply.closed()) reply.chunk(": alive\n\n");
  };
  struct Case {
    const char* what;
    ModelServer::Handler handler;
    Deadlines deadlines;
    std::string text;
    const char* in_error;
  };
  std::vector<Case> cases{
      {"first byte", silent, generous, "", "no answer began"},
      {"idle", head_then_silence, generous, "Hi", "nothing meaningful"},
      {"idle, with comments", comments_for_ever, generous, "Hi", "nothing meaningful"},
      {"total", head_then_silence, generous, "Hi", "not finished"},
  };
  cases[0].deadlines.first_byte = 50ms;
  cases[1].deadlines.idle = 50ms;
  cases[2].deadlines.idle = 50ms;
  cases[3].deadlines.total = 80ms;
  for (const Case& c : cases) {
    const Answer answer = ask_server(c.handler, c.deadlines);
    EXPECT_EQ(answer.outcome, Outcome::timeout) << c.what << ": " << answer.error;
    EXPECT_EQ(answer.text, c.text) << c.what;
    EXPECT_NE(answer.error.find(c.in_error), std::string::npos) << answer.error;
  }
}

TEST_F(OpenAi, AnAnswerWithItsFinishReasonDoesNotWaitForDoneForEver) {
  const Answer answer = ask_server(
      [](const ReceivedRequest&, Reply& reply) {
        const std::string all = sse_completion({"Hi"});
        reply.begin();
        reply.chunk(all.substr(0, all.find("data: [DONE]")));
        reply.wait_until_client_leaves();
      },
      {.connect = 60s, .first_byte = 60s, .idle = 50ms, .total = 60s});
  EXPECT_EQ(answer.outcome, Outcome::ok) << answer.error;
  EXPECT_EQ(answer.text, "Hi");
}

TEST_F(OpenAi, CancelInMidStreamReportsOnceAndClosesTheConnection) {
  Gate left;
  ModelServer server([&left](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(sse_word("Hi"));
    reply.wait_until_client_leaves();
    left.open();
  });
  const auto openai = provider(server.base_url());
  for (const bool by_destruction : {false, true}) {
    Ear ear;
    auto call = openai->start(hello(), openai->wire_body(hello()), {}, ear.listener());
    ear.wait_for_text("Hi");
    if (by_destruction)
      call.reset();
    else
      call->cancel();
    const Answer answer = ear.wait();
    EXPECT_EQ(answer.outcome, Outcome::cancelled);
    EXPECT_EQ(answer.text, "Hi");
    left.wait();
    call.reset();
    EXPECT_EQ(ear.done(), 1);
  }
}

TEST_F(OpenAi, TheTransportsEndCancelsWhatIsUnderWay) {
  ModelServer server(
      [](const ReceivedRequest&, Reply& reply) { reply.wait_until_client_leaves(); });
  Ear ear;
  std::unique_ptr<Call> call;
  {
    Transport transport;
    auto openai = make_openai({.profile = "main",
                               .base_url = server.base_url(),
                               .key_env = {},
                               .key_file = {},
                               .organization = {},
                               .project = {}},
                              transport);
    ASSERT_TRUE(openai);
    call = (*openai)->start(hello(), (*openai)->wire_body(hello()), {}, ear.listener());
  }
  EXPECT_EQ(ear.wait().outcome, Outcome::cancelled);
  call.reset();  // after its transport: harmless
  EXPECT_EQ(ear.done(), 1);
}

TEST_F(OpenAi, ConnectionsAreKeptAndUsedAgain) {
  ModelServer server(test::always_stream(sse_completion({"Hi"})));
  const auto openai = provider(server.base_url());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(*openai).outcome, Outcome::ok);
  EXPECT_EQ(server.requests().size(), 20U);
  EXPECT_LT(server.connections(), 20U);
}

TEST_F(OpenAi, ManyCallsAtOnce) {
  constexpr std::size_t kCalls = 100;
  Gate all_here;
  std::atomic<std::size_t> waiting = 0;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(sse_word("a"));
    if (++waiting == kCalls) all_here.open();  // only if they really are there at once
    all_here.wait();
    reply.chunk(sse_completion({"b"}));
    reply.end();
  });
  const auto openai = provider(server.base_url());
  std::vector<Ear> ears(kCalls);
  std::vector<std::unique_ptr<Call>> calls;
  for (Ear& ear : ears)
    calls.push_back(openai->start(hello(), openai->wire_body(hello()), {}, ear.listener()));
  for (Ear& ear : ears) EXPECT_EQ(ear.wait().text, "ab");
}

TEST(OpenAiUrl, WhatIsAcceptedAndWhatIsNot) {
  struct Case {
    const char* base_url;
    const char* url;  // empty: refused
    const char* in_error;
  };
  const std::vector<Case> cases{
      {"https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions", ""},
      {"http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1/chat/completions", ""},
      {"http://[::1]:11434/v1", "http://[::1]:11434/v1/chat/completions", ""},
      {"http://localhost", "http://localhost/chat/completions", ""},
      {"ftp://example.com/v1", "", "http"},
      {"file:///etc/passwd", "", "http"},
      {"example.com/v1", "", "not a URL"},
      {"http://me:secret@example.com/v1", "", "password"},
      {"http://example.com/v1#x", "", "fragment"},
      {"http://", "", "host"},
      {"http://exa mple.com/", "", "not a URL"},
      {"http://169.254.169.254/latest", "", "never called"},
      {"http://[fe80::1]/v1", "", "never called"},
      {"http://[fd00:ec2::254]/v1", "", "never called"},
      {"http://[::ffff:169.254.169.254]/v1", "", "never called"},
  };
  for (const Case& c : cases) {
    const auto url = chat_url(c.base_url);
    if (*c.url != '\0') {
      ASSERT_TRUE(url) << c.base_url << ": " << url.error().message;
      EXPECT_EQ(*url, c.url);
    } else {
      ASSERT_FALSE(url) << c.base_url << " was accepted as " << *url;
      EXPECT_NE(url.error().message.find(c.in_error), std::string::npos) << url.error().message;
      EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << url.error().message;
    }
  }
}

// Other spellings of the metadata address get past a look at the URL; not past the socket.
TEST_F(OpenAi, ForbiddenAddressesAreRefusedHoweverTheyAreSpelt) {
  for (const char* const url : {"http://0xA9FEA9FE/v1", "http://2852039166/v1"}) {
    const auto made = make_openai({.profile = "main",
                                   .base_url = url,
                                   .key_env = {},
                                   .key_file = {},
                                   .organization = {},
                                   .project = {}},
                                  transport_);
    if (!made) continue;  // refused even earlier
    const Answer answer = ask(**made);
    EXPECT_EQ(answer.outcome, Outcome::refused) << url << ": " << answer.error;
    EXPECT_NE(answer.error.find("never called"), std::string::npos) << answer.error;
  }
}

}  // namespace
}  // namespace tertulia::llm
