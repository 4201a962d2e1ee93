#include "flow/program.h"

#include <fmt/format.h>

#include <array>

#include "flow/spec.h"

namespace tertulia::flow {
namespace {

template <class Kind>
bool is(const std::vector<Instruction>& steps, int index) {
  return std::holds_alternative<Kind>(steps[static_cast<size_t>(index)].step);
}

// The machine takes the links between a loop, its check and what stands in it as they are.
base::Result<void> check_links(const std::vector<Instruction>& steps) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto wrong = [&](std::string_view what) {
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("flow step {}: {}", i + 1, what)};
    };
    if (steps[i].next == Instruction::kBranchEnd &&
        steps[i].path.find(".parallel.") == std::string::npos)
      return wrong("'next' ends a branch, and the step is in none");
    for (const int around : steps[i].loops)
      if (!is<Loop>(steps, around)) return wrong("'loops' names what is no loop");
    const auto* loop = std::get_if<Loop>(&steps[i].step);
    if (loop != nullptr && !is<LoopCheck>(steps, loop->check))
      return wrong("'check' names what is no loop_check");
    const auto* check = std::get_if<LoopCheck>(&steps[i].step);
    if (check != nullptr && !is<Loop>(steps, check->loop) && !is<Discuss>(steps, check->loop))
      return wrong("'loop' names what is neither loop nor discuss");
    const auto* discuss = std::get_if<Discuss>(&steps[i].step);
    if (discuss != nullptr) {
      if (!is<Speak>(steps, discuss->turn)) return wrong("'turn' names what is no speak step");
      if (!is<LoopCheck>(steps, discuss->check))
        return wrong("'check' names what is no loop_check");
      if (discuss->choice != Discuss::kNone && !is<Choice>(steps, discuss->choice))
        return wrong("'choice' names what is no choice");
    }
    const auto* choice = std::get_if<Choice>(&steps[i].step);
    if (choice != nullptr && !is<Discuss>(steps, choice->discuss))
      return wrong("'discuss' names what is no discuss");
  }
  return {};
}

}  // namespace

std::string_view Instruction::kind() const {
  static constexpr std::array<std::string_view, 11> kKinds = {
      "speak", "ask",     "loop",   "loop_check", "if",  "set",
      "end",   "discuss", "choice", "parallel",   "call"};
  return kKinds[step.index()];
}

const std::string& Instruction::role() const {
  static const std::string nobody;
  if (const auto* speak = std::get_if<Speak>(&step))
    return speak->role == kEach ? nobody : speak->role;
  if (const auto* choice = std::get_if<Choice>(&step)) return choice->role;
  const auto* ask = std::get_if<AskPerson>(&step);
  return ask != nullptr ? ask->role : nobody;
}

std::string Instruction::label() const {
  return name.empty() ? fmt::format("{} {}", kind(), path) : name;
}

const Condition* Instruction::condition() const {
  if (const auto* choice = std::get_if<If>(&step)) return &choice->condition;
  const auto* check = std::get_if<LoopCheck>(&step);
  if (check == nullptr) return nullptr;
  return check->until ? &*check->until : check->while_ ? &*check->while_ : nullptr;
}

std::string_view order_name(Discuss::Order order) {
  static constexpr std::array<std::string_view, 4> kOrders = {"fixed", "round_robin", "random",
                                                              "moderator"};
  return kOrders[static_cast<size_t>(order)];
}

const RoleDeclaration* Program::role(std::string_view ref) const {
  for (const RoleDeclaration& each : roles)
    if (each.ref == ref) return &each;
  return nullptr;
}

std::string_view Program::scope_of(std::string_view role) const {
  const RoleDeclaration* declared = this->role(role);
  return declared == nullptr ? std::string_view() : std::string_view(declared->scope);
}

const Instruction* Program::named(std::string_view step) const {
  if (step.empty()) return nullptr;
  for (const Instruction& each : steps)
    if (each.name == step) return &each;
  return nullptr;
}

json::object Program::header_json() const {
  json::object out;
  out["name"] = name;
  out["title"] = title;
  out["language"] = language;
  out["topic"] = topic;
  json::array declared_roles;
  for (const RoleDeclaration& each : roles) {
    json::object role;
    role["ref"] = each.ref;
    if (!each.use.empty()) role["use"] = each.use;
    if (!each.name.empty()) role["name"] = each.name;
    if (!each.prompt.empty()) role["prompt"] = each.prompt;
    if (!each.parameters.empty()) role["parameters"] = each.parameters;
    if (!each.model.empty()) role["model"] = each.model;
    if (!each.scope.empty()) role["scope"] = each.scope;
    if (!each.as.empty()) role["as"] = each.as;
    declared_roles.push_back(std::move(role));
  }
  out["roles"] = std::move(declared_roles);
  json::array declared_variables;
  for (const VariableDeclaration& each : variables) {
    json::object variable;
    variable["name"] = each.name;
    if (!each.type.empty()) variable["type"] = each.type;
    if (each.initial) variable["initial"] = *each.initial;
    if (!each.schema.empty()) variable["schema"] = each.schema;
    declared_variables.push_back(std::move(variable));
  }
  out["variables"] = std::move(declared_variables);
  if (!format.empty()) {
    json::object words;
    for (const auto& [key, text] : format) words[key] = text;
    out["format"] = std::move(words);
  }
  out["limits"] = limits.to_json();
  if (!result.empty()) out["result"] = result;
  out["entry"] = entry;
  return out;
}

json::object Program::spec_json(int index) const {
  return write_instruction(steps[static_cast<size_t>(index)]);
}

std::vector<model::FlowStep> Program::to_rows() const {
  std::vector<model::FlowStep> rows;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Instruction& instruction = steps[i];
    model::FlowStep row;
    row.order = static_cast<std::int64_t>(i) + 1;
    row.kind = std::string(instruction.kind());
    if (!instruction.name.empty()) row.name = instruction.name;
    row.spec = base::to_text(write_instruction(instruction));
    if (const auto* speak = std::get_if<Speak>(&instruction.step)) {
      if (!instruction.role().empty()) row.speaker_role_ref = speak->role;
      if (!speak->to.empty()) row.target_role_ref = speak->to;
      row.context_scope = base::to_text(speak->context.to_json());
      if (!speak->task.empty()) row.description = speak->task.source();
    }
    if (const auto* choice = std::get_if<Choice>(&instruction.step))
      row.speaker_role_ref = choice->role;
    if (const auto* ask = std::get_if<AskPerson>(&instruction.step)) {
      row.speaker_role_ref = ask->role;
      if (!ask->to.empty()) row.target_role_ref = ask->to;
      if (!ask->prompt.empty()) row.description = ask->prompt.source();
    }
    if (instruction.jump) {
      json::object logic;
      logic["next_step_order"] = instruction.jump->target + 1;
      if (instruction.jump->max) logic["max_loops"] = *instruction.jump->max;
      row.logic_config = base::to_text(logic);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

base::Result<Program> Program::from_rows(const json::object& header,
                                         const std::vector<model::FlowStep>& rows) {
  Program program;
  Spec spec(header, "flow");
  program.name = spec.text("name");
  program.title = spec.text("title");
  program.language = spec.text("language");
  program.topic = spec.text("topic");
  program.result = spec.text("result");
  program.entry = spec.index("entry", static_cast<int>(rows.size()), true);
  for (const json::value& each : spec.list("roles")) {
    Spec role(each, "role");
    program.roles.push_back({.ref = role.text("ref"),
                             .use = role.text("use"),
                             .name = role.text("name"),
                             .prompt = role.text("prompt"),
                             .model = role.text("model"),
                             .parameters = role.object("parameters"),
                             .scope = role.text("scope"),
                             .as = role.text("as")});
    if (auto failed = role.take_error()) return *failed;
  }
  for (const json::value& each : spec.list("variables")) {
    Spec variable(each, "variable");
    VariableDeclaration declared{.name = variable.text("name"),
                                 .type = variable.text("type"),
                                 .initial = {},
                                 .schema = variable.object("schema")};
    if (const json::value* initial = variable.find("initial")) declared.initial = *initial;
    program.variables.push_back(std::move(declared));
    if (auto failed = variable.take_error()) return *failed;
  }
  for (const auto& [key, text] : spec.texts("format")) program.format[key] = text;
  if (const json::value* limits = header.if_contains("limits")) {
    auto read = Limits::from_json(*limits);
    if (!read) return read.error();
    program.limits = *read;
  }
  if (auto failed = spec.take_error()) return *failed;
  for (const model::FlowStep& row : rows) {
    auto parsed = base::parse_json(row.spec.value_or(""));
    if (!parsed) return parsed.error().in(fmt::format("flow step {}", row.order));
    auto instruction = read_instruction(*parsed, static_cast<int>(rows.size()));
    if (!instruction) return instruction.error().in(fmt::format("flow step {}", row.order));
    program.steps.push_back(*std::move(instruction));
  }
  if (auto linked = check_links(program.steps); !linked) return linked.error();
  return program;
}

}  // namespace tertulia::flow
