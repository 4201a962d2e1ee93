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

// At a terminal the person is asked at once, and again where the words are none of the choices.
TEST_P(PersonTest, AtTheTerminal) {
  ASSERT_EQ(run().status, kPaused);
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::setenv("TERTULIA_DB", world_.database.c_str(), 1);
    ::execl(program_path(), program_path(), "session", "resume", "1", nullptr);
    ::_exit(127);
  }
  std::string screen;
  const auto wait_for = [&](const std::string& text) {
    const std::size_t from = screen.size();
    char bytes[4096];
    while (screen.find(text, from) == std::string::npos) {
      const ssize_t count = ::read(terminal, bytes, sizeof bytes);
      if (count <= 0) return false;  // the terminal is closed with its last process
      screen.append(bytes, static_cast<std::size_t>(count));
    }
    return true;
  };
  const auto type = [&](const std::string& line) {
    ASSERT_EQ(::write(terminal, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  };
  ASSERT_TRUE(wait_for("Guest>")) << screen;
  type("Quiet.\n");
  ASSERT_TRUE(wait_for("1. yes please")) << screen;
  type("perhaps\n");
  ASSERT_TRUE(wait_for("is none of the choices")) << screen;
  type("1\n");
  while (wait_for("\x01")) {
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(terminal);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << screen;
  EXPECT_EQ(conversation(), "host\nguest: Quiet.\nguest: yes please\nhost\n");
  expect_explained();
}

}  // namespace
}  // namespace tertulia::test
