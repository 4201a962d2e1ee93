#include "flow/statistics.h"

#include <gtest/gtest.h>

namespace tertulia::flow {
namespace {

TEST(Statistic, OfEveryKind) {
  struct Case {
    const char* stat;
    const char* values;
    const char* expected;
  };
  const Case cases[] = {
      {"count", "[1, null, \"two\", null]", "2"},
      {"count", "[]", "0"},
      {"min", "[3, 1, 2]", "1"},
      {"max", "[3, 1.5, \"9\"]", "3"},
      {"mean", "[1, 2, null, 3]", "2"},
      {"mean", "[1, 2]", "1.5"},
      {"mean", "[1e308, 1e308, 1e308]", "null"},
      {"median", "[5, 1, 3]", "3"},
      {"median", "[4, 1, 3, 2]", "2.5"},
      // Quartiles as numpy.percentile and R's quantile give them.
      {"q1", "[1, 2, 3, 4]", "1.75"},
      {"q3", "[1, 2, 3, 4]", "3.25"},
      {"q1", "[7]", "7"},
      {"q1", "[10, 20, 30, 40, 50]", "20"},
      {"spread", "[1, 2, 3, 4]", "0.6"},
      {"spread", "[5, 5, 5]", "0"},
      {"spread", "[-1, 0, 1]", "null"},
      {"spread", "[0, 0, 0]", "null"},
      {"mean", "[]", "null"},
      {"mean", "[null, \"x\", true]", "null"},
      {"majority", "[\"yes\", \"no\", \"yes\"]", "\"yes\""},
      {"majority", "[\"yes\", \"no\"]", "null"},
      {"majority", "[1, 1.0, 2]", "1"},
      {"majority", "[\"a\", \"b\", \"b\", \"a\", \"c\"]", "null"},
      {"majority", "[\"a\", \"b\", \"b\", \"a\", \"b\"]", "\"b\""},
      {"majority", "[null, null, false]", "false"},
      {"majority", "[]", "null"},
      {"product", "[1, 2]", "null"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.stat) + " of " + each.values);
    std::vector<base::json::value> values;
    const auto list = base::parse_json(each.values).value();
    for (const auto& value : list.get_array()) values.push_back(value);
    const auto result = statistic(each.stat, values);
    EXPECT_TRUE(base::equal(result, base::parse_json(each.expected).value()))
        << base::to_text(result);
  }
}

TEST(Statistic, WritesWholeNumbersAsSuch) {
  EXPECT_EQ(base::to_text(statistic("mean", {2, 4})), "3");
  EXPECT_EQ(base::to_text(statistic("max", {2.0})), "2");
}

}  // namespace
}  // namespace tertulia::flow
