// Sessions that begin where another one stood and go on under another version of its flow: by the
// real program, on both engines.
#include "support/branching.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class BranchVersionTest : public BranchFixture {
 protected:
  // A flow's text with one part instead of another, as a file.
  std::string changed(const std::string& flow, const std::string& part,
                      const std::string& instead) {
    std::string text = flow;
    const auto at = text.find(part);
    EXPECT_NE(at, std::string::npos) << part;
    if (at != std::string::npos) text.replace(at, part.size(), instead);
    return world_.write("changed.yaml", text);
  }
  Finished refused(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"session", "branch", "1", "--at"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Finished made = world_.run(arguments);
    EXPECT_EQ(made.status, 2) << made.out << made.err;
    return made;
  }
};
INSTANTIATE_TEST_SUITE_P(, BranchVersionTest, testing::Bool(), engine_name);

TEST_P(BranchVersionTest, FromEveryStepItGoesOnUnderTheOtherVersion) {
  perform();
  const json::object whole = document("1");
  const auto rows = static_cast<int>(whole.at("step_execution_logs").as_array().size());
  // A step more at the front (so that every step stands elsewhere), one more in the loop, and one
  // at the end.
  std::string text = kLoopingFlow;
  text.replace(text.find("  - speak: writer\n"), 0, "  - { id: greeting, speak: critic }\n");
  text.replace(text.find("        - set:"), 0, "        - { id: remark, speak: critic }\n");
  text.replace(text.find("result:"), 0, "  - { id: farewell, speak: writer, task: Farewell. }\n");
  // The unnamed steps of the looping flow are the same where they stand in the same place.
  const std::string named = changed(text, "  - loop:\n", "  - id: revising\n    loop:\n");
  const Finished elsewhere = refused({"2", "--flow", named});
  EXPECT_THAT(elsewhere.err, HasSubstr("cannot take over at"));
  EXPECT_THAT(elsewhere.err, HasSubstr("it has no step"));

  text = kLoopingFlow;
  text.replace(text.find("        - set:"), 0, "        - { id: remark, speak: critic }\n");
  text.replace(text.find("result:"), 0, "  - { id: farewell, speak: writer, task: Farewell. }\n");
  const std::string file = world_.write("changed.yaml", text);
  ASSERT_EQ(world_.run({"flow", "check", file}).status, 0);
  int made = 0;
  for (int order = 1; order <= rows; ++order) {
    SCOPED_TRACE(order);
    const Finished other = world_.run(
        {"--json", "session", "branch", "1", "--at", std::to_string(order), "--flow", file});
    // A step without an id after the new one in the loop is another step there.
    if (other.status != 0) {
      EXPECT_THAT(other.err + other.out, HasSubstr("it has no step"));
      continue;
    }
    ++made;
    const std::string id = base::to_text(object_of(other.out).at("session_id"));
    expect_explained(id);
    if (shown(id).at("status") != "finished") resume(id);
    expect_explained(id);
    EXPECT_THAT(conversation(id), HasSubstr("Farewell"));
    EXPECT_EQ(shown(id).at("flow_version"), 3);
  }
  EXPECT_GT(made, 5);
  EXPECT_EQ(shown("1").at("flow_version"), 1);
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

TEST_P(BranchVersionTest, AStoredVersionIsNamedByNumberOrAsTheLatest) {
  perform();
  ASSERT_EQ(world_
                .run({"flow", "import",
                      changed(kLoopingFlow, "Say what is missing.", "Kindly say what is missing.")})
                .status,
            0);
  for (const char* version : {"2", "latest"}) {
    const std::string id = branch("1", 4, {"--flow-version", version});
    expect_explained(id);
    EXPECT_EQ(shown(id).at("flow_version"), 2);
    resume(id);
    expect_explained(id);
  }
  // Back again: a branch of the branch, after and before its seam.
  for (int order : {2, 4, 6}) {
    const std::string back = branch("2", order, {"--flow-version", "1"});
    expect_explained(back);
    resume(back);
    expect_explained(back);
    EXPECT_EQ(shown(back).at("flow_version"), 1);
    EXPECT_EQ(conversation(back), conversation("1")) << order;
    // ... which goes on under its own version, where it had another one before.
    const std::string kept = branch(back, 3);
    expect_explained(kept);
    resume(kept);
    EXPECT_EQ(conversation(kept), conversation("1"));
  }
  const std::string kept = branch("2", 2);
  EXPECT_EQ(shown(kept).at("flow_version"), 2);
  expect_explained(kept);
  EXPECT_THAT(refused({"4", "--flow-version", "9"}).err, HasSubstr("no version 9"));
  EXPECT_THAT(refused({"4", "--flow-version", "newest"}).err, HasSubstr("a number or latest"));
  EXPECT_THAT(refused({"4", "--flow-version", "1", "--flow", world_.path("changed.yaml")}).err,
              HasSubstr("--flow"));
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

constexpr const char* kTeam = R"(tertulia: 1
name: team
topic: Friday?
roles:
  a: { name: Ana, prompt: "For." }
  b: { name: Ben, prompt: "Against." }
  d: { name: Dan, prompt: "Listens." }
vars: { mood: calm }
steps:
  - { id: opening, speak: a }
  - id: rounds
    loop:
      max: 2
      steps:
        - { id: view, speak: a, output: { type: object, required: [n], properties: { n: { type: integer, minimum: 1, maximum: 3 } } } }
        - id: sides
          parallel:
            each: [a, b]
            do: [ { id: side, speak: each }, { id: rest, speak: each } ]
        - { id: turns, discuss: { among: [a, b], order: fixed, max: 2 } }
  - { id: closing, speak: b, task: "In a {{vars.mood}} mood." }
)";

TEST_P(BranchVersionTest, RolesPromptsVariablesAndStepsMayBeNew) {
  perform({}, 0, kTeam);
  std::string text = kTeam;
  text.replace(text.find("\"Against.\""), 10, "\"Firmly against.\"");
  text.replace(text.find("vars:"), 0, "  c: { name: Cem, prompt: \"You mend.\" }\n");
  text.replace(text.find("mood: calm"), 10, "mood: calm, grade: high");
  text.replace(text.find("  - { id: closing"), 0,
               "  - { id: mending, speak: c, task: \"A {{vars.grade}} grade.\" }\n");
  const std::string file = world_.write("changed.yaml", text);
  const json::object whole = document("1");
  const auto rows = static_cast<int>(whole.at("step_execution_logs").as_array().size());
  for (int order = 1; order <= rows; ++order) {
    SCOPED_TRACE(order);
    const std::string id = branch("1", order, {"--flow", file});
    expect_explained(id);
    if (shown(id).at("status") == "finished") continue;
    EXPECT_EQ(world_.run({"session", "resume", id}).status, 0);
    expect_explained(id);
    const bool mended = conversation(id).find("\"c\"") != std::string::npos;
    EXPECT_EQ(mended, order < rows) << conversation(id);
    const json::object now = shown(id);
    for (const auto& role : now.at("cast").as_array())
      if (role.at("ref") == "b") {
        EXPECT_EQ(role.at("name"), "Ben");
      }
  }
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

TEST_P(BranchVersionTest, WhatTheOtherVersionLacksIsNamed) {
  perform({}, 0, kTeam);
  const auto said = [&](const std::string& part, const std::string& instead,
                        const std::string& order, const std::string& words) {
    SCOPED_TRACE(words);
    const Finished made = refused({order, "--flow", changed(kTeam, part, instead)});
    EXPECT_THAT(made.err, HasSubstr(words));
    EXPECT_THAT(made.err, HasSubstr("tertulia session log"));
  };
  // 1 opening, 2 rounds, 3 view, 4 sides, 5 6 side, 7 8 rest, 9 turns, 10 11 turns
  said("id: opening", "id: beginning", "1", "no step 'opening'");
  said("id: rounds", "id: laps", "3", "no step 'rounds'");
  said("id: view, speak: a", "id: view, speak: b", "3", "'a' does not speak");
  said("each: [a, b]", "each: [b, a]", "5", "the branches are others");
  said("{ id: side, speak: each }, ", "", "5", "no step 'side'");
  said("among: [a, b]", "among: [b, d]", "10", "'a' takes no turns");
  said("mood: calm", "mood: { type: integer }", "1", "'mood'");
  said("  - { id: opening, speak: a }\n",
       "  - loop: { max: 2, steps: [ { id: opening, speak: a } ] }\n", "1",
       "the blocks around it are others");

  const std::string file = changed(kTeam, "required: [n]", "required: [n, why]");
  EXPECT_THAT(refused({"3", "--flow", file}).err, HasSubstr("does not fit the output"));
  const std::string other = changed(kTeam, "name: team", "name: crew");
  EXPECT_THAT(refused({"3", "--flow", other}).err, HasSubstr("is the flow 'crew'"));
  const std::string broken = changed(kTeam, "speak: b", "speak: nobody");
  EXPECT_EQ(world_.run({"session", "branch", "1", "--at", "3", "--flow", broken}).status, 2);
  EXPECT_EQ(sessions(), 1u);
}

TEST_P(BranchVersionTest, AStepMayAskForAnOutputThatItDidNot) {
  perform({}, 0, kTeam);
  const std::string file =
      changed(kTeam, "{ id: opening, speak: a }",
              "{ id: opening, speak: a, output: { type: object, required: [x], properties: { x: { "
              "type: integer } } } }");
  EXPECT_THAT(refused({"1", "--flow", file}).err, HasSubstr("say with --edit what fits"));
  const std::string id = branch("1", 1, {"--flow", file, "--edit", "{\"x\": 4}"});
  expect_explained(id);
  EXPECT_THAT(told(id), HasSubstr("\"x\":4"));
  resume(id);
  expect_explained(id);
}

TEST_P(BranchVersionTest, ItIsExportedAndImportedWithBothVersions) {
  perform({}, 0, kTeam);
  const std::string id = branch("1", 7, {"--flow", changed(kTeam, "\"In a", "\"Now, in a")});
  const std::string begun = told(id);
  for (int pass = 0; pass < 2; ++pass) {  // while it stands in the block, and when it is over
    const Finished exported = world_.run({"session", "export", id, "--format", "json"});
    ASSERT_EQ(exported.status, 0);
    World there;
    const std::string file = there.write("s.json", exported.out);
    for (int again = 0; again < 2; ++again) {
      const Finished imported = there.run({"--json", "session", "import", file});
      ASSERT_EQ(imported.status, 0) << imported.out << imported.err;
      EXPECT_EQ(object_of(imported.out).at("flow_version"), 2);
    }
    EXPECT_EQ(there.run({"session", "replay", "2"}).status, 0);
    if (pass == 0) {
      EXPECT_EQ(there.run({"session", "resume", "2"}).status, 0);
    }
    EXPECT_EQ(there.run({"db", "verify"}).status, 0);
    if (pass == 0) resume(id);
  }
}

}  // namespace
}  // namespace tertulia::test
