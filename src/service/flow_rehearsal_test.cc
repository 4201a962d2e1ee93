// Rehearsals without a session, and what forcing conditions comes to.
#include "service/flow_rehearsal.h"

#include "service/test_sessions.h"

namespace tertulia::service {
namespace {

namespace json = base::json;
using testing::ElementsAre;
using testing::IsEmpty;

class FlowRehearsalTest : public test::OnBothEngines {
 protected:
  json::object rehearse(const std::string& steps, bool cover, std::int64_t seed = 1) {
    const std::string source =
        "tertulia: 1\nname: tried\ntopic: Tea\nroles: { a: { name: Ann, prompt: p, model: unknown "
        "},"
        " b: { name: Ben, prompt: q } }\nsteps:\n" +
        steps;
    const FlowText text{.shown = "the flow", .source = source};
    const auto checked = check_flow_text(text, {});
    EXPECT_TRUE(checked.ok()) << (checked.problems.empty() ? "" : checked.problems[0].message);
    if (!checked.ok()) return {};
    SessionWishes wishes;
    wishes.seed = seed;
    wishes.profile = "rehearsal";
    auto rehearsal = rehearse_json(reader(), *checked.program, wishes, cover, providers());
    EXPECT_TRUE(rehearsal) << rehearsal.error().message;
    return rehearsal ? *rehearsal : json::object();
  }
  // "step way" of those that were not reached.
  static std::vector<std::string> unreached(const json::object& rehearsal) {
    std::vector<std::string> all;
    for (const auto& each : rehearsal.at("ways").as_array()) {
      const json::object& way = each.as_object();
      if (way.at("reached").as_bool()) continue;
      std::string text(way.at("step").as_string());
      if (const auto* name = way.if_contains("way")) text += " " + std::string(name->as_string());
      all.push_back(std::move(text));
    }
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(, FlowRehearsalTest, schema::kBothEngines, schema::engine_of);

TEST_P(FlowRehearsalTest, LeavesNoSessionBehindAndSaysWhatASessionWould) {
  const std::string steps = "  - { id: first, speak: a }\n  - { speak: b }\n";
  const json::object rehearsal = rehearse(steps, false, 7);
  EXPECT_EQ(rehearsal.at("status"), "finished");
  EXPECT_EQ(rehearsal.at("calls"), 2);
  const json::array& said = rehearsal.at("said").as_array();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].at("step"), "first");
  EXPECT_EQ(said[0].at("speaker"), "Ann");
  EXPECT_EQ(said[1].at("speaker"), "Ben");
  EXPECT_EQ(rehearse(steps, false, 7), rehearsal);
  auto sessions = store::list_sessions(reader(), {});
  ASSERT_TRUE(sessions);
  EXPECT_THAT(*sessions, IsEmpty());
}

TEST_P(FlowRehearsalTest, ForcingTakesEveryBranchAndEveryWayOutOfALoop) {
  const std::string steps = R"(  - loop:
      max: 3
      until: { contains: never said }
      steps:
        - speak: a
        - if: { contains: nor this }
          then:
            - if: { contains: nor that }
              then: [ { id: deep, speak: b } ]
  - loop: { max: 2, while: { contains: or this }, steps: [ { id: inside, speak: b } ] }
  - { id: last, speak: a, goto: { step: last, max: 2, when: { contains: back } } }
)";
  EXPECT_THAT(unreached(rehearse(steps, false)),
              testing::IsSupersetOf({"deep", "inside", "last jumps"}));
  const json::object covered = rehearse(steps, true);
  EXPECT_THAT(unreached(covered), IsEmpty());
  EXPECT_EQ(covered.at("cut_short"), false);
  // Each of five conditions both ways, and once unforced.
  EXPECT_EQ(covered.at("sessions"), 11);
  // What is said is the unforced session's.
  EXPECT_EQ(covered.at("said"), rehearse(steps, false).at("said"));
}

TEST_P(FlowRehearsalTest, WhatNoConditionLeadsToIsToldAsNotReached) {
  const std::string steps = R"(  - speak: a
  - if: { contains: x }
    then: [ { end: "no" } ]
    else: [ { end: "yes" } ]
  - { id: never, speak: b }
)";
  EXPECT_THAT(unreached(rehearse(steps, true)), ElementsAre("never"));
}

TEST_P(FlowRehearsalTest, AFlowThatGoesOnForTooLongIsGivenUp) {
  const std::string steps =
      "  - loop: { max: 100, steps: [ { loop: { max: 100, steps: [ { speak: a } ] } } ] }\n";
  EXPECT_EQ(rehearse(steps, true).at("cut_short"), true);
}

}  // namespace
}  // namespace tertulia::service
