// What is sent to a server to harm it, byte by byte: each is refused with its status, and another
// client is served as before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "support/http_client.h"
#include "support/legacy_database.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kRoles = "/api/v1/roles";
const std::string kRole = R"({"name":"a","prompt":"p"})";

class ServerAttacksTest : public testing::Test {
 protected:
  ServerAttacksTest() {
    world_.environment["TERTULIA_LOG"] = "info";
    served_.emplace(world_);
  }
  ~ServerAttacksTest() override { expect_well(); }

  // A good request of somebody else.
  void expect_well() const {
    if (!served_) return;
    const HttpAnswer answer = client().ask("GET", "/api/v1/sessions");
    EXPECT_EQ(answer.status, 200) << answer.body;
  }
  // The status of the first answer to these bytes; 0 where none comes.
  [[nodiscard]] int status_of(const std::string& bytes) const {
    HttpClient peer = client();
    peer.send(bytes);
    peer.end_sending();
    const auto answer = peer.read();
    if (answer && answer->status >= 400) {
      EXPECT_EQ(answer->field("content-type"), "application/problem+json");
      EXPECT_EQ(answer->json().at("status"), answer->status);
    }
    return answer ? answer->status : 0;
  }
  [[nodiscard]] HttpClient client() const { return HttpClient(served_->url()); }
  [[nodiscard]] std::string host() const { return client().host(); }
  [[nodiscard]] std::string host_field() const { return "Host: " + host() + "\r\n"; }
  [[nodiscard]] std::string get(const std::string& target, const std::string& fields = {}) const {
    return "GET " + target + " HTTP/1.1\r\n" + host_field() + fields + "\r\n";
  }
  // A POST of a role whose framing is the test's.
  [[nodiscard]] std::string post(const std::string& framing, const std::string& body) const {
    return std::string("POST ") + kRoles + " HTTP/1.1\r\n" + host_field() +
           "Content-Type: application/json\r\n" + framing + "\r\n" + body;
  }
  // What is sent after a request that was refused for its framing is not taken for another one.
  void expect_last_answer(const std::string& bytes, int status) const {
    HttpClient peer = client();
    peer.send(bytes + get("/healthz"));
    const auto answer = peer.read();
    ASSERT_TRUE(answer) << bytes;
    EXPECT_EQ(answer->status, status) << bytes;
    EXPECT_NE(answer->field("connection"), "keep-alive") << bytes;
    EXPECT_TRUE(peer.ends()) << bytes;
  }
  [[nodiscard]] std::size_t roles() const {
    return client().ask("GET", kRoles).json().at("items").as_array().size();
  }

  World world_;
  std::optional<Serving> served_;
};

TEST_F(ServerAttacksTest, TheHostFieldIsOneOfItsNames) {
  const std::string port = host().substr(host().find(':'));
  const auto with = [&](const std::string& fields) {
    return status_of("GET /api/v1/sessions HTTP/1.1\r\n" + fields + "\r\n");
  };
  for (const char* name : {"127.0.0.1", "localhost", "LocalHost", "LOCALHOST", "[::1]"})
    EXPECT_EQ(with("Host: " + (name + port) + "\r\n"), 200) << name;
  for (const std::string& host : {"evil.example" + port,
                                  "127.0.0.1.evil.example" + port,
                                  "localhost.evil.example" + port,
                                  "evil.example@127.0.0.1" + port,
                                  "127.0.0.1" + port + "@evil.example",
                                  "user:pass@127.0.0.1" + port,
                                  std::string("127.0.0.1"),
                                  std::string("localhost"),
                                  std::string("127.0.0.1:1"),
                                  std::string("127.0.0.1:"),
                                  "127.0.0.1." + port,
                                  "localhost." + port,
                                  "127.0.0.1" + port + "0",
                                  "127.1" + port,
                                  "0x7f.1" + port,
                                  "2130706433" + port,
                                  "0.0.0.0" + port,
                                  "::1" + port,
                                  "[::1" + port,
                                  "[::01]" + port,
                                  "[0:0:0:0:0:0:0:1]" + port,
                                  "[::ffff:127.0.0.1]" + port,
                                  "[::1%25lo]" + port,
                                  "127.0.0.1" + port + ", evil.example",
                                  "127.0.0.1" + port + "/",
                                  "127.0.0.1 " + port,
                                  "http://127.0.0.1" + port,
                                  std::string("\xff\xfe"),
                                  std::string(300, 'h'),
                                  std::string("\xc3\xa9").append(port),
                                  std::string()})
    EXPECT_EQ(with("Host: " + host + "\r\n"), 421) << host;
  EXPECT_EQ(with(""), 400);
  EXPECT_EQ(with("Host: 127.0.0.1" + port + "\r\nHost: 127.0.0.1" + port + "\r\n"), 400);
  EXPECT_EQ(with("Host: evil.example\r\nHost: 127.0.0.1" + port + "\r\n"), 400);
  EXPECT_EQ(with("Host : 127.0.0.1" + port + "\r\n"), 400);
  EXPECT_EQ(with("X-Forwarded-Host: evil.example\r\n" + host_field()), 200);
}

TEST_F(ServerAttacksTest, ItIsNoProxy) {
  for (const std::string& target :
       {"http://" + host() + "/healthz", std::string("http://evil.example/healthz"),
        std::string("https://127.0.0.1/"), std::string("file:///etc/passwd"),
        std::string("healthz"), std::string("*"), host(), std::string("?a=b")})
    EXPECT_EQ(status_of(get(target)), 400) << target;
  EXPECT_EQ(status_of("CONNECT " + host() + " HTTP/1.1\r\n" + host_field() + "\r\n"), 400);
}

TEST_F(ServerAttacksTest, PagesOfOtherOriginsAreRefused) {
  const auto with = [&](const HttpFields& fields, std::string_view method = "GET") {
    return client().ask(method, kRoles, method == "POST" ? kRole : "", fields).status;
  };
  const std::string port = host().substr(host().find(':'));
  for (const std::string& origin :
       {std::string("null"), std::string("https://evil.example"), std::string("http://127.0.0.1"),
        "https://" + host(), "http://127.0.0.1.evil.example" + port, "http://localhost" + port,
        std::string(), "http://" + host() + "/", std::string("file://")}) {
    EXPECT_EQ(with({{"Origin", origin}}), 403) << origin;
    EXPECT_EQ(with({{"Origin", origin}}, "POST"), 403) << origin;
  }
  EXPECT_EQ(with({{"Origin", "http://" + host()}, {"Origin", "null"}}), 400);
  for (const char* site : {"cross-site", "same-site"}) {
    EXPECT_EQ(with({{"Sec-Fetch-Site", site}}), 403) << site;
    EXPECT_EQ(with({{"Sec-Fetch-Site", site}, {"Sec-Fetch-Mode", "navigate"}}), 403) << site;
    EXPECT_EQ(with({{"Sec-Fetch-Site", site}}, "POST"), 403) << site;
  }
  EXPECT_EQ(roles(), 0U);
  EXPECT_EQ(with({{"Origin", "http://" + host()}, {"Sec-Fetch-Site", "same-origin"}}), 200);
  EXPECT_EQ(with({{"Sec-Fetch-Site", "none"}}), 200);
  const HttpAnswer preflight =
      client().ask("OPTIONS", kRoles, {},
                   {{"Origin", "https://evil.example"}, {"Access-Control-Request-Method", "POST"}});
  EXPECT_EQ(preflight.status, 403);
  EXPECT_EQ(preflight.count("access-control-allow-origin"), 0U);
}

TEST_F(ServerAttacksTest, WhatAFormCanSendChangesNothing) {
  for (const char* type :
       {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain; application/json", "text/json", "application/jsonp", "", "json"}) {
    EXPECT_EQ(client().ask("POST", kRoles, kRole, {{"Content-Type", type}}).status, 415) << type;
    EXPECT_EQ(client().ask("PUT", "/api/v1/roles/a", kRole, {{"Content-Type", type}}).status, 415);
    EXPECT_EQ(client().ask("DELETE", "/api/v1/roles/a", {}, {{"Content-Type", type}}).status, 415);
  }
  const auto length = "Content-Length: " + std::to_string(kRole.size()) + "\r\n";
  EXPECT_EQ(status_of("POST " + std::string(kRoles) + " HTTP/1.1\r\n" + host_field() + length +
                      "\r\n" + kRole),
            415);
  EXPECT_EQ(status_of(post("Content-Type: text/plain\r\n" + length, kRole)), 415);
  EXPECT_EQ(roles(), 0U);
  const HttpAnswer made =
      client().ask("POST", kRoles, kRole, {{"Content-Type", "Application/JSON ; charset=utf-8"}});
  EXPECT_EQ(made.status, 201) << made.body;
}

TEST_F(ServerAttacksTest, WhatIsTooLargeIsRefusedBeforeItIsTaken) {
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

TEST_F(ServerAttacksTest, PipelinedRequestsAreAnsweredInOrder) {
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

TEST_F(ServerAttacksTest, GarbageAfterAGoodRequestEndsTheConnection) {
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

TEST_F(ServerAttacksTest, ABodysLengthIsSaidInOneWay) {
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

TEST_F(ServerAttacksTest, ChunksAreWellFormed) {
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

TEST_F(ServerAttacksTest, TrailersAreNoFields) {
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

TEST_F(ServerAttacksTest, PathsHaveNoTricks) {
  for (const char* target : {"/api/v1/%2e%2e/healthz",
                             "/api/v1/../../healthz",
                             "/./healthz",
                             "/.//healthz",
                             "/%2e/healthz",
                             "/../etc/passwd",
                             "/api/v1/sessions/..",
                             "/healthz%2f",
                             "/api%2fv1/roles",
                             "/api%2Fv1/roles",
                             "/healthz%00",
                             "/%00",
                             "/\\healthz",
                             "/..\\healthz",
                             "/%c0%ae%c0%ae/healthz",
                             "/%c0%af",
                             "/%e0%80%af",
                             "/%f0%80%80%af",
                             "/%ed%a0%80",
                             "/%ff",
                             "/%",
                             "/%2",
                             "/%zz",
                             "/healthz#part",
                             "/healthz?x=%ff",
                             "/healthz?x=%00",
                             "/healthz?%00=1",
                             "/caf\xc3\xa9",
                             "/\xff",
                             "/a|b",
                             "/a\"b",
                             "/<script>"})
    EXPECT_EQ(status_of(get(target)), 400) << target;
  EXPECT_EQ(status_of("GET /health z HTTP/1.1\r\n" + host_field() + "\r\n"), 400);
  EXPECT_EQ(status_of("GET /healthz\x01 HTTP/1.1\r\n" + host_field() + "\r\n"), 400);
  EXPECT_EQ(status_of("GET\t/healthz HTTP/1.1\r\n" + host_field() + "\r\n"), 400);
  for (const char* target :
       {"//healthz", "///", "//evil.example/healthz", "/healthz/", "/healthz//", "/api//v1/roles",
        "/HEALTHZ", "/%5chealthz", "/%255chealthz", "/%252e%252e/healthz", "/healthz;a=b",
        "/api/v1/roles/%0d%0aX-Injected:%20yes", "/etc/passwd", "/.git/config", "/"})
    EXPECT_THAT(status_of(get(target)), AnyOf(404, std::string(target) == "/" ? 200 : 404))
        << target;
  for (const char* id :
       {"0", "-1", "1e3", "0x1", "+1", "1.0", "9223372036854775808", "%31%20", "a"})
    EXPECT_EQ(status_of(get(std::string("/api/v1/sessions/") + id)), 404) << id;
}

TEST_F(ServerAttacksTest, NothingOfARequestBecomesAFieldOfTheAnswer) {
  const std::string split = R"(x\r\nX-Injected: yes\r\n\r\n<script>)";
  const HttpAnswer made =
      client().ask("POST", kRoles, R"({"name":")" + split + R"(","prompt":"p"})");
  EXPECT_EQ(made.count("x-injected"), 0U);
  EXPECT_EQ(made.status, 201);
  // Where it is can be asked for.
  const HttpAnswer found = client().ask("GET", made.field("location"));
  EXPECT_EQ(found.status, 200) << made.field("location");
  const HttpAnswer chinese = client().ask("POST", kRoles, R"({"name":"评论 人/?#%","prompt":"p"})");
  EXPECT_THAT(chinese.field("location"), Not(HasSubstr(" ")));
  EXPECT_EQ(chinese.count("location"), 1U);
  for (const auto& [name, value] : HttpFields{{"Last-Event-ID", "\xff\xfe<b>"},
                                              {"Idempotency-Key", "\xff\xfe<b>"},
                                              {"If-Match", "\xff\"<b>"},
                                              {"Accept", "\xff"},
                                              {"Authorization", "Bearer \xff\xfe"}}) {
    const HttpAnswer answer =
        client().ask("GET", "/api/v1/events?x=%0d%0aX-Injected:%201", {},
                     {{name, value}, {"Connection", "close"}, {"Last-Event-ID", "\xff"}});
    EXPECT_EQ(answer.count("x-injected"), 0U) << name;
    EXPECT_TRUE(base::parse_json(answer.body)) << name << ' ' << answer.body;
  }
}

TEST_F(ServerAttacksTest, OtherProtocolsAreToldThatThisIsHttp) {
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

TEST_F(ServerAttacksTest, WhatIsCutOffHarmsNobody) {
  const std::string whole = post("Content-Length: 25\r\n", kRole);
  for (std::size_t size = 1; size < whole.size(); size += 3) {
    HttpClient peer = client();
    peer.send(std::string_view(whole).substr(0, size));
  }
  EXPECT_EQ(roles(), 0U);
}

TEST_F(ServerAttacksTest, ContinueIsSaidToWhoMaySend) {
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

TEST_F(ServerAttacksTest, MethodsAreKnown) {
  HttpClient peer = client();
  const HttpAnswer got = peer.ask("GET", "/api/v1/openapi.json");
  const HttpAnswer head = peer.ask("HEAD", "/api/v1/openapi.json");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.field("content-length"), got.field("content-length"));
  EXPECT_EQ(head.field("etag"), got.field("etag"));
  EXPECT_EQ(peer.ask("HEAD", "/nowhere").status, 404);
  const HttpAnswer options = peer.ask("OPTIONS", "/api/v1/roles");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.field("allow"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(peer.ask("OPTIONS", "*").status, 204);
  EXPECT_EQ(peer.ask("OPTIONS", "/nowhere").status, 404);
  for (const char* method : {"DELETE", "PUT", "PATCH", "TRACE", "PROPFIND", "get", "G"}) {
    const HttpAnswer answer = peer.ask(method, "/api/v1/sessions");
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.field("allow"), "GET, HEAD, POST, OPTIONS") << method;
  }
  // A method in another's field is not that method.
  EXPECT_EQ(peer.ask("GET", "/api/v1/roles", {}, {{"X-HTTP-Method-Override", "DELETE"}}).status,
            200);
}

class ServerTokensTest : public testing::Test {
 protected:
  std::string make(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"token", "create", "name"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished made = world_.run(arguments);
    EXPECT_EQ(made.status, 0) << made.err;
    std::string token = made.out.substr(0, made.out.find('\n'));
    tokens_.push_back(token);
    return token;
  }
  static HttpFields bearer(const std::string& token) {
    return {{"Authorization", "Bearer " + token}};
  }

  World world_;
  std::vector<std::string> tokens_;
};

TEST_F(ServerTokensTest, AllowWhatTheirScopeDoesAndAreNeverLogged) {
  const std::string read = make({"--scope", "read"}), run = make({"--scope", "run"}),
                    admin = make({"--scope", "admin"}), revoked = make({}), expired = make({});
  execute_sql(world_.database,
              "UPDATE api_tokens SET expires_at = '2020-01-01T00:00:00.000Z' WHERE id = 5");
  ASSERT_EQ(world_.run({"token", "revoke", "4"}).status, 0);
  world_.write("config.yaml", "server: { require_token: true }\n");
  world_.environment["TERTULIA_LOG"] = "debug";
  Serving served(world_, {"--model", "rehearsal", "--config", world_.path("config.yaml")});
  const auto status = [&](std::string_view method, std::string_view target,
                          const HttpFields& fields, std::string_view body = {}) {
    const HttpAnswer answer = HttpClient(served.url()).ask(method, target, body, fields);
    const bool is_refused = answer.status == 401;
    EXPECT_EQ(answer.count("www-authenticate"), is_refused ? 1U : 0U);
    for (const std::string& token : tokens_) EXPECT_THAT(answer.body, Not(HasSubstr(token)));
    return answer.status;
  };
  EXPECT_EQ(status("GET", "/healthz", {}), 200);
  EXPECT_EQ(status("GET", "/readyz", {}), 200);
  EXPECT_EQ(status("GET", "/api/v1/openapi.json", {}), 200);
  // Nobody, or nobody who is known. What is there is not told either.
  std::string damaged = admin;
  damaged.back() = damaged.back() == 'A' ? 'B' : 'A';
  for (const HttpFields& fields :
       {HttpFields{}, bearer(revoked), bearer(expired), bearer(damaged), bearer(admin + "A"),
        bearer(" "), bearer(""), bearer(admin.substr(0, admin.size() - 1)),
        bearer(std::string(8000, 'x')), HttpFields{{"Authorization", "Basic dTpw"}},
        HttpFields{{"Authorization", admin}}, HttpFields{{"Authorization", ""}},
        HttpFields{{"X-Api-Key", admin}}, HttpFields{{"Cookie", "token=" + admin}},
        HttpFields{{"Authorization", "Bearer " + read}, {"Authorization", "Bearer " + admin}}}) {
    EXPECT_EQ(status("GET", "/api/v1/sessions", fields), 401);
    EXPECT_EQ(status("GET", "/api/v1/sessions/1", fields), 401);
    EXPECT_EQ(status("GET", "/metrics", fields), 401);
    EXPECT_EQ(status("POST", kRoles, fields, kRole), 401);
    EXPECT_EQ(status("DELETE", "/api/v1/openapi.json", fields), 401);
  }
  EXPECT_EQ(status("GET", "/api/v1/sessions", {{"Authorization", "bEaReR " + read}}), 200);
  // In the address, in every spelling: refused, although it is good.
  for (const char* name :
       {"token", "access_token", "api_key", "key", "TOKEN", "%74oken", "to%6ben"}) {
    EXPECT_EQ(status("GET", std::string("/api/v1/sessions?") + name + "=" + admin, {}), 400);
    EXPECT_EQ(
        status("GET", std::string("/api/v1/sessions?limit=1&") + name + "=" + admin, bearer(admin)),
        400);
  }
  EXPECT_EQ(status("GET", "/api/v1/tokens/" + admin, bearer(admin)), 405);
  EXPECT_EQ(status("DELETE", "/api/v1/tokens/" + admin, bearer(admin)), 404);
  // Each scope may do what those below it may.
  struct Call {
    const char* method;
    const char* target;
    const char* body;
    int as_read, as_run, as_admin;
  };
  for (const Call& call : {
           Call{"GET", "/api/v1/sessions", "", 200, 200, 200},
           Call{"HEAD", "/api/v1/sessions", "", 200, 200, 200},
           Call{"POST", "/api/v1/flows/check", "{}", 200, 200, 200},
           Call{"POST", kRoles, "{}", 403, 422, 422},
           Call{"PUT", "/api/v1/roles/a", "{}", 403, 422, 422},
           Call{"DELETE", "/api/v1/roles/a", "", 403, 404, 404},
           Call{"POST", "/api/v1/sessions", "{}", 403, 422, 422},
           Call{"DELETE", "/api/v1/sessions/1", "", 403, 404, 404},
           Call{"POST", "/api/v1/sessions/1/pause", "{}", 403, 404, 404},
           Call{"POST", "/api/v1/sessions/1/answer", R"({"text":"x"})", 403, 404, 404},
           Call{"POST", "/api/v1/sessions/import", "{}", 403, 422, 422},
           Call{"POST", "/api/v1/sessions/prune", "{}", 403, 403, 422},
           Call{"GET", "/api/v1/tokens", "", 403, 403, 200},
           Call{"POST", "/api/v1/tokens", "{}", 403, 403, 422},
           Call{"DELETE", "/api/v1/tokens/99", "", 403, 403, 404},
       }) {
    EXPECT_EQ(status(call.method, call.target, bearer(read), call.body), call.as_read)
        << call.method << ' ' << call.target;
    EXPECT_EQ(status(call.method, call.target, bearer(run), call.body), call.as_run)
        << call.method << ' ' << call.target;
    EXPECT_EQ(status(call.method, call.target, bearer(admin), call.body), call.as_admin)
        << call.method << ' ' << call.target;
  }
  // One that this server revokes is refused from then on.
  EXPECT_EQ(status("DELETE", "/api/v1/tokens/1", bearer(admin)), 204);
  EXPECT_EQ(status("GET", "/api/v1/sessions", bearer(read)), 401);
  const HttpAnswer made =
      HttpClient(served.url())
          .ask("POST", "/api/v1/tokens", R"({"name":"n","scope":"read"})", bearer(admin));
  ASSERT_EQ(made.status, 201) << made.body;
  tokens_.emplace_back(made.json().at("token").as_string());
  EXPECT_EQ(status("GET", "/api/v1/sessions", bearer(tokens_.back())), 200);
  const Finished finished = served.stop();
  EXPECT_THAT(finished.err, HasSubstr("GET /api/v1/sessions 200"));
  for (const std::string& token : tokens_) EXPECT_THAT(finished.err, Not(HasSubstr(token)));
}

TEST_F(ServerTokensTest, AnAddressThatOthersReachWantsOne) {
  const Finished refused = world_.run({"serve", "--model", "rehearsal", "--listen", "0.0.0.0:0"});
  EXPECT_EQ(refused.status, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("tertulia token create"));
}

TEST_F(ServerTokensTest, OneOfTheEnvironmentIsWanted) {
  world_.environment["TERTULIA_TOKEN"] = "a-secret-of-the-environment";
  Serving served(world_);
  EXPECT_EQ(HttpClient(served.url()).ask("GET", "/api/v1/sessions").status, 401);
  EXPECT_EQ(HttpClient(served.url())
                .ask("GET", "/api/v1/tokens", {}, bearer("a-secret-of-the-environment"))
                .status,
            200);
  EXPECT_THAT(served.stop().err, Not(HasSubstr("a-secret")));
}

}  // namespace
}  // namespace tertulia::test
