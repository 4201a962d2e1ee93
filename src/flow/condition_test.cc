#include "flow/condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace tertulia::flow {
namespace {

using testing::HasSubstr;

// What a session has recorded, written down.
struct Recorded final : Facts {
  std::map<std::string, std::string, std::less<>> said;  // by role; "" is the last of all
  std::map<std::string, json::value, std::less<>> outputs;
  std::map<std::string, json::value, std::less<>> variables;
  std::int64_t current_round = 1;

  [[nodiscard]] std::optional<std::string_view> last_message(std::string_view role) const override {
    const auto found = said.find(role);
    return found == said.end() ? std::nullopt : std::optional<std::string_view>(found->second);
  }
  [[nodiscard]] const json::value* output(std::string_view step) const override {
    const auto found = outputs.find(step);
    return found == outputs.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const json::value* variable(std::string_view name) const override {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::int64_t round() const override { return current_round; }
};

Recorded recorded() {
  Recorded facts;
  facts.said = {{"", "I ACCEPT it."}, {"critic", "No: 不行."}, {"编辑", "好"}};
  facts.outputs["verdict"] =
      base::parse_json(R"({"decision": "accept", "score": 7, "notes": ["a", "b"], "none": null})")
          .value();
  facts.variables["n"] = 3;
  facts.variables["half"] = 0.5;
  facts.variables["word"] = "beta";
  facts.variables["huge"] = std::int64_t{9'007'199'254'740'993};
  facts.current_round = 4;
  return facts;
}

base::Result<Condition> condition_of(std::string_view text) {
  return Condition::from_json(base::parse_json(text).value());
}

TEST(Condition, HoldsAsItsWordsSay) {
  struct Case {
    std::string_view condition;
    bool holds;
  };
  const Recorded facts = recorded();
  for (const Case& each : std::vector<Case>{
           {R"({"contains": "ACCEPT"})", true},
           {R"({"contains": "accept"})", false},
           {R"({"contains": ""})", true},
           {R"({"contains": "不行", "of": "critic"})", true},
           {R"({"contains": "ACCEPT", "of": "critic"})", false},
           {R"({"contains": "", "of": "silent"})", false},
           {R"({"equals": "好", "of": "编辑"})", true},
           {R"({"equals": "好 ", "of": "编辑"})", false},
           {R"({"matches": "^I\\s+ACCEPT"})", true},
           {R"({"matches": "(?i)accept IT"})", true},
           {R"({"matches": "^ACCEPT"})", false},
           {R"({"matches": "^\\p{Han}$", "of": "编辑"})", true},
           {R"({"matches": ".*", "of": "silent"})", false},
           {R"({"output": "verdict", "at": "/decision", "equals": "accept"})", true},
           {R"({"output": "verdict", "at": "/decision", "not_equals": "accept"})", false},
           {R"({"output": "verdict", "at": "/score", "equals": 7.0})", true},
           {R"({"output": "verdict", "at": "/score", "gt": 7})", false},
           {R"({"output": "verdict", "at": "/score", "gte": 7})", true},
           {R"({"output": "verdict", "at": "/score", "lt": 7.5})", true},
           {R"({"output": "verdict", "at": "/score", "lte": 6})", false},
           {R"({"output": "verdict", "at": "/score", "lt": "9"})", false},
           {R"({"output": "verdict", "at": "/decision", "gt": 1})", false},
           {R"({"output": "verdict", "at": "/decision", "in": ["reject", "accept"]})", true},
           {R"({"output": "verdict", "at": "/decision", "in": []})", false},
           {R"({"output": "verdict", "at": "/notes/1", "equals": "b"})", true},
           {R"({"output": "verdict", "at": "/notes/2", "equals": null})", true},
           {R"({"output": "verdict", "at": "/none", "equals": null})", true},
           {R"({"output": "verdict", "at": "/gone/deep", "not_equals": "x"})", true},
           {R"({"output": "gone", "at": "/a", "equals": null})", true},
           {R"({"output": "gone", "gt": 0})", false},
           {R"({"output": "verdict", "at": "/notes", "equals": ["a", "b"]})", true},
           {R"({"var": "n", "equals": 3})", true},
           {R"({"var": "n", "in": [1, 3.0]})", true},
           {R"({"var": "half", "lt": 1})", true},
           {R"({"var": "word", "gt": "alpha"})", true},
           {R"({"var": "word", "lte": "beta"})", true},
           {R"({"var": "unset", "equals": null})", true},
           {R"({"var": "unset", "lt": 1})", false},
           // As doubles these two are one number.
           {R"({"var": "huge", "gt": 9007199254740992})", true},
           {R"({"rounds_at_least": 4})", true},
           {R"({"rounds_at_least": 5})", false},
           {R"({"all": [{"contains": "I"}, {"var": "n", "gt": 2}]})", true},
           {R"({"all": [{"contains": "I"}, {"var": "n", "gt": 3}]})", false},
           {R"({"any": [{"contains": "x"}, {"var": "n", "gt": 2}]})", true},
           {R"({"any": [{"contains": "x"}, {"var": "n", "gt": 3}]})", false},
           {R"({"not": {"contains": "x"}})", true},
           {R"({"not": {"not": {"contains": "x"}}})", false},
       }) {
    const auto condition = condition_of(each.condition);
    ASSERT_TRUE(condition.ok()) << each.condition << ": " << condition.error().message;
    EXPECT_EQ(holds(condition.value(), facts), each.holds) << each.condition;
    // What is stored with a step says the same again.
    const json::value stored = condition.value().to_json();
    EXPECT_TRUE(base::equal(stored, base::parse_json(each.condition).value()))
        << base::to_text(stored);
    const auto again = Condition::from_json(stored);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(holds(again.value(), facts), each.holds) << each.condition;
  }
}

TEST(Condition, AMatchTakesLongTexts) {
  Recorded facts;
  std::string said(100'000, 'a');
  said.push_back('b');
  facts.said[""] = std::move(said);
  const auto condition = condition_of(R"({"matches": "^(a|b)*$"})");
  ASSERT_TRUE(condition.ok());
  EXPECT_TRUE(holds(condition.value(), facts));
}

TEST(Condition, RefusesWhatItCannotEvaluate) {
  struct Case {
    std::string_view condition;
    std::string_view fragment;
  };
  for (const Case& each : std::vector<Case>{
           {R"("yes")", "mapping"},
           {R"({})", "none of"},
           {R"({"matches": "("})", "not a regular expression"},
           {R"({"matches": 3})", "'matches' is no text"},
           {R"({"contains": "a", "of": 1})", "'of' is no text"},
           {R"({"output": "v", "at": "/a"})", "compares with nothing"},
           {R"({"output": "v", "at": 1, "equals": 1})", "'at' is no text"},
           {R"({"var": 1, "equals": 1})", "'var' is no text"},
           {R"({"rounds_at_least": "2"})", "whole number"},
           {R"({"all": {}})", "list"},
           {R"({"any": [3]})", "mapping"},
           {R"({"not": {"matches": "["}})", "not a regular expression"},
       }) {
    const auto condition = condition_of(each.condition);
    ASSERT_FALSE(condition.ok()) << each.condition;
    EXPECT_EQ(condition.error().code, base::Code::invalid);
    EXPECT_THAT(condition.error().message, HasSubstr(std::string(each.fragment))) << each.condition;
  }
}

}  // namespace
}  // namespace tertulia::flow
