// What a server may do to its client, on a real socket: break off, ask to wait, refuse, be another.
#include "remote/api_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "remote/event_follower.h"
#include "support/model_server.h"

namespace tertulia::remote {
namespace {

using base::Code;
using std::chrono::milliseconds;
using test::ModelServer;
using test::ReceivedRequest;
using testing::HasSubstr;

std::unique_ptr<ApiClient> client_of(const ModelServer& server,
                                     milliseconds patience = std::chrono::seconds(20)) {
  auto client =
      ApiClient::make({.url = server.address() + "/", .token = "tt_word"}, {.patience = patience});
  EXPECT_TRUE(client) << client.error().message;
  return *std::move(client);
}

constexpr const char* kProblem = "application/problem+json";

TEST(ApiClientTest, APostThatBrokeOffIsSentAgainUnderItsKey) {
  std::atomic<int> count = 0;
  ModelServer server([&](const ReceivedRequest&, test::Reply& reply) {
    if (count++ == 0) {
      reply.reset();
    } else {
      reply.answer(201, R"({"id":7})");
    }
  });
  auto made = client_of(server)->post("/api/v1/sessions", {{"flow", "debate"}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->at("id"), 7);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_NE(requests[0].header("idempotency-key"), "");
  EXPECT_EQ(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
  EXPECT_EQ(requests[1].header("authorization"), "Bearer tt_word");
  EXPECT_EQ(requests[1].target, "/api/v1/sessions");
  EXPECT_EQ(requests[1].body, R"({"flow":"debate"})");
}

TEST(ApiClientTest, ADeletionThatBrokeOffIsNotSentAgain) {
  ModelServer server([&](const ReceivedRequest&, test::Reply& reply) { reply.reset(); });
  auto done = client_of(server)->send({.method = "DELETE", .target = "/api/v1/sessions/1"});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(ApiClientTest, ItWaitsAsItIsAskedToAndNotForWhatDoesNotPass) {
  std::atomic<int> count = 0;
  std::string code = "rate_limited";
  ModelServer server([&](const ReceivedRequest&, test::Reply& reply) {
    if (count++ == 0) {
      reply.answer(code == "rate_limited" ? 429 : 503,
                   R"({"code":")" + code + R"(","detail":"told","remedy":"tertulia db repair"})",
                   kProblem, "Retry-After: 0\r\n");
    } else {
      reply.answer(200, "{}");
    }
  });
  EXPECT_TRUE(client_of(server)->get("/a"));
  EXPECT_EQ(count, 2);
  count = 0;
  code = "schema_drift";
  auto drifted = client_of(server)->get("/a");
  ASSERT_FALSE(drifted);
  EXPECT_EQ(drifted.error().code, Code::drift);
  EXPECT_EQ(drifted.error().message, "told");
  EXPECT_EQ(drifted.error().remedy, "tertulia db repair");
  EXPECT_EQ(count, 1);
  // Longer than it has patience: at once, and not after an hour.
  ModelServer busy([](const ReceivedRequest&, test::Reply& reply) {
    reply.answer(503, R"({"code":"unavailable","detail":"busy"})", kProblem,
                 "Retry-After: 3600\r\n");
  });
  auto refused = client_of(busy)->get("/a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(busy.requests().size(), 1U);
}

TEST(ApiClientTest, AProblemIsTheErrorThatItWasThere) {
  ModelServer server([](const ReceivedRequest&, test::Reply& reply) {
    reply.answer(422,
                 R"({"code":"invalid","detail":"the body has 1 mistake","remedy":"see there",)"
                 R"("errors":[{"pointer":"/seed","detail":"an integer is wanted here"}]})",
                 kProblem);
  });
  auto refused = client_of(server)->post("/a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  EXPECT_EQ(refused.error().message, "the body has 1 mistake; /seed: an integer is wanted here");
  EXPECT_EQ(refused.error().remedy, "see there");
}

TEST(ApiClientTest, AddressesAreCheckedBeforeAnythingIsSent) {
  const auto code = [](ServerAddress address) {
    auto good = checked(std::move(address));
    return good ? good->url : std::string(base::code_name(good.error().code));
  };
  EXPECT_EQ(code({.url = "https://Tertulia.Example/"}), "https://tertulia.example:443");
  EXPECT_EQ(code({.url = "http://127.0.0.1:5010", .token = "t"}), "http://127.0.0.1:5010");
  EXPECT_EQ(code({.url = "http://[::1]:5010/tea/", .token = "t"}), "http://[::1]:5010/tea");
  EXPECT_EQ(code({.url = "http://127.evil.example", .token = "t"}), "denied");
  EXPECT_EQ(code({.url = "http://10.0.0.1", .token = "t"}), "denied");
  EXPECT_EQ(code({.url = "http://10.0.0.1", .token = "t", .allows_plain_http = true}),
            "http://10.0.0.1:80");
  EXPECT_EQ(code({.url = "https://me@tertulia.example"}), "invalid");
  EXPECT_EQ(code({.url = "https://tertulia.example?token=t"}), "invalid");
  EXPECT_EQ(code({.url = "file:///etc/passwd"}), "invalid");
  EXPECT_EQ(code({.url = "https://a.example", .token = "a\r\nb"}), "invalid");
  EXPECT_TRUE(is_same_server("https://a.example", "https://A.example:443/"));
  EXPECT_FALSE(is_same_server("https://a.example", "http://a.example"));
}

std::string event_text(int id) {
  return "id: " + std::to_string(id) + "\nevent: message\ndata: {\"id\":" + std::to_string(id) +
         R"(,"type":"message","session_id":1,"time":"2026-11-24T12:00:00.000000Z","message":{}})" +
         "\n\n";
}

TEST(EventFollowerTest, ComesBackWithTheLastIdThatItHad) {
  ModelServer server([](const ReceivedRequest& request, test::Reply& reply) {
    const std::string last = request.header("last-event-id");
    if (last == "4") return reply.raw("HTTP/1.1 204 No Content\r\n\r\n");
    reply.begin();
    const int from = last.empty() ? 1 : std::stoi(last) + 1;
    const std::string second = event_text(from + 1);
    reply.chunk(event_text(from) + ": here\n\n" + second.substr(0, 9));
    reply.chunk(second.substr(9) + "id: 9\nda");  // breaks off within an event
    reply.close();
  });
  const auto client = client_of(server);
  EventFollower follower(*client, "/events", "0");
  std::vector<std::int64_t> ids;
  while (!follower.is_over()) {
    auto event = follower.next(std::chrono::seconds(20));
    ASSERT_TRUE(event) << event.error().message;
    if (*event) ids.push_back((*event)->id);
  }
  EXPECT_EQ(ids, (std::vector<std::int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(follower.last_id(), "4");
}

TEST(EventFollowerTest, WhatIsRefusedIsFinalAndAnAbsenceEnds) {
  ModelServer server([](const ReceivedRequest&, test::Reply& reply) {
    reply.answer(404, R"({"code":"not_found","detail":"no session 9"})", kProblem);
  });
  const auto client = client_of(server);
  EventFollower refused(*client, "/events", "");
  auto event = refused.next(std::chrono::seconds(20));
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, Code::not_found);

  ModelServer gone([](const ReceivedRequest&, test::Reply& reply) { reply.reset(); });
  const auto other = client_of(gone);
  EventFollower away(*other, "/events", "", milliseconds(300));
  event = away.next(std::chrono::seconds(20));
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, Code::unavailable);
}

}  // namespace
}  // namespace tertulia::remote
