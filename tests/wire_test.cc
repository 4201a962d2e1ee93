// The whole program against a server that speaks the real wire format over a socket: words arrive
// as they stream, every request is the one that preview shows and the log rebuilds, faults are
// attempts in the log, and the key goes nowhere but into its header.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <sstream>

#include "base/json.h"
#include "base/sha256.h"
#include "support/flows.h"
#include "support/model_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace json = base::json;

std::string model_at(const ModelServer& server) {
  return "openai/any@http://127.0.0.1:" + std::to_string(server.port()) + "/v1";
}

json::object parse(const std::string& text) {
  auto value = base::parse_json(text);
  EXPECT_TRUE(value) << text;
  return value && value->is_object() ? value->get_object() : json::object();
}

std::vector<json::object> json_lines(const std::string& text) {
  std::vector<json::object> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(parse(line));
  return lines;
}

// What a model could say to a request: a verdict where a schema is asked for, else a sentence.
std::vector<std::string> words_for(const ReceivedRequest& request, int number) {
  if (request.body.find("approved") != std::string::npos)
    return {"{\"approved\": ", number > 6 ? "true" : "false", ", \"score\": 7}"};
  return {"Sentence ", "number ", std::to_string(number), ", 写得好。"};
}

ModelServer::Handler speaking() {
  return [count = std::make_shared<std::atomic<int>>(0)](const ReceivedRequest& request,
                                                         Reply& reply) {
    reply.begin();
    reply.chunk(sse_completion(words_for(request, ++*count), "stop", CompletionUsage{11, 7}));
    reply.end();
  };
}

TEST(WireTest, EveryRequestIsTheOnePreviewedAndRebuilt) {
  ModelServer server(speaking());
  World world;
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  const Finished run = world.run({"run", flow, "--model", model_at(server), "--seed", "3"});
  ASSERT_EQ(run.status, 0) << run.err;
  const auto requests = server.requests();
  ASSERT_GE(requests.size(), 6u);

  size_t next = 0;
  for (const auto& row : json_lines(world.run({"session", "log", "1", "--json"}).out)) {
    const auto& snapshot = row.at("context_snapshot");
    if (!snapshot.is_object()) continue;  // a step that asks no model
    const std::string order = base::to_text(row.at("execution_order"));
    const Finished preview =
        world.run({"flow", "preview", "--session", "1", "--order", order, "--json"});
    ASSERT_EQ(preview.status, 0) << preview.err;
    const json::object shown = parse(preview.out);
    ASSERT_LT(next, requests.size());
    const std::string& sent = requests[next++].body;
    EXPECT_EQ(std::string(shown.at("body").get_string()), sent) << "at order " << order;
    EXPECT_EQ(std::string(snapshot.get_object().at("request_sha256").get_string()),
              base::sha256_hex(sent));
  }
  EXPECT_EQ(next, requests.size());
  const Finished replay = world.run({"session", "replay", "1", "--json"});
  EXPECT_EQ(replay.status, 0) << replay.out;
  EXPECT_EQ(parse(replay.out).at("requests_rebuilt").to_number<std::size_t>(), requests.size());
}

TEST(WireTest, TheShippedWriterAndCriticRunsOnAModel) {
  ModelServer server([reviews = std::make_shared<std::atomic<int>>(0)](
                         const ReceivedRequest& request, Reply& reply) {
    reply.begin();
    const bool reviewing = request.body.find("\\\"approved\\\"") != std::string::npos;
    if (!reviewing) {
      reply.chunk(
          sse_completion({"# A draft", "\n\nOf one sentence."}, "stop", CompletionUsage{5, 5}));
    } else if (++*reviews == 1) {
      reply.chunk(sse_completion(
          {R"({"approved": false, "summary": "Not yet.", "problems": [{"where": "draft", )",
           R"("problem": "too short", "suggestion": "say more"}]})"},
          "stop", CompletionUsage{5, 5}));
    } else {
      reply.chunk(sse_completion({R"({"approved": true, "summary": "Good.", "problems": []})"},
                                 "stop", CompletionUsage{5, 5}));
    }
    reply.end();
  });
  World world;
  const Finished run =
      world.run({"run", "writer-and-critic", "--model", model_at(server), "--topic", "Tea"});
  EXPECT_EQ(run.status, 0) << run.out << run.err;
  EXPECT_EQ(server.requests().size(), 4u) << "draft, review, revision, review";
  EXPECT_NE(run.out.find("Of one sentence."), std::string::npos) << run.out;
  EXPECT_EQ(run.out.find("rehearsal"), std::string::npos);
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
  const Finished document = world.run({"session", "document", "1", "text", "--json"});
  EXPECT_NE(document.out.find("\"versions\":2"), std::string::npos) << document.out;
}

TEST(WireTest, WordsArriveWhileTheModelStillSpeaks) {
  Gate heard;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(sse_word("The first half"));
    heard.wait();  // until the words have come out of the program
    reply.chunk(sse_completion({" and the second."}, "stop", CompletionUsage{1, 1}));
    reply.end();
  });
  World world;
  const std::string flow = world.write("flow.yaml", R"(tertulia: 1
name: one
roles: { a: { prompt: You speak. } }
steps: [ { speak: a } ]
)");
  Running running = world.start({"run", flow, "--json", "--model", model_at(server)});
  EXPECT_TRUE(running.wait_for("The first half"));
  heard.open();
  const Finished ended = running.finish();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.out.find("The first half and the second."), std::string::npos);
}

TEST(WireTest, FaultsAreAttemptsInTheLog) {
  std::atomic<int> count = 0;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    switch (++count) {
      case 1:
        reply.answer(429, "{\"error\": {\"message\": \"slow down\"}}", "application/json",
                     "Retry-After: 0\r\n");
        return;
      case 2:
        reply.answer(500, "oops", "text/plain");
        return;
      default:
        reply.begin();
        reply.chunk(sse_completion({"At last."}, "stop", CompletionUsage{1, 1}));
        reply.end();
    }
  });
  World world;
  const std::string flow = world.write("flow.yaml", R"(tertulia: 1
name: one
roles: { a: { prompt: You speak. } }
steps: [ { speak: a, retry: { attempts: 3, backoff: 5ms } } ]
)");
  const Finished run = world.run({"run", flow, "--model", model_at(server)});
  EXPECT_EQ(run.status, 0) << run.err;
  std::vector<std::string> outcomes;
  for (const auto& whole :
       json_lines(world.run({"session", "export", "1", "--format", "jsonl"}).out)) {
    for (const auto& call : whole.at("model_calls").as_array())
      outcomes.emplace_back(call.at("outcome").get_string());
    for (const auto& row : whole.at("step_execution_logs").as_array())
      EXPECT_EQ(row.at("attempt_count").get_int64(), 3);
  }
  EXPECT_EQ(outcomes, (std::vector<std::string>{"rate_limited", "server", "ok"}));
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
}

TEST(WireTest, ARefusedKeyPausesTheSessionAndTheKeyIsNowhere) {
  constexpr const char* kCanary = "sk-canary-4f1c9a7e2b";
  bool accepts = false;
  ModelServer server([&](const ReceivedRequest& request, Reply& reply) {
    if (!accepts) {
      reply.answer(
          401, "{\"error\": {\"message\": \"bad key " + request.header("authorization") + "\"}}");
      return;
    }
    reply.begin();
    reply.chunk(sse_completion({"Welcome."}, "stop", CompletionUsage{1, 1}));
    reply.end();
  });
  World world;
  world.environment["OPENAI_API_KEY"] = kCanary;
  world.environment["OPENAI_BASE_URL"] =
      "http://127.0.0.1:" + std::to_string(server.port()) + "/v1";
  const std::string flow = world.write("flow.yaml", R"(tertulia: 1
name: one
roles: { a: { prompt: You speak. } }
steps: [ { speak: a } ]
)");
  const Finished refused = world.run({"run", flow, "--model", "openai/any", "--log", "debug"});
  EXPECT_EQ(refused.status, 4) << refused.err;
  EXPECT_NE(refused.err.find("127.0.0.1:" + std::to_string(server.port())), std::string::npos);
  EXPECT_NE(refused.err.find("tertulia session resume 1"), std::string::npos);
  EXPECT_EQ(server.requests().at(0).header("authorization"), std::string("Bearer ") + kCanary);
  accepts = true;
  const Finished resumed = world.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  const Finished exported = world.run({"session", "export", "1", "--format", "json"});
  const Finished doctor = world.run({"doctor"});
  for (const Finished* each : {&refused, &resumed, &exported, &doctor}) {
    EXPECT_EQ(each->out.find(kCanary), std::string::npos);
    EXPECT_EQ(each->err.find(kCanary), std::string::npos);
  }
  for (const auto& request : server.requests())
    EXPECT_EQ(request.body.find(kCanary), std::string::npos);
  const auto folder = std::filesystem::path(world.database).parent_path();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) {
      EXPECT_EQ(read_file(entry.path()).find(kCanary), std::string::npos) << entry.path();
    }
}

TEST(WireTest, AnUnreachableServerIsSaidAndTheSessionGoesOnLater) {
  std::string address;
  {
    ModelServer gone(speaking());
    address = model_at(gone);
  }
  World world;
  const std::string flow = world.write("flow.yaml", R"(tertulia: 1
name: one
roles: { a: { prompt: You speak. } }
steps: [ { speak: a, retry: { attempts: 2, backoff: 5ms } } ]
)");
  const Finished run = world.run({"run", flow, "--model", address});
  EXPECT_EQ(run.status, 4) << run.err;
  EXPECT_NE(run.err.find("http://127.0.0.1"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("tertulia session resume 1"), std::string::npos) << run.err;
  const json::object shown = parse(world.run({"session", "show", "1", "--json"}).out);
  EXPECT_EQ(shown.at("status").get_string(), "paused");
  EXPECT_EQ(shown.at("stop_reason").get_string(), "model_unavailable");
}

}  // namespace
}  // namespace tertulia::test
