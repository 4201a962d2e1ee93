// The whole program against servers that speak each protocol over a socket: a flow runs, its
// requests are those previewed and rebuilt, and the key goes to its own server, into its own
// header, and nowhere else.
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "base/json.h"
#include "support/flows.h"
#include "support/model_server.h"
#include "support/model_streams.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace json = base::json;

constexpr const char* kCanary = "sk-canary-91e0b7d3c5";

struct Spoken {
  const char* name;
  const char* key_variable;
  const char* url_variable;
  const char* base_path;  // after the server's address
  const char* key_header;
  const char* key_prefix;
  const char* content_type;
  std::string (*completion)(const std::vector<std::string>& words);
};

std::string openai(const std::vector<std::string>& words) {
  return sse_completion(words, "stop", CompletionUsage{11, 7});
}
std::string anthropic(const std::vector<std::string>& words) {
  return anthropic_completion(words);
}
std::string ollama(const std::vector<std::string>& words) {
  return ollama_completion(words);
}

class Protocols : public ::testing::TestWithParam<Spoken> {
 protected:
  ModelServer::Handler speaking() const {
    return [spoken = GetParam()](const ReceivedRequest& request, Reply& reply) {
      const bool verdict = request.body.find("approved") != std::string::npos;
      reply.begin(200, spoken.content_type);
      reply.chunk(spoken.completion(
          verdict ? std::vector<std::string>{R"({"approved": true, )", R"("score": 7})"}
                  : std::vector<std::string>{"A sentence, ", "写得好。"}));
      reply.end();
    };
  }

  // A profile called main that keeps its key in a variable of its own.
  void configure(const ModelServer& server, const std::string& more = "") {
    config_ = world_.write(
        "config.yaml", std::string("model: main\nmodels:\n  main:\n    provider: ") +
                           GetParam().name + "\n    model: any\n    base_url: " + server.address() +
                           GetParam().base_path +
                           "\n    key: { env: HOUSE_KEY }\n    json_schema: true\n" + more);
    world_.environment["HOUSE_KEY"] = kCanary;
  }

  Finished run(const std::vector<std::string>& more) const {
    std::vector<std::string> words{"run", flow_, "--config", config_, "--log", "debug"};
    words.insert(words.end(), more.begin(), more.end());
    return world_.run(words);
  }

  void expect_no_key_in_files() const {
    const auto folder = std::filesystem::path(world_.database).parent_path();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.is_regular_file()) {
        EXPECT_EQ(read_file(entry.path()).find(kCanary), std::string::npos) << entry.path();
      }
  }

  World world_;
  const std::string flow_ = world_.write("flow.yaml", kLoopingFlow);
  std::string config_;
};

std::string protocol_name(const ::testing::TestParamInfo<Spoken>& spoken) {
  return spoken.param.name;
}
INSTANTIATE_TEST_SUITE_P(
    All, Protocols,
    ::testing::Values(Spoken{"openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "/v1", "authorization",
                             "Bearer ", "text/event-stream", openai},
                      Spoken{"anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "",
                             "x-api-key", "", "text/event-stream", anthropic},
                      Spoken{"ollama", nullptr, "OLLAMA_HOST", "", "authorization", "Bearer ",
                             "application/x-ndjson", ollama}),
    protocol_name);

TEST_P(Protocols, AFlowRunsFromAProfileAndItsRequestsAreRebuilt) {
  ModelServer server(speaking());
  configure(server);
  const Finished done = run({"--record", world_.path("calls.jsonl")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("A sentence, 写得好。"), std::string::npos) << done.out;
  ASSERT_GE(server.requests().size(), 5U);
  const std::string key = std::string(GetParam().key_prefix) + kCanary;
  for (const ReceivedRequest& request : server.requests())
    EXPECT_EQ(request.header(GetParam().key_header), key);
  const Finished replayed = world_.run({"session", "replay", "1", "--json"});
  EXPECT_EQ(replayed.status, 0) << replayed.out;
  EXPECT_NE(replayed.out.find("\"requests_rebuilt\":" + std::to_string(server.requests().size())),
            std::string::npos)
      << replayed.out;
  const Finished again =
      world_.run({"run", flow_, "--model", "replay:" + world_.path("calls.jsonl")});
  EXPECT_EQ(again.status, 0) << again.err;
  const Finished exported = world_.run({"session", "export", "1", "--format", "json"});
  for (const Finished* each : {&done, &replayed, &again, &exported})
    EXPECT_EQ((each->out + each->err).find(kCanary), std::string::npos);
  expect_no_key_in_files();
}

TEST_P(Protocols, AServerThatRepeatsTheKeyAndPointsElsewhere) {
  ModelServer other(speaking());
  int calls = 0;
  ModelServer server([&](const ReceivedRequest& request, Reply& reply) {
    const std::string key = request.header(GetParam().key_header);
    if (++calls == 1)
      return reply.answer(307, "{}", "application/json",
                          "Location: " + other.address() + "/v1/messages\r\n");
    reply.answer(401, R"({"error":{"message":"bad key )" + key + R"("}})", "application/json",
                 "x-request-id: " + key + "\r\n");
  });
  configure(server);
  const Finished redirected = run({});
  EXPECT_EQ(redirected.status, 5) << redirected.err;
  EXPECT_NE(redirected.err.find("redirect"), std::string::npos) << redirected.err;
  const Finished refused = world_.run({"session", "retry", "1", "--config", config_});
  EXPECT_EQ(refused.status, 4) << refused.err;
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(other.connections(), 0U);
  const Finished exported = world_.run({"session", "export", "1", "--format", "jsonl"});
  for (const Finished* each : {&redirected, &refused, &exported})
    EXPECT_EQ((each->out + each->err).find(kCanary), std::string::npos);
  expect_no_key_in_files();
}

// The session keeps the profile that it was made with; the key follows the configuration.
TEST_P(Protocols, AKeyThatTheConfigurationGivesToAnotherServerIsNotSent) {
  ModelServer first(speaking());
  configure(first);
  const Finished made = run({"--create-only"});
  ASSERT_EQ(made.status, 0) << made.err;
  ModelServer second(speaking());
  configure(second);
  const Finished resumed = world_.run({"session", "resume", "1", "--config", config_});
  EXPECT_NE(resumed.status, 0);
  EXPECT_NE(resumed.err.find("HOUSE_KEY"), std::string::npos) << resumed.err;
  EXPECT_NE(resumed.err.find(first.address()), std::string::npos) << resumed.err;
  EXPECT_EQ(first.connections() + second.connections(), 0U);
  configure(first);
  EXPECT_EQ(world_.run({"session", "resume", "1", "--config", config_}).status, 0);
}

TEST_P(Protocols, InOneWordWithWhatTheEnvironmentSays) {
  ModelServer server(speaking());
  const Spoken& spoken = GetParam();
  world_.environment[spoken.url_variable] = server.address() + spoken.base_path;
  if (spoken.key_variable != nullptr) world_.environment[spoken.key_variable] = kCanary;
  const std::string model = std::string(spoken.name) + "/any";
  EXPECT_EQ(world_.run({"run", flow_, "--model", model}).status, 0);
  const ReceivedRequest request = server.requests().at(0);
  EXPECT_EQ(request.header(spoken.key_header),
            spoken.key_variable != nullptr ? std::string(spoken.key_prefix) + kCanary : "");
  // Another server, though asked for by name, is not sent the key.
  ModelServer other(speaking());
  EXPECT_EQ(world_.run({"run", flow_, "--model", model + "@" + other.address() + spoken.base_path})
                .status,
            0);
  for (const ReceivedRequest& each : other.requests())
    EXPECT_EQ(each.header(spoken.key_header), "");
}

}  // namespace
}  // namespace tertulia::test
