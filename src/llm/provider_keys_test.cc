// Where keys go, for every protocol: to their own server, into their own header, and nowhere else.
#include <gtest/gtest.h>

#include <string>

#include "llm/wires_fixture.h"

namespace tertulia::llm {
namespace {

using ProviderKeys = EveryWire;
INSTANTIATE_TEST_SUITE_P(Wires, ProviderKeys, ::testing::ValuesIn(all_wires()), wire_name);

TEST_P(ProviderKeys, TheKeyGoesIntoItsHeaderAndNowhereElse) {
  const Wire& wire = GetParam();
  ModelServer server(test::always_stream(wire.completion({"Hel", "lo"}), wire.content_type));
  const auto provided = provider(server);
  const Answer answer = ask(*provided);
  EXPECT_EQ(answer.outcome, Outcome::ok) << answer.error;
  EXPECT_EQ(answer.text, "Hello");
  EXPECT_EQ(answer.finish_reason, "stop");
  EXPECT_EQ(answer.model, "scripted-1");
  EXPECT_TRUE(answer.usage.reported);
  EXPECT_EQ(answer.usage.prompt_tokens, 11);
  EXPECT_EQ(answer.usage.completion_tokens, 7);
  EXPECT_EQ(answer.usage.cached_tokens, wire.name == "ollama" ? 0 : 4);
  ASSERT_EQ(server.requests().size(), 1U);
  const ReceivedRequest request = server.requests()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, wire.target);
  EXPECT_EQ(request.body, provided->wire_body(hello()));
  EXPECT_EQ(request.header("content-type"), "application/json");
  int headers_with_key = 0;
  for (const auto& [name, value] : request.headers)
    headers_with_key += value.find(kCanary) != std::string::npos ? 1 : 0;
  EXPECT_EQ(headers_with_key, 1);
  EXPECT_EQ(request.header(wire.key_header), std::string(wire.key_prefix) + kCanary);
  EXPECT_EQ(request.body.find(kCanary), std::string::npos);
}

TEST_P(ProviderKeys, WithoutAConfiguredKeyNoneIsSent) {
  const Wire& wire = GetParam();
  ModelServer server(test::always_stream(wire.completion({"Hi"}), wire.content_type));
  EXPECT_EQ(ask(*provider(server, false)).outcome, Outcome::ok);
  EXPECT_EQ(server.requests().at(0).header(wire.key_header), "");
}

// The key stays with the server that it was configured for, wherever that one points.
TEST_P(ProviderKeys, ARedirectIsNotFollowedWithTheKey) {
  ModelServer other(test::always_stream(GetParam().completion({"Hi"}), GetParam().content_type));
  for (const int code : {301, 302, 303, 307, 308}) {
    const Answer answer = ask_server([&](const ReceivedRequest&, Reply& reply) {
      reply.answer(code, "{}", "application/json",
                   "Location: " + other.address() + "/v1/messages\r\n");
    });
    EXPECT_EQ(answer.outcome, Outcome::refused) << code;
  }
  EXPECT_EQ(other.connections(), 0U);
}

TEST_P(ProviderKeys, AServerThatRepeatsTheKeyIsMasked) {
  const Wire& wire = GetParam();
  const auto repeat = [&wire](int code) {
    return [&wire, code](const ReceivedRequest& request, Reply& reply) {
      const std::string key = request.header(wire.key_header).substr(wire.key_prefix.size());
      reply.answer(code, R"({"error":{"message":"no such key: )" + key + R"("}})",
                   "application/json", "request-id: " + key + "\r\n");
    };
  };
  const Answer refused = ask_server(repeat(401));
  EXPECT_EQ(refused.outcome, Outcome::auth);
  EXPECT_NE(refused.error.find(kKeyVariable), std::string::npos) << refused.error;
  EXPECT_EQ(refused.request_id.find(kCanary), std::string::npos);
  EXPECT_NE(ask_server(repeat(500)).error.find("[key]"), std::string::npos);
}

// What may not be sent can still be shown.
TEST_P(ProviderKeys, ARefusingProviderMakesTheSameBytesAndSendsNothing) {
  ModelServer server(test::always_stream(GetParam().completion({"Hi"}), GetParam().content_type));
  const std::shared_ptr<Provider> original = provider(server);
  const auto refusing = make_refusing(original, Outcome::auth, "not this key");
  EXPECT_EQ(refusing->wire_body(hello()), original->wire_body(hello()));
  EXPECT_EQ(refusing->estimate_tokens("a b"), original->estimate_tokens("a b"));
  EXPECT_EQ(refusing->protocol(), GetParam().name);
  const Answer answer = ask(*refusing);
  EXPECT_EQ(answer.outcome, Outcome::auth);
  EXPECT_EQ(answer.error, "not this key");
  EXPECT_EQ(server.connections(), 0U);
}

}  // namespace
}  // namespace tertulia::llm
