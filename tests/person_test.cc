// A session that waits for a person: by the real program, on both engines, killed at every commit
// on the way, answered by another process.
#include <gmock/gmock.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "support/places.h"
#include "support/postgres_server.h"
#include "support/program.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;

constexpr int kPaused = 5;

constexpr const char* kInterview = R"(tertulia: 1
name: interview
topic: A quiet tea house
roles:
  host: { name: Host, prompt: "You interview." }
  guest: { name: Guest, prompt: "A person." }
steps:
  - speak: host
    task: Ask one question.
  - ask: guest
    to: host
    prompt: "What do you say about {{topic}}?"
  - ask: guest
    prompt: More tea?
    choices: [yes please, no thanks]
  - if: { equals: yes please }
    then: [ { speak: host, task: Pour. } ]
    else: [ { speak: host, task: Say goodbye. } ]
)";

class PersonTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
    flow_ = world_.write("flow.yaml", kInterview);
  }
  Finished run() { return world_.run({"run", flow_, "--model", "rehearsal", "--seed", "3"}); }
  Finished answer(const std::string& words) {
    return world_.run({"session", "answer", "1", words});
  }
  // To its next wait, or its end.
  void resume() { static_cast<void>(world_.run({"session", "resume", "1"})); }
  std::string shown(const char* member) {
    auto session = base::parse_json(world_.run({"session", "show", "1", "--json"}).out);
    const auto* value = session ? base::at_pointer(*session, std::string("/") + member) : nullptr;
    return value == nullptr ? std::string() : base::to_text(*value);
  }
  // Who said what, in order.
  std::string conversation() {
    std::string text;
    std::istringstream lines(world_.run({"session", "messages", "1", "--json"}).out);
    for (std::string line; std::getline(lines, line);) {
      const auto message = base::parse_json(line).value();
      const std::string role(message.at("role").get_string());
      text += role + (role == "guest" ? ": " + std::string(message.at("text").get_string()) : "") +
              "\n";
    }
    return text;
  }
  void expect_explained() {
    const Finished replay = world_.run({"session", "replay", "1"});
    EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
    const Finished verified = world_.run({"db", "verify"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }

  World world_;
  std::string flow_;
};
std::string engine_name(const testing::TestParamInfo<bool>& on_postgres) {
  return on_postgres.param ? "PostgreSQL" : "SQLite";
}
INSTANTIATE_TEST_SUITE_P(, PersonTest, testing::Bool(), engine_name);

TEST_P(PersonTest, AnswersGoOnFromAnyProcess) {
  const Finished waiting = run();
  EXPECT_EQ(waiting.status, kPaused) << waiting.err;
  EXPECT_THAT(waiting.err, HasSubstr("Guest is asked: What do you say about A quiet tea house?"));
  EXPECT_THAT(waiting.err, HasSubstr("tertulia session answer 1 "));
  EXPECT_EQ(shown("status"), "\"waiting\"");
  EXPECT_EQ(shown("question"), "\"What do you say about A quiet tea house?\"");
  expect_explained();

  // Resuming does not go past a person.
  EXPECT_EQ(world_.run({"session", "resume", "1"}).status, kPaused);
  EXPECT_EQ(world_.run({"session", "step", "1"}).status, kPaused);
  EXPECT_EQ(conversation(), "host\n");

  const Finished choices = answer("It is \"quiet\".\n");
  EXPECT_EQ(choices.status, kPaused) << choices.err;
  EXPECT_THAT(choices.err, HasSubstr("  2. no thanks"));
  const Finished refused = answer("perhaps");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("'perhaps' is none of the choices: yes please, no thanks"));
  EXPECT_EQ(shown("status"), "\"waiting\"");
  EXPECT_EQ(answer("2").status, 0);
  EXPECT_EQ(conversation(), "host\nguest: It is \"quiet\".\nguest: no thanks\nhost\n");
  EXPECT_NE(answer("again").status, 0);
  expect_explained();
}

TEST_P(PersonTest, KilledAtAnyCommitNothingIsAskedTwice) {
  int kills = 0;
  for (int at = 1;; ++at) {
    World fresh;
    world_ = fresh;
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
    flow_ = world_.write("flow.yaml", kInterview);
    ASSERT_EQ(world_.run({"db", "init"}).status, 0);
    ASSERT_EQ(world_.run({"run", flow_, "--model", "rehearsal", "--create-only"}).status, 0);
    // Every process is killed at this commit, but the one that does not come so far.
    const auto killed = [&](const std::vector<std::string>& arguments) {
      World doomed = world_;
      doomed.environment["TERTULIA_FAILPOINTS"] = "db.commit." +
                                                  std::string(at % 2 == 0 ? "before" : "after") +
                                                  "=kill@" + std::to_string((at + 1) / 2);
      const Finished finished = doomed.run(arguments);
      if (finished.signal != 0) ++kills;
      return finished.signal != 0;
    };
    bool any = killed({"session", "resume", "1"});
    for (const char* words : {"Quiet.", "yes please"}) {
      for (int i = 0; i < 5 && shown("status") != "\"waiting\""; ++i) resume();
      ASSERT_EQ(shown("status"), "\"waiting\"") << at;
      const std::string before = conversation();
      if (killed({"session", "answer", "1", words})) {
        any = true;
        // It was taken, or it was not: nothing between.
        if (conversation() == before) answer(words);
      }
    }
    for (int i = 0; i < 5 && shown("status") != "\"finished\""; ++i) resume();
    EXPECT_EQ(conversation(), "host\nguest: Quiet.\nguest: yes please\nhost\n") << at;
    expect_explained();
    if (!any || HasFailure()) break;
  }
  EXPECT_GT(kills, 8);
}

TEST_P(PersonTest, TimeUsedUp) {
  flow_ = world_.write("late.yaml", R"(tertulia: 1
name: late
topic: Tea
roles: { guest: { prompt: A person. }, host: { prompt: You host. } }
steps:
  - ask: guest
    timeout: 1ms
    default: No opinion.
  - ask: guest
    timeout: 1ms
  - speak: host
)");
  ASSERT_EQ(run().status, kPaused);
  // The millisecond is over before the next process asks for the time.
  EXPECT_EQ(world_.run({"session", "resume", "1"}).status, kPaused);
  EXPECT_EQ(conversation(), "guest: No opinion.\n");
  EXPECT_EQ(shown("status"), "\"waiting\"");
  EXPECT_EQ(world_.run({"session", "resume", "1"}).status, kPaused);
  EXPECT_EQ(shown("stop_reason"), "\"step_timeout\"");
  EXPECT_THAT(shown("reason"), HasSubstr("nobody has answered for 'guest'"));
  expect_explained();
  // Waits again, and takes what is said late.
  EXPECT_EQ(world_.run({"session", "retry", "1"}).status, kPaused);
  EXPECT_EQ(shown("status"), "\"waiting\"");
  EXPECT_EQ(answer("Late.").status, 0);
  EXPECT_EQ(conversation(), "guest: No opinion.\nguest: Late.\nhost\n");
  expect_explained();
}

TEST_P(PersonTest, OfTwoAnswersOneIsTaken) {
  ASSERT_EQ(run().status, kPaused);
  Running first = world_.start({"session", "answer", "1", "First."});
  Running second = world_.start({"session", "answer", "1", "Second."});
  static_cast<void>(first.finish());
  static_cast<void>(second.finish());
  const std::string said = conversation();
  EXPECT_TRUE(said == "host\nguest: First.\n" || said == "host\nguest: Second.\n") << said;
  EXPECT_EQ(shown("status"), "\"waiting\"");
  expect_explained();
}

TEST_P(PersonTest, SkippedOrCancelledInsteadOfAnswered) {
  ASSERT_EQ(run().status, kPaused);
  const Finished skipped = world_.run({"session", "skip", "1"});
  EXPECT_EQ(skipped.status, kPaused) << skipped.err;
  EXPECT_EQ(shown("status"), "\"waiting\"") << "for the second question";
  EXPECT_EQ(world_.run({"session", "cancel", "1"}).status, 0);
  EXPECT_EQ(shown("status"), "\"terminated\"");
  EXPECT_NE(answer("Too late.").status, 0);
  expect_explained();
}

TEST_P(PersonTest, TheEventsSayWhatIsWaitedFor) {
  const Finished waiting = world_.run({"run", flow_, "--model", "rehearsal", "--json"});
  EXPECT_EQ(waiting.status, kPaused);
  EXPECT_THAT(waiting.out, HasSubstr(R"("type":"session.waiting")"));
  EXPECT_THAT(waiting.out, HasSubstr(R"("question":"What do you say about A quiet tea house?")"));
}

// `session resume 1`, with a terminal at which a person types.
class Terminal final {
 public:
  explicit Terminal(const World& world) : child_(::forkpty(&terminal_, nullptr, nullptr, nullptr)) {
    if (child_ != 0) return;
    ::setenv("TERTULIA_DB", world.database.c_str(), 1);
    ::execl(program_path(), program_path(), "session", "resume", "1", nullptr);
    ::_exit(127);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { ::close(terminal_); }

  // Reads on until the text comes; false where the program ends before.
  bool wait_for(const std::string& text) {
    const std::size_t from = screen_.size();
    char bytes[4096];
    while (screen_.find(text, from) == std::string::npos) {
      const ssize_t count = ::read(terminal_, bytes, sizeof bytes);
      if (count <= 0) return false;  // the terminal is closed with its last process
      screen_.append(bytes, static_cast<std::size_t>(count));
    }
    return true;
  }
  void type(const std::string& line) {
    ASSERT_EQ(::write(terminal_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  // The exit status.
  int finish() {
    while (wait_for("\x01")) {
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child_, &status, 0), child_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  [[nodiscard]] const std::string& screen() const { return screen_; }

 private:
  int terminal_ = -1;
  pid_t child_ = -1;
  std::string screen_;
};

// At a terminal the person is asked at once, and again where the words are none of the choices.
TEST_P(PersonTest, AtTheTerminal) {
  ASSERT_EQ(run().status, kPaused);
  Terminal terminal(world_);
  ASSERT_TRUE(terminal.wait_for("Guest>")) << terminal.screen();
  terminal.type("Quiet.\n");
  ASSERT_TRUE(terminal.wait_for("1. yes please")) << terminal.screen();
  terminal.type("perhaps\n");
  ASSERT_TRUE(terminal.wait_for("is none of the choices")) << terminal.screen();
  terminal.type("1\n");
  EXPECT_EQ(terminal.finish(), 0) << terminal.screen();
  EXPECT_EQ(conversation(), "host\nguest: Quiet.\nguest: yes please\nhost\n");
  expect_explained();
}

// A role that answers with JSON, played by a person.
class PlayedOutputTest : public PersonTest {
 protected:
  void SetUp() override {
    PersonTest::SetUp();
    flow_ = world_.write("score.yaml", R"(tertulia: 1
name: score
topic: Tea
roles: { host: { name: Host, prompt: You host. }, judge: { name: Judge, prompt: You judge. } }
steps:
  - speak: host
  - id: verdict
    speak: judge
    task: How good was it?
    output:
      type: object
      required: [score, ok]
      additionalProperties: false
      properties: { score: { type: integer, minimum: 1, maximum: 9 }, ok: { type: boolean } }
  - if: { output: verdict, at: /score, gte: 5 }
    then: [ { speak: host, task: Rejoice. } ]
result: { output: verdict }
)");
  }
  Finished begin() {
    return world_.run({"run", flow_, "--model", "rehearsal", "--seed", "3", "--play", "judge"});
  }
  std::string verdict_row() {
    std::istringstream lines(world_.run({"session", "log", "1", "--json"}).out);
    for (std::string line; std::getline(lines, line);)
      if (line.find("\"output\":") != std::string::npos)
        return base::to_text(
            *base::at_pointer(base::parse_json(line).value(), "/result_data/output"));
    return {};
  }
};
INSTANTIATE_TEST_SUITE_P(, PlayedOutputTest, testing::Bool(), engine_name);

TEST_P(PlayedOutputTest, IsShownTheSchemaAndHeldToIt) {
  const Finished waiting = begin();
  EXPECT_EQ(waiting.status, kPaused) << waiting.err;
  EXPECT_THAT(waiting.err, HasSubstr("Judge is asked: How good was it?"));
  EXPECT_THAT(waiting.err, HasSubstr(R"(as JSON that fits {"type":"object","required":["score")"));
  EXPECT_THAT(shown("waiting/0/schema/required"), HasSubstr("score"));

  for (const auto& [words, why] : {
           std::pair{"very good", "the answer"},
           std::pair{R"({"score": 12, "ok": "yes", "more": 1})", "/score"},
           std::pair{R"({"score": 12, "ok": "yes", "more": 1})", "/ok"},
           std::pair{R"({"score": 4})", "ok"},
       }) {
    const Finished refused = answer(words);
    EXPECT_EQ(refused.status, 2) << words;
    EXPECT_THAT(refused.err, HasSubstr(why)) << words;
    EXPECT_EQ(shown("status"), "\"waiting\"");
    EXPECT_EQ(conversation(), "host\n");
  }
  EXPECT_EQ(answer("```json\n{\"ok\": true, \"score\": 7}\n```\n").status, 0);
  EXPECT_EQ(conversation(), "host\njudge\nhost\n");
  EXPECT_EQ(verdict_row(), R"({"ok":true,"score":7})");
  EXPECT_EQ(shown("result/score"), "7");
  expect_explained();
}

TEST_P(PlayedOutputTest, AtTheTerminalOverSeveralLines) {
  ASSERT_EQ(begin().status, kPaused);
  Terminal terminal(world_);
  ASSERT_TRUE(terminal.wait_for("Judge>")) << terminal.screen();
  terminal.type("good\n");
  ASSERT_TRUE(terminal.wait_for("the answer")) << terminal.screen();
  terminal.type("{\"score\": 0,\n\"ok\": true}\n");
  ASSERT_TRUE(terminal.wait_for("does not fit")) << terminal.screen();
  terminal.type("{\"score\":\n\n");
  ASSERT_TRUE(terminal.wait_for("Judge>")) << terminal.screen();
  terminal.type("{\"score\": 3,\n\"ok\": true}\n");
  EXPECT_EQ(terminal.finish(), 0) << terminal.screen();
  EXPECT_EQ(verdict_row(), R"({"score":3,"ok":true})");
  expect_explained();
}

TEST_P(PlayedOutputTest, OverTheApi) {
  ASSERT_EQ(world_.run({"flow", "import", flow_}).status, 0);
  Serving serving(world_);
  ASSERT_EQ(serving.post("/api/v1/sessions", R"({"flow": "score", "play": ["judge"]})").status,
            201);
  EXPECT_THAT(serving.events("/api/v1/sessions/1/events", "session.waiting"),
              HasSubstr(R"("schema":{"type":"object")"));
  EXPECT_THAT(serving.get("/api/v1/sessions/1").body, HasSubstr(R"("schema":{"type":"object")"));
  const Answer wrong =
      serving.post("/api/v1/sessions/1/answer", R"({"output": {"score": 3, "ok": 1}})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_THAT(wrong.body, HasSubstr(R"("pointer":"/output")"));
  EXPECT_THAT(wrong.body, HasSubstr("/ok"));
  EXPECT_EQ(serving.post("/api/v1/sessions/1/answer", R"({"text": "good"})").status, 422);
  EXPECT_EQ(
      serving.post("/api/v1/sessions/1/answer", R"({"output": {"score": 3, "ok": true}})").status,
      202);
  EXPECT_THAT(serving.events("/api/v1/sessions/1/events", "session.finished"),
              HasSubstr(R"("result":{"score":3,"ok":true})"));
  static_cast<void>(serving.stop());
  expect_explained();
}

}  // namespace
}  // namespace tertulia::test
