#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flow/check.h"
#include "flow/test_session.h"

namespace tertulia::flow {
namespace {

using testing::ElementsAre;

Program compiled(std::string_view steps) {
  const CheckedFlow checked = check_flow(
      "tertulia: 1\nname: x\n"
      "roles: { a: { prompt: A }, b: { prompt: B }, c: { prompt: C } }\n"
      "vars: { n: 1 }\nsteps:\n" +
      std::string(steps));
  for (const Problem& problem : checked.problems)
    EXPECT_NE(problem.severity, Problem::Severity::error) << problem.message;
  return checked.program.value();
}

// "index path kind -> where it leads; loops" of every instruction, -1 for the end.
std::vector<std::string> layout(const Program& program) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Instruction& step = program.steps[i];
    std::string line = fmt::format("{} {} {}", i, step.path, step.kind());
    if (const auto* loop = std::get_if<Loop>(&step.step))
      line += fmt::format(" body {} check {}{}", loop->body, loop->check,
                          loop->check_first ? " first" : "");
    if (const auto* check = std::get_if<LoopCheck>(&step.step))
      line += fmt::format(" of {}", check->loop);
    if (const auto* choice = std::get_if<If>(&step.step))
      line += fmt::format(" then {} else {}", choice->then, choice->otherwise);
    if (step.jump) line += fmt::format(" goto {}", step.jump->target);
    line += fmt::format(" -> {}", step.next);
    for (const int loop : step.loops) line += fmt::format(" in {}", loop);
    lines.push_back(line);
  }
  return lines;
}

TEST(Compile, LinksBlocks) {
  EXPECT_THAT(
      layout(compiled("- speak: a\n"
                      "- loop:\n"
                      "    max: 3\n"
                      "    steps:\n"
                      "    - speak: b\n"
                      "    - if: { contains: x }\n"
                      "      then: [{ set: { n: 2 } }, { speak: c }]\n"
                      "- speak: a\n")),
      ElementsAre("0 1 speak -> 1",  //
                  "1 2 loop body 2 check 6 -> 7",
                  "2 2.loop.1 speak -> 3 in 1",  //
                  "3 2.loop.2 if then 4 else 6 -> 6 in 1", "4 2.loop.2.then.1 set -> 5 in 1",
                  "5 2.loop.2.then.2 speak -> 6 in 1",    //
                  "6 2.check loop_check of 1 -> 7 in 1",  //
                  "7 3 speak -> -1"));
}

TEST(Compile, LinksNestedLoopsAndBranchesAtTheEnd) {
  EXPECT_THAT(layout(compiled("- loop:\n"
                              "    max: 2\n"
                              "    while: { not: { contains: x } }\n"
                              "    steps:\n"
                              "    - loop: { max: 2, steps: [{ id: i, speak: a }] }\n"
                              "- if: { contains: x }\n"
                              "  then: [{ speak: b, id: j, goto: { step: j, max: 1 } }]\n"
                              "  else: [{ end: x }]\n")),
              ElementsAre("0 1 loop body 1 check 4 first -> 5",  //
                          "1 1.loop.1 loop body 2 check 3 -> 4 in 0",
                          "2 1.loop.1.loop.1 speak -> 3 in 0 in 1",
                          "3 1.loop.1.check loop_check of 1 -> 4 in 0 in 1",
                          "4 1.check loop_check of 0 -> 5 in 0",  //
                          "5 2 if then 6 else 7 -> -1",           //
                          "6 2.then.1 speak goto 6 -> -1",        //
                          "7 2.else.1 end -> -1"));
}

// The machine's tests lay out their programs by hand: both must be the same.
TEST(Compile, IsTheLayoutThatTheMachineIsTestedWith) {
  using test::Question;
  const auto text = compiled(
      "- id: first\n  speak: a\n"
      "- loop:\n    max: 2\n    until: { contains: x }\n    steps:\n"
      "    - loop: { max: 3, while: { contains: y }, steps: [{ speak: b }] }\n"
      "    - if: { contains: z }\n"
      "      then: [{ speak: c }, { end: '' }]\n"
      "      else: [{ speak: a, goto: { step: first, max: 2 } }]\n"
      "- speak: c\n");
  const auto tree = test::program_of(
      {test::speak("a", "first"),
       test::loop_until(2, test::said("x"),
                        {test::loop_while(3, test::said("y"), {test::speak("b")}),
                         test::if_(test::said("z"), {test::speak("c"), test::end()},
                                   {test::jumping(test::speak("a"), "first", 2)})}),
       test::speak("c")});
  EXPECT_EQ(layout(text), layout(tree));
}

// A flow of the older system: its goto is taken max times, then the way goes on.
TEST(Compile, AnOlderFlowWithAGotoSpeaksInTheOlderOrder) {
  const CheckedFlow checked = check_flow(
      "tertulia: 1\n"
      "name: adopted-7\n"
      "roles: { Jonh: { prompt: J }, Mason: { prompt: M }, Tom: { prompt: T } }\n"
      "steps:\n"
      "- { id: s1, speak: Jonh, context: all }\n"
      "- { speak: Mason, context: all, goto: { step: s1, max: 3 } }\n"
      "- { speak: Tom, context: all }\n");
  ASSERT_TRUE(checked.ok());
  const auto rows = checked.program->to_rows();
  EXPECT_EQ(rows[1].logic_config, R"({"next_step_order":1,"max_loops":3})");
  const auto stored = Program::from_rows(checked.program->header_json(), rows);
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  for (const Program& program : {*checked.program, *stored}) {
    test::TestSession session(program);
    session.start();
    session.answer_all("words");
    EXPECT_EQ(session.speakers(), "Jonh Mason Jonh Mason Jonh Mason Jonh Mason Tom");
    EXPECT_THAT(session.disagreements(), testing::IsEmpty());
  }
}

TEST(Compile, WhatIsStoredIsWhatWasCompiled) {
  const Program program = compiled(
      "- { id: v, speak: a, to: b, task: 'x {{vars.n}}', document: d, output: { type: string },\n"
      "    context: { scope: this_round, from: [b], last: 2, documents: [d] }, timeout: 3s,\n"
      "    retry: { attempts: 1, backoff: 10ms }, temperature: 0.5, stop: END }\n"
      "- loop: { max: 2, until: { all: [{ output: v, equals: x }, { matches: '^a' }] }, steps: [{ "
      "speak: b }] }\n"
      "- { set: { n: { stat: majority, of: [v] } } }\n"
      "- { if: { var: n, in: [1, two] }, then: [{ end: 'because {{last}}' }] }\n");
  const auto header = base::parse_json(base::to_text(program.header_json()));
  const auto stored = Program::from_rows(header.value().get_object(), program.to_rows());
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  EXPECT_EQ(layout(*stored), layout(program));
  for (int i = 0; i < static_cast<int>(program.steps.size()); ++i)
    EXPECT_EQ(base::to_text(stored->spec_json(i)), base::to_text(program.spec_json(i)));
  EXPECT_EQ(base::to_text(stored->header_json()), base::to_text(program.header_json()));
}

}  // namespace
}  // namespace tertulia::flow
