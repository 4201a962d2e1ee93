// Loops, checks, gotos, rounds, limits: what happens between two model steps.
#include "flow/walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Limits limits(std::int64_t steps, std::int64_t rounds = 1000, bool finish = false) {
  Limits limits;
  limits.steps = steps;
  limits.rounds = rounds;
  limits.finish = finish;
  return limits;
}

TEST(Walk, AnEmptyFlowFinishesAtOnce) {
  TestSession session(program_of({}));
  session.start();
  EXPECT_EQ(session.standing(), "finished end_of_flow");
  EXPECT_EQ(session.effect_names(), "stop");
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Walk, NestedLoopsCountIterationsAndRounds) {
  TestSession session(program_of({loop(2, {speak("a"), loop(2, {speak("b")})}), speak("c")}));
  session.start();
  session.answer_all("x");
  EXPECT_EQ(session.speakers(), "a b b a b b c");
  EXPECT_THAT(session.log(), ElementsAre("1 1 - 1.0 completed loop_entry - -",             //
                                         "2 1.loop.1 1 1.1 completed success - -",         //
                                         "3 1.loop.2 1 1.1 completed loop_entry - -",      //
                                         "4 1.loop.2.loop.1 3 1.1 completed success - -",  //
                                         "5 1.loop.2.check 3 1.1 completed loop_continue - true",
                                         "6 1.loop.2.loop.1 3 1.2 completed success - -",
                                         "7 1.loop.2.check 3 1.2 completed loop_break - false",
                                         "8 1.check 1 1.1 completed loop_continue - true",
                                         "9 1.loop.1 1 2.2 completed success - -",
                                         "10 1.loop.2 1 2.2 completed loop_entry - -",
                                         "11 1.loop.2.loop.1 10 2.1 completed success - -",
                                         "12 1.loop.2.check 10 2.1 completed loop_continue - true",
                                         "13 1.loop.2.loop.1 10 2.2 completed success - -",
                                         "14 1.loop.2.check 10 2.2 completed loop_break - false",
                                         "15 1.check 1 2.2 completed loop_break - false",
                                         "16 2 - 2.0 completed success - -"));
  EXPECT_EQ(session.rows()[0].result_data, R"({"iterations":2})");
  EXPECT_EQ(session.rows()[14].result_data, R"({"at_max":true})");
}

TEST(Walk, UntilIsAskedAfterAndWhileBefore) {
  TestSession until(program_of({loop_until(5, said("yes"), {speak("a")})}));
  until.start();
  until.answer("no");
  until.answer("yes");
  EXPECT_THAT(until.log(), ElementsAre("1 1 - 1.0 completed loop_entry - -",
                                       "2 1.loop.1 1 1.1 completed success - -",
                                       "3 1.check 1 1.1 completed loop_continue - true",
                                       "4 1.loop.1 1 2.2 completed success - -",
                                       "5 1.check 1 2.2 completed loop_break - false"));
  EXPECT_EQ(until.rows()[2].result_data, R"({"condition":false})");
  EXPECT_EQ(until.rows()[4].result_data, R"({"condition":true})");

  TestSession while_(program_of({speak("a"), loop_while(5, said("more"), {speak("b")})}));
  while_.start();
  while_.answer("more");
  while_.answer("enough");
  EXPECT_THAT(while_.log(),
              ElementsAre("1 1 - 1.0 completed success - -", "2 2 - 1.0 completed loop_entry - -",
                          "3 2.check 2 1.1 completed loop_continue - true",
                          "4 2.loop.1 2 1.1 completed success - -",
                          "5 2.check 2 1.2 completed loop_break - false"));
}

TEST(Walk, AWhileThatNeverHoldsLeavesALoopOfNoIterations) {
  TestSession session(program_of({loop_while(5, said("more"), {speak("b")}), speak("a")}));
  session.start();
  EXPECT_EQ(session.effect_names(), "open open:closed close open ask");
  EXPECT_EQ(session.rows()[0].result_data, R"({"iterations":0})");
}

TEST(Walk, IfLogsWhatItFoundAndNotWhatItDidNotTake) {
  for (const std::string word : {"yes", "no"}) {
    TestSession session(
        program_of({speak("a"), if_(said("yes"), {speak("b")}, {speak("c")}), speak("d")}));
    session.start();
    session.answer(word);
    session.answer_all("x");
    const bool yes = word == "yes";
    EXPECT_EQ(session.speakers(), yes ? "a b d" : "a c d");
    EXPECT_EQ(session.log()[1], yes ? "2 2 - 1.0 completed condition_true true -"
                                    : "2 2 - 1.0 completed condition_false false -");
    EXPECT_EQ(session.rows().size(), 4U);
  }
}

TEST(Walk, SetAssignsInOrderFromLiteralsOutputsAndStatistics) {
  Program program = program_of({speak("a", "one"), speak("b", "two"), set("x", 1)});
  Assignment copied;
  copied.variable = "decision";
  copied.output = "one";
  copied.pointer = "/decision";
  Assignment absent = copied;
  absent.variable = "absent";
  absent.pointer = "/nothing";
  Assignment mean;
  mean.variable = "mean";
  mean.stat = "mean";
  mean.of = {"one", "two", "never"};
  mean.pointer = "/score";
  std::get<Set>(program.steps[2].step).assignments = {copied, absent, mean};
  TestSession session(program);
  session.start();
  for (const char* output : {R"({"decision":"go","score":3})", R"({"score":4})"})
    session.must(Answered{
        .text = output, .output = base::parse_json(output).value(), .duration_ms = 0, .data = {}});
  EXPECT_EQ(session.rows()[2].result_data, R"({"set":{"decision":"go","absent":null,"mean":3.5}})");
  EXPECT_EQ(session.state().variables.at("mean"), json::value(3.5));
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Walk, EndFinishesFromInsideLoopsWithItsReason) {
  Program program = program_of({loop(2, {loop(2, {speak("a"), end()})}), speak("b")});
  std::get<End>(program.steps[3].step).reason =
      Text::parse("{{topic}}: {{last}} in round {{round}}").value();
  TestSession session(program);
  session.start();
  session.answer("done");
  EXPECT_EQ(session.standing(), "finished end_step");
  EXPECT_EQ(session.state().stop_text, "the topic: done in round 1");
  EXPECT_EQ(session.effect_names(), "close say open:closed close close stop");
  EXPECT_THAT(session.log(), ElementsAre("1 1 - 1.0 completed loop_entry - -",
                                         "2 1.loop.1 1 1.1 completed loop_entry - -",
                                         "3 1.loop.1.loop.1 2 1.1 completed success - -",
                                         "4 1.loop.1.loop.2 2 1.1 completed success - -"));
  EXPECT_EQ(session.rows()[0].result_data, R"({"iterations":1,"ended_by":4})");
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

// The flow of legacy-schema.md that must run as it did in the older system.
TEST(Walk, AGotoIsTakenSoOftenAndThenNotAnyMore) {
  TestSession session(
      program_of({speak("Jonh", "first"), jumping(speak("Mason"), "first", 3), speak("Tom")}));
  session.start();
  session.answer_all("x");
  EXPECT_EQ(session.speakers(), "Jonh Mason Jonh Mason Jonh Mason Jonh Mason Tom");
  EXPECT_THAT(
      session.log(),
      ElementsAre("1 1 - 1.0 completed success - -", "2 2 - 1.0 completed loop_continue - true",
                  "3 1 - 2.0 completed success - -", "4 2 - 2.0 completed loop_continue - true",
                  "5 1 - 3.0 completed success - -", "6 2 - 3.0 completed loop_continue - true",
                  "7 1 - 4.0 completed success - -", "8 2 - 4.0 completed loop_break - false",
                  "9 3 - 4.0 completed success - -"));
}

TEST(Walk, AGotoWhoseConditionDoesNotHoldLeavesNoTrace) {
  TestSession session(program_of(
      {speak("a", "first"), jumping(speak("b"), "first", 1, said("again")), speak("c")}));
  session.start();
  session.answer("x");
  session.answer("fine");
  EXPECT_EQ(session.log()[1], "2 2 - 1.0 completed success - -");
  EXPECT_EQ(session.log()[2], "3 3 - 1.0 running - - -");
}

TEST(Walk, AGotoWithoutMaxIsNeverTaken) {
  Program program = program_of({speak("a", "first"), jumping(speak("b"), "first", 1)});
  program.steps[1].jump->max.reset();
  TestSession session(program);
  session.start();
  session.answer_all("x", 10);
  EXPECT_EQ(session.speakers(), "a b");
}

TEST(Walk, AGotoOutOfLoopsClosesThem) {
  TestSession session(
      program_of({speak("a", "first"), loop(3, {loop(3, {jumping(speak("b"), "first", 1)})})}));
  session.start();
  session.answer("x");
  session.answer("x");
  EXPECT_EQ(session.effect_names(), "close say close close open ask");
  EXPECT_THAT(session.log(),
              ElementsAre("1 1 - 1.0 completed success - -", "2 2 - 1.0 completed loop_entry - -",
                          "3 2.loop.1 2 1.1 completed loop_entry - -",
                          "4 2.loop.1.loop.1 3 1.1 completed loop_continue - true",
                          "5 1 - 2.0 running - - -"));
  EXPECT_EQ(session.rows()[2].result_data, R"({"iterations":1,"left_by":4})");
}

// A goto within a loop does not begin a round; a loop that is jumped to begins anew.
TEST(Walk, OnlyAGotoBackAtTopLevelBeginsARound) {
  TestSession inside(program_of({loop(1, {speak("a", "first"), jumping(speak("b"), "first", 1)})}));
  inside.start();
  inside.answer_all("x");
  EXPECT_EQ(inside.speakers(), "a b a b");
  EXPECT_EQ(inside.state().round, 1);

  TestSession forward(program_of({jumping(speak("a"), "last", 1), speak("b"), speak("c", "last")}));
  forward.start();
  forward.answer_all("x");
  EXPECT_EQ(forward.speakers(), "a c");
  EXPECT_EQ(forward.state().round, 1);
}

TEST(Walk, AGotoIntoALoopThatIsNotUnderWayFailsTheSession) {
  Program program = program_of({jumping(speak("a"), "in", 1), loop(2, {speak("b", "in")})});
  TestSession session(program);
  session.start();
  session.answer("x");
  EXPECT_EQ(session.standing(), "failed engine_failure");
  EXPECT_THAT(session.state().stop_text, ::testing::HasSubstr("a loop that is not under way"));
}

TEST(Walk, AFlowThatNeverAsksAModelFailsInsteadOfHanging) {
  TestSession session(
      program_of({speak("a"), loop(1'000'000, {loop(1'000'000, {set("v", 1)})}), speak("b")}));
  session.start();
  session.answer("x");
  EXPECT_EQ(session.standing(), "failed engine_failure");
  EXPECT_THAT(session.state().stop_text, ::testing::HasSubstr("without asking a model"));
  EXPECT_EQ(session.state().last_order, kMaxQuietRows + 1);
  EXPECT_EQ(session.rows()[1].status, model::StepStatus::failed);
  EXPECT_EQ(session.rows()[2].status, model::StepStatus::failed);
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Limits, AreAskedBeforeAStepIsBegunAndCanBeRaised) {
  TestSession session(program_of({loop(9, {speak("a")})}));
  session.start(limits(2));
  session.answer_all("x");
  EXPECT_EQ(session.standing(), "paused limit_steps");
  EXPECT_EQ(session.speakers(), "a a");
  EXPECT_EQ(session.rows().size(), 6U);
  EXPECT_EQ(session.rows()[5].status, model::StepStatus::pending) << "opened, and not begun";
  EXPECT_THAT(session.disagreements(), IsEmpty());

  session.must(Resume{});
  EXPECT_EQ(session.effect_names(), "stop");
  EXPECT_EQ(session.standing(), "paused limit_steps");

  session.must(Resume{.limits = limits(3)});
  EXPECT_EQ(session.effect_names(), "change ask");
  session.answer("x");
  EXPECT_EQ(session.standing(), "paused limit_steps");
  EXPECT_THAT(session.disagreements(), IsEmpty());

  session.must(Cancel{});
  EXPECT_EQ(session.effect_names(), "close close stop");
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Limits, OfRoundsAndTime) {
  TestSession rounds(program_of({loop(9, {speak("a")})}));
  rounds.start(limits(100, 3));
  rounds.answer_all("x");
  EXPECT_EQ(rounds.standing(), "paused limit_rounds");
  EXPECT_EQ(rounds.speakers(), "a a a");

  TestSession time(program_of({loop(9, {speak("a")})}));
  Limits short_time = limits(100);
  short_time.time_ms = 1000;
  time.start(short_time);
  time.answer("x", 999);
  EXPECT_EQ(time.standing(), "running");
  time.answer("x", 1);
  EXPECT_EQ(time.standing(), "paused limit_time");
}

TEST(Limits, CanFinishTheSession) {
  TestSession session(program_of({loop(9, {speak("a")})}));
  session.start(limits(1, 9, true));
  session.answer("x");
  EXPECT_EQ(session.standing(), "finished limit_steps");
  EXPECT_EQ(session.log()[0], "1 1 - 1.0 completed loop_entry - -");
  EXPECT_EQ(session.rows()[0].result_data, R"({"iterations":2,"ended_by":"limit_steps"})");
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Rounds, StartWhereTheirFirstMessageWillStand) {
  TestSession session(program_of({speak("z"), loop(3, {speak("a"), speak("b")})}));
  session.start();
  session.answer_all("x", 6);
  EXPECT_EQ(session.state().round, 3);
  EXPECT_EQ(session.state().round_start, 6);
  EXPECT_EQ(session.state().previous_round_start, 4);
}

}  // namespace
}  // namespace tertulia::flow::test
