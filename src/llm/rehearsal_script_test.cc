#include "llm/rehearsal_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tertulia::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RehearsalScript parsed(std::string_view yaml) {
  auto script = RehearsalScript::parse(yaml, "s.yaml");
  EXPECT_TRUE(script) << (script ? "" : script.error().message);
  return script ? *script : RehearsalScript();
}

std::string said(const RehearsalScript& script, std::string_view step, std::int64_t iteration) {
  const std::string* const text = script.find(step, iteration);
  return text == nullptr ? "(silent)" : *text;
}

TEST(RehearsalScript, TheIterationsOwnLineGoesFirst) {
  const RehearsalScript script = parsed("a@2: second\na: always\nb@1: once\n");
  EXPECT_EQ(said(script, "a", 1), "always");
  EXPECT_EQ(said(script, "a", 2), "second");
  EXPECT_EQ(said(script, "a", 3), "always");
  EXPECT_EQ(said(script, "b", 1), "once");
  EXPECT_EQ(said(script, "b", 2), "(silent)");
  EXPECT_EQ(said(script, "c", 1), "(silent)");
  EXPECT_THAT(script.steps(), ElementsAre("a", "b"));
}

TEST(RehearsalScript, TextsAreSaidAsWrittenAndValuesAsJson) {
  const RehearsalScript script = parsed(
      "word: true\nnumber: 7\nempty: ''\nblock: |\n  two\n  lines\n"
      "value: {yes: true, no: 'true', n: 7, s: '7', f: 0.5, e: 1.5e2, nothing: ~, list: [1, {}]}\n"
      "list: [a, b]\n评审@2: {决定: 通过}\n");
  EXPECT_EQ(said(script, "word", 1), "true");
  EXPECT_EQ(said(script, "number", 1), "7");
  EXPECT_EQ(said(script, "empty", 1), "");
  EXPECT_EQ(said(script, "block", 1), "two\nlines\n");
  EXPECT_EQ(
      said(script, "value", 1),
      R"({"yes":true,"no":"true","n":7,"s":"7","f":0.5,"e":150,"nothing":null,"list":[1,{}]})");
  EXPECT_EQ(said(script, "list", 1), R"(["a","b"])");
  EXPECT_EQ(said(script, "评审", 2), R"({"决定":"通过"})");
}

TEST(RehearsalScript, AnEmptyFileSaysNothing) {
  EXPECT_TRUE(parsed("").steps().empty());
}

struct Wrong {
  std::string yaml, message;
};

TEST(RehearsalScript, ErrorsNameThePlace) {
  std::string deep = "a: ", many = "a: [";
  for (int i = 0; i < 40; ++i) deep += "[";
  for (int i = 0; i < 40; ++i) deep += "]";
  for (int i = 0; i < 10'001; ++i) many += "1,";
  std::string laughs = "a: &a [1,1,1,1,1,1,1,1,1,1]\n";
  for (char c = 'b'; c < 'h'; ++c) {
    laughs += c + std::string(": &") + c + " [";
    for (int i = 0; i < 10; ++i) laughs += std::string("*") + static_cast<char>(c - 1) + ",";
    laughs += "]\n";
  }
  for (const Wrong& wrong : {
           Wrong{"- a\n", "s.yaml:1:1: expected a map"},
           {"a: 1\nb: [1\n", "s.yaml:3:1:"},
           {"ok: 1\na@x: 1\n", "s.yaml:2:1: a@x: after @"},
           {"a@0: 1\n", "s.yaml:1:1: a@0: after @"},
           {"a@: 1\n", "after @"},
           {"'@1': 1\n", "after @"},
           {"a: 1\na: 2\n", "s.yaml:2:1: a stands here twice"},
           {"a@1: 1\na@1: 2\n", "s.yaml:2:1: a@1 stands here twice"},
           {"a: {x: 1, x: 2}\n", "the key x stands here twice"},
           {"? [a]\n: 1\n", "expected STEP"},
           {deep, "nested deeper than"},
           {many + "]", "more than 10000 nodes"},
           {laughs, "more than 10000 nodes"},
           {"a: \xff\n", "not UTF-8, or a NUL, at byte 3"},
           {std::string("a: \0", 4), "at byte 3"},
           {std::string(1024 * 1024 + 1, ' '), "longer than 1048576 bytes"},
       }) {
    const auto script = RehearsalScript::parse(wrong.yaml, "s.yaml");
    ASSERT_FALSE(script) << wrong.message;
    EXPECT_EQ(script.error().code, base::Code::invalid);
    EXPECT_THAT(script.error().message, HasSubstr(wrong.message));
  }
}

TEST(RehearsalScript, AFileThatIsNotThere) {
  const auto script = RehearsalScript::load("/nowhere/script.yaml");
  ASSERT_FALSE(script);
  EXPECT_EQ(script.error().code, base::Code::not_found);
  EXPECT_THAT(script.error().message, HasSubstr("/nowhere/script.yaml"));
}

}  // namespace
}  // namespace tertulia::llm
