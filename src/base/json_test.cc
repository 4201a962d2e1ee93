#include "base/json.h"

#include <gtest/gtest.h>

#include <string_view>

namespace tertulia::base {
namespace {

TEST(JsonText, WritesWhatPeopleWriteAndReadsBackTheSame) {
  for (const std::string_view text : {
           R"({"b":0.7,"a":[1,-2,2.25,[],{}],"c":null,"d":true,"e":{"f":{"g":"h"}}})",
           R"([18446744073709551615,-9223372036854775808,1e+300,5e-324,0.1])",
           R"(["quote \" back \\ line \n 你好 🙂",""])",
           R"("text")",
           R"(false)",
       }) {
    const auto value = base::parse_json(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(to_text(*value), text);
    EXPECT_EQ(*base::parse_json(to_text(*value)), *value);
  }
}

// Numbers that Boost.JSON itself reads one unit off.
TEST(JsonText, ReadsTheNearestNumberWhateverItsDigits) {
  for (const double number :
       {0.20502901353965194, 1 / 3.0, 2 / 7.0, 5 / 6.0, 1e22 / 7, 123456.78901234567}) {
    for (int i = 1; i < 1000; ++i) {
      const double wanted = number * i / 997;
      const json::object written = {
          {"text", "say \"1.5\" \\"}, {"whole", -3}, {"value", json::array{wanted, 7, -wanted}}};
      const auto read = parse_json(to_text(written));
      ASSERT_TRUE(read);
      EXPECT_EQ(read->at("value").at(0).get_double(), wanted);
      EXPECT_EQ(read->at("value").at(2).get_double(), -wanted);
      EXPECT_EQ(*read, json::value(written));
    }
  }
}

TEST(JsonText, AMemberThatStandsTwiceIsReadAsItsLast) {
  const auto read = parse_json(R"({"a":0.5,"b":0.25,"a":0.75})");
  ASSERT_TRUE(read);
  EXPECT_EQ(to_text(*read), R"({"a":0.75,"b":0.25})");
}

}  // namespace
}  // namespace tertulia::base
