// Sessions moved from one version of a flow to another. tests/branch_version_test.cc has what the
// whole program makes of it.
#include "flow/version_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flow/check.h"
#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

using testing::HasSubstr;

constexpr const char* kInner = R"(tertulia: 1
name: inner
roles: { x: { prompt: X } }
vars: { depth: { type: integer, default: 1 } }
steps:
  - { id: asked, speak: x }
  - { speak: x }
)";

std::string outer(const std::string& before, const std::string& vars = "{ mood: calm }") {
  return "tertulia: 1\nname: outer\ntopic: t\nroles: { a: { prompt: A }, b: { prompt: B } "
         "}\nvars: " +
         vars + "\nsteps:\n" + before + R"(
  - id: rounds
    loop:
      max: 3
      steps:
        - { speak: a }
        - id: both
          parallel:
            - [ { speak: a }, { id: inside, call: inner, with: { roles: { x: b } } } ]
            - [ { discuss: { among: [a, b], order: fixed, max: 2 } } ]
  - { speak: b }
)";
}

Program compiled(const std::string& text, const std::string& inner = kInner) {
  CheckOptions options;
  options.find_flow = [&](const std::string&) -> base::Result<std::shared_ptr<const Program>> {
    CheckedFlow checked = check_flow(inner);
    EXPECT_TRUE(checked.ok());
    return std::make_shared<const Program>(*std::move(checked.program));
  };
  CheckedFlow checked = check_flow(text, options);
  EXPECT_TRUE(checked.ok()) << (checked.problems.empty() ? "" : checked.problems.front().message);
  return checked.program ? *std::move(checked.program) : Program{};
}

// Every state of a session in which a step is open, each branch answered in turn.
std::vector<State> states_of(const Program& program) {
  TestSession session(program);
  std::vector<State> states;
  session.must(Start{.variables = {{"mood", "calm"}}, .limits = {}});
  for (int i = 0; i < 100 && session.state().status == model::SessionStatus::running; ++i) {
    states.push_back(session.state());
    const auto open = session.state().open_strands();
    session.answer("words", 0, open[static_cast<std::size_t>(i) % open.size()]->open->order);
  }
  EXPECT_EQ(session.state().status, model::SessionStatus::finished);
  EXPECT_GT(states.size(), 15u);
  return states;
}

std::vector<std::string> places(const Program& program, const State& state) {
  std::vector<std::string> found;
  state.each_strand([&](const Strand& strand) {
    for (const auto& frame : strand.frames)
      found.push_back(program.steps[static_cast<std::size_t>(frame.block)].label());
    if (strand.open)
      found.push_back(program.steps[static_cast<std::size_t>(strand.open->instruction)].path);
  });
  return found;
}

TEST(VersionChange, TheSameVersionIsTheSameState) {
  const Program program = compiled(outer(""));
  for (const State& state : states_of(program)) {
    auto moved = move_to_version(program, program, state);
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(moved->to_text(), state.to_text());
  }
}

TEST(VersionChange, StepsAreFoundWhereTheyStandNowAndTheWayBackLeadsBack) {
  const Program program = compiled(outer("")),
                shifted =
                    compiled(outer("  - { id: first, speak: b }\n  - { id: second, speak: a }"));
  int moved_states = 0;
  for (const State& state : states_of(program)) {
    auto moved = move_to_version(program, shifted, state);
    if (!moved) {
      // Only the last step has neither an id nor a block that has one.
      EXPECT_THAT(moved.error().message, HasSubstr("it has no step speak 2"));
      continue;
    }
    ++moved_states;
    EXPECT_NE(places(shifted, *moved), places(program, state));
    auto back = move_to_version(shifted, program, *moved);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->to_text(), state.to_text());
    // ... and can go on from there.
    TestSession session(shifted);
    State goes_on = *moved;
    Answered answer;
    answer.text = "words";
    answer.order = goes_on.open_strands().front()->open->order;
    EXPECT_TRUE(advance(shifted, goes_on, answer, session));
  }
  EXPECT_GT(moved_states, 15);
}

TEST(VersionChange, VariablesAreThoseThatTheOtherVersionDeclares) {
  const Program program = compiled(outer("")),
                other = compiled(outer("", "{ grade: { type: integer, default: 3 } }")),
                lacking = compiled(outer("", "{ mood: calm, grade: { type: integer } }"));
  for (const State& state : states_of(program)) {
    auto moved = move_to_version(program, other, state);
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_FALSE(moved->variables.contains("mood"));
    EXPECT_EQ(base::to_text(moved->variables.at("grade")), "3");
    auto refused = move_to_version(program, lacking, state);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("'grade' has neither a value nor a default"));
  }
}

TEST(VersionChange, ACalledFlowsVariablesAreItsOwn) {
  std::string inner = kInner;
  inner.replace(inner.find("default: 1 }"), 12, "default: 1 }, width: 4");
  const Program program = compiled(outer("")), other = compiled(outer(""), inner);
  bool any = false;
  for (const State& state : states_of(program)) {
    auto moved = move_to_version(program, other, state);
    ASSERT_TRUE(moved) << moved.error().message;
    moved->each_strand([&](const Strand& strand) {
      if (strand.prefix.empty()) return;
      any = true;
      EXPECT_EQ(base::to_text(strand.variables.at("width")), "4");
      EXPECT_EQ(base::to_text(strand.variables.at("depth")), "1");
      // The caller's own are kept for its return.
      for (const auto& frame : strand.frames)
        for (const Scope& caller : frame.caller) EXPECT_TRUE(caller.variables.contains("mood"));
    });
  }
  EXPECT_TRUE(any);
}

}  // namespace
}  // namespace tertulia::flow::test
