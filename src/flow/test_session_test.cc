#include "flow/test_session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace tertulia::flow::test {
namespace {

constexpr model::Id kFirstStepId = 500;
constexpr model::Id kFirstRowId = 9000;
constexpr std::int64_t kFirstMessageId = 70'000;

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
    case Question::Kind::judge:
      condition.kind = Condition::Kind::judge;
      condition.subject = question.text;
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
  if (node.kind == "discuss") return node.moderator.empty() ? 3 : 4;
  if (node.kind == "call") return 1 + size_of(node.body);
  int size = 1;
  for (const auto& branch : node.branches) size += size_of(branch);
  return size;
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
    if (node.kind == "parallel") {
      Parallel parallel;
      parallel.each = node.roles;
      const std::vector<int> around = std::exchange(loops_, {});
      int at = index + 1;
      for (std::size_t i = 0; i < node.branches.size(); ++i) {
        const auto& branch = node.branches[i];
        parallel.branches.push_back(branch.empty() ? Instruction::kBranchEnd : at);
        lay(branch, at, Instruction::kBranchEnd, fmt::format("{}.parallel.{}.", path, i + 1));
        at += size_of(branch);
      }
      loops_ = around;
      step.step = std::move(parallel);
    } else if (node.kind == "call") {
      const std::vector<int> around = std::exchange(loops_, {});
      Call call;
      call.entry = node.body.empty() ? Instruction::kEnd : index + 1;
      step.step = std::move(call);
      lay(node.body, index + 1, Instruction::kEnd, path + ".call.");
      loops_ = around;
    } else if (node.kind == "discuss") {
      lay_discuss(node, index, next, path);
    } else if (node.kind == "speak") {
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

  void lay_discuss(const Node& node, int index, int next, const std::string& path) {
    const auto part = [&](int at, const char* name, int after) -> Instruction& {
      Instruction& step = program_.steps[static_cast<std::size_t>(at)];
      step.path = path + name;
      step.loops = loops_;
      step.next = after;
      return step;
    };
    Discuss discuss{.among = node.roles, .order = node.order, .max = node.number};
    int at = index + 1;
    if (!node.moderator.empty()) {
      discuss.choice = at++;
      Choice choice{.discuss = index, .role = node.moderator, .context = {}, .model = {}};
      part(discuss.choice, ".choice", at).step = std::move(choice);
    }
    discuss.turn = at++;
    discuss.check = at;
    part(discuss.turn, ".turn", at).step = Speak{};
    part(discuss.check, ".check", next).step =
        LoopCheck{.loop = index, .until = condition_of(node.until), .while_ = {}};
    program_.steps[static_cast<std::size_t>(index)].step = std::move(discuss);
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

Node discuss(std::int64_t max, std::vector<std::string> among, Discuss::Order order) {
  Node node;
  node.kind = "discuss";
  node.number = max;
  node.roles = std::move(among);
  node.order = order;
  if (order == Discuss::Order::moderator) node.moderator = "m";
  return node;
}

Node parallel(std::vector<std::vector<Node>> branches) {
  Node node;
  node.kind = "parallel";
  node.branches = std::move(branches);
  return node;
}

Node parallel_each(std::vector<std::string> roles, std::vector<Node> body) {
  Node node = parallel({std::move(body)});
  node.roles = std::move(roles);
  return node;
}

Node call(std::vector<Node> body) {
  Node node;
  node.kind = "call";
  node.body = std::move(body);
  return node;
}

Question judge(std::string role) {
  return {.kind = Question::Kind::judge, .text = std::move(role), .number = 0};
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

void TestSession::answer(std::string text, std::int64_t duration_ms, std::int64_t order) {
  Answered answered;
  answered.text = std::move(text);
  answered.duration_ms = duration_ms;
  answered.order = order;
  must(answered);
}

void TestSession::judge(bool answer, std::int64_t order) {
  Answered answered;
  answered.output = json::object{{"answer", answer}, {"reason", "so it seems"}};
  answered.order = order;
  must(answered);
}

void TestSession::choose(std::string next, std::int64_t order) {
  Answered answered;
  answered.output = json::object{{"next", std::move(next)}};
  answered.order = order;
  must(answered);
}

void TestSession::answer_all(std::string text, int at_most) {
  for (int i = 0; i < at_most && (state_.status == model::SessionStatus::running ||
                                  state_.status == model::SessionStatus::waiting);
       ++i)
    answer(text);
}

std::string TestSession::speakers() const {
  std::string names;
  for (const Said& said : replay_input().messages) names += (names.empty() ? "" : " ") + said.role;
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

void TestSession::restart() {
  auto read = State::from_text(state_.to_text());
  ASSERT_TRUE(read.ok()) << read.error().message;
  state_ = *std::move(read);
}

std::vector<std::string> TestSession::shape() const {
  std::vector<std::string> labels, lines;
  for (const auto& row : rows_) {
    const Instruction& step = program_.steps[static_cast<std::size_t>(row.step_id - kFirstStepId)];
    const auto data = base::parse_json(row.result_data.value_or("{}")).value();
    const json::value* branch = base::at_pointer(data, "/branch");
    std::string label;
    if (row.parent_log_id)
      label = labels[static_cast<std::size_t>(*row.parent_log_id - kFirstRowId - 1)] + " > ";
    label += shape_label(step.path, *row.round_index, *row.loop_iteration,
                         branch != nullptr ? branch->get_int64() : 0);
    labels.push_back(label);
    lines.push_back(label + shape_outcome(*row.status, row.result_type, row.condition_evaluation,
                                          row.loop_check_result));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::string shape_label(std::string_view path, std::int64_t round, std::int64_t iteration,
                        std::int64_t branch) {
  return fmt::format("{} {}.{}{}", path, round, iteration,
                     branch == 0 ? "" : fmt::format(" b{}", branch));
}

std::string shape_outcome(model::StepStatus status, std::optional<model::ResultType> result,
                          std::optional<bool> condition, std::optional<bool> check) {
  return fmt::format(": {} {} {} {}", model::to_text(status), dash(result), dash(condition),
                     dash(check));
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
  constexpr std::array<std::string_view, 7> kNames = {"open", "close", "change", "say",
                                                      "ask",  "stop",  "place"};
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
  // As a store gives them: what has a position first, by it.
  for (const Said& said : messages_)
    if (said.position > 0) input.messages.push_back(said);
  std::sort(input.messages.begin(), input.messages.end(),
            [](const Said& a, const Said& b) { return a.position < b.position; });
  for (const Said& said : messages_)
    if (said.position < 0) input.messages.push_back(said);
  input.topic = topic();
  input.seed = seed();
  input.stored = state_;
  return input;
}

std::vector<std::string> TestSession::disagreements() const {
  std::vector<std::string> found;
  for (const Disagreement& each : replay(replay_input()).disagreements)
    found.push_back(fmt::format("row {}: {}", each.order, each.what));
  return found;
}

std::optional<std::string_view> TestSession::message(std::int64_t key) const {
  for (const Said& said : messages_)
    if (said.position == key) return said.text;
  return std::nullopt;
}

const json::value* TestSession::output(std::int64_t order) const {
  const auto found = outputs_.find(order);
  return found == outputs_.end() ? nullptr : &found->second;
}

base::Result<const Said*> TestSession::at(std::int64_t key) const {
  ++reads_;
  for (const Said& said : messages_)
    if (said.position == key) return &said;
  return base::Error{.code = base::Code::not_found, .message = "no such message"};
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
  kept.position = said.position != 0 ? said.position : -said.order;
  kept.id = kFirstMessageId + static_cast<std::int64_t>(messages_.size());
  // As the store does: the row knows what it said.
  auto& row = rows_.at(static_cast<std::size_t>(said.order - 1));
  auto data = base::parse_json(*row.result_data).value();
  data.get_object()["message_id"] = kept.id;
  row.result_data = base::to_text(data);
  kept.role = said.role;
  kept.text = said.text;
  kept.round = said.round;
  kept.document = said.document;
  kept.document_version = said.document_version;
  messages_.push_back(std::move(kept));
}

void TestSession::keep(const PlaceSaid& placed) {
  for (Said& said : messages_)
    if (said.position == -placed.order) said.position = placed.position;
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
