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

}  // namespace
}  // namespace tertulia::base
