// Replay of whole logs, and of logs in which something was changed: each change must be found. That
// the log of any session replays after any event is machine_property_test.cc's.
#include "flow/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Rows: 1 loop, 2 a, 3 if, 4 b (an output, a document), 5 check, 6 a, 7 if, 8 b (failed once, then
// tried again), 9 check, 10 set, 11 c (running).
TestSession played() {
  Program program = program_of(
      {loop(2, {speak("a"), if_(said("go"), {speak("b", "n")})}), set("v", 1), speak("c")});
  std::get<Speak>(program.steps[3].step).document = "essay";
  TestSession session(std::move(program));
  session.start();
  for (int i = 0; i < 2; ++i) {
    session.answer("go", 10);
    if (i == 1) {
      session.must(AttemptFailed{.message = "broken", .again = true});
      session.must(AttemptFailed{.message = "no key", .again = false});
      session.must(RetryStep{});
    }
    session.must(
        Answered{.text = "{}", .output = json::object{{"i", i}}, .duration_ms = 20, .data = {}});
  }
  return session;
}

std::vector<std::string> found(const ReplayInput& input) {
  std::vector<std::string> texts;
  for (const auto& each : replay(input).disagreements)
    texts.push_back("row " + std::to_string(each.order) + ": " + each.what);
  return texts;
}

TEST(Replay, AgreesWithTheLogItExplains) {
  const TestSession session = played();
  ASSERT_EQ(session.rows().size(), 11U);
  const ReplayReport report = replay(session.replay_input());
  EXPECT_THAT(report.disagreements, IsEmpty());
  EXPECT_EQ(report.rows, 11);
  EXPECT_EQ(report.messages, 4);
  EXPECT_EQ(report.state.last_order, 11);
}

TEST(Replay, TakesWhatTheOlderSystemRecordedAsGiven) {
  const TestSession session = played();
  ReplayInput input = session.replay_input();
  input.log[1].round_index = 9;
  input.log[1].loop_iteration = 9;
  input.log[1].result_type.reset();
  input.messages[0].round = 9;
  EXPECT_FALSE(found(input).empty());
  input.adopted_rows = 2;
  input.adopted_messages = 1;
  EXPECT_THAT(found(input), IsEmpty());
  // But not which step it was, nor anything of a row that was reconstructed from its message.
  ReplayInput other_step = input;
  other_step.log[1].step_id += 1;
  EXPECT_FALSE(found(other_step).empty());
  auto data = base::parse_json(*input.log[1].result_data);
  ASSERT_TRUE(data);
  data->as_object()["reconstructed"] = true;
  input.log[1].result_data = base::to_text(*data);
  EXPECT_THAT(found(input), Contains(HasSubstr("round_index")));
}

TEST(Replay, FindsEveryChangeOfARow) {
  using Row = model::StepExecutionLog;
  struct Case {
    const char* name;
    std::size_t row;
    std::function<void(Row&)> change;
    const char* expected;
  };
  const Case cases[] = {
      {"step", 4, [](Row& row) { row.step_id = 501; },
       "row 4: step_id: log has 501, replay gives 503"},
      {"step of a quiet row", 3, [](Row& row) { row.step_id = 505; },
       "row 3: step_id: log has 505, replay gives 502"},
      {"an unknown step", 11, [](Row& row) { row.step_id = 7; },
       "row 11: step_id: log has 7, replay gives 506"},
      {"parent", 4, [](Row& row) { row.parent_log_id = 9002; },
       "row 4: parent_log_id: log has 9002, replay gives 9001"},
      {"no parent", 4, [](Row& row) { row.parent_log_id.reset(); },
       "row 4: parent_log_id: log has nothing, replay gives 9001"},
      {"round", 6, [](Row& row) { row.round_index = 1; },
       "row 6: round_index: log has 1, replay gives 2"},
      {"iteration", 9, [](Row& row) { row.loop_iteration = 3; },
       "row 9: loop_iteration: log has 3, replay gives 2"},
      {"status of a quiet row", 3, [](Row& row) { row.status = model::StepStatus::skipped; },
       "row 3: status: log has skipped, replay gives completed"},
      {"result", 5, [](Row& row) { row.result_type = model::ResultType::loop_break; },
       "row 5: result_type: log has loop_break, replay gives loop_continue"},
      {"condition", 3, [](Row& row) { row.condition_evaluation = false; },
       "row 3: condition_evaluation: log has false, replay gives true"},
      {"check", 5, [](Row& row) { row.loop_check_result.reset(); },
       "row 5: loop_check_result: log has nothing, replay gives true"},
      {"attempts of a quiet row", 3, [](Row& row) { row.attempt_count = 2; },
       "row 3: attempt_count: log has 2, replay gives 1"},
      {"error", 8, [](Row& row) { row.error_message = "oh"; },
       "row 8: error_message: log has oh, replay gives "},
      {"what was set", 10, [](Row& row) { row.result_data = R"({"set":{"v":2}})"; },
       R"(row 10: result_data.set: log has {"v":2}, replay gives {"v":1})"},
      {"position", 2, [](Row& row) { row.result_data = R"({"position":2})"; },
       "row 2: result_data.position: log has 2, replay gives 1"},
      {"no data", 2, [](Row& row) { row.result_data.reset(); },
       "row 2: result_data.position: log has nothing, replay gives 1"},
      {"an output that is gone", 8, [](Row& row) { row.result_data = R"({"position":4})"; },
       R"(row 0: state.outputs: stored is {"n":8}, replay gives {"n":4})"},
      {"time", 2, [](Row& row) { row.duration_ms = 11; },
       "row 0: state.elapsed_ms: stored is 60, replay gives 61"},
      {"attempts of the open row", 11, [](Row& row) { row.attempt_count = 2; },
       "row 0: state.open: stored is"},
      {"order", 7, [](Row& row) { row.execution_order = 8; },
       "row 8: execution_order: 7 was expected here"},
  };
  const TestSession session = played();
  for (const Case& each : cases) {
    ReplayInput input = session.replay_input();
    each.change(input.log[each.row - 1]);
    EXPECT_THAT(found(input), Contains(HasSubstr(each.expected))) << each.name;
  }
}

TEST(Replay, FindsRowsThatAreMissingOrTooMany) {
  const TestSession session = played();
  ReplayInput missing = session.replay_input();
  missing.log.pop_back();
  EXPECT_THAT(found(missing),
              Contains("row 11: the log ends before this row, which the flow goes on to"));

  ReplayInput quiet_missing = session.replay_input();
  quiet_missing.log.resize(8);
  EXPECT_THAT(found(quiet_missing), Contains(HasSubstr("row 11: the log ends before")));

  ReplayInput more = session.replay_input();
  more.log.push_back(more.log[9]);
  more.log.back().execution_order = 12;
  EXPECT_THAT(found(more), ElementsAre("row 12: the log has a row that replay does not reach"));
}

TEST(Replay, FindsEveryChangeOfAMessage) {
  struct Case {
    std::function<void(std::vector<Said>&)> change;
    const char* expected;
  };
  const Case cases[] = {
      {[](auto& messages) { messages[1].role = "a"; },
       "row 4: message 2: role: log has a, replay gives b"},
      {[](auto& messages) { messages[2].round = 1; },
       "row 6: message 3: round: log has 1, replay gives 2"},
      {[](auto& messages) { messages[1].document = ""; },
       "row 4: message 2: document: log has , replay gives essay"},
      {[](auto& messages) { messages[3].document_version = 1; },
       "row 8: message 4: document_version: log has 1, replay gives 2"},
      {[](auto& messages) { messages[3].position = 5; }, "row 8: message 4 is missing"},
      {[](auto& messages) { messages.pop_back(); }, "row 8: message 4 is missing"},
      {[](auto& messages) {
         messages.push_back(messages.back());
         messages.back().position = 5;
       },
       "row 0: message 5 belongs to no row of the log"},
      // Words that decided a condition.
      {[](auto& messages) { messages[2].text = "stop"; }, "row 10: step_id: log has 505"},
  };
  const TestSession session = played();
  for (const Case& each : cases) {
    ReplayInput input = session.replay_input();
    each.change(input.messages);
    EXPECT_THAT(found(input), Contains(HasSubstr(each.expected))) << each.expected;
  }
}

TEST(Replay, FindsEveryChangeOfTheState) {
  const std::pair<std::function<void(State&)>, const char*> cases[] = {
      {[](State& state) { state.status = model::SessionStatus::paused; }, "state.status"},
      {[](State& state) { state.stop_reason = model::StopReason::asked; }, "state.stop_reason"},
      {[](State& state) { state.round = 3; }, "state.round: stored is 3, replay gives 2"},
      {[](State& state) { state.round_start = 1; }, "state.round_start"},
      {[](State& state) { state.open.reset(); }, "state.open: stored is nothing"},
      {[](State& state) { state.open->visit = 2; }, "state.open"},
      {[](State& state) { state.frames.push_back({}); }, "state.frames"},
      {[](State& state) { state.variables["v"] = 2; }, "state.variables"},
      {[](State& state) { state.spoken["a"].last = 1; }, "state.spoken"},
      {[](State& state) { state.documents.clear(); }, "state.documents"},
      {[](State& state) { state.visits[1] = 9; }, "state.visits"},
      {[](State& state) { state.jumps[1] = 1; }, "state.jumps"},
      {[](State& state) { state.steps_used = 4; }, "state.steps_used"},
  };
  const TestSession session = played();
  for (const auto& [change, expected] : cases) {
    ReplayInput input = session.replay_input();
    change(input.stored);
    EXPECT_THAT(found(input), ElementsAre(HasSubstr(expected)));
  }
}

// Limits and the failures that count are inputs: no row holds them.
TEST(Replay, TakesInputsOfPersonsAsGiven) {
  const TestSession session = played();
  ReplayInput input = session.replay_input();
  input.stored.open->failures = 2;
  input.stored.limits.steps = 1;  // lowered while the last step was under way
  EXPECT_THAT(found(input), IsEmpty());
}

TEST(Replay, StepsOfAnotherVersionAreFoundOut) {
  const TestSession session = played();
  ReplayInput input = session.replay_input();
  for (auto& id : input.step_ids) id += 100;
  EXPECT_THAT(found(input), Contains(HasSubstr("step_id")));
}

TEST(Replay, ShowsTheStateOfEveryModelStepBeforeItsAnswer) {
  const TestSession session = played();
  std::vector<std::string> paths;
  std::vector<std::int64_t> closed;
  const auto opened = [&](const State& state, const Strand& strand) {
    paths.push_back(execution_path(session.program(), strand) + " after " +
                    std::to_string(state.last_position));
  };
  const auto closes = [&](const State& state, const Strand& strand) {
    EXPECT_EQ(state.last_order, strand.open->order);
    closed.push_back(strand.open->order);
  };
  const auto report = replay(session.replay_input(), {.opened = opened, .closes = closes});
  EXPECT_THAT(report.disagreements, IsEmpty());
  EXPECT_THAT(paths,
              ElementsAre("1.loop.1#1/1 after 0", "1.loop.2.then.1#1/1 after 1",
                          "1.loop.1#2/2 after 2", "1.loop.2.then.1#2/2 after 3", "3/1 after 4"));
  EXPECT_EQ(closed.size(), 4u);  // the last is still open
}

TEST(Replay, UnderTwoVersionsOfTheFlow) {
  // "a b" of a flow that says "a b c", then "b c d" of one that has a step more.
  const Program before = program_of({speak("a", "one"), speak("b", "two"), speak("c", "three")});
  TestSession whole(
      program_of({speak("a", "one"), speak("b", "two"), speak("c", "more"), speak("c", "three")}));
  whole.start();
  while (whole.state().status == model::SessionStatus::running) whole.answer("words");

  ReplayInput input = whole.replay_input();
  input.earlier.push_back({.program = &before, .step_ids = {101, 102, 103}, .until = 2});
  input.log[0].step_id = 101;
  input.log[1].step_id = 102;
  EXPECT_THAT(found(input), IsEmpty());

  ReplayInput other = input;
  other.log[1].step_id = whole.replay_input().log[1].step_id;
  EXPECT_THAT(found(other), Contains(HasSubstr("step_id")));
  other = input;
  other.earlier[0].until = 3;  // that row was opened under the version before
  EXPECT_THAT(found(other), Contains(HasSubstr("step_id")));
  other = input;
  other.earlier[0].until = 9;
  EXPECT_FALSE(found(other).empty());
  const Program lacking = program_of({speak("a", "one"), speak("b", "other"), speak("c", "three")});
  other = input;
  other.earlier[0].program = &lacking;
  EXPECT_THAT(found(other), Contains(HasSubstr("it has no step 'other'")));
}

TEST(Replay, OfSessionsWithoutRows) {
  TestSession session(program_of({speak("a")}));
  EXPECT_THAT(session.disagreements(), IsEmpty()) << "not started";

  TestSession cancelled(program_of({speak("a")}));
  cancelled.must(Cancel{});
  EXPECT_THAT(cancelled.disagreements(), IsEmpty()) << "cancelled before it started";

  Limits none;
  none.steps = 0;
  session.start(none);
  EXPECT_EQ(session.standing(), "paused limit_steps");
  EXPECT_THAT(session.disagreements(), IsEmpty());
  session.must(Cancel{});
  EXPECT_THAT(session.disagreements(), IsEmpty()) << "cancelled at its first limit";

  ReplayInput input = session.replay_input();
  input.stored.status = model::SessionStatus::finished;
  EXPECT_THAT(found(input), Contains(HasSubstr("state.stop_reason")));
}

}  // namespace
}  // namespace tertulia::flow::test
