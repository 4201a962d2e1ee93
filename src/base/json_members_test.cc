#include "base/json_members.h"

#include <gtest/gtest.h>

namespace tertulia::base {
namespace {

// A member of each type, and one that is absent.
constexpr std::string_view kNames[] = {"text",  "whole",  "large", "part",  "yes",
                                       "empty", "object", "array", "absent"};

json::object sample() {
  return parse_json(R"({"text": "said", "whole": 7, "large": 18446744073709551615, "part": 0.5,
                        "yes": true, "empty": null, "object": {"a": 1}, "array": [{"b": 2}, 3]})")
      ->get_object();
}

TEST(JsonMembers, EachReadsItsOwnTypeAndNoOther) {
  const json::object object = sample();
  for (const std::string_view name : kNames) {
    EXPECT_EQ(text_at(object, name), name == "text" ? "said" : "") << name;
    EXPECT_EQ(integer_at(object, name), name == "whole" ? 7 : 0) << name;
    EXPECT_EQ(flag_at(object, name), name == "yes") << name;
    EXPECT_EQ(object_at(object, name) != nullptr, name == "object") << name;
    EXPECT_EQ(array_at(object, name) != nullptr, name == "array") << name;
    EXPECT_EQ(number_at(object, name).has_value(),
              name == "whole" || name == "large" || name == "part")
        << name;
  }
  EXPECT_EQ(number_at(object, "whole"), 7.0);
  EXPECT_EQ(number_at(object, "part"), 0.5);
  EXPECT_EQ(number_at(object, "large"), 18446744073709551615.0);
}

TEST(JsonMembers, AListsObjectsAreThoseThatAreObjects) {
  const json::object object = sample();
  const auto found = objects_at(object, "array");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(integer_at(*found[0], "b"), 2);
  EXPECT_TRUE(objects_at(object, "object").empty());
  EXPECT_TRUE(objects_at(object, "absent").empty());
}

}  // namespace
}  // namespace tertulia::base
