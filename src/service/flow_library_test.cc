// Finding flows by name and checking them with those that they call.
#include "service/flow_library.h"

#include <fmt/format.h>

#include <map>

#include "service/test_sessions.h"

namespace tertulia::service {
namespace {

using testing::HasSubstr;

std::string calling(const std::string& name, const std::vector<std::string>& called) {
  std::string steps;
  for (const std::string& each : called) steps += fmt::format("  - {{ call: {} }}\n", each);
  return fmt::format(
      "tertulia: 1\nname: {}\ntitle: Calls\nroles: {{ a: {{ name: A, prompt: p }} }}\nsteps:\n"
      "  - {{ speak: a }}\n{}",
      name, steps);
}

// Flows that are nowhere but in this test.
class Calls : public testing::Test {
 protected:
  flow::CheckedFlow check(const std::string& name) {
    FlowSurroundings around;
    around.find_flow = [this](const FlowText&,
                              const std::string& wanted) -> base::Result<FlowText> {
      ++looked_for_[wanted];
      const auto found = sources_.find(wanted);
      if (found == sources_.end())
        return base::Error{.code = base::Code::not_found, .message = "no flow " + wanted};
      return FlowText{.shown = wanted, .source = found->second};
    };
    return check_flow_text({.shown = name, .source = sources_.at(name)}, around);
  }
  std::string first_problem(const std::string& name) {
    const flow::CheckedFlow checked = check(name);
    return checked.problems.empty() ? std::string() : checked.problems.front().message;
  }
  std::map<std::string, std::string> sources_;
  std::map<std::string, int> looked_for_;
};

TEST_F(Calls, InACircleAreToldWithTheWay) {
  sources_["aa"] = calling("aa", {"bb"});
  sources_["bb"] = calling("bb", {"cc"});
  sources_["cc"] = calling("cc", {"aa"});
  EXPECT_THAT(first_problem("aa"), HasSubstr("in a circle: bb -> cc -> aa -> bb"));
}

TEST_F(Calls, OfAFlowThatCallsItselfBelowAreACircle) {
  sources_["aa"] = calling("aa", {"bb"});
  sources_["bb"] = calling("bb", {"bb"});
  EXPECT_THAT(first_problem("aa"), HasSubstr("'bb' calls itself"));
}

TEST_F(Calls, AreNestedToALimit) {
  const auto chain = [this](int length) {
    for (int i = 0; i < length; ++i)
      sources_[fmt::format("f{}", i)] =
          calling(fmt::format("f{}", i), i + 1 < length
                                             ? std::vector<std::string>{fmt::format("f{}", i + 1)}
                                             : std::vector<std::string>());
    return check("f0");
  };
  EXPECT_TRUE(chain(flow::kMaxCallDepth).ok());
  EXPECT_FALSE(chain(flow::kMaxCallDepth + 1).ok());
  EXPECT_THAT(first_problem("f0"), HasSubstr("nested 8 deep at most"));
  EXPECT_FALSE(chain(2'000).ok());
}

TEST_F(Calls, OfOneFlowInManyPlacesCheckItOnce) {
  // Each calls the next three times: 3^6 places.
  for (int i = 0; i < 6; ++i) {
    const std::string next = fmt::format("f{}", i + 1);
    sources_[fmt::format("f{}", i)] = calling(fmt::format("f{}", i), {next, next, next});
  }
  sources_["f6"] = calling("f6", {});
  EXPECT_TRUE(check("f0").ok());
  EXPECT_EQ(looked_for_["f6"], 1);
}

TEST_F(Calls, ToldMistakesNameTheFlowAndThePlace) {
  sources_["aa"] = calling("aa", {"bb"});
  sources_["bb"] = calling("bb", {"nowhere"});
  EXPECT_THAT(first_problem("aa"), HasSubstr("the flow 'bb' has mistakes; the first: bb:7:13"));
}

TEST_F(Calls, FindNothingWithoutSurroundings) {
  const auto checked = check_flow_text({.shown = "x", .source = calling("aa", {"bb"})}, {});
  ASSERT_FALSE(checked.ok());
  EXPECT_THAT(checked.problems.front().message, HasSubstr("no flow can be called from here"));
}

TEST(Problems, AsJson) {
  const auto checked = check_flow_text({.shown = "f.yaml", .source = "tertulia: 1\nnme: x\n"}, {});
  ASSERT_FALSE(checked.ok());
  const auto problem = problem_json("f.yaml", checked.problems.front());
  EXPECT_EQ(problem.at("type"), "problem");
  EXPECT_EQ(problem.at("severity"), "error");
  EXPECT_EQ(problem.at("file"), "f.yaml");
  EXPECT_TRUE(problem.at("line").is_int64());
  EXPECT_TRUE(problem.at("column").is_int64());
  EXPECT_FALSE(problem.at("message").as_string().empty());
}

class FlowLibrary : public test::OnBothEngines {};

TEST_P(FlowLibrary, NamesWhatIsNear) {
  EXPECT_ERROR(find_flow_text(reader(), "debat"), not_found, "did you mean 'debate'?");
  store_text(test::kTalk);
  EXPECT_ERROR(find_flow_text(reader(), "talks"), not_found, "did you mean 'talk'?");
  const auto far = find_flow_text(reader(), "zzzzzzzzzz");
  EXPECT_ERROR(far, not_found, "there is no flow 'zzzzzzzzzz'");
  EXPECT_EQ(far.error().message.find("did you mean"), std::string::npos);
}

TEST_P(FlowLibrary, ANameIsNeverAFile) {
  for (const char* name : {"../flows/debate.yaml", "/etc/passwd", "debate.yaml", "-", ""})
    EXPECT_ERROR(find_flow_text(reader(), name), not_found, "there is no flow");
}

TEST_P(FlowLibrary, AStoredFlowGoesBeforeAShippedOneUnlessItIsThatOne) {
  const ShippedFlow* debate = find_shipped_flow("debate");
  ASSERT_NE(debate, nullptr);
  const FlowText shipped = text_of(*debate);
  const auto checked = check_flow_text(shipped, surroundings_of(reader(), {}));
  auto kept = write<StoredFlow>(
      [&](db::Connection& writer) { return store_flow(writer, shipped, checked, {}); });
  ASSERT_TRUE(kept) << kept.error().message;
  auto found = find_flow_text(reader(), "debate");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->is_shipped);
  store_text(
      "tertulia: 1\nname: debate\nroles: { a: { name: A, prompt: p } }\nsteps: [ { speak: a } ]\n");
  found = find_flow_text(reader(), "debate");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->is_shipped);
}

TEST_P(FlowLibrary, NothingIsStoredOfATextWithMistakes) {
  const FlowText text{.shown = "x.yaml",
                      .source = "tertulia: 1\nname: x\nsteps: [ { speak: a } ]\n"};
  const auto checked = check_flow_text(text, surroundings_of(reader(), {}));
  auto stored = write<StoredFlow>(
      [&](db::Connection& writer) { return store_flow(writer, text, checked, {}); });
  EXPECT_ERROR(stored, invalid, "nothing was stored");
  EXPECT_ERROR(load_flow_source(reader(), "x", 1), not_found, "no stored flow 'x'");
}

TEST_P(FlowLibrary, ListsShippedAndStoredOnes) {
  store_text(test::kTalk);
  test::OnBothEngines::perform(test::kTalk);
  auto listed = list_flows_json(reader(), surroundings_of(reader(), {}));
  ASSERT_TRUE(listed) << listed.error().message;
  std::map<std::string, base::json::object> by_name;
  for (const auto& item : listed->at("items").as_array())
    by_name[std::string(item.at("name").as_string())] = item.as_object();
  EXPECT_EQ(by_name.at("talk").at("version"), 1);
  EXPECT_EQ(by_name.at("talk").at("sessions"), 1);
  EXPECT_EQ(by_name.at("talk").at("shipped"), false);
  EXPECT_EQ(by_name.at("debate").at("version"), 0);
  EXPECT_EQ(by_name.at("debate").at("shipped"), true);
  // One that calls another has its title too.
  EXPECT_FALSE(by_name.at("mock-trial").at("title").as_string().empty());
  EXPECT_ERROR(load_flow_source(reader(), "talk", 2), not_found, "version");
}

INSTANTIATE_TEST_SUITE_P(, FlowLibrary, schema::kBothEngines, schema::engine_of);

}  // namespace
}  // namespace tertulia::service
