#include "llm/openai.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "llm/provider_fixture.h"
#include "support/temp_dir.h"

namespace tertulia::llm {
namespace {

using namespace std::chrono_literals;
using test::Gate;

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
                             .key_file = folder.file("key")},
                            {}, transport_);
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
    auto openai = make_openai(
        {.profile = "main", .base_url = server.base_url(), .key_env = {}, .key_file = {}}, {},
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
    const auto url = endpoint_url(c.base_url, kOpenAiPath);
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
    const auto made = make_openai(
        {.profile = "main", .base_url = url, .key_env = {}, .key_file = {}}, {}, transport_);
    if (!made) continue;  // refused even earlier
    const Answer answer = ask(**made);
    EXPECT_EQ(answer.outcome, Outcome::refused) << url << ": " << answer.error;
    EXPECT_NE(answer.error.find("never called"), std::string::npos) << answer.error;
  }
}

}  // namespace
}  // namespace tertulia::llm
