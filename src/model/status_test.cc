#include "model/status.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tertulia::model {
namespace {

template <class E>
class NamesTest : public ::testing::Test {};
using Enums = ::testing::Types<SessionStatus, StepStatus, ResultType, StopReason>;
TYPED_TEST_SUITE(NamesTest, Enums);

TYPED_TEST(NamesTest, EveryValueHasOneTextAndComesBack) {
  std::set<std::string> texts;
  int next = 0;
  for (const auto& [value, text] : Names<TypeParam>::all) {
    EXPECT_EQ(static_cast<int>(value), next++) << text << " is out of order or one is missing";
    EXPECT_TRUE(texts.insert(std::string(text)).second) << text << " stands twice";
    EXPECT_EQ(to_text(value), text);
    EXPECT_EQ(from_text<TypeParam>(text), value);
  }
  EXPECT_FALSE(from_text<TypeParam>("nonsense"));
}

}  // namespace
}  // namespace tertulia::model
