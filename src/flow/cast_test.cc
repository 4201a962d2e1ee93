#include "flow/cast.h"

#include <gtest/gtest.h>

namespace tertulia::flow {
namespace {

TEST(Cast, IsReadBackAsItWas) {
  Cast cast;
  cast.roles.push_back({.ref = "a",
                        .name = "打工人（产品）",
                        .prompt = "You defend\nthe \"proposal\".",
                        .profile = "default",
                        .model = {{"protocol", "rehearsal"}},
                        .context_window = 8192});
  cast.roles.push_back({.ref = "b", .name = "B", .prompt = {}, .profile = {}, .model = {}});
  const auto read = Cast::from_text(cast.to_text());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->to_text(), cast.to_text());
  ASSERT_NE(read->find("a"), nullptr);
  EXPECT_EQ(read->find("a")->name, "打工人（产品）");
  EXPECT_EQ(read->find("c"), nullptr);
}

TEST(Cast, RefusesWhatItDidNotWrite) {
  for (const char* wrong :
       {"", "{}", "[1]", "[{}]", R"([{"ref":"a","name":"A","prompt":"","profile":1}])",
        R"([{"ref":"a","name":"A","prompt":"","profile":"","model":{}}])",
        R"([{"ref":"a","name":"A","prompt":"","profile":"","model":[],"context_window":1}])"}) {
    const auto read = Cast::from_text(wrong);
    ASSERT_FALSE(read.ok()) << wrong;
    EXPECT_EQ(read.error().code, base::Code::invalid);
  }
}

}  // namespace
}  // namespace tertulia::flow
