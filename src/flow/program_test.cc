#include "flow/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flow/spec.h"

namespace tertulia::flow {
namespace {

using testing::HasSubstr;

json::value parsed(std::string_view text) {
  return base::parse_json(text).value();
}
Condition condition(std::string_view text) {
  return Condition::from_json(parsed(text)).value();
}
Text text(std::string_view source) {
  return Text::parse(source).value();
}

Instruction at(std::string path, int next, std::vector<int> loops = {}) {
  Instruction instruction;
  instruction.path = std::move(path);
  instruction.next = next;
  instruction.loops = std::move(loops);
  return instruction;
}

// A program in which every member that a step can have is set somewhere.
Program full_program() {
  Program program;
  program.name = "review-board";
  program.title = "评审会";
  program.language = "zh";
  program.topic = "A topic\nin two lines";
  program.roles = {{.ref = "打工人（产品）",
                    .use = "worker",
                    .name = "打工人",
                    .prompt = "You work.\n",
                    .model = "cheap",
                    .parameters = {{"temperature", 0.5}, {"stop", json::array{"END"}}},
                    .scope = {},
                    .as = {}},
                   {.ref = "audit/b",
                    .use = {},
                    .name = {},
                    .prompt = "B",
                    .model = {},
                    .parameters = {},
                    .scope = "audit/",
                    .as = "打工人（产品）"}};
  program.variables = {
      {.name = "strictness",
       .type = "integer",
       .initial = json::value(7),
       .schema = {{"minimum", 1}}},
      {.name = "nothing", .type = {}, .initial = json::value(nullptr), .schema = {}},
      {.name = "asked", .type = "string", .initial = {}, .schema = {}}};
  program.format = {{"default_task", "Go on."}};
  program.limits = {.steps = 12,
                    .rounds = 3,
                    .time_ms = 90'000,
                    .tokens = 5'000,
                    .cost_nano = 250'000'000,
                    .finish = true,
                    .roles = {{"b", {.steps = 4, .tokens = {}, .cost_nano = 1}}}};
  program.result = "verdict";
  program.entry = 0;

  Instruction loop = at("1", 4);
  loop.step = Loop{.max = 3, .body = 1, .check = 3, .check_first = true};
  program.steps.push_back(loop);

  Instruction verdict = at("1.loop.1", 2, {0});
  verdict.name = "verdict";
  Speak speak;
  speak.role = "b";
  speak.to = "打工人（产品）";
  speak.task = text("Decide {{vars.strictness}} on {{topic}}");
  speak.context.scope = ContextRule::Scope::this_round;
  speak.context.from = {"b"};
  speak.context.last = 4;
  speak.context.max_tokens = 6000;
  speak.context.include_topic = false;
  speak.context.documents = {"plan"};
  speak.context.anonymous = true;
  speak.output = parsed(R"({"type": "object", "required": ["a"]})").get_object();
  speak.document = "plan";
  speak.model = "cheap";
  speak.parameters = {{"max_tokens", 100}};
  speak.retry = {.attempts = 5, .backoff_ms = 200};
  speak.timeout_ms = 60'000;
  verdict.step = speak;
  verdict.jump = Goto{.target = 1, .max = 2, .when = condition(R"({"rounds_at_least": 2})")};
  program.steps.push_back(verdict);

  Instruction set = at("1.loop.2", 3, {0});
  set.step = Set{{{.variable = "strictness",
                   .literal = json::value(nullptr),
                   .output = {},
                   .pointer = {},
                   .stat = {},
                   .of = {}},
                  {.variable = "asked",
                   .literal = {},
                   .output = "verdict",
                   .pointer = "/a",
                   .stat = {},
                   .of = {}},
                  {.variable = "nothing",
                   .literal = {},
                   .output = {},
                   .pointer = "/a",
                   .stat = "median",
                   .of = {"verdict"}}}};
  program.steps.push_back(set);

  Instruction check = at("1.check", 4, {0});
  check.step = LoopCheck{.loop = 0, .until = {}, .while_ = condition(R"({"var": "n", "lt": 2})")};
  program.steps.push_back(check);

  Instruction choice = at("2", Instruction::kEnd);
  choice.step = If{.condition = condition(R"({"contains": "x", "of": "b"})"),
                   .then = 5,
                   .otherwise = Instruction::kEnd};
  program.steps.push_back(choice);

  Instruction end = at("2.then.1", Instruction::kEnd);
  end.step = End{text("because {{last}}")};
  program.steps.push_back(end);
  return program;
}

json::object reread(const json::object& object) {
  return parsed(base::to_text(object)).get_object();
}

TEST(Program, IsReadBackFromItsRowsAsItWas) {
  const Program program = full_program();
  const auto again = Program::from_rows(reread(program.header_json()), program.to_rows());
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(base::to_text(again.value().header_json()), base::to_text(program.header_json()));
  ASSERT_EQ(again.value().steps.size(), program.steps.size());
  for (int i = 0; i < static_cast<int>(program.steps.size()); ++i)
    EXPECT_EQ(base::to_text(again.value().spec_json(i)), base::to_text(program.spec_json(i)));

  // And not only as the same writer writes it:
  const Program& read = again.value();
  ASSERT_EQ(read.roles.size(), 2U);
  EXPECT_EQ(read.roles[0].ref, "打工人（产品）");
  EXPECT_EQ(read.roles[0].use, "worker");
  EXPECT_EQ(read.roles[0].prompt, "You work.\n");
  EXPECT_EQ(read.roles[0].parameters.at("temperature").as_double(), 0.5);
  ASSERT_EQ(read.variables.size(), 3U);
  EXPECT_EQ(read.variables[0].initial, json::value(7));
  EXPECT_EQ(read.variables[0].schema.at("minimum").as_int64(), 1);
  EXPECT_EQ(read.variables[1].initial, json::value(nullptr)) << "null is a value";
  EXPECT_FALSE(read.variables[2].initial.has_value());
  EXPECT_EQ(read.format.at("default_task"), "Go on.");
  EXPECT_EQ(read.limits.steps, 12);
  EXPECT_EQ(read.limits.time_ms, 90'000);
  EXPECT_TRUE(read.limits.finish);
  EXPECT_EQ(read.result, "verdict");
  EXPECT_EQ(read.topic, "A topic\nin two lines");

  const auto& loop = std::get<Loop>(read.steps[0].step);
  EXPECT_EQ(loop.max, 3);
  EXPECT_EQ(loop.check, 3);
  EXPECT_TRUE(loop.check_first);
  EXPECT_EQ(read.steps[0].next, 4);
  const Instruction& verdict = read.steps[1];
  EXPECT_EQ(verdict.path, "1.loop.1");
  EXPECT_EQ(verdict.loops, std::vector<int>{0});
  ASSERT_TRUE(verdict.jump.has_value());
  EXPECT_EQ(verdict.jump->target, 1);
  EXPECT_EQ(verdict.jump->max, 2);
  EXPECT_EQ(verdict.jump->when->rounds, 2);
  const auto& speak = std::get<Speak>(verdict.step);
  EXPECT_EQ(speak.task.pieces().size(), 4U);
  EXPECT_EQ(speak.context.scope, ContextRule::Scope::this_round);
  EXPECT_EQ(speak.context.max_tokens, 6000);
  EXPECT_FALSE(speak.context.include_topic);
  EXPECT_TRUE(speak.context.anonymous);
  EXPECT_EQ(speak.retry.attempts, 5);
  EXPECT_EQ(speak.retry.backoff_ms, 200);
  EXPECT_EQ(speak.timeout_ms, 60'000);
  EXPECT_TRUE(speak.output->contains("required"));
  const auto& set = std::get<Set>(read.steps[2].step);
  ASSERT_EQ(set.assignments.size(), 3U);
  EXPECT_EQ(set.assignments[0].literal, json::value(nullptr));
  EXPECT_FALSE(set.assignments[1].literal.has_value());
  EXPECT_EQ(set.assignments[2].of, std::vector<std::string>{"verdict"});
  EXPECT_EQ(std::get<If>(read.steps[4].step).otherwise, Instruction::kEnd);
  EXPECT_EQ(std::get<End>(read.steps[5].step).reason.source(), "because {{last}}");
}

TEST(Program, ItsRowsShowWhatTheOlderSystemsColumnsCan) {
  const auto rows = full_program().to_rows();
  ASSERT_EQ(rows.size(), 6U);
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(rows[i].order, static_cast<std::int64_t>(i) + 1);
  EXPECT_EQ(rows[0].kind, "loop");
  EXPECT_FALSE(rows[0].speaker_role_ref.has_value());
  EXPECT_EQ(rows[1].kind, "speak");
  EXPECT_EQ(rows[1].name, "verdict");
  EXPECT_EQ(rows[1].speaker_role_ref, "b");
  EXPECT_EQ(rows[1].target_role_ref, "打工人（产品）");
  const json::value logic = parsed(*rows[1].logic_config);
  EXPECT_EQ(logic.at("next_step_order").as_int64(), 2) << "a position, from 1";
  EXPECT_EQ(logic.at("max_loops").as_int64(), 2);
  EXPECT_EQ(parsed(*rows[1].context_scope).at("scope").as_string(), "this_round");
  EXPECT_EQ(rows[3].kind, "loop_check");
}

TEST(Program, ASpecLeavesOutWhatIsADefault) {
  Program program;
  Instruction instruction = at("1", Instruction::kEnd);
  Speak speak;
  speak.role = "a";
  instruction.step = speak;
  program.steps.push_back(instruction);
  EXPECT_LE(base::to_text(program.spec_json(0)).size(), 80U) << base::to_text(program.spec_json(0));
  EXPECT_FALSE(program.spec_json(0).contains("timeout_ms"));
}

TEST(Program, AScopeIsOneWordWhereThatIsAll) {
  ContextRule rule;
  EXPECT_EQ(base::to_text(rule.to_json()), "\"all\"");
  rule.scope = ContextRule::Scope::last;
  EXPECT_EQ(base::to_text(rule.to_json()), "\"last\"");
  for (const std::string_view word : {"none", "topic", "last", "this_round", "last_round", "all"}) {
    const auto read = ContextRule::from_json(json::value(word));
    ASSERT_TRUE(read.ok()) << word;
    EXPECT_EQ(read.value().to_json(), json::value(word));
  }
  EXPECT_FALSE(ContextRule::from_json(json::value("some")).ok());
}

TEST(Program, RefusesRowsThatAreNoProgram) {
  struct Case {
    std::string_view spec;
    std::string_view fragment;
  };
  for (const Case& each : std::vector<Case>{
           {"", "JSON"},
           {"[]", "no object"},
           {"{}", "''"},
           {R"({"kind": "wander", "path": "1", "next": -1})", "'wander'"},
           {R"({"kind": "parallel", "path": "1", "next": -1})", "'branches'"},
           {R"({"kind": "discuss", "path": "1", "next": -1, "among": ["a"], "order": "fixed",
                "turn": 0, "check": 0})",
            "'turn' names what is no speak"},
           {R"({"kind": "choice", "path": "1", "next": -1, "discuss": 0, "role": "a"})",
            "no discuss"},
           {R"({"kind": "speak", "path": "1", "next": 1, "role": "a"})", "'next' names no"},
           {R"({"kind": "speak", "path": "1", "next": -2, "role": "a"})", "'next' ends a branch"},
           {R"({"kind": "speak", "path": "1", "next": -1, "role": 3})", "'role' is no text"},
           {R"({"kind": "speak", "path": "1", "next": -1, "role": "a", "task": "{{x}}"})",
            "unknown reference"},
           {R"({"kind": "speak", "path": "1", "next": -1, "role": "a", "context": "some"})",
            "some"},
           {R"({"kind": "speak", "path": "1", "next": -1, "role": "a", "loops": [7]})", "'loops'"},
           {R"({"kind": "loop", "path": "1", "next": -1, "max": 1, "body": -1, "check": 0})",
            "'body' names no"},
           {R"({"kind": "if", "path": "1", "next": -1, "then": 0, "else": 0})", "'if'"},
           {R"({"kind": "if", "path": "1", "next": -1, "if": {"x": 1}, "then": 0, "else": 0})",
            "condition"},
           {R"({"kind": "end", "path": "1", "next": -1, "reason": "x",
                "goto": {"target": 4, "max": 1}})",
            "'target' names no"},
           // A loop must name a loop and its check: the machine takes them as they are.
           {R"({"kind": "loop_check", "path": "1", "next": -1, "loop": 0})", "loop"},
           {R"({"kind": "loop", "path": "1", "next": -1, "max": 1, "body": 0, "check": 0})",
            "check"},
       }) {
    model::FlowStep row;
    row.order = 1;
    row.spec = std::string(each.spec);
    const auto program = Program::from_rows({{"name", "x"}, {"entry", 0}}, {row});
    ASSERT_FALSE(program.ok()) << each.spec;
    EXPECT_EQ(program.error().code, base::Code::invalid) << each.spec;
    EXPECT_THAT(program.error().message, HasSubstr("flow step 1")) << each.spec;
    EXPECT_THAT(program.error().message, HasSubstr(std::string(each.fragment))) << each.spec;
  }
}

TEST(Program, RefusesAHeaderThatIsNone) {
  for (const std::string_view header :
       {R"({"name": 3})", R"({"entry": 1})", R"({"entry": -3})", R"({"roles": {}})",
        R"({"roles": ["a"]})", R"({"limits": {"steps": "many"}})",
        R"({"variables": [{"name": 1}]})", R"({"format": {"a": 1}})"})
    EXPECT_FALSE(Program::from_rows(parsed(header).get_object(), {}).ok()) << header;
}

}  // namespace
}  // namespace tertulia::flow
