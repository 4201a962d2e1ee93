// A server to be attacked byte by byte. After each test somebody else is served as before.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "support/http_client.h"
#include "support/serving.h"

namespace tertulia::test {

inline constexpr const char* kRoles = "/api/v1/roles";
inline const std::string kRole = R"({"name":"a","prompt":"p"})";

class AttackedServer : public testing::Test {
 protected:
  AttackedServer() {
    world_.environment["TERTULIA_LOG"] = "info";
    served_.emplace(world_);
  }
  ~AttackedServer() override { expect_well(); }

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

}  // namespace tertulia::test
