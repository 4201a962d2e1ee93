#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flow/prompt.h"

namespace tertulia::flow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

CastRole role(std::string ref, std::string name) {
  CastRole made;
  made.ref = std::move(ref);
  made.name = std::move(name);
  return made;
}

const Cast& cast() {
  static const Cast made = {
      {role("a", "Ann"), role("b", "Bob"), role("c", "主持人"), role("d", "")}};
  return made;
}

TEST(TidyAnswer, TakesOffWhiteSpaceAndTheSpeakersOwnName) {
  const std::pair<const char*, const char*> cases[] = {
      {"  hello \n", "hello"},
      {"Ann: hello", "hello"},
      {"Ann : hello", "hello"},
      {"\nAnn：hello", "hello"},
      {"**Ann:** hello", "hello"},
      {"**Ann**: hello", "hello"},
      {"Ann:\n\n# Title", "# Title"},
      {"Ann", "Ann"},
      {"Anna: hello", "Anna: hello"},
      {"Ann and Bob: hello", "Ann and Bob: hello"},
      {"**Ann: hello**", "**Ann: hello**"},
      {"Ann: Ann: hello", "Ann: hello"},
      {"Ann:", ""},
      {"", ""},
      {"Hello\nAnn: more", "Hello\nAnn: more"},
      {"{\"a\": 1}", "{\"a\": 1}"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(tidy_answer(text, cast().roles[0], cast()).text, expected) << text;
}

TEST(TidyAnswer, KeepsAndNamesSpeechForOthers) {
  const auto spoke_for = [](std::string_view text) {
    return tidy_answer(text, cast().roles[0], cast()).spoke_for;
  };
  EXPECT_THAT(spoke_for("I say: no."), IsEmpty());
  EXPECT_THAT(spoke_for("Yes.\nBob: Never!\n**主持人**：好\nBob: No."),
              ElementsAre("Bob", "主持人"));
  EXPECT_THAT(spoke_for("Bob: hello"), ElementsAre("Bob"));
  EXPECT_THAT(spoke_for("As Bob: hello"), IsEmpty());
  EXPECT_EQ(tidy_answer("Yes.\nBob: Never!", cast().roles[0], cast()).text, "Yes.\nBob: Never!");
}

}  // namespace
}  // namespace tertulia::flow
