#include "flow/test_session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

namespace tertulia::flow::test {
namespace {

constexpr model::Id kFirstStepId = 500;
constexpr model::Id kFirstRowId = 9000;

Condition condition_of(const Question& question) {
  Condition condition;
  switch (question.kind) {
    case Question::Kind::never:
      condition.kind = Condition::Kind::any;
      break;
    case Question::Kind::always:
      condition.kind = Condition::Kind::all;
      break;
    case Question::Kind::said:
      condition.kind = Condition::Kind::contains;
      condition.text = question.text;
      break;
    case Question::Kind::rounds_at_least:
      condition.kind = Condition::Kind::rounds_at_least;
      condition.rounds = question.number;
      break;
    case Question::Kind::variable_is:
      condition.kind = Condition::Kind::variable;
      condition.subject = question.text;
      condition.test = Condition::Test::equals;
      condition.operand = question.number;
      break;
  }
  return condition;
}

std::optional<Condition> condition_of(const std::optional<Question>& question) {
  return question ? std::optional(condition_of(*question)) : std::nullopt;
}

int size_of(const std::vector<Node>& nodes);

int size_of(const Node& node) {
  if (node.kind == "loop") return 2 + size_of(node.body);
  if (node.kind == "if") return 1 + size_of(node.body) + size_of(node.otherwise);
  return 1;
}

int size_of(const std::vector<Node>& nodes) {
  int size = 0;
  for (const Node& node : nodes) size += size_of(node);
  return size;
}

// Lays the tree out as program.h says.
class Layout final {
 public:
  Program make(const std::vector<Node>& steps) {
    program_.steps.resize(static_cast<std::size_t>(size_of(steps)));
    program_.entry = steps.empty() ? Instruction::kEnd : 0;
    lay(steps, 0, Instruction::kEnd, "");
    for (const auto& [index, target] : jumps_)
      program_.steps[static_cast<std::size_t>(index)].jump->target = names_.at(target);
    return std::move(program_);
  }

 private:
  void lay(const std::vector<Node>& nodes, int index, int after, const std::string& prefix) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const int next = i + 1 < nodes.size() ? index + size_of(nodes[i]) : after;
      lay(nodes[i], index, next, prefix + std::to_string(i + 1));
      index += size_of(nodes[i]);
    }
  }

  void lay(const Node& node, int index, int next, const std::string& path) {
    Instruction& step = program_.steps[static_cast<std::size_t>(index)];
    step.path = path;
    step.name = node.name;
    step.next = next;
    step.loops = loops_;
    if (!node.name.empty()) names_[node.name] = index;
    if (!node.jump_to.empty()) {
      step.jump = Goto{.target = 0, .max = node.jump_max, .when = condition_of(node.jump_when)};
      jumps_.emplace_back(index, node.jump_to);
    }
    if (node.kind == "speak") {
      Speak speak;
      speak.role = node.role;
      step.step = std::move(speak);
    } else if (node.kind == "ask") {
      AskPerson ask;
      ask.role = node.role;
      ask.timeout_ms = 60'000;
      ask.otherwise = node.fallback;
      step.step = std::move(ask);
    } else if (node.kind == "set") {
      Assignment assignment;
      assignment.variable = node.role;
      assignment.literal = node.number;
      step.step = Set{.assignments = {std::move(assignment)}};
    } else if (node.kind == "end") {
      step.step = End{};
    } else if (node.kind == "if") {
      const int otherwise = index + 1 + size_of(node.body);
      step.step = If{.condition = condition_of(*node.while_),
                     .then = node.body.empty() ? next : index + 1,
                     .otherwise = node.otherwise.empty() ? next : otherwise};
      lay(node.body, index + 1, next, path + ".then.");
      lay(node.otherwise, otherwise, next, path + ".else.");
    } else {
      const int check = index + 1 + size_of(node.body);
      step.step = Loop{.max = node.number,
                       .body = node.body.empty() ? check : index + 1,
                       .check = check,
                       .check_first = node.while_.has_value()};
      loops_.push_back(index);
      Instruction& check_step = program_.steps[static_cast<std::size_t>(check)];
      check_step.path = path + ".check";
      check_step.loops = loops_;
      check_step.next = next;
      check_step.step = LoopCheck{
          .loop = index, .until = condition_of(node.until), .while_ = condition_of(node.while_)};
      lay(node.body, index + 1, check, path + ".loop.");
      loops_.pop_back();
    }
  }

  Program program_;
  std::vector<int> loops_;
  std::map<std::string, int> names_;
  std::vector<std::pair<int, std::string>> jumps_;
};

template <class T>
std::string dash(const std::optional<T>& value) {
  if (!value) return "-";
  if constexpr (std::is_enum_v<T>)
    return std::string(model::to_text(*value));
  else
    return fmt::format("{}", *value);
}

}  // namespace

Node speak(std::string role, std::string name) {
  Node node;
  node.kind = "speak";
  node.role = std::move(role);
  node.name = std::move(name);
  return node;
}

Node ask(std::string role, std::string fallback) {
  Node node;
  node.kind = "ask";
  node.role = std::move(role);
  node.fallback = std::move(fallback);
  return node;
}

Node loop(std::int64_t max, std::vector<Node> body) {
  Node node;
  node.kind = "loop";
  node.number = max;
  node.body = std::move(body);
  return node;
}

Node loop_until(std::int64_t max, Question question, std::vector<Node> body) {
  Node node = loop(max, std::move(body));
  node.until = std::move(question);
  return node;
}

Node loop_while(std::int64_t max, Question question, std::vector<Node> body) {
  Node node = loop(max, std::move(body));
  node.while_ = std::move(question);
  return node;
}

Node if_(Question question, std::vector<Node> then, std::vector<Node> otherwise) {
  Node node;
  node.kind = "if";
  node.while_ = std::move(question);
  node.body = std::move(then);
  node.otherwise = std::move(otherwise);
  return node;
}

Node set(std::string variable, std::int64_t value) {
  Node node;
  node.kind = "set";
  node.role = std::move(variable);
  node.number = value;
  return node;
}

Node end() {
  Node node;
  node.kind = "end";
  return node;
}

Node jumping(Node node, std::string to, std::int64_t max, std::optional<Question> when) {
  node.jump_to = std::move(to);
  node.jump_max = max;
  node.jump_when = std::move(when);
  return node;
}

Question said(std::string text) {
  return {.kind = Question::Kind::said, .text = std::move(text), .number = 0};
}

Program program_of(const std::vector<Node>& steps) {
  return Layout().make(steps);
}

TestSession::TestSession(Program program) : program_(std::move(program)) {}

base::Result<void> TestSession::apply(const Event& event) {
  auto effects = advance(program_, state_, event, *this);
  if (!effects) return effects.error();
  effects_ = std::move(*effects);
  for (const Effect& effect : effects_) std::visit([&](const auto& each) { keep(each); }, effect);
  return {};
}

void TestSession::must(const Event& event) {
  const auto applied = apply(event);
  if (!applied) ADD_FAILURE() << "event " << event.index() << ": " << applied.error().message;
}

void TestSession::start(std::optional<Limits> limits) {
  must(Start{.variables = {}, .limits = std::move(limits)});
}

void TestSession::answer(std::string text, std::int64_t duration_ms) {
  must(Answered{
      .text = std::move(text), .output = std::nullopt, .duration_ms = duration_ms, .data = {}});
}

void TestSession::answer_all(std::string text, int at_most) {
  for (int i = 0; i < at_most && (state_.status == model::SessionStatus::running ||
                                  state_.status == model::SessionStatus::waiting);
       ++i)
    answer(text);
}

std::string TestSession::speakers() const {
  std::string names;
  for (const Said& said : messages_) names += (names.empty() ? "" : " ") + said.role;
  return names;
}

std::string log_line(std::int64_t order, std::string_view path,
                     std::optional<std::int64_t> parent_order, std::int64_t round,
                     std::int64_t iteration, model::StepStatus status,
                     std::optional<model::ResultType> result, std::optional<bool> condition,
                     std::optional<bool> check) {
  return fmt::format("{} {} {} {}.{} {} {} {} {}", order, path, dash(parent_order), round,
                     iteration, model::to_text(status), dash(result), dash(condition), dash(check));
}

std::vector<std::string> TestSession::log() const {
  std::vector<std::string> lines;
  for (const auto& row : rows_) {
    const Instruction& step = program_.steps[static_cast<std::size_t>(row.step_id - kFirstStepId)];
    std::optional<std::int64_t> parent;
    if (row.parent_log_id) parent = *row.parent_log_id - kFirstRowId;
    lines.push_back(log_line(row.execution_order, step.path, parent, *row.round_index,
                             *row.loop_iteration, *row.status, row.result_type,
                             row.condition_evaluation, row.loop_check_result));
  }
  return lines;
}

std::string TestSession::effect_names() const {
  constexpr std::array<std::string_view, 6> kNames = {"open", "close", "change",
                                                      "say",  "ask",   "stop"};
  std::string names;
  for (const Effect& effect : effects_) {
    if (!names.empty()) names += ' ';
    names += kNames[effect.index()];
    if (const auto* row = std::get_if<OpenRow>(&effect); row != nullptr && row->closed)
      names += ":closed";
  }
  return names;
}

std::string TestSession::standing() const {
  std::string text(model::to_text(state_.status));
  return state_.stop_reason ? text + ' ' + std::string(model::to_text(*state_.stop_reason)) : text;
}

ReplayInput TestSession::replay_input() const {
  ReplayInput input;
  input.program = &program_;
  for (std::size_t i = 0; i < program_.steps.size(); ++i)
    input.step_ids.push_back(kFirstStepId + static_cast<model::Id>(i));
  input.log = rows_;
  input.messages = messages_;
  input.topic = topic();
  input.stored = state_;
  return input;
}

std::vector<std::string> TestSession::disagreements() const {
  std::vector<std::string> found;
  for (const Disagreement& each : replay(replay_input()).disagreements)
    found.push_back(fmt::format("row {}: {}", each.order, each.what));
  return found;
}

std::optional<std::string_view> TestSession::message(std::int64_t position) const {
  if (position < 1 || static_cast<std::size_t>(position) > messages_.size()) return std::nullopt;
  return messages_[static_cast<std::size_t>(position - 1)].text;
}

const json::value* TestSession::output(std::int64_t order) const {
  const auto found = outputs_.find(order);
  return found == outputs_.end() ? nullptr : &found->second;
}

base::Result<const Said*> TestSession::at(std::int64_t position) const {
  ++reads_;
  if (!message(position))
    return base::Error{.code = base::Code::not_found, .message = "no such message"};
  return &messages_[static_cast<std::size_t>(position - 1)];
}

void TestSession::keep(const OpenRow& row) {
  model::StepExecutionLog kept;
  kept.id = kFirstRowId + row.order;
  kept.step_id = kFirstStepId + row.instruction;
  if (row.parent_order) kept.parent_log_id = kFirstRowId + *row.parent_order;
  kept.execution_order = row.order;
  kept.round_index = row.round;
  kept.loop_iteration = row.iteration;
  kept.attempt_count = 1;
  kept.status = row.status;
  if (row.closed) close(kept, *row.closed);
  rows_.push_back(std::move(kept));
}

void TestSession::keep(const CloseRow& row) {
  auto& kept = rows_.at(static_cast<std::size_t>(row.order - 1));
  kept.attempt_count = row.attempt;
  close(kept, row.closing);
}

void TestSession::close(model::StepExecutionLog& row, const Closing& closing) {
  row.status = closing.status;
  row.result_type = closing.result_type;
  row.condition_evaluation = closing.condition_evaluation;
  row.loop_check_result = closing.loop_check_result;
  row.error_message.reset();
  if (!closing.error_message.empty()) row.error_message = closing.error_message;
  row.result_data = base::to_text(closing.data);
  row.duration_ms = closing.duration_ms;
  if (const json::value* output = closing.data.if_contains("output"))
    outputs_[row.execution_order] = *output;
}

void TestSession::keep(const ChangeRow& row) {
  auto& kept = rows_.at(static_cast<std::size_t>(row.order - 1));
  kept.status = row.status;
  kept.attempt_count = row.attempt;
  kept.result_type.reset();
  kept.error_message.reset();
  kept.duration_ms.reset();
}

void TestSession::keep(const Say& said) {
  Said kept;
  kept.position = said.position;
  kept.role = said.role;
  kept.text = said.text;
  kept.round = said.round;
  kept.document = said.document;
  kept.document_version = said.document_version;
  messages_.push_back(std::move(kept));
}

// The layout itself: what the other tests stand on.
TEST(TestProgram, LinksBlocksAsProgramHeaderSays) {
  const Program program = program_of(
      {speak("a"), loop(2, {speak("b"), if_(said("x"), {end()}, {speak("c")})}), speak("d")});
  ASSERT_EQ(program.steps.size(), 8U);
  const auto& loop = std::get<Loop>(program.steps[1].step);
  EXPECT_EQ(loop.body, 2);
  EXPECT_EQ(loop.check, 6);
  EXPECT_EQ(program.steps[1].next, 7);
  const auto& choice = std::get<If>(program.steps[3].step);
  EXPECT_EQ(choice.then, 4);
  EXPECT_EQ(choice.otherwise, 5);
  EXPECT_EQ(program.steps[5].next, 6) << "a branch's last step goes where the if goes";
  EXPECT_EQ(program.steps[5].path, "2.loop.2.else.1");
  EXPECT_EQ(program.steps[7].next, Instruction::kEnd);
}

}  // namespace tertulia::flow::test
