// What a chat client reads of a session, event by event.
#include "server/chat_transcript.h"

#include <gtest/gtest.h>

namespace tertulia::server {
namespace {

namespace json = base::json;
using engine::Event;
using Type = Event::Type;

class ChatTranscriptTest : public testing::Test {
 protected:
  static flow::Cast cast() {
    flow::Cast cast;
    cast.roles.resize(2);
    cast.roles[0].ref = "a";
    cast.roles[0].name = "Ann";
    cast.roles[1].ref = "b";
    cast.roles[1].name = "B*b\n#";
    return cast;
  }
  static Event event(Type type, json::object data) {
    return {.id = 0, .type = type, .session_id = 1, .time = {}, .data = std::move(data)};
  }
  void take(Type type, json::object data) {
    text_ += transcript_.take(event(type, std::move(data)));
  }

  void start(std::int64_t order, const char* role = "a", const char* kind = "speak") {
    take(Type::step_started, {{"order", order}, {"kind", kind}, {"role", role}});
  }
  void token(std::int64_t order, const char* text) {
    text_ += transcript_.take_token(event(Type::token, {{"order", order}, {"text", text}}));
  }
  void miss(std::int64_t order) { transcript_.miss(event(Type::token, {{"order", order}})); }
  void complete(std::int64_t order, const char* status = "completed") {
    take(Type::step_completed, {{"order", order}, {"status", status}});
  }
  void say(std::int64_t order, const char* text, const char* speaker = "Ann") {
    complete(order);
    take(Type::message, {{"message", {{"order", order}, {"speaker", speaker}, {"text", text}}}});
  }
  void fail(std::int64_t order) { take(Type::attempt_failed, {{"order", order}, {"attempt", 1}}); }
  void wait(std::int64_t order, json::array choices = {}) {
    json::object data{{"order", order}, {"role", "b"}, {"question", "Good?"}};
    if (!choices.empty()) data["choices"] = std::move(choices);
    take(Type::session_waiting, std::move(data));
  }

  ChatTranscript transcript_{cast()};
  std::string text_;
};

TEST_F(ChatTranscriptTest, WordsAreShownAsTheyComeOnceEach) {
  start(1);
  token(1, "One ");
  token(1, "word");
  EXPECT_EQ(text_, "**Ann:** One word");
  say(1, "One word.");
  EXPECT_EQ(text_, "**Ann:** One word.");
  token(1, "late");  // overtaken by its message
  start(2, "b");
  say(2, "Whole.", "B*b\n#");
  EXPECT_EQ(text_, "**Ann:** One word.\n\n**B\\*b \\#:** Whole.");
}

TEST_F(ChatTranscriptTest, WhatIsNotKeptOfAModelsWordsIsNotShown) {
  start(1);
  for (const char* each : {"\n ", "**A", "nn:", "** "}) token(1, each);
  EXPECT_EQ(text_, "");  // it may be her name still
  for (const char* each : {"Tea", " \n", "Milk", "\n\n"}) token(1, each);
  say(1, "Tea \nMilk");
  EXPECT_EQ(text_, "**Ann:** Tea \nMilk");
}

TEST_F(ChatTranscriptTest, ALongTurnThatBeginsWithItsNameIsShownWithoutIt) {
  start(1);
  token(1, "Ann: I would say that tea");
  EXPECT_EQ(text_, "**Ann:** I would say that tea");
  token(1, " is fine.  ");
  EXPECT_EQ(text_, "**Ann:** I would say that tea is fine.");
}

TEST_F(ChatTranscriptTest, BranchesDoNotInterruptEachOther) {
  start(1);
  start(2, "b");
  start(3);
  token(1, "first ");
  token(2, "second ");
  say(3, "third");
  token(1, "words");
  EXPECT_EQ(text_, "**Ann:** first words");
  say(1, "first words");
  EXPECT_EQ(text_, "**Ann:** first words\n\n**Ann:** third\n\n**B\\*b \\#:** second");
  token(2, "words");
  say(2, "second words", "B*b\n#");
  EXPECT_EQ(text_, "**Ann:** first words\n\n**Ann:** third\n\n**B\\*b \\#:** second words");
}

TEST_F(ChatTranscriptTest, AnAttemptThatFailedIsMarkedAndNotDoubled) {
  start(1);
  token(1, "Half a");
  fail(1);
  token(1, "The whole");
  say(1, "The whole.");
  EXPECT_EQ(text_, "**Ann:** Half a\n\n[attempt failed, again]\n\n**Ann:** The whole.");
}

TEST_F(ChatTranscriptTest, AStepThatIsGivenUpLetsOthersSpeak) {
  start(1);
  start(2);
  token(1, "Half");
  token(2, "Other");
  complete(1, "failed");
  EXPECT_EQ(text_, "**Ann:** Half\n\n[broken off]\n\n**Ann:** Other");
}

TEST_F(ChatTranscriptTest, AfterAMissedTokenTheRestComesWithTheMessage) {
  start(1);
  token(1, "One ");
  token(1, "two");
  miss(1);
  token(1, "four");
  say(1, "One two three four");
  EXPECT_EQ(text_, "**Ann:** One two three four");
  // Before its row was known.
  miss(2);
  start(2);
  token(2, "b");
  say(2, "ab");
  EXPECT_EQ(text_, "**Ann:** One two three four\n\n**Ann:** ab");
}

TEST_F(ChatTranscriptTest, WhatTurnsOutOtherwiseIsSaidSo) {
  start(1);
  token(1, "One");
  say(1, "Two");
  EXPECT_EQ(text_, "**Ann:** One\n\n[the same, as it is kept]\n\nTwo");
}

TEST_F(ChatTranscriptTest, JudgesAndStructuredOutputsDoNotStream) {
  start(1, "a", "if");
  token(1, "yes");
  complete(1);
  take(Type::step_started, {{"order", 2}, {"kind", "speak"}, {"role", "a"}, {"structured", true}});
  token(2, "{\"a\"");
  EXPECT_EQ(text_, "");
  say(2, "{\"a\":1}");
  EXPECT_EQ(text_, "**Ann:** {\"a\":1}");
}

TEST_F(ChatTranscriptTest, AQuestionEndsItOnceNobodyElseSpeaks) {
  start(1);
  start(2, "b", "ask");
  wait(2, {"yes", "no"});
  EXPECT_FALSE(transcript_.ending());
  say(1, "Words");
  const auto ending = transcript_.ending();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->finish_reason, "stop");
  EXPECT_EQ(ending->status, "waiting");
  EXPECT_EQ(ending->words, "\n\n**B\\*b \\#** is asked: Good?\n- yes\n- no");
}

TEST_F(ChatTranscriptTest, OfSeveralQuestionsTheFirstIsAskedThenTheNext) {
  start(1, "b", "ask");
  wait(1);
  start(2, "b");  // a role that a person plays
  wait(2);
  EXPECT_TRUE(transcript_.ending());
  say(1, "It is", "B*b\n#");
  ASSERT_TRUE(transcript_.ending());
  EXPECT_EQ(transcript_.ending()->status, "waiting");
  say(2, "It is", "B*b\n#");
  EXPECT_FALSE(transcript_.ending());
}

TEST_F(ChatTranscriptTest, HowASessionStopsIsItsEnding) {
  const auto stopped = [&](Type type, const char* status, const char* reason, const char* why) {
    take(type, {{"status", status}, {"stop_reason", reason}, {"text", why}});
    return *transcript_.ending();
  };
  auto ending = stopped(Type::session_finished, "finished", "end_of_flow", "");
  EXPECT_EQ(ending.finish_reason + ending.words, "stop");
  ending = stopped(Type::session_finished, "finished", "limit_rounds", "3 rounds");
  EXPECT_EQ(ending.finish_reason, "length");
  EXPECT_EQ(ending.words, "[The session is finished: limit_rounds: 3 rounds]");
  ending = stopped(Type::session_paused, "paused", "model_unavailable", "no key");
  EXPECT_EQ(ending.finish_reason, "stop");
  EXPECT_EQ(ending.words, "[The session is paused: model_unavailable: no key]");
  EXPECT_EQ(ending.stop_reason, "model_unavailable");
  transcript_.go_on();
  EXPECT_FALSE(transcript_.ending());
}

TEST_F(ChatTranscriptTest, WhatWasLearntIsNotShown) {
  transcript_.learn(event(Type::step_started, {{"order", 1}, {"kind", "speak"}, {"role", "a"}}));
  transcript_.learn(
      event(Type::message, {{"message", {{"order", 1}, {"speaker", "Ann"}, {"text", "old"}}}}));
  start(2);
  say(2, "new");
  EXPECT_EQ(text_, "**Ann:** new");
}

}  // namespace
}  // namespace tertulia::server
