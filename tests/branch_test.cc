// Sessions that begin where another one stood: by the real program, on both engines, at every step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "support/branching.h"
#include "support/legacy_database.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class BranchTest : public BranchFixture {};
INSTANTIATE_TEST_SUITE_P(, BranchTest, testing::Bool(), engine_name);

TEST_P(BranchTest, FromEveryStepItGoesOnAsItsParentDid) {
  perform();
  const std::string parent = told("1");
  const json::object whole = document("1");
  const auto& said = whole.at("messages").as_array();
  const auto rows = static_cast<int>(whole.at("step_execution_logs").as_array().size());
  ASSERT_GT(rows, 12);
  for (int order = 1; order <= rows; ++order) {
    SCOPED_TRACE(order);
    const std::string id = branch("1", order);
    expect_explained(id);
    const json::object begun = document(id);
    EXPECT_TRUE(begun.at("model_calls").as_array().empty());
    EXPECT_GE(begun.at("step_execution_logs").as_array().size(), static_cast<std::size_t>(order));
    const auto& messages = begun.at("messages").as_array();
    for (std::size_t i = 0; i < messages.size(); ++i)
      EXPECT_EQ(messages[i].at("created_at"), said.at(i).at("created_at"));
    EXPECT_EQ(base::to_text(shown(id).at("branched_from")),
              "{\"session\":1,\"order\":" + std::to_string(order) + "}");
    if (begun.at("status") != "finished") {
      EXPECT_EQ(begun.at("status"), "paused");
      resume(id);
    }
    EXPECT_EQ(told(id), parent);
    EXPECT_EQ(shown(id).at("result"), shown("1").at("result"));
    expect_explained(id);
  }
  EXPECT_EQ(told("1"), parent);
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

TEST_P(BranchTest, RetriesAndSkippedStepsAreInherited) {
  perform({"--model", "rehearsal?fail=0.4&kind=server&latency=0"}, 0, R"(tertulia: 1
name: troubled
roles: { a: { prompt: p }, b: { prompt: q } }
steps:
  - { speak: a, retry: { attempts: 20, backoff: 1ms } }
  - { speak: b, retry: { attempts: 20, backoff: 1ms } }
  - { speak: a, retry: { attempts: 20, backoff: 1ms } }
  - { speak: b, retry: { attempts: 20, backoff: 1ms } }
)");
  bool has_retried = false;
  const json::object troubled = document("1");
  for (const auto& row : troubled.at("step_execution_logs").as_array())
    has_retried = has_retried || row.at("attempt_count").as_int64() > 1;
  ASSERT_TRUE(has_retried);
  for (int order = 1; order <= 4; ++order) expect_explained(branch("1", order));

  perform({"--max-steps", "1"}, 5);  // session 6 is paused at its limit
  ASSERT_EQ(world_.run({"session", "step", "6"}).status, 5);
  EXPECT_EQ(world_.run({"session", "resume", "6", "--max-steps", "2"}).status, 5);
  const std::string held = branch("6", 3);
  expect_explained(held);
  EXPECT_EQ(shown(held).at("stop_reason"), "limit_steps");
}

TEST_P(BranchTest, ASkippedStepStaysSkipped) {
  perform({"--max-steps", "2"}, 5);
  ASSERT_EQ(world_.run({"session", "branch", "1", "--at", "1"}).status, 0);
  ASSERT_EQ(world_.run({"session", "skip", "2"}).status, 5);  // the verdict
  const std::string id = branch("2", 3);
  expect_explained(id);
  EXPECT_EQ(told(id), told("2"));
  const Finished refused = world_.run({"session", "branch", "2", "--at", "3", "--edit", "{}"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("was skipped"));
}

TEST_P(BranchTest, EditedWordsAreWhatFollowersAreShown) {
  perform();
  const std::string id = branch("1", 1, {"--edit", "Entirely different words."});
  EXPECT_THAT(next_request(id), HasSubstr("Entirely different words."));
  expect_explained(id);
  EXPECT_THAT(told(id), HasSubstr("\"edited\":true"));
  EXPECT_THAT(told("1"), Not(HasSubstr("Entirely different words.")));
  resume(id);
  expect_explained(id);
  EXPECT_NE(told(id), told("1"));

  // A verdict decides what comes after it.
  const auto last = [&](const std::string& session) {
    const json::object whole = document(session);
    return whole.at("messages").as_array().back().at("role");
  };
  int verdict = 0;
  const json::object parent = document("1");
  for (const auto& row : parent.at("step_execution_logs").as_array())
    if (row.at("result_data").is_object() && row.at("result_data").as_object().contains("output"))
      verdict = static_cast<int>(row.at("execution_order").as_int64());
  ASSERT_GT(verdict, 0);
  for (const auto& [approved, speaker] :
       {std::pair("true", "writer"), std::pair("false", "critic")}) {
    const std::string other = branch(
        "1", verdict, {"--edit", std::string("{\"approved\": ") + approved + ", \"score\": 9}"});
    resume(other);
    expect_explained(other);
    EXPECT_EQ(last(other), speaker);
    EXPECT_THAT(told(other), HasSubstr("\"score\":9"));
  }
}

TEST_P(BranchTest, TopicAndModelChangeFromThereOn) {
  perform();
  const std::string id =
      branch("1", 4, {"--topic", "Tea or coffee?", "--model", "rehearsal?latency=1ms"});
  expect_explained(id);
  EXPECT_EQ(shown(id).at("topic"), "Tea or coffee?");
  resume(id);
  expect_explained(id);
  EXPECT_THAT(told(id), Not(testing::StrEq(told("1"))));
  // Of a branch, a branch: what its parent inherited, it inherits.
  const std::string second = branch(id, 7);
  expect_explained(second);
  resume(second);
  EXPECT_EQ(told(second), told(id));
  const std::string third = branch(id, 2);
  expect_explained(third);
  EXPECT_THAT(next_request(third), HasSubstr("Tea or coffee?"));
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

TEST_P(BranchTest, WhatRehearsalSaidStaysMarkedUnderAnotherModel) {
  perform();
  const std::string id = branch("1", 4, {"--model", "ollama/tiny@http://127.0.0.1:9"});
  EXPECT_EQ(shown(id).at("rehearsal"), true);
  EXPECT_EQ(shown(id).at("cast").at(0).at("profile"), "ollama/tiny@http://127.0.0.1:9");
  expect_explained(id);
}

TEST_P(BranchTest, ItOutlivesItsParent) {
  perform();
  const std::string id = branch("1", 6);
  const std::string before = told(id);
  ASSERT_EQ(world_.run({"session", "delete", "1"}).status, 0);
  EXPECT_EQ(told(id), before);
  expect_explained(id);
  resume(id);
  expect_explained(id);
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
  ASSERT_EQ(world_.run({"session", "delete", id}).status, 0);
}

TEST_P(BranchTest, WhatCannotBeBranchedFromIsRefusedAndNothingIsMade) {
  perform({"--max-steps", "3"}, 5);
  perform({"--model", "rehearsal?fail=1&kind=auth"}, 4);
  ASSERT_EQ(world_.run({"run", world_.path("flow.yaml"), "--create-only"}).status, 0);
  const auto open = std::to_string(document("2").at("step_execution_logs").as_array().size());
  ASSERT_EQ(world_.run({"session", "cancel", "1"}).status, 0);
  struct Case {
    std::vector<std::string> arguments;
    std::string words;
  };
  for (const Case& each : std::vector<Case>{
           {{"1", "--at", "99"}, "has no step 99"},
           {{"9", "--at", "1"}, "there is no session 9"},
           {{"3", "--at", "1"}, "it has not begun"},
           {{"2", "--at", open}, "is not done: it is failed"},
           {{"1", "--at", "2", "--edit", "words"}, "says nothing that could be edited"},
           {{"1", "--at", "1", "--edit", "  "}, "are empty"},
           {{"1", "--at", "3", "--edit", "words"}, "do not fit the output"},
           {{"1", "--at", "3", "--edit", "{\"approved\": 1, \"score\": 3}"}, "/approved"},
           {{"1", "--at", "1", "--model", "nonesuch"}, "nonesuch"},
           {{"1", "--at", "0"}, "--at"},
           {{"1"}, "--at"}}) {
    std::vector<std::string> arguments = {"session", "branch"};
    arguments.insert(arguments.end(), each.arguments.begin(), each.arguments.end());
    const Finished refused = world_.run(arguments);
    EXPECT_EQ(refused.status, 2) << refused.out << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(each.words));
  }
  EXPECT_EQ(sessions(), 3u);
}

TEST_P(BranchTest, KilledAtItsCommitItIsWholeOrAbsent) {
  perform();
  for (const auto& [failpoint, made] :
       {std::pair("db.commit.before=kill@1", 1u), std::pair("db.commit.after=kill@1", 2u)}) {
    World struck = world_;
    struck.environment["TERTULIA_FAILPOINTS"] = failpoint;
    EXPECT_EQ(struck.run({"session", "branch", "1", "--at", "5"}).signal, SIGKILL);
    EXPECT_EQ(sessions(), made) << failpoint;
    EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
  }
  const json::object list = object_of(world_.run({"--json", "session", "list"}).out);
  const std::string id = base::to_text(list.at("items").at(0).at("id"));
  resume(id);
  expect_explained(id);
  EXPECT_EQ(told(id), told("1"));
}

TEST_P(BranchTest, ASessionUnderWayIsBranchedFromAndGoesOn) {
  perform({"--create-only"});
  Running running = world_.start({"run", world_.path("flow.yaml"), "--json", "--seed", "7",
                                  "--model", "rehearsal?latency=150ms"});
  ASSERT_TRUE(running.wait_for("\"message\""));
  const std::string id = branch("2", 1);
  expect_explained(id);
  EXPECT_EQ(running.finish().status, 0);
  expect_explained("2");
  resume(id);
  EXPECT_EQ(told(id), told("2"));
}

TEST(BranchOfAdopted, SessionsOfTheOlderSystemBranchToo) {
  World world;
  build_legacy_database(world.path("old.db"));
  const Finished adopted = world.run({"db", "adopt", world.path("old.db"), "--model", "rehearsal"});
  ASSERT_EQ(adopted.status, 0) << adopted.err;
  world.database = world.path("old.db.adopted");
  for (const char* order : {"1", "3", "5"}) {
    const Finished made =
        world.run({"--json", "session", "branch", "5", "--at", order, "--topic", "Another"});
    ASSERT_EQ(made.status, 0) << made.err;
    const std::string id = base::to_text(object_of(made.out).at("session_id"));
    for (int pass = 0; pass < 2; ++pass) {
      const Finished replay = world.run({"session", "replay", id});
      EXPECT_EQ(replay.status, 0) << order << replay.out << replay.err;
      EXPECT_EQ(world.run({"session", "resume", id}).status, 0) << order;
    }
  }
}

constexpr const char* kInterview = R"(tertulia: 1
name: interview
roles: { host: { prompt: "You interview." }, guest: { name: Guest, prompt: "A person." } }
steps:
  - speak: host
  - { ask: guest, prompt: "More tea?", choices: [yes please, no thanks] }
  - if: { equals: yes please }
    then: [ { speak: host, task: Pour. } ]
    else: [ { speak: host, task: Say goodbye. } ]
)";

TEST_P(BranchTest, APersonMayAnswerOtherwise) {
  perform({}, 5, kInterview);
  const std::string waits = branch("1", 1);
  EXPECT_EQ(shown(waits).at("status"), "waiting");
  EXPECT_EQ(shown(waits).at("question"), "More tea?");
  expect_explained(waits);
  const Finished refused = world_.run({"session", "branch", "1", "--at", "2"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("is not done: it is waiting"));
  ASSERT_EQ(world_.run({"session", "answer", waits, "1"}).status, 0);
  expect_explained(waits);

  ASSERT_EQ(world_.run({"session", "answer", "1", "2"}).status, 0);
  EXPECT_EQ(world_.run({"session", "branch", "1", "--at", "2", "--edit", "perhaps"}).status, 2);
  const std::string other = branch("1", 2, {"--edit", "yes please"});
  expect_explained(other);
  EXPECT_THAT(next_request(other), HasSubstr("Pour."));
  resume(other);
  expect_explained(other);
}

TEST_P(BranchTest, ARerunPerformsToTheEnd) {
  perform();
  const std::string parent = told("1");
  for (const std::string order : {"1", "5"}) {
    const Finished again = world_.run({"session", "rerun", "1", "--from", order});
    EXPECT_EQ(again.status, 0) << again.err;
    const std::string id = order == "1" ? "2" : "3";
    EXPECT_THAT(again.out, HasSubstr("session " + id + " "));
    EXPECT_EQ(told(id), parent);
    expect_explained(id);
  }
  EXPECT_EQ(world_.run({"session", "rerun", "1", "--from", "99"}).status, 2);
  EXPECT_EQ(sessions(), 3u);

  // A step that failed is gone on from under another model.
  perform({"--model", "rehearsal?fail=1&kind=auth"}, 4);
  const Finished mended =
      world_.run({"session", "rerun", "4", "--from", "1", "--model", "rehearsal"});
  EXPECT_EQ(mended.status, 0) << mended.err;
  expect_explained("5");
}

}  // namespace
}  // namespace tertulia::test
