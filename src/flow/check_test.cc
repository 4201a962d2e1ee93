#include "flow/check.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "flow/test_flows.h"

namespace tertulia::flow {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string shown(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems)
    text += fmt::format("{}:{}: {}{}\n", problem.line, problem.column,
                        problem.severity == Problem::Severity::warning ? "warning: " : "",
                        problem.message);
  return text;
}

CheckOptions options() {
  CheckOptions options;
  options.read_file = [](const std::string& name) -> base::Result<std::string> {
    if (name == "sceptic.md") return std::string("You doubt.\n");
    return base::Error{.code = base::Code::not_found, .message = "there is no file " + name};
  };
  options.profiles = {"cheap", "strong"};
  options.stored_roles = {"chairperson"};
  return options;
}

CheckedFlow check(std::string_view source) {
  return check_flow(source, options());
}

// Five lines; what follows are the steps from line 6 on.
constexpr std::string_view kHead = R"(tertulia: 1
name: x
roles: { a: { prompt: A }, b: { prompt: B }, c: { prompt: C } }
vars: { n: { type: integer, default: 3, minimum: 1, maximum: 9 }, any: 1 }
steps:
)";

CheckedFlow check_steps(std::string_view steps) {
  return check(std::string(kHead) + std::string(steps));
}

// The example of the language's reference, without what comes later.
constexpr std::string_view kExample = R"(tertulia: 1
name: review-board
title: Design review board
language: en
topic: Should we store sessions in SQLite?     # a session may set its own
roles:
  author:  { name: Author,  prompt: "You defend the proposal ..." }
  sceptic: { name: Sceptic, prompt_file: sceptic.md, model: cheap, temperature: 0.9 }
  chair:   { use: chairperson, max_tokens: 2k, stop: [END, STOP] }
vars:
  strictness: { type: integer, default: 7, minimum: 1, maximum: 10 }
  plain: 7
limits: { steps: 60, rounds: 8, time: 20m }
steps:
  - speak: author
    task: Present the proposal in five sentences.
    context: topic
    document: proposal
  - loop:
      max: 3
      until: { contains: NO CONCERNS, of: sceptic }
      steps:
        - speak: sceptic
          to: author
          task: Raise the most serious open concern.
          context: { from: [author, sceptic], last: 6 }
        - speak: author
          to: sceptic
          task: Answer {{to.name}}, then give the whole proposal again, improved.
          context: { scope: this_round, documents: [proposal] }
          document: proposal
  - id: verdict
    speak: chair
    task: Decide, strictness {{vars.strictness}} of 10.
    context: { scope: all, max_tokens: 6000 }
    output: { type: object, required: [decision, score], properties: { decision: {enum: [accept, reject]}, score: {type: integer} } }
    retry: { attempts: 3, backoff: 2s }
    timeout: 60s
  - if: { output: verdict, at: /decision, equals: reject }
    then:
      - set: { plain: { output: verdict, at: /score }, strictness: 8 }
      - end: "Rejected with {{output.verdict.score}}"
result: { output: verdict }
)";

TEST(Check, TheExampleOfTheReferenceIsWithoutProblems) {
  const CheckedFlow checked = check(kExample);
  EXPECT_EQ(shown(checked.problems), "");
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ(checked.name, "review-board");
  EXPECT_EQ(checked.format, "yaml");
  const Program& program = *checked.program;
  EXPECT_EQ(program.title, "Design review board");
  EXPECT_EQ(program.topic, "Should we store sessions in SQLite?");
  ASSERT_EQ(program.roles.size(), 3U);
  EXPECT_EQ(program.roles[1].prompt, "You doubt.\n");
  EXPECT_EQ(program.roles[1].model, "cheap");
  EXPECT_EQ(program.roles[2].use, "chairperson");
  EXPECT_EQ(base::to_text(program.roles[2].parameters),
            R"({"max_tokens":2000,"stop":["END","STOP"]})");
  EXPECT_EQ(program.limits.steps, 60);
  EXPECT_EQ(program.limits.rounds, 8);
  EXPECT_EQ(program.limits.time_ms, 20 * 60'000);
  EXPECT_EQ(program.variables[1].initial, json::value(7));
  EXPECT_EQ(program.result, "verdict");
  const auto& verdict = std::get<Speak>(program.named("verdict")->step);
  EXPECT_EQ(verdict.context.max_tokens, 6000);
  EXPECT_EQ(verdict.retry.backoff_ms, 2000);
  EXPECT_EQ(verdict.timeout_ms, 60'000);
}

TEST(Check, TheSameInJsonIsTheSameProgram) {
  const auto yaml = check(kExample);
  ASSERT_TRUE(yaml.ok());
  // What the program says, written as JSON by hand for two of its steps.
  const auto flow = check(R"({"tertulia": 1, "name": "x",
    "roles": {"a": {"prompt": "A\n\"quoted\" \u4eba"}},
    "steps": [{"speak": "a", "timeout": "60s",
               "output": {"enum": ["1", 1, true, null, 1.5]}}]})");
  EXPECT_EQ(shown(flow.problems), "");
  ASSERT_TRUE(flow.ok());
  EXPECT_EQ(flow.format, "json");
  EXPECT_EQ(flow.program->roles[0].prompt, "A\n\"quoted\" 人");
  const auto& speak = std::get<Speak>(flow.program->steps[0].step);
  EXPECT_EQ(base::to_text(*speak.output), R"({"enum":["1",1,true,null,1.5]})");
}

struct Case {
  std::string_view steps;
  std::string_view at;
  std::vector<std::string> fragments;
};

void expect_error(const CheckedFlow& checked, const Case& each) {
  EXPECT_FALSE(checked.ok()) << each.steps;
  std::vector<Problem> errors = checked.problems;
  std::erase_if(errors, [](const Problem& problem) {
    return problem.severity == Problem::Severity::warning;
  });
  const std::string problems = shown(errors);
  // Exactly one, so that no mistake drags others along.
  EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 1) << each.steps << problems;
  EXPECT_THAT(problems, testing::StartsWith(std::string(each.at) + ": ")) << each.steps;
  for (const std::string& fragment : each.fragments)
    EXPECT_THAT(problems, HasSubstr(fragment)) << each.steps;
}

TEST(Check, TellsEachMistakeInAStepAtItsPlace) {
  for (const Case& each : std::vector<Case>{
           // Names.
           {"- speak: d\n", "6:10", {"unknown role 'd'", "did you mean 'a'"}},
           {"- speak: 打工人（产品）\n", "6:10", {"unknown role '打工人（产品）'", "a, b, c"}},
           {"- { speak: a, to: zz9 }\n", "6:19", {"unknown role 'zz9'"}},
           {"- { speak: a, context: [b, q] }\n", "6:28", {"unknown role 'q'"}},
           {"- { speak: a, task: '{{vars.m}}' }\n", "6:22", {"unknown variable 'm'", "'n'"}},
           {"- { speak: a, task: 'x {{topik}}' }\n", "6:24", {"'{{topik}}'", "'{{topic}}'"}},
           {"- { speak: a, task: '{{output.v.x}}' }\n", "6:22", {"no step 'v' with an output"}},
           {"- { speak: a, task: '{{document.d}}' }\n",
            "6:22",
            {"no step writes the document 'd'"}},
           {"- { speak: a, task: '{{to.name}}' }\n", "6:22", {"no 'to'"}},
           {"- { speak: a, context: { documents: [d] } }\n", "6:38", {"document 'd'"}},
           {"- speak: a\n- end: 'by {{role.name}}'\n", "7:12", {"nobody speaks"}},
           // Keys.
           {"- { speak: a, taks: x }\n", "6:15", {"unknown key 'taks'", "did you mean 'task'?"}},
           {"- { speak: a, task: x, task: y }\n", "6:24", {"'task' stands twice"}},
           {"- { speek: a }\n", "6:5", {"unknown key 'speek'", "did you mean 'speak'?"}},
           {"- { speak: a, context: { lost: 3 } }\n", "6:26", {"'lost'", "did you mean 'last'?"}},
           {"- { speak: a, retry: { attempt: 3 } }\n", "6:24", {"did you mean 'attempts'?"}},
           {"- loop: { max: 2, untill: { contains: x }, steps: [{ speak: a }] }\n",
            "6:19",
            {"did you mean 'until'?"}},
           {"- { speak: a, set: { n: 1 } }\n", "6:3", {"one kind", "speak and set"}},
           {"- 7\n", "6:3", {"expected a step"}},
           {"- [speak, a]\n", "6:3", {"expected a step"}},
           {"- {}\n", "6:3", {"needs one of speak, ask, discuss, loop, if, parallel, call"}},
           // What comes later is told apart from what is unknown.
           {"- { ask: d }\n", "6:10", {"unknown role 'd'"}},
           {"- { ask: a, choices: [x] }\n", "6:22", {"two at least"}},
           {"- { ask: a, choices: [x, y, x] }\n", "6:22", {"'x' stands there twice"}},
           {"- { ask: a, default: x }\n", "6:22", {"needs a 'timeout'"}},
           {"- { ask: a, choices: [x, y], default: z, timeout: 1h }\n",
            "6:39",
            {"'z' is none of the choices"}},
           {"- { ask: a, prompt: '{{to.name}}' }\n", "6:22", {"no 'to'"}},
           {"- { ask: a, task: x }\n", "6:13", {"unknown key 'task'"}},
           // Turns.
           {"- { discuss: { among: [a, b] } }\n", "6:14", {"needs 'max'"}},
           {"- { discuss: { max: 2 } }\n", "6:14", {"needs 'among'"}},
           {"- { discuss: { max: 2, among: [a] } }\n", "6:31", {"two roles at least"}},
           {"- { discuss: { max: 2, among: [a, a] } }\n", "6:31", {"'a' stands there twice"}},
           {"- { discuss: { max: 2, among: [a, z] } }\n", "6:35", {"unknown role 'z'"}},
           {"- { discuss: { max: 2, among: [a, b], order: random_ } }\n",
            "6:46",
            {"fixed, round_robin, random, moderator"}},
           {"- { discuss: { max: 2, among: [a, b], order: moderator } }\n",
            "6:46",
            {"needs 'moderator'"}},
           {"- { discuss: { max: 2, among: [a, b], moderator: a } }\n",
            "6:50",
            {"'order: moderator'"}},
           {"- { discuss: { max: 2, among: [a, b], task: '{{to.name}}' } }\n",
            "6:46",
            {"said to everyone"}},
           // Branches.
           {"- { parallel: [[{ speak: a }]] }\n", "6:15", {"two branches at least"}},
           {"- { parallel: { do: [{ speak: a }] } }\n", "6:15", {"needs 'each'"}},
           {"- { parallel: { each: [a, b] } }\n", "6:15", {"needs 'do'"}},
           {"- { parallel: { each: [a], do: [{ speak: each }] } }\n",
            "6:23",
            {"two roles at least"}},
           {"- { speak: each }\n", "6:12", {"unknown role 'each'"}},
           {"- { speak: a, task: '{{each.name}}' }\n", "6:22", {"'parallel: {each"}},
           {"- { parallel: [[{ set: { n: 1 } }], [{ set: { n: 2 } }]] }\n",
            "6:38",
            {"two branches set 'n' at the same time"}},
           {"- { parallel: [[{ speak: a, document: d }], [{ speak: b, document: d }]] }\n",
            "6:46",
            {"two branches write the document 'd'"}},
           {"- { parallel: { each: [a, b], do: [{ set: { n: 1 } }] } }\n",
            "6:36",
            {"two branches set 'n'"}},
           {"- { id: top, parallel: [[{ speak: a, goto: { step: top, max: 1 } }], [{ speak: b }]] }"
            "\n",
            "6:44",
            {"out of a parallel's branch"}},
           {"- { parallel: { each: [a, b], do: [{ id: s, speak: each, output: { type: integer } "
            "}] } }\n- { if: { output: s, equals: 1 }, then: [{ speak: a }] }\n",
            "7:19",
            {"only a stat takes"}},
           // Other flows.
           {"- { call: other, with: { topic: x } }\n", "6:11", {"no store to find it in"}},
           {"- { call: x }\n", "6:11", {"calls itself"}},
           {"- { speak: a, context: { from: [call audit] } }\n",
            "6:33",
            {"no call with the id 'audit'"}},
           {"- { speak: a, continue: 0 }\n", "6:25", {"from 1"}},
           {"- { speak: a, continue: 2, output: { type: integer } }\n",
            "6:25",
            {"an output is one piece"}},
           {"- { speak: a, tools: [] }\n", "6:15", {"'tools'", "cannot perform"}},
           {"- { speak: a, knowledge: k }\n", "6:15", {"'knowledge'", "cannot perform"}},
           {"- loop: { max: 2, until: { judge: a }, steps: [{ speak: a }] }\n",
            "6:26",
            {"needs 'question'"}},
           {"- loop: { max: 2, until: { judge: z, question: x }, steps: [{ speak: a }] }\n",
            "6:35",
            {"unknown role 'z'"}},
           {"- { id: s, speak: a, goto: { step: s, max: 1, when: { judge: a, question: x } } }\n",
            "6:53",
            {"cannot ask a judge"}},
           // Values.
           {"- { speak: a, timeout: 60 }\n", "6:24", {"duration", "'60'"}},
           {"- { speak: a, timeout: 0s }\n", "6:24", {"duration", "'0s'"}},
           {"- { speak: a, timeout: soon }\n", "6:24", {"duration", "'soon'"}},
           {"- { speak: a, retry: { attempts: 0 } }\n", "6:34", {"from 1"}},
           {"- { speak: a, temperature: 2.1 }\n", "6:28", {"from 0 to 2"}},
           {"- { speak: a, top_p: hot }\n", "6:22", {"number", "'hot'"}},
           {"- { speak: a, max_tokens: 2x }\n", "6:27", {"20k", "'2x'"}},
           {"- { speak: a, max_tokens: 99999999999999999999 }\n", "6:27", {"max_tokens"}},
           {"- { speak: a, context: sum }\n", "6:24", {"unknown context 'sum'"}},
           {"- { speak: a, context: lst }\n", "6:24", {"did you mean 'last'?"}},
           {"- { speak: a, context: last_n_messages }\n", "6:24", {"{ last: N }"}},
           {"- { speak: a, context: { scope: al } }\n", "6:33", {"did you mean 'all'?"}},
           {"- { speak: a, context: { last: 0 } }\n", "6:32", {"from 1"}},
           {"- { speak: a, context: { from: [] } }\n", "6:32", {"names no role"}},
           {"- { speak: a, context: { from: [a], except: [b] } }\n", "6:45", {"not both"}},
           {"- { speak: a, context: { anonymous: yes } }\n", "6:37", {"true or false", "'yes'"}},
           {"- { speak: [a] }\n", "6:12", {"expected a text", "a list"}},
           {"- { speak: a, id: two words }\n", "6:19", {"one word", "'two words'"}},
           {"- { speak: a, document: 'a/b' }\n", "6:25", {"one word"}},
           // Structured outputs.
           {"- { speak: a, output: text }\n", "6:23", {"JSON Schema"}},
           {"- { speak: a, output: { type: text } }\n", "6:25", {"/type", "expected one of"}},
           {"- { speak: a, output: { properties: { x: { oneOf: [] } } } }\n",
            "6:44",
            {"/properties/x/oneOf", "not supported"}},
           {"- { speak: a, output: { items: { pattern: '(' } } }\n", "6:34", {"RE2"}},
           // Blocks.
           {"- loop: { steps: [{ speak: a }] }\n", "6:9", {"needs 'max'"}},
           {"- loop: { max: 0, steps: [{ speak: a }] }\n", "6:16", {"from 1"}},
           {"- loop: { max: 2 }\n", "6:9", {"needs 'steps'"}},
           {"- loop: { max: 2, steps: [] }\n", "6:26", {"no step"}},
           {"- loop: { max: 2, steps: { speak: a } }\n", "6:26", {"list of steps"}},
           {"- loop: { max: 2, until: { contains: x }, while: { contains: y }, steps: [{ speak: a "
            "}] }\n",
            "6:50",
            {"not both"}},
           {"- { if: { contains: x } }\n", "6:3", {"'then' or 'else'"}},
           // Conditions.
           {"- { speak: a, id: i, goto: { step: i, max: 1, when: maybe } }\n",
            "6:53",
            {"expected a condition"}},
           {"- { if: { matches: '(' }, then: [{ speak: a }] }\n", "6:20", {"RE2"}},
           {"- { if: { contains: x, off: a }, then: [{ speak: a }] }\n", "6:24", {"'off'", "'of'"}},
           {"- { if: { var: n }, then: [{ speak: a }] }\n", "6:9", {"compares with one of"}},
           {"- { if: { var: n, gt: 1, lt: 3 }, then: [{ speak: a }] }\n",
            "6:9",
            {"compares with one of"}},
           {"- { if: { var: n, in: 3 }, then: [{ speak: a }] }\n", "6:23", {"list"}},
           {"- { if: { all: [] }, then: [{ speak: a }] }\n", "6:16", {"list of conditions"}},
           {"- { if: { rounds_at_least: 0 }, then: [{ speak: a }] }\n", "6:28", {"from 1"}},
           {"- { if: { contians: x }, then: [{ speak: a }] }\n",
            "6:11",
            {"did you mean 'contains'?"}},
           // Variables.
           {"- { set: { m: 1 } }\n", "6:15", {"unknown variable 'm'"}},
           {"- { set: { n: lots } }\n", "6:15", {"type integer", "\"lots\""}},
           {"- { set: { n: '4' } }\n", "6:15", {"type integer"}},
           {"- { set: { n: 10 } }\n", "6:15", {"at most 9"}},
           {"- { set: { any: { outptu: v } } }\n", "6:17", {"output: STEP"}},
           {"- { set: { any: { stat: middle, of: [] } } }\n", "6:25", {"'middle'", "median"}},
           {"- { set: { any: { stat: mean } } }\n", "6:17", {"'of'"}},
           // Gotos.
           {"- { speak: a, goto: { step: x, max: 1 } }\n", "6:29", {"no step with the id 'x'"}},
           {"- { speak: a, id: i, goto: { step: i } }\n", "6:28", {"needs 'max'"}},
       })
    expect_error(check_steps(each.steps), each);
}

// A goto always has its own warning.
TEST(Check, RefusesGotosThatHaveNoMeaning) {
  struct Bad {
    std::string_view steps;
    std::string_view fragment;
  };
  for (const Bad& each : std::vector<Bad>{
           {"- loop: { max: 2, steps: [{ id: i, speak: a }] }\n- { speak: b, goto: { "
            "step: i, max: 1 } }\n",
            "7:21: goto leads into a block from outside, or out of a parallel's branch: 'i'"},
           {"- { if: { contains: x }, then: [{ id: i, speak: a }], else: [{ speak: b, "
            "goto: { step: i, max: 1 } }] }\n",
            "goto leads into a block from outside"},
           {"- { id: i, speak: a }\n- { if: { contains: x }, then: [{ speak: b }], "
            "goto: { step: i, max: 1 } }\n",
            "cannot perform a goto on an 'if'"},
           {"- { id: i, speak: a }\n- { end: x, goto: { step: i, max: 1 } }\n",
            "is never taken"}}) {
    const CheckedFlow checked = check_steps(each.steps);
    EXPECT_FALSE(checked.ok()) << each.steps;
    EXPECT_THAT(shown(checked.problems), HasSubstr(std::string(each.fragment)));
  }
  // From inside a block to a step around it is well.
  EXPECT_TRUE(check_steps("- { id: i, speak: a }\n"
                          "- loop: { max: 2, steps: [{ id: j, speak: b },\n"
                          "    { speak: a, goto: { step: j, max: 1 } },\n"
                          "    { speak: b, goto: { step: i, max: 1 } }] }\n")
                  .ok());
}

TEST(Check, FollowsPointersThroughAnOutputsSchema) {
  const std::string output =
      "- id: v\n  speak: a\n  output:\n"
      "    type: object\n"
      "    properties:\n"
      "      score: { type: integer, minimum: 1, maximum: 10 }\n"
      "      a/b: { type: string }\n"
      "      free: {}\n"
      "      open: { type: object, additionalProperties: true, properties: { x: {} } }\n"
      "      list: { type: array, items: { $ref: '#/$defs/item' } }\n"
      "      either: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/item' }] }\n"
      "    $defs: { item: { type: object, properties: { name: { enum: [x, y] } } } }\n";
  struct Pointer {
    std::string_view test;
    std::string_view problem;  // empty: none
  };
  for (const Pointer& each :
       std::vector<Pointer>{{"at: /score, gt: 3", ""},
                            {"at: /a~1b, equals: x", ""},
                            {"at: /free/with/anything, equals: 1", ""},
                            {"at: /open/y, equals: 1", ""},
                            {"at: /list/0/name, equals: x", ""},
                            {"at: /either/name, equals: y", ""},
                            {"at: '', not_equals: 1", ""},
                            {"at: /score, equals: null", ""},
                            {"at: /scroe, gt: 3", "has no 'scroe'; did you mean 'score'?"},
                            {"at: /score/x, gt: 3", "has no 'x'"},
                            {"at: /list/first, equals: 3", "has no 'first'"},
                            {"at: /list/0/nam, equals: x", "did you mean 'name'?"},
                            {"at: /either/nam, equals: x", "did you mean 'name'?"},
                            {"at: score, gt: 3", "JSON pointer"},
                            {"at: /score, equals: 11", "warning: this is never true"},
                            {"at: /score, equals: high", "warning: this is never true"},
                            {"at: /score, gt: 10", "warning: this is never true"},
                            {"at: /score, gte: 10", ""},
                            {"at: /score, lt: 1", "warning: this is never true"},
                            {"at: /score, gt: a", "warning: this is never true"},
                            {"at: /score, in: [0, 11]", "warning: this is never true"},
                            {"at: /score, in: [0, 10]", ""},
                            {"at: /list/0/name, equals: z", "warning: this is never true"},
                            {"at: /either/name, in: [z, y]", ""}}) {
    const CheckedFlow checked = check_steps(output + "- if: { output: v, " +
                                            std::string(each.test) + " }\n  then: [{ end: x }]\n");
    const std::string problems = shown(checked.problems);
    if (each.problem.empty()) {
      EXPECT_EQ(problems, "") << each.test;
    } else {
      EXPECT_THAT(problems, HasSubstr(std::string(each.problem))) << each.test;
    }
  }
  EXPECT_THAT(shown(check_steps("- { id: v, speak: a }\n"
                                "- { if: { output: v, gt: 1 }, then: [{ end: x }] }\n")
                        .problems),
              HasSubstr("7:19: the step 'v' has no 'output'"));
  EXPECT_THAT(shown(check_steps(output + "- { speak: b, task: '{{output.v.scroe}}' }\n").problems),
              HasSubstr("did you mean 'score'?"));
}

TEST(Check, TellsEachMistakeAboveTheSteps) {
  const std::string steps = "steps: [{ speak: a }]\n";
  const std::string roles = "roles: { a: { prompt: A } }\n";
  for (const Case& each : std::vector<Case>{
           {"", "1:1", {"'tertulia: 1'"}},
           {"just words\n", "1:1", {"mapping"}},
           {"[1, 2]\n", "1:1", {"mapping"}},
           {"name: x\nroles: { a: { prompt: A } }\nsteps: [{ speak: a }]\n",
            "1:1",
            {"'tertulia: 1'"}},
           {"tertulia: 2\nname: x\nroles: { a: { prompt: A } }\nsteps: [{ speak: a }]\n",
            "1:11",
            {"version 1"}},
           {"tertulia: 1\nroles: { a: { prompt: A } }\nsteps: [{ speak: a }]\n",
            "1:1",
            {"'name' is missing"}},
           {"tertulia: 1\nname: Two Words\nroles: { a: { prompt: A } }\nsteps: [{ speak: a }]\n",
            "2:7",
            {"a-z, 0-9 and -", "Two Words"}},
           {"tertulia: 1\nname: x\nsteps: [{ speak: a }]\n", "1:1", {"'roles' is missing"}},
           {"tertulia: 1\nname: x\nroles: { a: { prompt: A } }\n", "1:1", {"'steps' is missing"}},
           {"tertulia: 1\nname: x\nroles: { a: { prompt: A } }\nsteps: []\n", "4:8", {"no step"}},
           {"tertulia: 1\nname: x\nroels: {}\nroles: { a: { prompt: A } }\nsteps: [{ speak: a }]\n",
            "3:1",
            {"unknown key 'roels'", "did you mean 'roles'?"}},
           {"tertulia: 1\nname: x\nname: y\nroles: { a: { prompt: A } }\nsteps: [{ speak: a }]\n",
            "3:1",
            {"'name' stands twice"}},
       }) {
    const CheckedFlow checked = check(each.steps);
    EXPECT_FALSE(checked.ok()) << each.steps;
    const std::string problems = shown(checked.problems);
    EXPECT_THAT(problems, HasSubstr(std::string(each.at) + ": ")) << each.steps;
    for (const std::string& fragment : each.fragments)
      EXPECT_THAT(problems, HasSubstr(fragment)) << each.steps;
  }

  for (const Case& each : std::vector<Case>{
           {"language: fr\n", "4:11", {"'fr'", "en, zh"}},
           {"format: { greeting: Hi }\n", "4:11", {"greeting"}},
           {"format: { speaker: '{{nmae}}' }\n", "4:11", {"nmae"}},
           {"limits: { steps: none }\n", "4:18", {"whole number", "'none'"}},
           {"limits: { steps: 0 }\n", "4:18", {"from 1"}},
           {"limits: { time: 20 }\n", "4:17", {"duration"}},
           {"limits: { tokens: some }\n", "4:19", {"whole number", "'some'"}},
           {"limits: { cost_usd: 0 }\n", "4:21", {"more than 0"}},
           {"on_limit: stop\n", "4:11", {"pause or finish", "'stop'"}},
           {"vars: { s: { type: text } }\n", "4:20", {"'text'", "string"}},
           {"vars: { s: { type: integer, default: x } }\n", "4:38", {"type integer", "\"x\""}},
           {"vars: { s: { default: 3, minimum: 4 } }\n", "4:23", {"at least 4"}},
           {"vars: { s: { default: c, enum: [a, b] } }\n", "4:23", {"one of [\"a\",\"b\"]"}},
           {"vars: { s: { default: 1, enum: 3 } }\n", "4:32", {"enum is a list"}},
           {"vars: { s: { defualt: 3 } }\n", "4:14", {"did you mean 'default'?"}},
           {"vars: { two words: 3 }\n", "4:9", {"one word"}},
           {"result: verdict\n", "4:9", {"expected a mapping"}},
           {"result: { output: verdict }\n", "4:19", {"no step 'verdict'"}},
       }) {
    const CheckedFlow checked =
        check("tertulia: 1\nname: x\n" + roles + std::string(each.steps) + steps);
    expect_error(checked, each);
  }

  for (const Case& each : std::vector<Case>{
           {"{}", "3:8", {"at least one role"}},
           {"{ a: {} }", "3:13", {"role 'a' needs a 'prompt'"}},
           {"{ a: You are A }", "3:13", {"expected a mapping", "role 'a'"}},
           {"{ a: { prompt: A, prompt_file: sceptic.md } }", "3:39", {"not both"}},
           {"{ a: { prompt_file: ../secret.md } }", "3:28", {"below the flow's own folder"}},
           {"{ a: { prompt_file: /etc/passwd } }", "3:28", {"below the flow's own folder"}},
           {"{ a: { prompt_file: x/../../y } }", "3:28", {"below the flow's own folder"}},
           {"{ a: { prompt_file: gone.md } }", "3:28", {"there is no file gone.md"}},
           {"{ a: { prompt: A, limits: { rounds: 1 } } }", "3:36", {"unknown key 'rounds'"}},
           {"{ a: { prompt: A }, each: { prompt: B } }", "3:28", {"'each' stands for"}},
           {"{ a: { prompt: A, tools: [x] } }", "3:26", {"'tools'", "cannot perform"}},
           {"{ a: { prompt: A, temprature: 1 } }", "3:26", {"did you mean 'temperature'?"}},
           {"{ a: { prompt: A }, ' b': { prompt: B } }", "3:28", {"printable characters"}},
           {"{ a: { prompt: A }, \"b\\u0007\": { prompt: B } }", "3:28", {"printable characters"}},
           {"{ a: { prompt: A }, 123456789012345678901234567890123456789012345678901: { prompt: B "
            "} }",
            "3:28",
            {"1 to 50"}},
       }) {
    const CheckedFlow checked =
        check("tertulia: 1\nname: x\nroles: " + std::string(each.steps) + "\n" + steps);
    EXPECT_FALSE(checked.ok()) << each.steps;
    EXPECT_THAT(shown(checked.problems), HasSubstr(std::string(each.at) + ": ")) << each.steps;
    for (const std::string& fragment : each.fragments)
      EXPECT_THAT(shown(checked.problems), HasSubstr(fragment)) << each.steps;
  }
}

TEST(Check, TellsAllMistakesInTheOrderOfTheText) {
  const CheckedFlow checked = check_steps(
      "- { speak: z9, taks: x }\n"
      "- { id: i, speak: a, timeout: soon }\n"
      "- { id: i, speak: a, to: y9 }\n"
      "- { if: { var: m, gt: 3 }, then: [{ end: '{{nothing}}' }] }\n");
  EXPECT_FALSE(checked.ok());
  std::vector<std::string> places;
  for (const Problem& problem : checked.problems)
    places.push_back(fmt::format("{}:{}", problem.line, problem.column));
  EXPECT_THAT(places, testing::ElementsAre("6:12", "6:16", "7:31", "8:9", "8:26", "9:16", "9:43"))
      << shown(checked.problems);
  EXPECT_THAT(shown(checked.problems),
              HasSubstr("two steps have the id 'i': the other is in line 7"));
}

TEST(Check, ColumnsAreCharacters) {
  const CheckedFlow checked = check_steps("- { speak: a, task: 打工人（产品）, timeout: soon }\n");
  EXPECT_THAT(shown(checked.problems), HasSubstr("6:39: "));
}

TEST(Check, TakesTheOlderNamesAndEveryScope) {
  for (const std::string_view context :
       {"none", "topic", "last", "this_round", "last_round", "all", "last_message", "__TOPIC__",
        "{ last: 3 }", "{ scope: last_n_messages, last: 3 }", "{ scope: last_message }", "[a, a]",
        "{ scope: __TOPIC__ }", "{ except: [a], max_tokens: 20k }"}) {
    const CheckedFlow checked =
        check_steps(fmt::format("- speak: a\n- {{ speak: a, context: {} }}\n", context));
    EXPECT_EQ(shown(checked.problems), "") << context;
  }
  const auto scope = [](std::string_view context) {
    const CheckedFlow checked =
        check_steps(fmt::format("- speak: a\n- {{ speak: a, context: {} }}\n", context));
    return base::to_text(std::get<Speak>(checked.program->steps[1].step).context.to_json());
  };
  EXPECT_EQ(scope("last_message"), "\"last\"");
  EXPECT_EQ(scope("__TOPIC__"), "\"topic\"");
  EXPECT_EQ(scope("[a]"), R"({"scope":"all","from":["a"]})");
  EXPECT_EQ(scope("{ scope: last_n_messages, last: 3 }"), R"({"scope":"all","last":3})");
}

TEST(Check, WarnsOfWhatIsNotConfigured) {
  EXPECT_THAT(shown(check_steps("- { speak: a, model: cheep }\n").problems),
              HasSubstr("6:22: warning: the model profile 'cheep' is not configured; did you mean "
                        "'cheap'?"));
  for (const std::string_view model : {"strong", "rehearsal", "'rehearsal?latency=1s'", "openai/x"})
    EXPECT_EQ(shown(check_steps(fmt::format("- {{ speak: a, model: {} }}\n", model)).problems), "");
  const auto stored = check(
      "tertulia: 1\nname: x\nroles: { a: { use: chairman } }\n"
      "steps: [{ speak: a }]\n");
  EXPECT_TRUE(stored.ok());
  EXPECT_THAT(shown(stored.problems),
              HasSubstr("3:20: warning: there is no stored role 'chairman'"));
  EXPECT_THAT(check_flow("tertulia: 1\nname: x\nroles: { a: { use: chairman, model: m } }\n"
                         "steps: [{ speak: a }]\n")
                  .problems,
              IsEmpty())
      << "what is not known is not warned of";
}

// Flows that people are meant to learn from give no warning, with all that is known configured.
TEST(Check, ShippedFlowsHaveNoProblems) {
  CheckOptions with_calls = options();
  with_calls.find_flow = test::find_shipped;
  const auto sources = test::shipped_sources();
  for (const auto& [name, source] : sources) {
    const CheckedFlow checked = check_flow(source, with_calls);
    EXPECT_EQ(shown(checked.problems), "") << name;
    EXPECT_EQ(checked.name, name);
  }
  EXPECT_GE(sources.size(), 12U);
}

// A flow to be called, and one that calls the flow of these tests.
base::Result<std::shared_ptr<const Program>> find_other(const std::string& name) {
  const std::string head = "tertulia: 1\nname: " + name + "\nroles: { judge: { prompt: J } }\n";
  CheckOptions options;
  options.find_flow = [](const std::string&) {
    return base::Result<std::shared_ptr<const Program>>(std::make_shared<const Program>());
  };
  CheckedFlow checked;
  if (name == "audit")
    checked =
        check_flow(head +
                       "vars: { depth: { type: integer, minimum: 1 }, note: none }\n"
                       "steps: [ { id: s, speak: judge, output: { type: integer } }, { speak: "
                       "judge } ]\nresult: { output: s }\n",
                   options);
  if (name == "round") checked = check_flow(head + "steps: [ { call: x } ]\n", options);
  if (checked.program) return std::make_shared<const Program>(*std::move(checked.program));
  return base::Error{.code = base::Code::not_found, .message = "there is no flow '" + name + "'"};
}

TEST(Check, HoldsACallAgainstTheFlowThatItCalls) {
  CheckOptions options;
  options.find_flow = find_other;
  const auto problems_of = [&](const std::string& step) {
    return shown(check_flow("tertulia: 1\nname: x\nroles: { a: { prompt: A } }\nlimits: { steps: 1 "
                            "}\nsteps:\n- " +
                                step + "\n",
                            options)
                     .problems);
  };
  for (const auto& [step, expected] : std::vector<std::pair<std::string, std::string>>{
           {"{ call: adit }", "there is no flow 'adit'"},
           {"{ call: audit }", "needs a value for 'depth'"},
           {"{ call: audit, with: { vars: { depth: 0 } } }", "'depth' must be at least 1"},
           {"{ call: audit, with: { vars: { depht: 1 } } }", "has no variable 'depht'"},
           {"{ call: audit, with: { vars: { depth: 1 }, roles: { jury: a } } }",
            "has no role 'jury'"},
           {"{ call: audit, with: { vars: { depth: 1 }, roles: { judge: b } } }",
            "unknown role 'b'"},
           {"{ call: round }", "'round' calls 'x' again: a flow cannot be part of itself"},
           {"{ call: audit, with: { vars: { depth: 1 } } }", "can take 2 steps, its limit is 1"},
       })
    EXPECT_THAT(problems_of(step), HasSubstr(expected)) << step;
}

}  // namespace
}  // namespace tertulia::flow
