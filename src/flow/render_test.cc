#include "flow/render.h"

#include <gtest/gtest.h>

#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

// A session in its second round, with an output, a document and variables.
class Render : public ::testing::Test {
 protected:
  Render() : session_(made()) {
    session_.must(Start{.variables = {{"n", 7},
                                      {"list", json::array{1, "two"}},
                                      {"none", nullptr},
                                      {"text", "{{topic}}"}},
                        .limits = {}});
    session_.must(Answered{
        .text = "{{vars.n}}",
        .output = base::parse_json(R"({"score":4.5,"why":{"long":["a","b"]},"a.b":1})").value(),
        .duration_ms = 0,
        .data = {}});
    session_.answer("The draft.");
  }

  static Program made() {
    Program program = program_of({loop(9, {speak("critic", "verdict"), speak("author")})});
    std::get<Speak>(program.steps[2].step).document = "essay";
    return program;
  }

  std::string expanded(std::string_view text) {
    const SessionFacts facts(session_.state(), session_.state(), session_);
    auto parsed = Text::parse(text);
    if (!parsed) return "error: " + parsed.error().message;
    return expand(*parsed,
                  {.facts = &facts, .topic = "tea", .role_name = "Author", .to_name = "Critic"});
  }

  TestSession session_;
};

TEST_F(Render, PutsEveryReferenceIn) {
  const std::pair<const char*, const char*> cases[] = {
      {"no reference", "no reference"},
      {"{{topic}}", "tea"},
      {"round {{round}}, iteration {{iteration}}", "round 2, iteration 2"},
      {"{{role.name}} to {{to.name}}", "Author to Critic"},
      {"{{last}}", "The draft."},
      {"{{vars.n}} {{vars.list}}", "7 [1,\"two\"]"},
      {"<{{vars.none}}>", "<>"},
      {"{{output.verdict.score}}", "4.5"},
      {"{{output.verdict.why}}", R"({"long":["a","b"]})"},
      {"{{output.verdict.why.long.1}}", "b"},
      {"<{{output.verdict.why.long.2}}>", "<>"},
      {"<{{output.verdict.why.long.x}}>", "<>"},
      {"<{{output.verdict.score.deeper}}>", "<>"},
      {"<{{output.never.score}}>", "<>"},
      {"{{document.essay}}", "The draft."},
      {"<{{document.other}}>", "<>"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(expanded(text), expected) << text;
}

TEST_F(Render, NeverExpandsWhatAValueHolds) {
  EXPECT_EQ(expanded("{{vars.text}}"), "{{topic}}");
}

}  // namespace
}  // namespace tertulia::flow::test
