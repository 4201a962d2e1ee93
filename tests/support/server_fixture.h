// What tests of the server over the wire do, on both engines.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/flows.h"
#include "support/http_client.h"
#include "support/openapi_check.h"
#include "support/postgres_server.h"
#include "support/serving.h"

namespace tertulia::test {

namespace json = base::json;

class ServerFixture : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
    world_.environment["TERTULIA_LOG"] = "info";
  }
  // Serves the world's database; what was served before is stopped.
  void serve(const std::vector<std::string>& more = {"--model", "rehearsal"}) {
    if (served_) static_cast<void>(stop());
    served_.emplace(world_, more);
    if (!check_)
      check_ = std::make_unique<OpenApiCheck>(client().ask("GET", "/api/v1/openapi.json").body);
  }
  // As supervisors do: SIGTERM, and its end in good time.
  Finished stop() {
    const auto begun = std::chrono::steady_clock::now();
    Finished finished = served_->stop();
    served_.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
    EXPECT_EQ(finished.status, 0) << finished.signal << finished.err;
    return finished;
  }
  // As the machine's end would.
  void kill() {
    served_->signal(SIGKILL);
    EXPECT_EQ(served_->finish().signal, SIGKILL);
    served_.reset();
  }
  [[nodiscard]] HttpClient client() const { return HttpClient(served_->url()); }
  // Every answer is held against the OpenAPI document.
  HttpAnswer ask(std::string_view method, std::string_view target, std::string_view body = {},
                 const HttpFields& fields = {}) {
    HttpAnswer answer = client().ask(method, target, body, fields);
    const bool is_packed = answer.field("content-encoding") == "gzip";
    if (is_packed || method == "HEAD" || method == "OPTIONS") return answer;
    EXPECT_EQ(
        check_->fault(method, target, answer.status, answer.field("content-type"), answer.body), "")
        << method << ' ' << target << ' ' << answer.body;
    return answer;
  }
  json::object get(std::string_view target) {
    const HttpAnswer answer = ask("GET", target);
    EXPECT_EQ(answer.status, 200) << target << ' ' << answer.body;
    return answer.json();
  }
  // The answer to a POST, which must have that status.
  json::object post(std::string_view target, std::string_view body, int status,
                    const HttpFields& fields = {}) {
    const HttpAnswer answer = ask("POST", target, body, fields);
    EXPECT_EQ(answer.status, status) << target << ' ' << answer.body;
    return answer.json();
  }
  void store_flow(const std::string& yaml) {
    const HttpAnswer answer =
        ask("POST", "/api/v1/flows", yaml, {{"Content-Type", "application/yaml"}});
    // 200: it is stored already.
    EXPECT_TRUE(answer.status == 201 || answer.status == 200) << answer.body;
  }
  // Makes a session; its id.
  std::string begin(const std::string& body) {
    const json::object made = post("/api/v1/sessions", body, 201);
    return made.contains("id") ? std::to_string(made.at("id").as_int64()) : "0";
  }
  static std::string path(const std::string& session, const std::string& more = {}) {
    return "/api/v1/sessions/" + session + more;
  }
  // Reads a session until it has one of these statuses, and gives it. Follows its events meanwhile,
  // so that it is not asked for again and again. A test that waits in vain fails.
  json::object wait_for(const std::string& session, const std::vector<std::string>& statuses) {
    const auto patience_ends = std::chrono::steady_clock::now() + kPatience;
    std::string last;
    std::optional<EventStream> events(std::in_place, served_->url(), path(session, "/events"));
    for (;;) {
      json::object row = get(path(session));
      const auto* status = row.if_contains("status");
      if (status == nullptr ||
          std::find(statuses.begin(), statuses.end(), status->as_string()) != statuses.end())
        return row;
      if (std::chrono::steady_clock::now() > patience_ends) {
        ADD_FAILURE() << "within a minute this came no further: "
                      << base::to_text(json::value(row));
        return row;
      }
      const auto event = events->next();
      if (event && !event->id.empty()) last = event->id;
      if (!event) events.emplace(served_->url(), path(session, "/events"), last);
    }
  }
  void expect_explained(const std::string& session) {
    const json::object proof = post(path(session, "/replay"), "", 200);
    EXPECT_EQ(proof.at("agrees"), true) << base::to_text(json::value(proof));
  }

  World world_;
  std::optional<Serving> served_;
  std::unique_ptr<OpenApiCheck> check_;
};

inline std::string engine_name(const testing::TestParamInfo<bool>& info) {
  return info.param ? "Postgres" : "Sqlite";
}

}  // namespace tertulia::test
