// Recording the calls of a flow and performing it from the recording, by the real program: the same
// words without a network, or where the flow parted from what was recorded.
#include <gtest/gtest.h>

#include <atomic>
#include <sstream>

#include "base/json.h"
#include "support/flows.h"
#include "support/model_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace json = base::json;

constexpr const char* kCanary = "sk-canary-77c1d0a4e9";

std::vector<json::object> json_lines(const std::string& text) {
  std::vector<json::object> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    auto value = base::parse_json(line);
    EXPECT_TRUE(value && value->is_object()) << line;
    if (value && value->is_object()) lines.push_back(value->get_object());
  }
  return lines;
}

std::string text_of(const json::object& object, const char* key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

// What models and people see of a session: its messages, calls and the requests' hashes.
struct Seen {
  std::vector<std::string> messages;
  std::vector<std::string> outcomes;
  std::vector<std::string> requests;
  bool operator==(const Seen&) const = default;
};

Seen seen_of(const World& world, const std::string& session) {
  Seen seen;
  for (const auto& whole :
       json_lines(world.run({"session", "export", session, "--format", "jsonl"}).out)) {
    for (const auto& message : whole.at("messages").as_array())
      seen.messages.push_back(text_of(message.as_object(), "role") +
                              text_of(message.as_object(), "text"));
    for (const auto& call : whole.at("model_calls").as_array())
      seen.outcomes.push_back(text_of(call.as_object(), "outcome"));
  }
  for (const auto& row : json_lines(world.run({"session", "log", session, "--json"}).out))
    if (const auto& snapshot = row.at("context_snapshot"); snapshot.is_object())
      seen.requests.push_back(text_of(snapshot.get_object(), "request_sha256"));
  return seen;
}

std::vector<std::string> tokens_of(const std::string& events) {
  std::vector<std::string> tokens;
  for (const auto& event : json_lines(events))
    if (text_of(event, "type") == "token") tokens.push_back(text_of(event, "text"));
  return tokens;
}

// Every answer differs from the one before it; the second call fails once.
ModelServer::Handler speaking() {
  return [count = std::make_shared<std::atomic<int>>(0)](const ReceivedRequest& request,
                                                         Reply& reply) {
    const int number = ++*count;
    if (number == 2)
      return reply.answer(429, R"({"error":{"message":"slow down"}})", "application/json",
                          "Retry-After: 0\r\n");
    std::vector<std::string> words{"Sentence ", "number ", std::to_string(number), ", 写得好。"};
    if (request.body.find("approved") != std::string::npos)
      words = {"{\"approved\": ", number > 7 ? "true" : "false", ", \"score\": 7}"};
    reply.begin();
    reply.chunk(sse_completion(words, "stop", CompletionUsage{11, 7}));
    reply.end();
  };
}

class RecordingProgram : public ::testing::Test {
 protected:
  // Records the looping flow as session 1; nobody answers any more afterwards.
  void record() {
    ModelServer server(speaking());
    world_.environment["OPENAI_API_KEY"] = kCanary;
    world_.environment["OPENAI_BASE_URL"] = server.base_url();
    recorded_ = world_.run(
        {"run", flow_, "--json", "--model", "openai/any", "--record", file_, "--var", "passes=0"});
    ASSERT_EQ(recorded_.status, 0) << recorded_.err;
    ASSERT_GE(server.requests().size(), 7U);
  }

  Finished replay(const std::string& flow, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"run", flow, "--json", "--model", "replay:" + file_};
    words.insert(words.end(), more.begin(), more.end());
    return world_.run(words);
  }

  // The looping flow with one passage written otherwise.
  std::string changed(const std::string& before, const std::string& after) {
    std::string text = kLoopingFlow;
    const std::size_t at = text.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    return world_.write("changed.yaml", text.replace(at, before.size(), after));
  }

  World world_;
  const std::string flow_ = world_.write("flow.yaml", kLoopingFlow);
  const std::string file_ = world_.path("calls.jsonl");
  Finished recorded_;
};

TEST_F(RecordingProgram, AReplayGivesTheSameWordsWithoutANetwork) {
  record();
  world_.environment.erase("OPENAI_API_KEY");
  world_.environment.erase("OPENAI_BASE_URL");
  const Finished replayed = replay(flow_);
  ASSERT_EQ(replayed.status, 0) << replayed.err;
  const Seen was = seen_of(world_, "1");
  const Seen is = seen_of(world_, "2");
  EXPECT_EQ(was, is);
  EXPECT_GE(is.messages.size(), 6U);
  EXPECT_GE(is.requests.size(), 6U);
  EXPECT_EQ(is.outcomes.at(1), "rate_limited");
  EXPECT_EQ(tokens_of(recorded_.out), tokens_of(replayed.out)) << "in the same pieces";
  EXPECT_EQ(world_.run({"session", "replay", "2"}).status, 0);
  const std::string recording = read_file(file_);
  EXPECT_EQ(recording.find(kCanary), std::string::npos);
  EXPECT_EQ(recording.find("OPENAI_API_KEY"), std::string::npos);
}

TEST_F(RecordingProgram, AChangedFlowSaysWhereItParted) {
  record();
  struct Case {
    std::string before, after;
    std::vector<std::string> says;
  };
  for (const Case& c : std::vector<Case>{
           {"You criticise.",
            "You praise.",
            {"call 2 ", "the system text", "'criticise", "'praise"}},
           {"Write about {{topic}}.",
            "Write of {{topic}}.",
            {"call 1 ", "message 1 (user)", "'about"}},
           {"prompt: \"You write.\"",
            "prompt: \"You write.\", temperature: 0.5",
            {"call 1 ", "parameter temperature: expected none"}},
           {"then: [ {", "then: [ { speak: writer, task: Bow. }, {", {"(user)", "'Bow."}},
           {"task: Thank the critic. } ]",
            "task: Thank the critic. }, { speak: critic } ]",
            {"was not called there; the recording ends with call "}},
           {"    then: [ { speak: writer, task: Thank the critic. } ]\n",
            "    then: [ { set: { passes: 1 } } ]\n",
            {"the flow ended before call "}},
       }) {
    const Finished parted = replay(changed(c.before, c.after));
    EXPECT_EQ(parted.status, 1) << c.after << "\n" << parted.err;
    for (const std::string& words : c.says)
      EXPECT_NE(parted.err.find(words), std::string::npos) << words << " in\n" << parted.err;
  }
  EXPECT_EQ(replay(flow_, {"--topic", "Tea"}).status, 1);
}

TEST_F(RecordingProgram, ASessionThatIsGoneOnWithIsRecordedInPieces) {
  ModelServer server(speaking());
  const std::string model = "openai/any@" + server.base_url();
  const Finished begun =
      world_.run({"run", flow_, "--model", model, "--max-steps", "3", "--record", file_});
  ASSERT_EQ(begun.status, 5) << begun.err;
  const Finished stepped =
      world_.run({"session", "resume", "1", "--max-steps", "100", "--record", file_});
  ASSERT_EQ(stepped.status, 0) << stepped.err;
  const Finished replayed = replay(flow_);
  ASSERT_EQ(replayed.status, 0) << replayed.err;
  EXPECT_EQ(seen_of(world_, "1"), seen_of(world_, "2"));
  // A replay can be paused and gone on with too, from the recording that it began with.
  ASSERT_EQ(replay(flow_, {"--max-steps", "3"}).status, 5);
  const Finished rest = world_.run({"session", "resume", "3", "--max-steps", "100"});
  EXPECT_EQ(rest.status, 0) << rest.err;
  EXPECT_EQ(seen_of(world_, "1").messages, seen_of(world_, "3").messages);
}

TEST_F(RecordingProgram, ARecordingIsNotWrittenOver) {
  record();
  const std::string before = read_file(file_);
  const Finished again = world_.run({"run", flow_, "--record", file_});
  EXPECT_EQ(again.status, 2) << again.err;
  EXPECT_NE(again.err.find(file_), std::string::npos);
  EXPECT_EQ(read_file(file_), before);
  EXPECT_EQ(world_.run({"run", flow_, "--model", "replay:" + world_.path("none")}).status, 2);
}

}  // namespace
}  // namespace tertulia::test
