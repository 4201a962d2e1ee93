// Every flow that ships: checked without a warning, performed in rehearsal to its end, replayed,
// and described by a page of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace json = base::json;

std::vector<std::string> shipped() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(in_source("flows")))
    if (file.path().extension() == ".yaml") names.push_back(file.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class ShippedFlowTest : public ::testing::TestWithParam<std::string> {
 protected:
  // A rehearsal to its end, whose persons choose the first choice; the session's id.
  std::string perform(const World& world, const std::string& seed) {
    const Finished run =
        world.run({"run", GetParam(), "--model", "rehearsal", "--seed", seed, "--create-only"});
    EXPECT_EQ(run.status, 0) << run.err;
    const std::string id = run.out.substr(
        run.out.find_first_of("0123456789"),
        run.out.find_last_of("0123456789") - run.out.find_first_of("0123456789") + 1);
    Finished going = world.run({"session", "resume", id});
    for (int persons = 0; going.status == 5 && persons < 20; ++persons)
      going = world.run({"session", "answer", id, "1"});
    EXPECT_EQ(going.status, 0) << going.out << going.err;
    return id;
  }
};

TEST_P(ShippedFlowTest, IsCheckedWithoutAWarning) {
  const World world;
  const Finished checked = world.run({"flow", "check", in_source("flows/" + GetParam() + ".yaml")});
  EXPECT_EQ(checked.status, 0);
  EXPECT_THAT(checked.out, HasSubstr("good"));
  EXPECT_THAT(checked.out + checked.err, Not(HasSubstr("warning")));
  EXPECT_THAT(checked.out + checked.err, Not(HasSubstr("error")));
}

TEST_P(ShippedFlowTest, IsRehearsedToItsEndAndReplayed) {
  const World world;
  // With seed 4 code-review-board waits for a person; with 6 a statistic has 17 digits.
  for (const char* seed : {"1", "4", "6"}) {
    const std::string id = perform(world, seed);
    const Finished shown = world.run({"session", "show", id, "--json"});
    const auto session = base::parse_json(shown.out);
    ASSERT_TRUE(session) << shown.out << shown.err;
    EXPECT_EQ(base::at_pointer(*session, "/status")->as_string(), "finished") << shown.out;
    const Finished replay = world.run({"session", "replay", id});
    EXPECT_EQ(replay.status, 0) << "seed " << seed << ": " << replay.out << replay.err;
    EXPECT_THAT(replay.out, HasSubstr("log and state agree"));
  }
}

TEST_P(ShippedFlowTest, ComesToAllOfItsSteps) {
  const World world;
  const Finished covered = world.run({"flow", "rehearse", GetParam(), "--cover"});
  EXPECT_EQ(covered.status, 0) << covered.out << covered.err;
  EXPECT_THAT(covered.out, HasSubstr(" ways reached in "));
  EXPECT_THAT(covered.out, Not(HasSubstr("not reached")));
}

TEST_P(ShippedFlowTest, HasItsPage) {
  const std::string page = read_file(in_source("docs/flows/" + GetParam() + ".md"));
  EXPECT_THAT(page, HasSubstr("tertulia run " + GetParam()));
  EXPECT_THAT(page, HasSubstr("rehearsal")) << "the page says what spoke in its transcript";
  EXPECT_THAT(read_file(in_source("docs/flows/README.md")), HasSubstr("(" + GetParam() + ".md)"));
}

INSTANTIATE_TEST_SUITE_P(Flows, ShippedFlowTest, ::testing::ValuesIn(shipped()),
                         [](const auto& flow) {
                           std::string name = flow.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The program holds the flows of the folder, no fewer, and they show the whole language between
// them.
TEST(ShippedFlows, AreTwelveAtLeastAndUseEveryKindOfStep) {
  const World world;
  const std::string list = world.run({"flow", "list"}).out;
  std::set<std::string> kinds;
  for (const std::string& name : shipped()) {
    EXPECT_THAT(list, HasSubstr(name));
    const std::string source = read_file(in_source("flows/" + name + ".yaml"));
    for (const char* kind : {"speak:", "ask:", "discuss:", "loop:", "if:", "parallel:", "call:",
                             "set:", "judge:", "each:", "document:", "anonymous:"})
      if (source.find(kind) != std::string::npos) kinds.insert(kind);
  }
  // Also of one that calls another.
  const auto items = base::parse_json(world.run({"flow", "list", "--json"}).out).value();
  for (const auto& item : items.at("items").as_array())
    EXPECT_NE(item.at("title").as_string(), "") << item.at("name").as_string().c_str();
  EXPECT_GE(shipped().size(), 12U);
  EXPECT_EQ(kinds.size(), 12U);
}

}  // namespace
}  // namespace tertulia::test
