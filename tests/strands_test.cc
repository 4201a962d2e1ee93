// Sessions of which several steps are under way at once, and what models do to them: by the real
// program, on both engines, killed at every commit, against a server on a real socket.
#include <gmock/gmock.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <sstream>

#include "base/json.h"
#include "support/model_server.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace json = base::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int kPaused = 5;

constexpr const char* kAudit = R"(tertulia: 1
name: audit
roles:
  auditor: { name: Auditor, prompt: "You audit." }
  clerk: { name: Clerk, prompt: "You take notes." }
vars: { depth: { type: integer } }
steps:
  - speak: auditor
    task: "Audit {{topic}}, depth {{vars.depth}}."
  - id: score
    speak: clerk
    output: { type: object, required: [score], properties: { score: { type: integer, minimum: 1, maximum: 10 } } }
result: { output: score }
)";

constexpr const char* kEveryKind = R"(tertulia: 1
name: every-kind
topic: Ship on Friday?
roles:
  a: { name: Ana, prompt: "For." }
  b: { name: Ben, prompt: "Against." }
  chair: { name: Chair, prompt: "You chair." }
vars: { spread: 1 }
steps:
  - parallel:
      each: [a, b]
      do:
        - id: guess
          speak: each
          task: "You are {{each.name}}: how many days?"
          context: topic
          output: { type: object, required: [days], properties: { days: { type: integer, minimum: 1, maximum: 9 } } }
        - speak: each
          to: chair
          context: { from: [each] }
  - set: { spread: { stat: spread, of: [guess], at: /days } }
  - parallel:
      - - loop: { max: 2, steps: [ { speak: b } ] }
      - - speak: chair
  - discuss: { among: [a, b], order: moderator, moderator: chair, max: 3,
               until: { judge: chair, question: "Settled?" } }
  - discuss: { among: [a, b, chair], order: random, max: 3 }
  - id: check
    call: audit
    with: { topic: "spread {{vars.spread}}", vars: { depth: 3 }, roles: { clerk: chair } }
  - if: { output: check, at: /score, gte: 1 }
    then: [ { speak: chair, context: { from: [call check, a] } } ]
result: { output: check }
)";

class StrandsTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { begin(); }
  void begin() {
    World fresh;
    world_ = fresh;
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
  }
  std::vector<json::object> lines(const std::vector<std::string>& arguments) {
    std::vector<json::object> found;
    std::istringstream stream(world_.run(arguments).out);
    for (std::string line; std::getline(stream, line);)
      found.push_back(base::parse_json(line).value().get_object());
    return found;
  }
  // "role: words" of every message, in the order of readers.
  std::vector<std::string> conversation() {
    std::vector<std::string> said;
    for (const auto& message : lines({"session", "messages", "1", "--json"}))
      said.push_back(std::string(message.at("role").get_string()) + ": " +
                     std::string(message.at("text").get_string()));
    return said;
  }
  std::string shown(const char* member) {
    auto session = base::parse_json(world_.run({"session", "show", "1", "--json"}).out);
    const auto* value = session ? base::at_pointer(*session, std::string("/") + member) : nullptr;
    return value == nullptr ? std::string() : base::to_text(*value);
  }
  // "order status attempts" of the rows that ask somebody.
  std::vector<std::string> asked_rows() {
    std::vector<std::string> rows;
    for (const auto& row : lines({"session", "log", "1", "--json"})) {
      if (!row.at("context_snapshot").is_object()) continue;
      rows.push_back(base::to_text(row.at("execution_order")) + " " +
                     std::string(row.at("status").get_string()) + " " +
                     base::to_text(row.at("attempt_count")));
    }
    return rows;
  }
  // The outcomes of all calls, in the order in which they were recorded: "profile outcome".
  std::vector<std::string> calls() {
    std::vector<std::string> found;
    const auto whole =
        base::parse_json(world_.run({"session", "export", "1", "--format", "json"}).out);
    for (const auto& call : whole.value().at("model_calls").get_array())
      found.push_back(std::string(call.at("profile").get_string()) + " " +
                      std::string(call.at("outcome").get_string()));
    return found;
  }
  void expect_explained() {
    const Finished replay = world_.run({"session", "replay", "1"});
    EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
    const Finished verified = world_.run({"db", "verify"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }
  std::string config_of(const std::string& models) {
    return world_.write("config.yaml", "models:\n" + models);
  }

  World world_;
};
std::string engine_name(const testing::TestParamInfo<bool>& on_postgres) {
  return on_postgres.param ? "PostgreSQL" : "SQLite";
}
INSTANTIATE_TEST_SUITE_P(, StrandsTest, testing::Bool(), engine_name);

TEST_P(StrandsTest, KilledAtAnyCommitEveryKindOfStepEndsTheSame) {
  std::vector<std::string> whole;
  std::string result;
  int kills = 0;
  for (int at = 0;; ++at) {
    begin();
    world_.write("audit.yaml", kAudit);
    const std::string flow = world_.write("flow.yaml", kEveryKind);
    const Finished ready = world_.run({"db", "init"});
    ASSERT_EQ(ready.status, 0) << ready.err;
    const Finished made =
        world_.run({"run", flow, "--model", "rehearsal", "--seed", "5", "--create-only"});
    ASSERT_EQ(made.status, 0) << made.err;
    World doomed = world_;
    if (at > 0)
      doomed.environment["TERTULIA_FAILPOINTS"] = "db.commit." +
                                                  std::string(at % 2 == 0 ? "before" : "after") +
                                                  "=kill@" + std::to_string((at + 1) / 2);
    const bool killed = doomed.run({"session", "resume", "1"}).signal != 0;
    if (killed) {
      ++kills;
      expect_explained();
      const Finished resumed = world_.run({"session", "resume", "1"});
      ASSERT_EQ(resumed.status, 0) << "killed at " << at << ": " << resumed.err;
    }
    ASSERT_EQ(shown("status"), "\"finished\"") << at;
    expect_explained();
    if (at == 0) {
      whole = conversation();
      result = shown("result");
      ASSERT_GE(whole.size(), 12u);
      continue;
    }
    ASSERT_EQ(conversation(), whole) << "killed at " << at;
    ASSERT_EQ(shown("result"), result);
    if (!killed) break;
  }
  EXPECT_GE(kills, 30);
}

std::string stream_of(std::string_view words, std::string_view finish = "stop") {
  return sse_completion({std::string(words)}, finish, CompletionUsage{100, 50});
}

constexpr const char* kTwoBranches = R"(tertulia: 1
name: two
roles:
  a: { name: Ana, prompt: "Ana." }
  b: { name: Ben, prompt: "Ben." }
steps:
  - speak: a
    task: Begin.
  - parallel:
      - - { speak: a, task: "Left one." }
        - { speak: a, task: "Left two." }
      - - { speak: b, task: "Right one.", retry: { attempts: 2, backoff: 1ms } }
  - speak: a
    task: Join.
)";

std::string task_in(const std::string& body) {
  // The task stands last, after what was said before.
  std::string found = "?";
  std::size_t last = 0;
  for (const char* task : {"Begin.", "Left one.", "Left two.", "Right one.", "Join."}) {
    const std::size_t at = body.rfind(task);
    if (at == std::string::npos || at < last) continue;
    last = at;
    found = task;
  }
  return found;
}

TEST_P(StrandsTest, ABranchThatFailsLeavesTheOtherAndResumeAsksOnlyIt) {
  std::atomic<bool> broken = true;
  std::atomic<int> requests = 0;
  ModelServer server([&](const ReceivedRequest& request, Reply& reply) {
    ++requests;
    const std::string task = task_in(request.body);
    if (task == "Right one." && broken) {
      reply.answer(500, "{\"error\": \"broken\"}");
      return;
    }
    reply.begin();
    reply.chunk(stream_of("Said: " + task));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", kTwoBranches);
  const std::string model = "openai/any@" + server.base_url();
  const Finished paused = world_.run({"run", flow, "--model", model});
  EXPECT_EQ(paused.status, kPaused) << paused.err;
  EXPECT_EQ(shown("stop_reason"), "\"step_failed\"");
  EXPECT_THAT(asked_rows(),
              ElementsAre("1 completed 1", "3 completed 1", "4 failed 2", "5 completed 1"));
  // What a branch said has no place in the conversation before all have spoken.
  EXPECT_THAT(conversation(), ElementsAre("a: Said: Begin."));
  expect_explained();

  // As it stands, it can be taken elsewhere; people are shown what has its place.
  EXPECT_THAT(world_.run({"session", "export", "1", "--format", "md"}).out,
              Not(HasSubstr("Left one")));
  EXPECT_THAT(world_.run({"session", "search", "Left one"}).out, Not(HasSubstr("Left one")));
  const std::string file =
      world_.write("session.json", world_.run({"session", "export", "1", "--format", "json"}).out);
  const Finished imported = world_.run({"session", "import", file});
  EXPECT_EQ(imported.status, 0) << imported.err;
  EXPECT_EQ(world_.run({"session", "replay", "2"}).status, 0);

  broken = false;
  const int before = requests;
  const Finished resumed = world_.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(requests - before, 2) << "the failed step and the one after the block";
  EXPECT_THAT(conversation(),
              ElementsAre("a: Said: Begin.", "a: Said: Left one.", "a: Said: Left two.",
                          "b: Said: Right one.", "a: Said: Join."));
  EXPECT_THAT(asked_rows(), ElementsAre("1 completed 1", "3 completed 1", "4 completed 3",
                                        "5 completed 1", "6 completed 1"));
  expect_explained();
}

TEST_P(StrandsTest, BranchesAreAskedAtOnceAndSeeOnlyTheirOwn) {
  std::mutex mutex;
  std::condition_variable changed;
  int inside = 0;
  ModelServer server([&](const ReceivedRequest& request, Reply& reply) {
    const std::string task = task_in(request.body);
    if (task == "Left one." || task == "Right one.") {
      // Neither is answered before both were asked.
      std::unique_lock lock(mutex);
      ++inside;
      changed.notify_all();
      changed.wait(lock, [&] { return inside >= 2; });
    }
    reply.begin();
    reply.chunk(stream_of("Said: " + task));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", kTwoBranches);
  const Finished run = world_.run({"run", flow, "--model", "openai/any@" + server.base_url()});
  EXPECT_EQ(run.status, 0) << run.err;
  for (const auto& request : server.requests()) {
    const std::string task = task_in(request.body);
    if (task == "Left two.") {
      EXPECT_THAT(request.body, HasSubstr("Said: Left one."));
      EXPECT_THAT(request.body, Not(HasSubstr("Said: Right one.")));
    }
    if (task == "Join.") {
      EXPECT_THAT(request.body, HasSubstr("Said: Right one."));
    }
  }
  expect_explained();
}

TEST_P(StrandsTest, KilledBetweenTheCommitsOfTwoBranchesOnlyTheOtherIsAskedAgain) {
  Gate gate;
  std::atomic<int> left = 0, right = 0;
  ModelServer server([&](const ReceivedRequest& request, Reply& reply) {
    const std::string task = task_in(request.body);
    if (task == "Left one.") ++left;
    if (task == "Right one." && ++right == 1) {
      reply.wait_until_client_leaves();
      return;
    }
    reply.begin();
    reply.chunk(stream_of("Said: " + task));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", kTwoBranches);
  Running running =
      world_.start({"run", flow, "--model", "openai/any@" + server.base_url(), "--json"});
  ASSERT_TRUE(running.wait_for("Said: Left two."));
  running.signal(SIGKILL);
  static_cast<void>(running.finish());
  expect_explained();
  const Finished resumed = world_.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(left, 1);
  EXPECT_EQ(right, 2);
  EXPECT_EQ(conversation().size(), 5u);
  expect_explained();
}

constexpr const char* kVerdict = R"(tertulia: 1
name: verdict
roles: { chair: { name: Chair, prompt: "You chair." } }
steps:
  - id: verdict
    speak: chair
    task: Decide.
    output: { type: object, required: [score], properties: { score: { type: integer } }, additionalProperties: false }
result: { output: verdict }
)";

TEST_P(StrandsTest, AWrongOutputGoesBackOnceWithWhatIsWrong) {
  std::atomic<int> asked = 0;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(stream_of(++asked < 2 ? "{\"score\": \"high\"}" : "{\"score\": 7}"));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", kVerdict);
  const Finished run = world_.run({"run", flow, "--model", "openai/any@" + server.base_url()});
  EXPECT_EQ(run.status, 0) << run.err;
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_THAT(requests[0].body, Not(HasSubstr("does not fit")));
  EXPECT_THAT(requests[1].body, HasSubstr("{\\\"score\\\": \\\"high\\\"}"));
  EXPECT_THAT(requests[1].body, HasSubstr("That does not fit: "));
  EXPECT_THAT(requests[1].body, HasSubstr("/score"));
  EXPECT_EQ(shown("result"), "{\"score\":7}");
  EXPECT_THAT(asked_rows(), ElementsAre("1 completed 2"));
  ASSERT_EQ(calls().size(), 2u);
  EXPECT_THAT(calls()[0], HasSubstr("wrong_output"));
  EXPECT_THAT(calls()[1], HasSubstr("ok"));
  expect_explained();
}

TEST_P(StrandsTest, ATextThatWasCutShortIsGoneOnWith) {
  std::atomic<int> asked = 0;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    const int part = ++asked;
    reply.begin();
    reply.chunk(stream_of("Part " + std::to_string(part) + ". ", part < 3 ? "length" : "stop"));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", R"(tertulia: 1
name: long
roles: { a: { name: Ana, prompt: "Ana." } }
steps:
  - { speak: a, task: Write it all., document: essay, continue: 4 }
)");
  // Killed after the first part: what was paid for is kept.
  World doomed = world_;
  ASSERT_EQ(world_.run({"db", "init"}).status, 0);
  const std::string model = "openai/any@" + server.base_url();
  ASSERT_EQ(world_.run({"run", flow, "--model", model, "--create-only"}).status, 0);
  doomed.environment["TERTULIA_FAILPOINTS"] = "request.after=kill@2";
  EXPECT_NE(doomed.run({"session", "resume", "1"}).signal, 0);
  asked = 1;
  const Finished resumed = world_.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(conversation(), ElementsAre("a: Part 1. Part 2. Part 3."));
  const auto requests = server.requests();
  EXPECT_THAT(requests.back().body, HasSubstr("Go on exactly where you stopped"));
  EXPECT_THAT(requests.back().body, HasSubstr("Part 1. Part 2. "));
  ASSERT_EQ(calls().size(), 4u);
  EXPECT_THAT(calls()[1], HasSubstr("interrupted"));
  expect_explained();
}

TEST_P(StrandsTest, AnotherProfileIsAskedWhereTheFirstFailsForGood) {
  ModelServer broken([](const ReceivedRequest&, Reply& reply) {
    reply.answer(401, "{\"error\": {\"message\": \"no such key\"}}");
  });
  ModelServer good([](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(stream_of("I stand in."));
    reply.end();
  });
  const std::string config =
      config_of("  main: { provider: openai, model: big, base_url: " + broken.base_url() +
                " }\n"
                "  spare: { provider: openai, model: small, base_url: " +
                good.base_url() + " }\n");
  const std::string flow = world_.write("flow.yaml", R"(tertulia: 1
name: falls-back
roles: { a: { name: Ana, prompt: "Ana." } }
steps: [ { speak: a, fallback: [spare] } ]
)");
  const Finished run = world_.run({"run", flow, "--model", "main", "--config", config});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(calls(), ElementsAre("main auth", "spare ok"));
  EXPECT_THAT(asked_rows(), ElementsAre("1 completed 2"));
  expect_explained();
}

constexpr const char* kLimited = R"(tertulia: 1
name: limited
roles:
  a: { name: Ana, prompt: "Ana.", max_tokens: 60 }
  b: { name: Ben, prompt: "Ben.", max_tokens: 60, limits: { steps: 1 } }
limits: { tokens: 380 }
steps:
  - loop: { max: 4, steps: [ { speak: a, context: none } ] }
  - speak: b
  - speak: b
)";

TEST_P(StrandsTest, LimitsHoldACallBeforeItIsMadeAndAreRaised) {
  ModelServer server([](const ReceivedRequest&, Reply& reply) {
    reply.begin();
    reply.chunk(stream_of("Words."));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", kLimited);
  const std::string model = "openai/any@" + server.base_url();
  const Finished run = world_.run({"run", flow, "--model", model});
  EXPECT_EQ(run.status, kPaused) << run.err;
  EXPECT_EQ(shown("stop_reason"), "\"limit_tokens\"");
  EXPECT_THAT(run.err, HasSubstr("the next call may take"));
  EXPECT_THAT(run.err, HasSubstr("--max-tokens N"));
  EXPECT_EQ(server.requests().size(), 2u) << "the third could have gone over";
  EXPECT_THAT(asked_rows(), ElementsAre("2 completed 1", "4 completed 1", "6 pending 1"));
  expect_explained();

  EXPECT_EQ(world_.run({"session", "resume", "1"}).status, kPaused) << "nothing was raised";
  EXPECT_EQ(server.requests().size(), 2u);
  const Finished raised = world_.run({"session", "resume", "1", "--max-tokens", "20000"});
  EXPECT_EQ(raised.status, kPaused) << "the role's own limit is next";
  EXPECT_EQ(shown("stop_reason"), "\"limit_steps\"");
  EXPECT_THAT(raised.err, HasSubstr("of the role 'b'"));
  EXPECT_EQ(server.requests().size(), 5u);
  expect_explained();
  EXPECT_EQ(world_.run({"session", "skip", "1"}).status, 0);
  expect_explained();
}

TEST_P(StrandsTest, KilledInABackOffTheStepIsTriedAgainAndChargedOnce) {
  std::atomic<bool> broken = true;
  ModelServer server([&](const ReceivedRequest&, Reply& reply) {
    if (broken) {
      reply.answer(503, "{\"error\": \"busy\"}", "application/json", "Retry-After: 100\r\n");
      return;
    }
    reply.begin();
    reply.chunk(stream_of("At last."));
    reply.end();
  });
  const std::string flow = world_.write("flow.yaml", R"(tertulia: 1
name: waits
roles: { a: { name: Ana, prompt: "Ana." } }
steps: [ { speak: a, retry: { attempts: 2, backoff: 100s } } ]
)");
  Running running =
      world_.start({"run", flow, "--model", "openai/any@" + server.base_url(), "--json"});
  ASSERT_TRUE(running.wait_for("attempt.failed"));
  running.signal(SIGKILL);
  static_cast<void>(running.finish());
  EXPECT_THAT(asked_rows(), ElementsAre("1 running 2"));
  expect_explained();
  broken = false;
  const Finished resumed = world_.run({"session", "resume", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  ASSERT_EQ(calls().size(), 3u);
  EXPECT_THAT(calls()[0], HasSubstr("server"));
  EXPECT_THAT(calls()[1], HasSubstr("interrupted"));
  EXPECT_THAT(calls()[2], HasSubstr("ok"));
  expect_explained();
}

TEST_P(StrandsTest, ARoleIsPlayedByAPerson) {
  const std::string flow = world_.write("flow.yaml", kTwoBranches);
  const Finished waiting =
      world_.run({"run", flow, "--model", "rehearsal", "--play", "b", "--seed", "2"});
  EXPECT_EQ(waiting.status, kPaused) << waiting.err;
  EXPECT_THAT(waiting.err, HasSubstr("Ben is asked: Right one."));
  EXPECT_THAT(asked_rows(),
              ElementsAre("1 completed 1", "3 completed 1", "4 waiting 1", "5 completed 1"))
      << "the other branch went on";
  expect_explained();
  const Finished answered = world_.run({"session", "answer", "1", "I say no."});
  EXPECT_EQ(answered.status, 0) << answered.err;
  EXPECT_EQ(conversation()[3], "b: I say no.");
  expect_explained();
  const Finished wrong = world_.run({"run", flow, "--model", "rehearsal", "--play", "c"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("no role 'c' to play"));
}

TEST_P(StrandsTest, TwoPersonsAreAskedAtOnceAndToldApart) {
  const std::string flow = world_.write("flow.yaml", R"(tertulia: 1
name: persons
roles:
  a: { name: Ana, prompt: "Ana." }
  b: { name: Ben, prompt: "Ben." }
steps:
  - parallel:
      - - { ask: a, prompt: "Ana?" }
      - - { ask: b, prompt: "Ben?" }
)");
  EXPECT_EQ(world_.run({"run", flow, "--model", "rehearsal"}).status, kPaused);
  EXPECT_THAT(shown("waiting"), HasSubstr("Ben?"));
  const Finished unclear = world_.run({"session", "answer", "1", "Yes."});
  EXPECT_EQ(unclear.status, 2) << unclear.err;
  EXPECT_THAT(unclear.err, HasSubstr("2 (Ana), 3 (Ben): say which"));
  EXPECT_EQ(world_.run({"session", "answer", "1", "No.", "--order", "3"}).status, kPaused);
  EXPECT_EQ(world_.run({"session", "answer", "1", "Yes."}).status, 0) << "one is left";
  EXPECT_THAT(conversation(), ElementsAre("a: Yes.", "b: No."));
  expect_explained();
}

TEST_P(StrandsTest, AnAnswerOrASkipTakesUpWhatADeadProcessLeftToo) {
  for (const char* wish : {"answer", "skip"}) {
    begin();
    const std::string flow = world_.write("flow.yaml", R"(tertulia: 1
name: mixed
roles:
  a: { name: Ana, prompt: "Ana." }
  b: { name: Ben, prompt: "Ben." }
steps:
  - parallel:
      - - { ask: a, prompt: "Ana?" }
      - - { speak: b, task: "Ben." }
)");
    ASSERT_EQ(world_.run({"db", "init"}).status, 0);
    World doomed = world_;
    doomed.environment["TERTULIA_FAILPOINTS"] = "request.after=kill";
    ASSERT_EQ(doomed.run({"run", flow, "--model", "rehearsal"}).signal, SIGKILL);
    EXPECT_THAT(asked_rows(), ElementsAre("2 waiting 1", "3 running 1"));
    std::vector<std::string> words = {"session", wish, "1"};
    if (wish == std::string("answer")) words.emplace_back("Yes.");
    if (wish == std::string("skip")) words.insert(words.end(), {"--order", "2"});
    const Finished done = world_.run(words);
    if (wish == std::string("skip")) {
      EXPECT_EQ(done.status, kPaused) << done.err;
      EXPECT_EQ(world_.run({"session", "resume", "1"}).status, 0);
    } else {
      EXPECT_EQ(done.status, 0) << done.err;
    }
    EXPECT_EQ(shown("status"), "\"finished\"") << wish;
    ASSERT_EQ(calls().size(), 2u);
    EXPECT_THAT(calls()[0], HasSubstr("interrupted"));
    EXPECT_THAT(calls()[1], HasSubstr("ok"));
    expect_explained();
  }
}

}  // namespace
}  // namespace tertulia::test
