// Requests that are cut, mixed, too large or none at all: where one ends is never in doubt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/attacked.h"

namespace tertulia::test {
namespace {

using testing::AnyOf;

class ServerFramingTest : public AttackedServer {};

TEST_F(ServerFramingTest, WhatIsTooLargeIsRefusedBeforeItIsTaken) {
  // Declared: not a byte of it is waited for.
  EXPECT_EQ(status_of(post("Content-Length: 1048577\r\n", "")), 413);
  EXPECT_EQ(status_of(post("Content-Length: 18446744073709551615\r\n", "")), 413);
  EXPECT_EQ(status_of(post("Content-Length: 18446744073709551616\r\n", "")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 99999999999999999999999\r\n", "")), 400);
  // A client that sends all of it nonetheless gets to read the answer.
  const std::string large(std::size_t{32} << 20, ' ');
  HttpClient stubborn = client();
  stubborn.send(post("Content-Length: " + std::to_string(large.size()) + "\r\n", large));
  const auto answer = stubborn.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  // In chunks: as soon as it is too much.
  HttpClient chunked = client();
  chunked.send(post("Transfer-Encoding: chunked\r\n", ""));
  const std::string chunk = "10000\r\n" + std::string(65536, ' ') + "\r\n";
  for (int i = 0; i < 17; ++i) chunked.send(chunk);
  const auto refused = chunked.read();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 413);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "ffffffff\r\n")), 413);
  // Heads.
  EXPECT_EQ(status_of(get("/healthz", "X-Large: " + std::string(20000, 'x') + "\r\n")), 431);
  std::string many;
  for (int i = 0; i < 4000; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(status_of(get("/healthz", many)), 431);
  EXPECT_EQ(status_of(get("/" + std::string(9000, 'a'))), 414);
  EXPECT_EQ(status_of(get("/" + std::string(40000, 'a'))), 431);
  EXPECT_EQ(status_of(std::string(40000, 'G')), 431);
  // Trailers and chunk extensions are not counted by the limit of heads.
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n",
                           "2\r\n{}\r\n0\r\nX: " + std::string(100000, 'y') + "\r\n\r\n")),
            431);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n",
                           "2;" + std::string(100000, 'y') + "\r\n{}\r\n0\r\n\r\n")),
            431);
}

TEST_F(ServerFramingTest, PipelinedRequestsAreAnsweredInOrder) {
  HttpClient peer = client();
  std::string all;
  for (int i = 0; i < 20; ++i)
    all += i % 3 == 0 ? get("/api/v1/sessions/" + std::to_string(i + 1))
                      : peer.request("POST", kRoles,
                                     R"({"name":"r)" + std::to_string(i) + R"(","prompt":"p"})");
  peer.send(all);
  for (int i = 0; i < 20; ++i) {
    const auto answer = peer.read();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->status, i % 3 == 0 ? 404 : 201) << i;
    if (i % 3 == 0) continue;
    EXPECT_EQ(answer->json().at("name").as_string(), "r" + std::to_string(i));
  }
  EXPECT_EQ(peer.ask("GET", "/healthz").status, 200);
}

TEST_F(ServerFramingTest, GarbageAfterAGoodRequestEndsTheConnection) {
  for (const std::string& first :
       {get("/healthz"), "HEAD /healthz HTTP/1.1\r\n" + host_field() + "\r\n"}) {
    HttpClient peer = client();
    peer.send(first + "\x01\x02 what\r\n\r\n" + get("/healthz"));
    const auto good = peer.read(first[0] == 'H');
    ASSERT_TRUE(good);
    EXPECT_EQ(good->status, 200);
    const auto bad = peer.read();
    ASSERT_TRUE(bad) << "the refusal has the body that it announces";
    EXPECT_EQ(bad->status, 400);
    EXPECT_TRUE(peer.ends());
  }
}

TEST_F(ServerFramingTest, ABodysLengthIsSaidInOneWay) {
  for (const char* framing : {
           "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
           "Content-Length: 2\r\nContent-Length: 3\r\n",
           "Content-Length: 2, 3\r\n",
           "Content-Length: +2\r\n",
           "Content-Length: -2\r\n",
           "Content-Length: 0x2\r\n",
           "Content-Length: 2 2\r\n",
           "Content-Length: \r\n",
           "Content-Length : 2\r\n",
           "Content-Length: 2\n",
           "Transfer-Encoding: chunked, identity\r\n",
           "Transfer-Encoding: chunked, chunked\r\n",
           "Transfer-Encoding: identity\r\n",
           "Transfer-Encoding: xchunked\r\n",
           "Transfer-Encoding: chunkedx\r\n",
           "Transfer-Encoding: \"chunked\"\r\n",
           "Transfer-Encoding: chunked;q=1\r\n",
           "Transfer-Encoding: gzip\r\n",
           "Transfer-Encoding: gzip, chunked\r\n",
           "Transfer-Encoding: \r\n",
           "Transfer-Encoding: \x0b"
           "chunked\r\n",
           "Transfer-Encoding : chunked\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
       })
    expect_last_answer(post(framing, "2\r\n{}\r\n0\r\n\r\n"), 400);
  // A line that goes on with the field before it says no length, and makes that field another one.
  {
    HttpClient peer = client();
    peer.send(post(" Content-Length: 2\r\n", ""));
    EXPECT_EQ(peer.read().value_or(HttpAnswer()).status, 415);
  }
  // What only HTTP/1.1 has is not taken from who speaks 1.0.
  std::string old = post("Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n", "0\r\n\r\n");
  old.replace(old.find("HTTP/1.1"), 8, "HTTP/1.0");
  expect_last_answer(old, 400);
  EXPECT_EQ(roles(), 0U);
}

TEST_F(ServerFramingTest, ChunksAreWellFormed) {
  for (const char* body :
       {"g\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n", "\r\n2\r\n{}\r\n0\r\n\r\n", "2\n{}\n0\n\n",
        "2\r\n{}X\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nX: y\n\n", "2\r\n{}\r\n0\r\nX y\r\n\r\n"})
    expect_last_answer(post("Transfer-Encoding: chunked\r\n", body), 400);
  HttpClient peer = client();
  peer.send(post("Transfer-Encoding: Chunked\r\n",
                 "5;a=b\r\n{\"nam\r\n14;c=\"d\"\r\ne\":\"c\",\"prompt\":\"p\"}\r\n0\r\n\r\n") +
            get("/healthz"));
  EXPECT_EQ(peer.read().value_or(HttpAnswer()).status, 201);
  EXPECT_EQ(peer.read().value_or(HttpAnswer()).status, 200);
}

TEST_F(ServerFramingTest, TrailersAreNoFields) {
  const std::string token = world_.run({"token", "create", "t", "--scope", "admin"}).out;
  HttpClient peer = client();
  peer.send(post("Transfer-Encoding: chunked\r\nIdempotency-Key: one\r\n",
                 "19\r\n" + kRole +
                     "\r\n0\r\nHost: evil.example\r\nAuthorization: Bearer wrong\r\n"
                     "Origin: null\r\nIf-Match: \"x\"\r\nIdempotency-Key: two\r\n\r\n"));
  const HttpAnswer answer = peer.read().value_or(HttpAnswer());
  EXPECT_EQ(answer.status, 201) << answer.body;
  // The key was the head's.
  EXPECT_EQ(client().ask("POST", kRoles, kRole, {{"Idempotency-Key", "one"}}).status, 201);
  EXPECT_EQ(client().ask("POST", kRoles, kRole, {{"Idempotency-Key", "two"}}).status, 409);
  // What a request is framed by cannot be changed at its end.
  for (const char* trailer :
       {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Upgrade: h2c\r\n"}) {
    HttpClient other = client();
    other.send(
        post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n" + std::string(trailer) + "\r\n") +
        get("/healthz"));
    EXPECT_THAT(other.read().value_or(HttpAnswer()).status, AnyOf(400, 422)) << trailer;
  }
}

TEST_F(ServerFramingTest, OtherProtocolsAreToldThatThisIsHttp) {
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400);
  EXPECT_EQ(status_of(std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 11) +
                      std::string(160, '\0')),
            400);
  EXPECT_EQ(status_of("GET /healthz\r\n"), 400);
  EXPECT_EQ(status_of("GET /healthz HTTP/0.9\r\n" + host_field() + "\r\n"), 400);
  EXPECT_EQ(status_of("GET /healthz HTTP/1.2\r\n" + host_field() + "\r\n"), 400);
  EXPECT_EQ(status_of("GET /healthz HTTP/3.0\r\n" + host_field() + "\r\n"), 400);
  EXPECT_EQ(status_of("GET /healthz http/1.1\r\n" + host_field() + "\r\n"), 400);
  EXPECT_EQ(status_of("SSH-2.0-OpenSSH_9.2\r\n"), 400);
  EXPECT_EQ(status_of("\r\n\r\n\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /healthz HTTP/1.1\n" + host_field() + "\n"), 400);
  EXPECT_EQ(status_of(get("/healthz", "X: a\rb\r\n")), 400);
  EXPECT_EQ(status_of(get("/healthz", std::string("X: a\0b\r\n", 8))), 400);
  EXPECT_EQ(status_of(get("/healthz", "no colon\r\n")), 400);
  EXPECT_EQ(status_of(get("/healthz", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n")),
            200);
  EXPECT_EQ(status_of(get("/healthz", "Upgrade: websocket\r\nConnection: Upgrade\r\n")), 200);
  // 1.0 is spoken, and ends the connection.
  HttpClient old = client();
  old.send("GET /healthz HTTP/1.0\r\n" + host_field() + "\r\n");
  const auto answer = old.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->version, "HTTP/1.0");
  EXPECT_TRUE(old.ends());
}

TEST_F(ServerFramingTest, WhatIsCutOffHarmsNobody) {
  const std::string whole = post("Content-Length: 25\r\n", kRole);
  for (std::size_t size = 1; size < whole.size(); size += 3) {
    HttpClient peer = client();
    peer.send(std::string_view(whole).substr(0, size));
  }
  EXPECT_EQ(roles(), 0U);
}

TEST_F(ServerFramingTest, ContinueIsSaidToWhoMaySend) {
  HttpClient peer = client();
  peer.send(post("Content-Length: 25\r\nExpect: 100-continue\r\n", ""));
  const auto go_on = peer.read();
  ASSERT_TRUE(go_on);
  EXPECT_EQ(go_on->status, 100);
  peer.send(kRole);
  EXPECT_EQ(peer.read().value_or(HttpAnswer()).status, 201);
  EXPECT_EQ(status_of(post("Content-Length: 2000000\r\nExpect: 100-continue\r\n", "")), 413);
  EXPECT_EQ(status_of("POST /nowhere HTTP/1.1\r\n" + host_field() +
                      "Content-Type: application/json\r\nContent-Length: 5\r\n"
                      "Expect: 100-continue\r\n\r\n"),
            404);
}

}  // namespace
}  // namespace tertulia::test
