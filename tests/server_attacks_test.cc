// Whom a server answers, and what a request may name: everything else is refused with its status,
// and another client is served as before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/attacked.h"

namespace tertulia::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

class ServerAttacksTest : public AttackedServer {};

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

}  // namespace
}  // namespace tertulia::test
