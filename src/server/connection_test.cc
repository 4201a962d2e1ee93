// Connections with short limits: what is late, what does not read, what is refused while it sends.
#include "server/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "server/problem.h"
#include "support/http_client.h"

namespace tertulia::server {
namespace {

using std::chrono::milliseconds;
using test::HttpClient;

// Answers a GET with its path and a POST with its body; refuses /refused; streams /stream.
class EchoDoor final : public Door {
 public:
  Admission admit(const Head& head) override {
    Admission admission;
    if (head.target == "/refused") {
      admission.refusal = problem(403, "denied", "no");
      return admission;
    }
    admission.request = std::make_shared<Request>();
    admission.request->method = head.method;
    admission.request->path = head.target;
    admission.max_body = 100;
    return admission;
  }
  void answer(std::shared_ptr<Request> request, std::function<void(Response)> respond) override {
    if (request->path == "/stream")
      return respond({.content_type = "text/event-stream", .outlet = outlet});
    respond({.content_type = "text/plain",
             .body = request->method == "POST" ? request->body : request->path});
  }
  std::shared_ptr<Outlet> outlet = std::make_shared<Outlet>();
};

class ConnectionTest : public testing::Test {
 protected:
  void start(const ConnectionLimits& limits) {
    auto bound = Listener::bind(
        {.address = {"127.0.0.1", 0}, .limits = limits, .certificate_file = {}, .key_file = {}});
    ASSERT_TRUE(bound) << bound.error().message;
    listener_ = *std::move(bound);
    listener_->run(door_);
  }
  [[nodiscard]] HttpClient client() const {
    return HttpClient("http://127.0.0.1:" + std::to_string(listener_->port()));
  }

  EchoDoor door_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ConnectionTest, AHeadThatComesTooLateIsToldSo) {
  start({.head = milliseconds(30)});
  HttpClient slow = client();
  slow.send("GET / HT");
  const auto answer = slow.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_TRUE(slow.ends());
  // Who has begun nothing is not spoken to.
  HttpClient silent = client();
  EXPECT_TRUE(silent.ends());
  HttpClient idle = client();
  EXPECT_EQ(idle.ask("GET", "/a").body, "/a");
  EXPECT_TRUE(idle.ends());
}

TEST_F(ConnectionTest, ABodyThatComesTooLateIsToldSo) {
  start({.body = milliseconds(30)});
  for (const char* framing :
       {"Content-Length: 5\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer"}) {
    HttpClient slow = client();
    slow.send(std::string("POST / HTTP/1.1\r\nHost: a\r\n") + framing);
    const auto answer = slow.read();
    ASSERT_TRUE(answer) << framing;
    EXPECT_EQ(answer->status, 408) << framing;
    EXPECT_TRUE(slow.ends());
  }
}

TEST_F(ConnectionTest, WhatIsRefusedWhileItSendsGetsToReadWhy) {
  start({});
  const std::string large(std::size_t{32} << 20, 'x');
  for (const char* target : {"/refused", "/too-large"}) {
    HttpClient stubborn = client();
    stubborn.send(stubborn.request("POST", target, large));
    const auto answer = stubborn.read();
    ASSERT_TRUE(answer) << target;
    EXPECT_EQ(answer->status, target == std::string("/refused") ? 403 : 413);
  }
  // A refusal without a body to come keeps the connection.
  HttpClient polite = client();
  EXPECT_EQ(polite.ask("GET", "/refused").status, 403);
  EXPECT_EQ(polite.ask("GET", "/b").body, "/b");
}

TEST_F(ConnectionTest, AStreamLastsWhateverTheLimitsOfRequests) {
  start({.head = milliseconds(20),
         .body = milliseconds(20),
         .write = milliseconds(40),
         .heartbeat = milliseconds(150)});
  HttpClient reader = client();
  reader.send(reader.request("GET", "/stream"));
  ASSERT_EQ(reader.read_head().value_or(test::HttpAnswer()).status, 200);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(reader.read_chunk(), ": still here\n\n");
  door_.outlet->push(std::make_shared<const std::string>("data: a\n\n"));
  door_.outlet->close();
  std::string rest;
  while (auto chunk = reader.read_chunk()) rest += *chunk;
  EXPECT_THAT(rest, testing::HasSubstr("data: a\n\n"));
  EXPECT_TRUE(reader.ends());
}

TEST_F(ConnectionTest, AReaderThatTakesNothingIsCutOff) {
  start({.write = milliseconds(100)});
  std::promise<void> closed;
  door_.outlet->set_on_drained([&, outlet = door_.outlet.get()] {
    if (outlet->is_closed()) closed.set_value();
  });
  HttpClient lazy = client();
  lazy.send(lazy.request("GET", "/stream"));
  ASSERT_EQ(lazy.read_head().value_or(test::HttpAnswer()).status, 200);
  const auto piece = std::make_shared<const std::string>(std::size_t{64} << 20, 'x');
  door_.outlet->push(piece);
  EXPECT_EQ(client().ask("GET", "/c").body, "/c");
  EXPECT_EQ(closed.get_future().wait_for(test::kPatience), std::future_status::ready);
  EXPECT_FALSE(door_.outlet->push(piece));
}

TEST_F(ConnectionTest, MoreThanAreTakenAreToldToComeLater) {
  start({.connections = 2});
  HttpClient first = client();
  EXPECT_EQ(first.ask("GET", "/d").status, 200);
  {
    HttpClient second = client();
    EXPECT_EQ(second.ask("GET", "/e").status, 200);
    HttpClient third = client();
    const auto refused = third.read();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(refused->field("retry-after"), "1");
    EXPECT_TRUE(third.ends());
  }
  // The second has gone, as the server notices.
  while (client().ask("GET", "/f").status != 200) {
  }
  EXPECT_EQ(first.ask("GET", "/g").status, 200);
}

TEST_F(ConnectionTest, AnAnswerIsWholeWhateverWasAskedBefore) {
  start({});
  HttpClient both = client();
  EXPECT_EQ(both.ask("HEAD", "/h").field("content-length"), "2");
  both.send("garbage\r\n\r\n");
  const auto refused = both.read();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 400);
  EXPECT_EQ(refused->json().at("status"), 400);
}

TEST_F(ConnectionTest, StoppingEndsWhatLingersAndWhatWaits) {
  start({.linger = std::chrono::minutes(10)});
  HttpClient lingers = client();
  lingers.send("garbage\r\n\r\n");
  ASSERT_TRUE(lingers.read());
  HttpClient waits = client();
  EXPECT_EQ(waits.ask("GET", "/i").status, 200);
  listener_->stop(std::chrono::minutes(10));
  EXPECT_EQ(listener_->open_connections(), 0U);
  EXPECT_TRUE(waits.ends());
}

}  // namespace
}  // namespace tertulia::server
