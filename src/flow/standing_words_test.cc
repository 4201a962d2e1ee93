#include "flow/standing_words.h"

#include <gtest/gtest.h>

namespace tertulia::flow {
namespace {

TEST(StandingWords, EveryKeyHasWordsThatPassItsOwnCheckInEveryLanguage) {
  for (const std::string_view language : standing_word_languages()) {
    const StandingWords words(language, {});
    for (const std::string_view key : standing_word_keys()) {
      EXPECT_FALSE(words.fill(key).empty()) << language << ' ' << key;
    }
  }
}

TEST(StandingWords, FillsPlaceholdersOnceAndNeverAgain) {
  const StandingWords words("en", {});
  EXPECT_EQ(words.fill("speaker", {{"name", "{{words}}"}, {"words", "{{name}} {{topic}}"}}),
            "{{words}}: {{name}} {{topic}}");
}

TEST(StandingWords, AFlowOverridesThemByKey) {
  const StandingWords words("zh", {{"to", "-> {{name}} ({{name}})"}, {"default_task", "{{"}});
  EXPECT_EQ(words.fill("to", {{"name", "A"}}), "-> A (A)");
  EXPECT_EQ(words.fill("default_task"), "{{");
  EXPECT_EQ(words.fill("speaker", {{"name", "甲"}, {"words", "好"}}), "甲：好");
}

TEST(StandingWords, AnUnknownLanguageGetsEnglish) {
  EXPECT_EQ(StandingWords("tlh", {}).fill("default_task"), "It is your turn.");
}

TEST(CheckStandingWord, NamesWhatIsUnknownAndWhatIsKnown) {
  EXPECT_TRUE(check_standing_word("you_are", "Be {{name}}!").ok());
  EXPECT_TRUE(check_standing_word("default_task", "Go.").ok());
  const auto message = [](std::string_view key, std::string_view text) {
    const auto checked = check_standing_word(key, text);
    return checked.ok() ? std::string("ok") : checked.error().message;
  };
  EXPECT_EQ(message("you_are", "Be {{nam}}!"),
            "\"you_are\": unknown placeholder {{nam}}; known are name");
  EXPECT_EQ(message("opening", "{{name}}"),
            "\"opening\": unknown placeholder {{name}}; it has none");
  EXPECT_EQ(message("to", "{{name"), "\"to\": {{ without }}");
  EXPECT_EQ(message("greeting", "Hi").substr(0, 50),
            "unknown word \"greeting\"; known are participants, n");
}

}  // namespace
}  // namespace tertulia::flow
