// Sessions that begin where another one stood inside a parallel, or right behind one: by the real
// program, on both engines, at every step.
#include "support/branching.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;

class BranchStrandsTest : public BranchFixture {};
INSTANTIATE_TEST_SUITE_P(, BranchStrandsTest, testing::Bool(), engine_name);

// Branches of different lengths; steps without effects in them and behind them; one inside another.
constexpr const char* kStrands = R"(tertulia: 1
name: strands
topic: Ship on Friday?
roles:
  a: { name: Ana, prompt: "For." }
  b: { name: Ben, prompt: "Against." }
  chair: { name: Chair, prompt: "You chair." }
vars: { guessed: 0, spread: 0 }
steps:
  - speak: chair
  - parallel:
      each: [a, b]
      do:
        - id: guess
          speak: each
          output: { type: object, required: [days], properties: { days: { type: integer, minimum: 1, maximum: 9 } } }
        - if: { output: guess, at: /days, gte: 1 }
          then: [ { speak: each, to: chair } ]
        - speak: each
  - set: { spread: { stat: spread, of: [guess], at: /days } }
  - parallel:
      - - loop: { max: 2, steps: [ { speak: b }, { set: { guessed: 1 } } ] }
        - parallel:
            - [ { speak: a }, { speak: b } ]
            - [ { speak: chair } ]
      - - { discuss: { among: [a, b], order: moderator, moderator: chair, max: 2 } }
  - if: { var: spread, gte: 0 }
    then: [ { speak: chair, task: "The spread was {{vars.spread}}." } ]
)";

TEST_P(BranchStrandsTest, FromEveryStepItComesToWhatItsParentCameTo) {
  perform({"--model", "rehearsal?latency=5ms"}, 0, kStrands);
  const std::string parent = conversation("1");
  const json::object whole = document("1");
  const auto rows = static_cast<int>(whole.at("step_execution_logs").as_array().size());
  ASSERT_GT(rows, 25);
  for (int order = 1; order <= rows; ++order) {
    SCOPED_TRACE(order);
    const std::string id = branch("1", order);
    expect_explained(id);
    const json::object begun = document(id);
    EXPECT_TRUE(begun.at("model_calls").as_array().empty());
    EXPECT_GE(begun.at("step_execution_logs").as_array().size(), static_cast<std::size_t>(order));
    // What was answered by then is; nothing is under way.
    for (const auto& row : begun.at("step_execution_logs").as_array()) {
      const auto& columns = row.as_object();
      if (columns.at("context_snapshot").is_object()) {
        EXPECT_TRUE(columns.at("status") == "completed" || columns.at("status") == "pending")
            << row;
      }
      if (columns.at("execution_order").as_int64() == order &&
          columns.at("context_snapshot").is_object()) {
        EXPECT_EQ(columns.at("status"), "completed");
      }
    }
    if (begun.at("status") != "finished") {
      EXPECT_EQ(begun.at("status"), "paused");
      resume(id);
    }
    EXPECT_EQ(conversation(id), parent);
    expect_explained(id);
  }
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

// Of two branches that answer in a known order.
constexpr const char* kTwo = R"(tertulia: 1
name: two
roles: { a: { name: Ana, prompt: "For." }, b: { name: Ben, prompt: "Against." } }
steps:
  - parallel:
      each: [a, b]
      do: [ { speak: each }, { speak: each, context: { from: [each] } } ]
  - speak: a
    context: all
)";

TEST_P(BranchStrandsTest, TheOtherBranchesStandAsTheyStoodThen) {
  perform({}, 0, kTwo);
  const json::object whole = document("1");
  // The rows that asked somebody in the block, by the order in which they were answered.
  std::map<std::int64_t, std::int64_t> answered;
  for (const auto& each : whole.at("step_execution_logs").as_array()) {
    const auto& row = each.as_object();
    if (const auto* seq = row.at("result_data").as_object().if_contains("commit_seq"))
      answered[seq->as_int64()] = row.at("execution_order").as_int64();
  }
  ASSERT_EQ(answered.size(), 4u);
  for (const auto& [seq, order] : answered) {
    SCOPED_TRACE(seq);
    const std::string id = branch("1", static_cast<int>(order), {"--edit", "Edited in the block."});
    expect_explained(id);
    const json::object begun = document(id);
    std::int64_t completed = 0;
    for (const auto& each : begun.at("step_execution_logs").as_array()) {
      const auto& row = each.as_object();
      if (row.at("result_data").is_object() &&
          row.at("result_data").as_object().contains("commit_seq"))
        ++completed;
    }
    EXPECT_EQ(completed, seq);
    // Nothing outside the block sees a word of it before the join.
    for (const auto& message : begun.at("messages").as_array())
      EXPECT_EQ(message.at("position").as_int64() < 0, seq < 4);
    resume(id);
    expect_explained(id);
    EXPECT_THAT(conversation(id), HasSubstr("Edited in the block."));
    EXPECT_NE(conversation(id), conversation("1"));
  }
}

TEST_P(BranchStrandsTest, WhatIsUnderWayIsAskedUnderTheNewTopicAndModel) {
  perform({}, 0, kTwo);
  const std::string id =
      branch("1", 2, {"--topic", "Tea or coffee?", "--model", "rehearsal?latency=1ms"});
  expect_explained(id);
  resume(id);
  expect_explained(id);
  EXPECT_NE(conversation(id), conversation("1"));
  // Of a branch that stands in the block, the steps that were answered can be gone on from, once
  // the block is done.
  for (int order = 2; order <= 5; ++order) {
    const std::string second = branch(id, order);
    expect_explained(second);
    resume(second);
    EXPECT_EQ(conversation(second), conversation(id));
  }
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

TEST_P(BranchStrandsTest, ABlockThatIsNotDoneIsNotCut) {
  perform({"--max-steps", "3"}, 5, kTwo);
  for (const char* order : {"2", "3"}) {
    const Finished refused = world_.run({"session", "branch", "1", "--at", order});
    EXPECT_EQ(refused.status, 2) << refused.out;
    EXPECT_THAT(refused.err, HasSubstr("lies in the parallel block of step 1, which is not done"));
    EXPECT_THAT(refused.err, HasSubstr("tertulia session resume 1"));
  }
  EXPECT_EQ(sessions(), 1u);
  ASSERT_EQ(world_.run({"session", "resume", "1", "--max-steps", "9"}).status, 0);
  expect_explained(branch("1", 2));
  expect_explained(branch("1", 3));
}

constexpr const char* kEnds = R"(tertulia: 1
name: ends
roles: { a: { name: Ana, prompt: "For." }, b: { name: Ben, prompt: "Against." } }
steps:
  - parallel:
      - [ { speak: a }, { end: enough } ]
      - [ { ask: b, prompt: "And you?" }, { speak: a } ]
)";

TEST_P(BranchStrandsTest, WhatFellWithItsBlockWasNeverAnswered) {
  perform({}, 0, kEnds);  // the end in the first branch leaves the person's step unanswered
  const Finished refused = world_.run({"session", "branch", "1", "--at", "3"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("was never answered"));
  const std::string id = branch("1", 2);
  expect_explained(id);
  EXPECT_EQ(conversation(id), conversation("1"));
  EXPECT_EQ(shown(id).at("status"), "finished");
}

constexpr const char* kPersons = R"(tertulia: 1
name: persons
roles: { a: { name: Ana, prompt: "For." }, b: { name: Ben, prompt: "A person." } }
steps:
  - parallel:
      - [ { speak: a } ]
      - [ { ask: b, prompt: "And you?" }, { speak: a, context: last } ]
)";

TEST_P(BranchStrandsTest, APersonInAnotherBranchIsStillWaitedFor) {
  perform({}, 5, kPersons);
  ASSERT_EQ(world_.run({"session", "answer", "1", "Yes."}).status, 0);
  const std::string waits = branch("1", 2);
  EXPECT_EQ(shown(waits).at("status"), "waiting");
  EXPECT_EQ(shown(waits).at("question"), "And you?");
  expect_explained(waits);
  ASSERT_EQ(world_.run({"session", "answer", waits, "No."}).status, 0);
  expect_explained(waits);
  EXPECT_THAT(conversation(waits), HasSubstr("No."));
}

}  // namespace
}  // namespace tertulia::test
