// Events: which a session takes in which status, and what attempts, pauses and persons' wishes do
// to the open row. What happens between model steps is in walk_test.cc.
#include "flow/machine.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

using model::StopReason;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

AttemptFailed failed(bool again = true) {
  return {.message = "the line is dead",
          .again = again,
          .reason = StopReason::step_failed,
          .duration_ms = 40};
}

Limits limits(std::int64_t steps, std::int64_t rounds = 50) {
  Limits limits;
  limits.steps = steps;
  limits.rounds = rounds;
  return limits;
}

// A session of two steps in a loop, brought to a standing.
TestSession standing(std::string_view name) {
  TestSession session(program_of({loop(2, {speak("a"), speak("b")})}));
  if (name == "not_started") return session;
  session.start(name == "limit" ? std::optional(limits(0)) : std::nullopt);
  if (name == "paused") session.must(Pause{});
  if (name == "failed step") session.must(failed(false));
  if (name == "timed out") session.must(StepTimedOut{.duration_ms = 1});
  if (name == "waiting" || name == "unanswered") {
    session = TestSession(program_of({loop(2, {ask("a"), speak("b")})}));
    session.start();
    if (name == "unanswered") session.must(StepTimedOut{.duration_ms = 1});
  }
  if (name == "finished") session.answer_all("x");
  if (name == "terminated") session.must(Cancel{});
  return session;
}

TEST(Machine, TakesExactlyTheEventsOfItsStatus) {
  const std::vector<std::pair<std::string, Event>> events = {
      {"start", Start{}},
      {"answered", Answered{}},
      {"failed", failed()},
      {"timeout", StepTimedOut{}},
      {"interrupted", Interrupted{}},
      {"skip", Skip{}},
      {"retry", RetryStep{}},
      {"pause", Pause{}},
      {"resume", Resume{}},
      {"cancel", Cancel{}},
      {"part", Continued{}},
      {"limit", LimitReached{}},
  };
  ASSERT_EQ(events.size(), std::variant_size_v<Event>);
  const std::map<std::string, std::vector<std::string>> takes = {
      {"not_started", {"start", "cancel"}},
      {"running",
       {"answered", "failed", "timeout", "interrupted", "skip", "pause", "cancel", "part",
        "limit"}},
      {"waiting", {"answered", "timeout", "skip", "cancel", "limit"}},
      {"unanswered", {"skip", "retry", "resume", "cancel"}},
      {"paused", {"skip", "resume", "cancel"}},
      {"limit", {"skip", "resume", "cancel"}},
      {"failed step", {"skip", "retry", "resume", "cancel"}},
      {"timed out", {"skip", "retry", "resume", "cancel"}},
      {"finished", {}},
      {"terminated", {}},
  };
  for (const auto& [name, taken] : takes) {
    for (const auto& [event_name, event] : events) {
      SCOPED_TRACE(name + " <- " + event_name);
      TestSession session = standing(name);
      const std::string before = session.state().to_text();
      const auto applied = session.apply(event);
      EXPECT_EQ(applied.ok(), std::count(taken.begin(), taken.end(), event_name) == 1);
      if (!applied) {
        EXPECT_EQ(applied.error().code, base::Code::conflict);
        EXPECT_EQ(session.state().to_text(), before);
      }
      EXPECT_THAT(session.disagreements(), IsEmpty());
    }
  }
}

// The standing that only a broken flow leads to.
TEST(Machine, FailedTakesNothing) {
  const TestSession at_rest(program_of({speak("a")}));
  for (const Event& event :
       {Event(Start{}), Event(Answered{}), Event(failed()), Event(StepTimedOut{}),
        Event(Interrupted{}), Event(Skip{}), Event(RetryStep{}), Event(Pause{}), Event(Resume{}),
        Event(Cancel{})}) {
    State state;
    state.status = model::SessionStatus::failed;
    EXPECT_FALSE(advance(at_rest.program(), state, event, at_rest).ok()) << event.index();
  }
}

TEST(Machine, APersonIsWaitedForAndAnswers) {
  TestSession session(program_of({speak("a"), ask("p"), speak("a")}));
  session.start();
  session.answer("Tea?");
  EXPECT_EQ(session.standing(), "waiting");
  EXPECT_EQ(session.effect_names(), "close say open stop");
  const std::int64_t elapsed = session.state().elapsed_ms;
  session.answer("Tea.", 86'400'000);
  EXPECT_EQ(session.effect_names(), "close say open ask");
  EXPECT_EQ(session.state().elapsed_ms, elapsed) << "the time of a person does not count";
  EXPECT_EQ(session.speakers(), "a p");
  EXPECT_EQ(session.state().steps_used, 3);
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Machine, APersonWhoDoesNotAnswerInTime) {
  TestSession session(program_of({ask("p", "No opinion."), ask("p"), speak("a")}));
  session.start();
  session.must(StepTimedOut{.duration_ms = 60'000});
  EXPECT_EQ(session.messages().back().text, "No opinion.");
  EXPECT_EQ(*session.rows()[0].status, model::StepStatus::completed);
  EXPECT_THAT(*session.rows()[0].result_data, testing::HasSubstr("\"by_default\":true"));
  EXPECT_EQ(session.standing(), "waiting");

  session.must(StepTimedOut{.duration_ms = 60'000});
  EXPECT_EQ(session.standing(), "paused step_timeout");
  EXPECT_EQ(*session.rows()[1].error_message, "nobody has answered for 'p' in 60 s");
  EXPECT_THAT(session.disagreements(), IsEmpty());
  session.must(Resume{});
  EXPECT_EQ(session.standing(), "waiting");
  EXPECT_EQ(*session.rows()[1].attempt_count, 1) << "nothing was tried";
  EXPECT_THAT(session.disagreements(), IsEmpty());
  session.must(Skip{});
  EXPECT_EQ(session.standing(), "running");
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(Machine, AnAnswerIsAChoiceOrItsNumber) {
  AskPerson ask;
  EXPECT_EQ(*ask.accept("  Some words.\n"), "Some words.");
  EXPECT_FALSE(ask.accept(" \n"));
  ask.choices = {"tea", "2", "cocoa"};
  EXPECT_EQ(*ask.accept("cocoa"), "cocoa");
  EXPECT_EQ(*ask.accept("3"), "cocoa");
  EXPECT_EQ(*ask.accept("2"), "2") << "a choice's own words come first";
  EXPECT_EQ(*ask.accept("3 "), "cocoa");
  for (const char* wrong : {"4", "0", "-1", "Tea", "tea!"}) {
    const auto refused = ask.accept(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().message, testing::HasSubstr("tea, 2, cocoa"));
  }
}

TEST(Machine, AStateOfAnotherFlowIsRefused) {
  TestSession session = standing("running");
  State state = session.state();
  const Program other = program_of({set("v", 1)});
  const auto applied = advance(other, state, Answered{}, session);
  ASSERT_FALSE(applied.ok());
  EXPECT_EQ(applied.error().code, base::Code::internal);
}

TEST(Machine, AnAnsweredStepClosesSpeaksAndOpensTheNext) {
  TestSession session(program_of({speak("a"), speak("b", "verdict")}));
  session.start();
  EXPECT_EQ(session.effect_names(), "open ask");
  session.answer("one", 120);
  EXPECT_EQ(session.effect_names(), "close say open ask");
  session.must(Answered{.text = "{\"score\": 3}",
                        .output = base::parse_json("{\"score\": 3}").value(),
                        .duration_ms = 80,
                        .data = {{"spoke_for", "a"}}});
  EXPECT_EQ(session.effect_names(), "close say stop");
  EXPECT_EQ(session.standing(), "finished end_of_flow");
  EXPECT_EQ(session.state().elapsed_ms, 200);
  EXPECT_EQ(session.state().steps_used, 2);
  EXPECT_EQ(session.state().outputs.at("verdict"), 2);
  EXPECT_EQ(*session.rows()[1].result_data,
            R"({"position":2,"output":{"score":3},"spoke_for":"a","message_id":70001})");
  EXPECT_THAT(session.log(),
              ElementsAre("1 1 - 1.0 completed success - -", "2 2 - 1.0 completed success - -"));
}

TEST(Machine, TriesAgainUntilItsAttemptsAreUsedUp) {
  TestSession session(program_of({speak("a"), speak("b")}));
  session.start();
  for (int failures = 1; failures <= 2; ++failures) {
    session.must(failed());
    EXPECT_EQ(session.effect_names(), "change ask");
    const auto& ask = std::get<Ask>(session.effects()[1]);
    EXPECT_EQ(ask.attempt, failures + 1);
    EXPECT_EQ(ask.failures, failures);
  }
  session.must(failed());
  EXPECT_EQ(session.effect_names(), "close stop");
  EXPECT_EQ(session.standing(), "paused step_failed");
  EXPECT_EQ(session.state().stop_text, "the line is dead");
  EXPECT_THAT(session.log(), ElementsAre("1 1 - 1.0 failed error - -"));
  EXPECT_EQ(session.rows()[0].attempt_count, 3);
  EXPECT_EQ(session.rows()[0].error_message, "the line is dead");
  EXPECT_EQ(session.rows()[0].duration_ms, 40);
}

TEST(Machine, AFailureThatCannotPassPausesAtOnceWithItsReason) {
  TestSession session(program_of({speak("a")}));
  session.start();
  session.must(AttemptFailed{.message = "no key",
                             .again = false,
                             .reason = StopReason::model_unavailable,
                             .duration_ms = 0});
  EXPECT_EQ(session.standing(), "paused model_unavailable");
  EXPECT_EQ(session.rows()[0].attempt_count, 1);
}

// Retry and resume open the same row again, with a fresh count of failures.
TEST(Machine, AFailedRowIsTriedAgain) {
  for (const Event& again : {Event(RetryStep{}), Event(Resume{})}) {
    for (const Event& failure : {Event(failed(false)), Event(StepTimedOut{.duration_ms = 9})}) {
      TestSession session(program_of({speak("a"), speak("b")}));
      session.start();
      session.must(failure);
      session.must(again);
      EXPECT_EQ(session.effect_names(), "change ask");
      EXPECT_EQ(session.standing(), "running");
      EXPECT_EQ(session.state().stop_text, "");
      EXPECT_EQ(session.state().open->failures, 0);
      EXPECT_EQ(session.rows()[0].attempt_count, 2);
      EXPECT_THAT(session.disagreements(), IsEmpty());
      session.answer("at last", 5);
      EXPECT_THAT(session.log(),
                  ElementsAre("1 1 - 1.0 completed success - -", "2 2 - 1.0 running - - -"));
      EXPECT_EQ(session.rows()[0].attempt_count, 2);
      EXPECT_EQ(session.state().elapsed_ms, 5);
    }
  }
}

TEST(Machine, ATimeoutSaysHowMuchTimeThereWas) {
  TestSession session(program_of({speak("a")}));
  session.start();
  session.must(StepTimedOut{.duration_ms = 300'000});
  EXPECT_EQ(session.standing(), "paused step_timeout");
  EXPECT_THAT(session.log(), ElementsAre("1 1 - 1.0 timeout error - -"));
  EXPECT_EQ(session.rows()[0].error_message,
            "the step's time is used up (300 s, attempts and back-off included)");
}

TEST(Machine, InterruptionsCountAsAttemptsButNotAsFailures) {
  TestSession session(program_of({speak("a")}));
  session.start();
  for (int i = 0; i < 5; ++i) session.must(Interrupted{});
  EXPECT_EQ(session.effect_names(), "change ask");
  EXPECT_EQ(session.rows()[0].attempt_count, 6);
  session.must(failed());
  session.must(failed());
  EXPECT_EQ(session.standing(), "running");
  session.must(failed());
  EXPECT_EQ(session.standing(), "paused step_failed");
  EXPECT_EQ(session.rows()[0].attempt_count, 8);
}

TEST(Machine, APauseLeavesTheRowPendingAndResumeAsksAgain) {
  TestSession session(program_of({speak("a")}));
  session.start();
  session.must(Pause{.reason = StopReason::single_step, .text = "one at a time"});
  EXPECT_EQ(session.effect_names(), "change stop");
  EXPECT_EQ(session.standing(), "paused single_step");
  EXPECT_EQ(session.state().stop_text, "one at a time");
  EXPECT_THAT(session.log(), ElementsAre("1 1 - 1.0 pending - - -"));
  session.must(Resume{});
  EXPECT_EQ(session.effect_names(), "change ask");
  EXPECT_EQ(session.state().open->status, model::StepStatus::running);
  EXPECT_EQ(session.state().open->attempt, 1);
}

TEST(Machine, SkippingGoesOnWithoutSpeakingOrJumping) {
  TestSession session(
      program_of({speak("a", "start"), jumping(speak("b"), "start", 3), speak("c")}));
  session.start();
  session.answer("one");
  session.must(failed(false));
  session.must(Skip{});
  EXPECT_EQ(session.effect_names(), "close open ask");
  EXPECT_EQ(session.standing(), "running");
  session.answer("three");
  EXPECT_EQ(session.speakers(), "a c");
  EXPECT_THAT(session.log(),
              ElementsAre("1 1 - 1.0 completed success - -", "2 2 - 1.0 skipped - - -",
                          "3 3 - 1.0 completed success - -"));
}

TEST(Machine, CancellingLeavesNothingOpen) {
  for (const char* name : {"running", "paused", "failed step", "timed out"}) {
    SCOPED_TRACE(name);
    TestSession session = standing(name);
    session.must(Cancel{});
    EXPECT_EQ(session.effect_names(), "close close stop");
    EXPECT_EQ(session.standing(), "terminated cancelled");
    EXPECT_THAT(session.log(),
                ElementsAre("1 1 - 1.0 skipped - - -", "2 1.loop.1 1 1.1 skipped - - -"));
    EXPECT_TRUE(session.state().frames.empty());
    EXPECT_THAT(session.disagreements(), IsEmpty());
  }
}

TEST(Machine, DocumentsAreVersionsOfWhatWasSaid) {
  Program program = program_of({loop(3, {speak("a"), speak("b")})});
  std::get<Speak>(program.steps[2].step).document = "essay";
  TestSession session(program);
  session.start();
  session.answer_all("words", 4);
  EXPECT_EQ(session.messages()[3].document, "essay");
  EXPECT_EQ(session.messages()[3].document_version, 2);
  EXPECT_EQ(session.messages()[2].document, "");
  EXPECT_EQ(session.state().documents.at("essay").position, 4);
  EXPECT_THAT(session.disagreements(), IsEmpty());
}

TEST(ExecutionPath, DiffersForEveryExecutionAndNotForAttempts) {
  TestSession session(program_of({loop(2, {loop(2, {speak("a")}), speak("b")}), speak("c")}));
  session.start();
  std::vector<std::string> paths;
  while (session.state().open) {
    const std::string path = execution_path(session.program(), session.state());
    session.must(Interrupted{});
    EXPECT_EQ(execution_path(session.program(), session.state()), path);
    paths.push_back(path);
    session.answer("x");
  }
  EXPECT_THAT(paths,
              ElementsAre("1.loop.1.loop.1#1.1/1", "1.loop.1.loop.1#1.2/2", "1.loop.2#1/1",
                          "1.loop.1.loop.1#2.1/3", "1.loop.1.loop.1#2.2/4", "1.loop.2#2/2", "2/1"));
  EXPECT_EQ(execution_path(session.program(), session.state()), "");
}

TEST(StateText, IsReadBackAsItWas) {
  Program program = program_of({loop(3, {speak("a"), speak("主持人", "n")}), speak("c")});
  std::get<Speak>(program.steps[1].step).document = "草稿";
  TestSession session(program);
  session.must(Start{.variables = {{"x", 1.5}, {"list", json::array{1, "two", nullptr}}},
                     .limits = limits(7, 3)});
  session.answer("one", 3);
  session.must(Answered{.text = "{}", .output = json::object{}, .duration_ms = 1, .data = {}});
  session.must(failed());
  session.must(Pause{.reason = StopReason::asked, .text = "say \"when\""});
  const std::string text = session.state().to_text();
  const auto read = State::from_text(text);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->to_text(), text);
  EXPECT_EQ(read->open->failures, 1);
  EXPECT_EQ(read->variables.at("x"), json::value(1.5));
  EXPECT_EQ(read->spoken.at("主持人").count, 1);
  EXPECT_EQ(read->frames.at(0).iteration, 2);
  EXPECT_EQ(read->limits.rounds, 3);
}

TEST(StateText, RefusesWhatItDidNotWrite) {
  TestSession session = standing("running");
  const std::string text = session.state().to_text();
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string other = text;
    const std::size_t at = other.find(from);
    EXPECT_NE(at, other.npos) << from;
    return other.replace(at, from.size(), to);
  };
  for (const std::string& wrong :
       {std::string(), std::string("[]"), std::string("{}"), text.substr(0, text.size() - 1),
        changed("\"running\"", "\"flying\""), changed("\"round\":1", "\"round\":\"1\""),
        changed("[[0,1,1]]", "[[0,1]]"), changed("\"attempt\":1", "\"attempts\":1"),
        changed("\"visits\":{\"1\"", "\"visits\":{\"one\""), changed("\"limits\"", "\"limit\"")}) {
    const auto read = State::from_text(wrong);
    ASSERT_FALSE(read.ok()) << wrong;
    EXPECT_EQ(read.error().code, base::Code::invalid);
  }
}

TEST(StateText, DoesNotGrowWithTheSession) {
  TestSession session(program_of({loop(5000, {speak("a", "n"), speak("b")})}));
  session.start(limits(20'000, 20'000));
  std::size_t early = 0;
  for (int i = 0; i < 4000; ++i) {
    session.answer("x");
    if (i == 100) early = session.state().to_text().size();
  }
  EXPECT_LT(session.state().to_text().size(), early + 40) << "only digits may be added";
}

}  // namespace
}  // namespace tertulia::flow::test
