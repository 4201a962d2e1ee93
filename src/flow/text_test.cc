#include "flow/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tertulia::flow {
namespace {

using Head = Reference::Head;
using testing::HasSubstr;

TEST(Text, TakesATextApart) {
  const auto text = Text::parse("Über {{topic}}: {{ vars.n }}{{output.v.a.0}}.");
  ASSERT_TRUE(text.ok()) << text.error().message;
  const auto& pieces = text.value().pieces();
  ASSERT_EQ(pieces.size(), 6U);
  EXPECT_EQ(pieces[0].literal, "Über ");
  EXPECT_TRUE(pieces[1].is_reference);
  EXPECT_EQ(pieces[1].reference.head, Head::topic);
  EXPECT_EQ(pieces[1].reference.offset, 6U) << "in bytes";
  EXPECT_EQ(pieces[2].literal, ": ");
  EXPECT_EQ(pieces[3].reference.head, Head::variable);
  EXPECT_EQ(pieces[3].reference.name, "n");
  EXPECT_EQ(pieces[4].reference.head, Head::output);
  EXPECT_EQ(pieces[4].reference.name, "v");
  EXPECT_THAT(pieces[4].reference.path, testing::ElementsAre("a", "0"));
  EXPECT_EQ(pieces[5].literal, ".");
  EXPECT_EQ(text.value().source(), "Über {{topic}}: {{ vars.n }}{{output.v.a.0}}.");
}

TEST(Text, KnowsEveryReference) {
  struct Case {
    std::string_view source;
    Head head;
    std::string_view name;
  };
  for (const Case& each : std::vector<Case>{{"{{topic}}", Head::topic, ""},
                                            {"{{round}}", Head::round, ""},
                                            {"{{iteration}}", Head::iteration, ""},
                                            {"{{role.name}}", Head::role_name, ""},
                                            {"{{to.name}}", Head::to_name, ""},
                                            {"{{last}}", Head::last, ""},
                                            {"{{vars.强度}}", Head::variable, "强度"},
                                            {"{{output.verdict}}", Head::output, "verdict"},
                                            {"{{document.plan}}", Head::document, "plan"}}) {
    const auto text = Text::parse(each.source);
    ASSERT_TRUE(text.ok()) << each.source;
    ASSERT_EQ(text.value().pieces().size(), 1U);
    EXPECT_EQ(text.value().pieces()[0].reference.head, each.head) << each.source;
    EXPECT_EQ(text.value().pieces()[0].reference.name, each.name) << each.source;
  }
}

TEST(Text, LeavesSingleBracesAlone) {
  for (const std::string_view source :
       {"", "plain", "{\"a\": {\"b\": 1}}", "a } b { c", "}}", "{ {topic} }"}) {
    const auto text = Text::parse(source);
    ASSERT_TRUE(text.ok()) << source << ": " << text.error().message;
    EXPECT_EQ(text.value().source(), source);
    for (const auto& piece : text.value().pieces()) EXPECT_FALSE(piece.is_reference) << source;
  }
}

TEST(Text, NamesTheReferenceThatIsUnknown) {
  struct Case {
    std::string_view source;
    std::string_view fragment;
    std::string_view offset;
  };
  for (const Case& each :
       std::vector<Case>{{"{{topik}}", "did you mean '{{topic}}'?", "0"},
                         {"ab {{role}}", "unknown reference '{{role}}'", "3"},
                         {"{{topic}} {{var.n}}",
                          "unknown reference '{{var.n}}'; did you mean '{{vars.n}}'?", "10"},
                         {"{{outptu.v.a}}", "did you mean '{{output.v.a}}'?", "0"},
                         {"{{}}", "unknown reference", "0"},
                         {"{{vars.}}", "unknown reference", "0"},
                         {"{{output.v..a}}", "unknown reference", "0"},
                         {"a {{topic", "'{{' without '}}'", "2"},
                         {"{{each.nme}}", "unknown reference '{{each.nme}}'", "0"}}) {
    const auto text = Text::parse(each.source);
    ASSERT_FALSE(text.ok()) << each.source;
    EXPECT_EQ(text.error().code, base::Code::invalid);
    EXPECT_THAT(text.error().message, HasSubstr(std::string(each.fragment))) << each.source;
    EXPECT_EQ(text.error().detail, each.offset) << each.source;
  }
}

}  // namespace
}  // namespace tertulia::flow
