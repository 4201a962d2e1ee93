// What the older system's configurations become in the flow language: every text must pass the
// check that all flows pass.
#include "adopt/translate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flow/check.h"
#include "flow/render.h"

namespace tertulia::adopt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<model::Role> roles() {
  model::Role mason, editor;
  mason.id = 1;
  mason.name = "Mason";
  editor.id = 2;
  editor.name = "编辑（首席）";
  return {mason, editor};
}

model::FlowStep step(model::Id id, std::string speaker) {
  model::FlowStep row;
  row.id = id;
  row.order = id;
  row.speaker_role_ref = std::move(speaker);
  return row;
}

struct Outcome {
  flow::Program program;
  std::vector<std::string> remarks;  // "column: words"
};

Outcome outcome_of(std::vector<model::FlowStep> steps) {
  auto translated = translate(
      {.id = 7, .title = "T", .description = {}, .topic = {}, .steps = std::move(steps)}, roles());
  EXPECT_TRUE(translated) << translated.error().message;
  if (!translated) return {};
  flow::CheckOptions options;
  options.stored_roles = std::vector<std::string>{"Mason", "编辑（首席）"};
  auto checked = flow::check_flow(translated->source, options);
  EXPECT_TRUE(checked.ok()) << translated->source;
  Outcome outcome;
  for (const auto& problem : checked.problems)
    if (problem.severity == flow::Problem::Severity::error) ADD_FAILURE() << problem.message;
  if (checked.ok()) outcome.program = *std::move(checked.program);
  for (const auto& remark : translated->remarks)
    outcome.remarks.push_back(remark.column + ": " + remark.words);
  return outcome;
}

flow::ContextRule context_of(const std::string& scope, const std::string& param = {}) {
  auto row = step(1, "Mason");
  row.context_scope = scope;
  row.context_param = param;
  const Outcome outcome = outcome_of({row, step(2, "编辑")});
  return std::get<flow::Speak>(outcome.program.steps.front().step).context;
}

TEST(Translate, EveryScopeIsSaid) {
  using Scope = flow::ContextRule::Scope;
  EXPECT_EQ(context_of("").scope, Scope::all);
  EXPECT_EQ(context_of("all").scope, Scope::all);
  EXPECT_EQ(context_of("none").scope, Scope::none);
  EXPECT_EQ(context_of("last_message").scope, Scope::last);
  EXPECT_EQ(context_of("last_round").scope, Scope::last_round);
  EXPECT_EQ(context_of("__TOPIC__").scope, Scope::topic);
  EXPECT_EQ(context_of("last_n_messages", R"({"n": 4})").last, 4);
  EXPECT_THAT(context_of("编辑").from, ElementsAre("编辑"));
  // Another name of a role that speaks is that speaker.
  EXPECT_THAT(context_of("编辑（首席）").from, ElementsAre("编辑"));
  const auto list = context_of(R"(["Mason", "编辑", "__TOPIC__"])");
  EXPECT_THAT(list.from, ElementsAre("Mason", "编辑"));
  EXPECT_TRUE(list.include_topic);
  EXPECT_FALSE(context_of(R"(["Mason"])").include_topic);
  EXPECT_EQ(context_of(R"(["all", "__TOPIC__"])").scope, Scope::all);
  EXPECT_EQ(context_of("[]").scope, Scope::none);
}

TEST(Translate, AJumpIsTakenOnlyWithItsCount) {
  const auto jump_of = [](const std::string& logic) {
    auto row = step(2, "编辑");
    row.logic_config = logic;
    return outcome_of({step(1, "Mason"), row});
  };
  const Outcome jumps = jump_of(R"({"next_step_order": 1, "max_loops": 3})");
  ASSERT_TRUE(jumps.program.steps[1].jump);
  EXPECT_EQ(jumps.program.steps[1].jump->target, 0);
  EXPECT_EQ(jumps.program.steps[1].jump->max, 3);
  EXPECT_THAT(jumps.remarks, IsEmpty());
  for (const char* logic :
       {R"({"next_step_order": 1})", R"({"next_step_order": 9, "max_loops": 3})",
        R"({"next_step_order": 1, "max_loops": 0})", "no JSON",
        R"({"exit_condition": "agreed"})"}) {
    const Outcome ignored = jump_of(logic);
    EXPECT_FALSE(ignored.program.steps[1].jump) << logic;
    EXPECT_THAT(ignored.remarks, ElementsAre(HasSubstr("logic_config: "))) << logic;
  }
  for (const char* logic : {"", "{}", "null", R"({"next_step_order": null})"})
    EXPECT_THAT(jump_of(logic).remarks, IsEmpty()) << logic;
}

TEST(Translate, LimitsNeverStopWhatTheOlderSystemWentOnWith) {
  auto row = step(2, "编辑");
  row.logic_config = R"({"next_step_order": 1, "max_loops": 400})";
  const Outcome outcome = outcome_of({step(1, "Mason"), row});
  EXPECT_GE(outcome.program.limits.steps, 802);
  EXPECT_GE(outcome.program.limits.rounds, 401);
}

class LastSaid final : public flow::Facts {
 public:
  explicit LastSaid(std::string text) : text_(std::move(text)) {}
  std::optional<std::string_view> last_message(std::string_view) const override { return text_; }
  const base::json::value* output(std::string_view) const override { return nullptr; }
  const base::json::value* variable(std::string_view) const override { return nullptr; }
  std::int64_t round() const override { return 1; }

 private:
  std::string text_;
};

TEST(Translate, AcceptanceIsAMemberOfTheWholeMessage) {
  auto row = step(2, "编辑");
  row.logic_config =
      R"({"next_step_order": 1, "max_loops": 3, "exit_condition": {"type": "llm_accept_flag"}})";
  const Outcome outcome = outcome_of({step(1, "Mason"), row, step(3, "Mason")});
  ASSERT_EQ(outcome.program.steps.size(), 5U);
  const auto& ask = std::get<flow::If>(outcome.program.steps[2].step);
  for (const char* accepted :
       {R"({"accept": true})", "\n { \"accept\" :\ttrue }\n", R"({"a": 1, "accept": true})",
        R"({"accept": true, "why": {"list": [1, "}"]}})", R"({"q": "\"}", "accept": true})"})
    EXPECT_TRUE(flow::holds(ask.condition, LastSaid(accepted))) << accepted;
  for (const char* refused :
       {R"({"accept": false})", R"({"accept": "true"})", R"({"in": {"accept": true}})", "accept",
        R"({"text": "\"accept\": true"})", R"([{"accept": true}])", R"(I say {"accept": true})",
        R"({"accepted": true})", R"({"accept": truely})", ""})
    EXPECT_FALSE(flow::holds(ask.condition, LastSaid(refused))) << refused;
}

TEST(Translate, HostileTextsStayTexts) {
  auto row = step(1, "A: \"quoted\" {x} #");
  row.description = "Say {{topic}} and {{{nothing}}}\n- not: yaml";
  row.target_role_ref = "编辑";
  const Outcome outcome = outcome_of({row, step(2, "编辑")});
  ASSERT_EQ(outcome.program.steps.size(), 2U);
  const auto& speak = std::get<flow::Speak>(outcome.program.steps[0].step);
  EXPECT_EQ(speak.role, "A: \"quoted\" {x} #");
  EXPECT_EQ(speak.to, "编辑");
  EXPECT_THAT(speak.task.source(), HasSubstr("{ {topic}}"));
  EXPECT_THAT(outcome.remarks, ElementsAre(HasSubstr("description: ")));
}

TEST(Translate, ATemplateWithoutSpeakersIsNoFlow) {
  EXPECT_FALSE(translate({}, roles()));
  auto silent = translate(
      {.id = 1, .title = "T", .description = {}, .topic = {}, .steps = {step(4, "")}}, roles());
  ASSERT_FALSE(silent);
  EXPECT_THAT(silent.error().message, HasSubstr("id 4"));
}

}  // namespace
}  // namespace tertulia::adopt
