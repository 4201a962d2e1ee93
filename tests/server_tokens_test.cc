// Tokens: who holds which may do what, and none is ever told or logged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/http_client.h"
#include "support/legacy_database.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kRoles = "/api/v1/roles";
const std::string kRole = R"({"name":"a","prompt":"p"})";

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
    EXPECT_EQ(status("GET", "/v1/models", fields), 401);
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
