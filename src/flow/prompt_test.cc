// Golden files in tests/golden/prompt hold whole prompts. TERTULIA_UPDATE_GOLDEN=1 writes them
// anew; a changed one changes what every model is asked, and breaks the rebuilding of stored
// requests.
#include "flow/prompt.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "flow/test_session.h"
#include "support/places.h"

namespace tertulia::flow::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::int64_t one_per_ten_bytes(std::string_view text) {
  return static_cast<std::int64_t>(text.size() / 10) + 1;
}

struct Words {
  const char* language;
  const char* names[3];
  const char* prompts[3];
  const char* topic;
  const char* says[6];
  const char* task;
};

constexpr Words kEnglish = {
    "en",
    {"Author", "Sceptic", "Chair"},
    {"You defend the proposal.\nBe brief.", "You doubt.", ""},
    "Should we store sessions in SQLite?",
    {"Yes: one file, no server.", "What of many writers?", "There is one writer.",
     "And if the disk is full?", "Then the session pauses.", "I have heard enough."},
    "Answer {{to.name}} in round {{round}}; strictness {{vars.strictness}} of 10."};

constexpr Words kChinese = {
    "zh",
    {"作者", "打工人（产品）", "主持人"},
    {"你为方案辩护。\n请简短。", "你持怀疑态度。", ""},
    "会话应该存在 SQLite 里吗？",
    {"应该：一个文件，不需要服务器。", "写的人多了怎么办？", "只有一个写者。", "磁盘满了呢？",
     "那么会话会暂停。", "我听够了。"},
    "在第{{round}}轮回答{{to.name}}；严格程度 {{vars.strictness}}（满分 10）。"};

Cast cast_of(const Words& words, std::int64_t window = 0) {
  Cast cast;
  const char* const refs[] = {"author", "sceptic", "chair"};
  for (int i = 0; i < 3; ++i)
    cast.roles.push_back({.ref = refs[i],
                          .name = words.names[i],
                          .prompt = words.prompts[i],
                          .profile = "default",
                          .model = {},
                          .context_window = window});
  return cast;
}

// Author, sceptic and chair in a loop; the author's next step is open, in round 3, and is the one
// that a case changes.
TestSession session_of(const Words& words, const std::function<void(Speak&)>& change,
                       std::size_t messages = 6) {
  Program program = program_of({loop(9, {speak("author"), speak("sceptic"), speak("chair")})});
  program.language = words.language;
  auto& step = std::get<Speak>(program.steps[1].step);
  change(step);
  TestSession session(std::move(program));
  session.must(Start{.variables = {{"strictness", 7}}, .limits = {}});
  for (std::size_t i = 0; i < messages; ++i) session.answer(words.says[i]);
  return session;
}

Prompt prompt_of(const TestSession& session, const Cast& cast, std::string_view topic) {
  auto prompt = make_prompt(session.program(), session.state(), session.state(), cast, topic,
                            session, session, one_per_ten_bytes);
  if (!prompt) {
    ADD_FAILURE() << prompt.error().message;
    return {};
  }
  return std::move(*prompt);
}

std::string told(const Prompt& prompt) {
  std::string text = "== system\n" + prompt.system + '\n';
  for (const Prompt::Turn& turn : prompt.turns)
    text += fmt::format("== {}\n{}\n", turn.own ? "assistant" : "user", turn.text);
  json::object shown = prompt.shown.to_json(ContextRule{});
  shown.stable_erase("rule");  // context rules have a text of their own, tested with them
  return text + "== shown\n" + base::to_text(shown) + '\n';
}

void hold_against_golden(const std::string& name, const std::string& text) {
  const std::string file = tertulia::test::in_source("tests/golden/prompt/" + name + ".txt");
  if (std::getenv("TERTULIA_UPDATE_GOLDEN") != nullptr) std::ofstream(file) << text;
  std::ifstream in(file);
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(text, golden.str()) << file;
}

class PromptGolden : public ::testing::TestWithParam<const Words*> {
 protected:
  void check(std::string_view name, const std::function<void(Speak&)>& change,
             std::size_t messages = 6) {
    const Words& words = *GetParam();
    const TestSession session = session_of(words, change, messages);
    const Prompt prompt = prompt_of(session, cast_of(words), words.topic);
    ASSERT_FALSE(prompt.turns.empty());
    EXPECT_FALSE(prompt.turns.front().own);
    EXPECT_FALSE(prompt.turns.back().own);
    hold_against_golden(fmt::format("{}.{}", name, words.language), told(prompt));
  }
};

TEST_P(PromptGolden, OfAFirstStepWithoutAnything) {
  check(
      "first", [](Speak&) {}, 0);
}

TEST_P(PromptGolden, OfAConversationWithTaskAndAddressee) {
  check("conversation", [](Speak& step) {
    step.to = "sceptic";
    step.task = Text::parse(GetParam()->task).value();
  });
}

TEST_P(PromptGolden, OfADocumentAndAStructuredOutput) {
  check("document", [](Speak& step) {
    step.document = "essay";
    step.context.documents = {"essay", "never-written"};
    step.context.scope = ContextRule::Scope::last_round;
    step.output = json::object{{"type", "object"}, {"required", json::array{"decision"}}};
  });
}

TEST_P(PromptGolden, OfAnonymousSpeakersWithinABudget) {
  check("anonymous", [](Speak& step) {
    step.context.anonymous = true;
    step.context.include_topic = false;
    step.context.max_tokens = 40;
  });
}

INSTANTIATE_TEST_SUITE_P(Languages, PromptGolden, ::testing::Values(&kEnglish, &kChinese),
                         [](const auto& each) { return std::string(each.param->language); });

std::string user(std::string_view text) {
  return "user: " + std::string(text);
}
std::string own(std::string_view text) {
  return "own: " + std::string(text);
}

std::vector<std::string> turns_of(const Prompt& prompt) {
  std::vector<std::string> turns;
  for (const auto& turn : prompt.turns)
    turns.push_back(turn.own ? own(turn.text) : user(turn.text));
  return turns;
}

Prompt english(const std::function<void(Speak&)>& change, std::int64_t window = 0) {
  const TestSession session = session_of(kEnglish, change);
  return prompt_of(session, cast_of(kEnglish, window), kEnglish.topic);
}

TEST(Prompt, MergesNeighboursOfOneKind) {
  const Prompt prompt = english([](Speak& step) { step.context.last = 2; });
  EXPECT_THAT(turns_of(prompt),
              ElementsAre(user("Sceptic: Then the session pauses.\n\n"
                               "Chair: I have heard enough.\n\nIt is your turn.")));
}

TEST(Prompt, NeverBeginsWithTheSpeakersOwnWords) {
  const Prompt prompt = english([](Speak& step) { step.context.from = {"author"}; });
  EXPECT_THAT(turns_of(prompt), ElementsAre(user("(The conversation so far.)"),
                                            own("Yes: one file, no server.\n\n"
                                                "And if the disk is full?"),
                                            user("It is your turn.")));
}

TEST(Prompt, ShowsTheTopicOnlyWhereItIsInScope) {
  using Scope = ContextRule::Scope;
  const auto system = [](Scope scope, bool include) {
    return english([&](Speak& step) {
             step.context.scope = scope;
             step.context.include_topic = include;
           })
        .system;
  };
  EXPECT_THAT(system(Scope::all, true), HasSubstr("Topic: Should we"));
  EXPECT_THAT(system(Scope::topic, false), HasSubstr("Topic: Should we"));
  EXPECT_THAT(system(Scope::none, true), Not(HasSubstr("Topic:")));
  EXPECT_THAT(system(Scope::last, false), Not(HasSubstr("Topic:")));
}

TEST(Prompt, AFlowsFormatOverridesTheStandingWords) {
  Program program = program_of({speak("author"), speak("sceptic")});
  program.format = {{"speaker", "<{{name}}> {{words}}"}, {"default_task", "Go on."}};
  TestSession session(std::move(program));
  session.start();
  session.answer("One {{topic}}.");
  EXPECT_THAT(turns_of(prompt_of(session, cast_of(kEnglish), "t")),
              ElementsAre(user("<Author> One {{topic}}.\n\nGo on.")));
}

// The window holds frame, request and answer first; what is left is for the messages.
TEST(Prompt, KeepsWithinTheModelsWindow) {
  const auto count = [](std::int64_t window, std::optional<std::int64_t> max_tokens,
                        std::optional<std::int64_t> answer) {
    const Prompt prompt = english(
        [&](Speak& step) {
          step.context.max_tokens = max_tokens;
          if (answer) step.parameters["max_tokens"] = *answer;
        },
        window);
    if (window > 0 && prompt.shown.count > 0) {
      EXPECT_LE(prompt.shown.estimated_tokens, window);
    }
    return prompt.shown.count;
  };
  EXPECT_EQ(count(0, {}, {}), 6) << "an unknown window bounds nothing";
  EXPECT_EQ(count(1000, {}, {}), 6);
  EXPECT_LT(count(90, {}, {}), 6);
  EXPECT_GT(count(90, {}, {}), 0);
  EXPECT_LT(count(1000, {}, 950), 6) << "what the step may answer is kept free";
  EXPECT_EQ(count(1000, 0, {}), 0);
  EXPECT_EQ(count(10, 1000, {}), 0) << "max_tokens never exceeds the window";
}

TEST(Prompt, TellsWhatWasShown) {
  const Prompt prompt = english([](Speak& step) {
    step.document = "essay";
    step.context.documents = {"essay"};
    step.context.last = 3;
  });
  EXPECT_THAT(prompt.shown_speakers, ElementsAre("Chair", "Sceptic", "Chair"));
  EXPECT_EQ(prompt.last_shown, "I have heard enough.");
  EXPECT_THAT(prompt.documents, ElementsAre("essay, version 2"));
  EXPECT_EQ(prompt.task, "It is your turn.");
  EXPECT_EQ(prompt.shown.first, 3);
  EXPECT_EQ(prompt.shown.last, 6);
  EXPECT_EQ(prompt.shown.count, 3);
  ASSERT_EQ(prompt.shown.documents.size(), 1U);
  EXPECT_EQ(prompt.shown.documents[0].position, 4);
}

TEST(Prompt, SaysWhyItCannotBeMade) {
  const TestSession session = session_of(kEnglish, [](Speak&) {});
  Cast nobody;
  const auto uncast = make_prompt(session.program(), session.state(), session.state(), nobody, "t",
                                  session, session, one_per_ten_bytes);
  ASSERT_FALSE(uncast.ok());
  EXPECT_THAT(uncast.error().message, HasSubstr("nobody is cast as \"author\""));

  State over = session.state();
  over.open.reset();
  const auto closed = make_prompt(session.program(), over, over, cast_of(kEnglish), "t", session,
                                  session, one_per_ten_bytes);
  ASSERT_FALSE(closed.ok());
  EXPECT_EQ(closed.error().code, base::Code::conflict);
}

// The snapshot's size does not grow with the session.
TEST(Prompt, ASnapshotIsSmallHoweverMuchIsShown) {
  const TestSession session = session_of(kEnglish, [](Speak&) {});
  Shown shown;
  shown.first = 1;
  shown.last = shown.count = 1'000'000;
  ContextRule rule;
  rule.from = {"author", "sceptic"};
  EXPECT_EQ(shown.to_json(rule).at("rule"), rule.to_json());
  EXPECT_LT(base::to_text(shown.to_json(rule)).size(), 400U);
}

}  // namespace
}  // namespace tertulia::flow::test
