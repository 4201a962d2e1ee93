// What the tests of providers on real sockets share: an ear for a call, and fixtures.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "llm/openai.h"
#include "support/model_server.h"

namespace tertulia::llm {

using test::ModelServer;
using test::ReceivedRequest;
using test::Reply;
using test::sse_completion;
using test::sse_word;

inline constexpr const char* kKeyVariable = "TERTULIA_TEST_KEY";
inline constexpr const char* kCanary = "sk-canary-0123456789abcdefghij";

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

inline Request hello() {
  Request request;
  request.model = "any";
  request.system = "You are brief.";
  request.turns = {{Turn::Kind::user, "Say hello."}};
  return request;
}

// With a transport and a key in the environment, which no error may ever show.
class ProviderTest : public ::testing::Test {
 protected:
  ProviderTest() { ::setenv(kKeyVariable, kCanary, 1); }
  ~ProviderTest() override { ::unsetenv(kKeyVariable); }

  static Endpoint endpoint(std::string base_url, bool with_key = true) {
    return {.profile = "main",
            .base_url = std::move(base_url),
            .key_env = with_key ? kKeyVariable : "",
            .key_file = {}};
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

  Transport transport_;
};

class OpenAi : public ProviderTest {
 protected:
  std::unique_ptr<Provider> provider(const std::string& base_url, bool with_key = true) {
    auto made = make_openai(endpoint(base_url, with_key), {}, transport_);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(made).value();
  }

  Answer ask_server(ModelServer::Handler handler, const Deadlines& deadlines = {}) {
    ModelServer server(std::move(handler));
    return ask(*provider(server.base_url()), deadlines);
  }
};

}  // namespace tertulia::llm
