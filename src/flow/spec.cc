#include "flow/spec.h"

#include <fmt/format.h>

#include <utility>

namespace tertulia::flow {
namespace {

const json::object kNoObject;
const json::array kNoArray;

std::string_view scope_name(ContextRule::Scope scope) {
  switch (scope) {
    case ContextRule::Scope::none:
      return "none";
    case ContextRule::Scope::topic:
      return "topic";
    case ContextRule::Scope::last:
      return "last";
    case ContextRule::Scope::this_round:
      return "this_round";
    case ContextRule::Scope::last_round:
      return "last_round";
    case ContextRule::Scope::all:
      return "all";
  }
  return "all";
}

std::optional<ContextRule::Scope> scope_from(std::string_view name) {
  using Scope = ContextRule::Scope;
  for (const Scope scope :
       {Scope::none, Scope::topic, Scope::last, Scope::this_round, Scope::last_round, Scope::all})
    if (scope_name(scope) == name) return scope;
  return {};
}

json::array names_json(const std::vector<std::string>& names) {
  json::array list;
  for (const auto& name : names) list.emplace_back(name);
  return list;
}

void write(json::object& out, const Speak& speak) {
  const Speak defaults;
  out["role"] = speak.role;
  if (!speak.to.empty()) out["to"] = speak.to;
  if (!speak.task.empty()) out["task"] = speak.task.source();
  out["context"] = speak.context.to_json();
  if (speak.output) out["output"] = *speak.output;
  if (!speak.document.empty()) out["document"] = speak.document;
  if (!speak.model.empty()) out["model"] = speak.model;
  if (!speak.parameters.empty()) out["parameters"] = speak.parameters;
  if (speak.retry.attempts != defaults.retry.attempts) out["attempts"] = speak.retry.attempts;
  if (speak.retry.backoff_ms != defaults.retry.backoff_ms)
    out["backoff_ms"] = speak.retry.backoff_ms;
  if (speak.timeout_ms != defaults.timeout_ms) out["timeout_ms"] = speak.timeout_ms;
  if (!speak.fallback.empty()) out["fallback"] = names_json(speak.fallback);
  if (speak.continues != defaults.continues) out["continue"] = speak.continues;
}

void write(json::object& out, const AskPerson& ask) {
  out["role"] = ask.role;
  if (!ask.to.empty()) out["to"] = ask.to;
  if (!ask.prompt.empty()) out["prompt"] = ask.prompt.source();
  if (!ask.choices.empty()) out["choices"] = names_json(ask.choices);
  if (ask.timeout_ms) out["timeout_ms"] = *ask.timeout_ms;
  if (!ask.otherwise.empty()) out["default"] = ask.otherwise;
  if (!ask.document.empty()) out["document"] = ask.document;
}

void write(json::object& out, const Loop& loop) {
  out["max"] = loop.max;
  out["body"] = loop.body;
  out["check"] = loop.check;
  if (loop.check_first) out["check_first"] = true;
}

void write(json::object& out, const LoopCheck& check) {
  out["loop"] = check.loop;
  if (check.until) out["until"] = check.until->to_json();
  if (check.while_) out["while"] = check.while_->to_json();
}

void write(json::object& out, const If& step) {
  out["if"] = step.condition.to_json();
  out["then"] = step.then;
  out["else"] = step.otherwise;
}

void write(json::object& out, const Set& set) {
  json::array list;
  for (const Assignment& each : set.assignments) {
    json::object one;
    one["var"] = each.variable;
    if (each.literal) one["value"] = *each.literal;
    if (!each.output.empty()) one["output"] = each.output;
    if (!each.stat.empty()) one["stat"] = each.stat;
    if (!each.of.empty()) one["of"] = names_json(each.of);
    if (!each.pointer.empty()) one["at"] = each.pointer;
    list.push_back(std::move(one));
  }
  out["set"] = std::move(list);
}

void write(json::object& out, const End& end) {
  out["reason"] = end.reason.source();
}

void write(json::object& out, const Discuss& discuss) {
  out["among"] = names_json(discuss.among);
  out["order"] = order_name(discuss.order);
  out["max"] = discuss.max;
  out["turn"] = discuss.turn;
  if (discuss.choice != Discuss::kNone) out["choice"] = discuss.choice;
  out["check"] = discuss.check;
}

void write(json::object& out, const Choice& choice) {
  out["discuss"] = choice.discuss;
  out["role"] = choice.role;
  out["context"] = choice.context.to_json();
  if (!choice.model.empty()) out["model"] = choice.model;
}

void write(json::object& out, const Parallel& parallel) {
  json::array branches;
  for (const int branch : parallel.branches) branches.push_back(branch);
  out["branches"] = std::move(branches);
  if (!parallel.each.empty()) out["each"] = names_json(parallel.each);
}

void write(json::object& out, const Call& call) {
  out["call"] = call.flow;
  if (!call.topic.empty()) out["topic"] = call.topic.source();
  if (!call.variables.empty()) {
    json::object variables;
    for (const auto& [name, argument] : call.variables) {
      json::object one;
      if (argument.literal) {
        one["value"] = *argument.literal;
      } else {
        one["text"] = argument.text.source();
      }
      variables[name] = std::move(one);
    }
    out["vars"] = std::move(variables);
  }
  if (!call.initial.empty()) {
    json::object initial;
    for (const auto& [name, value] : call.initial) initial[name] = value;
    out["initial"] = std::move(initial);
  }
  if (!call.default_topic.empty()) out["default_topic"] = call.default_topic;
  if (!call.result.empty()) out["result"] = call.result;
  out["prefix"] = call.prefix;
  out["entry"] = call.entry;
}

base::Result<Text> text_of(Spec& spec, std::string_view name) {
  return Text::parse(spec.text(name));
}

// A condition under a name; absent where the spec has none.
std::optional<Condition> condition_of(Spec& spec, std::string_view name) {
  const json::value* value = spec.find(name);
  if (value == nullptr) return {};
  auto condition = Condition::from_json(*value);
  if (condition) return *std::move(condition);
  spec.fail(condition.error().message);
  return {};
}

base::Result<Speak> read_speak(Spec& spec) {
  Speak speak;
  speak.role = spec.text("role");
  speak.to = spec.text("to");
  auto task = text_of(spec, "task");
  if (!task) return task.error();
  speak.task = *std::move(task);
  if (const json::value* context = spec.find("context")) {
    auto rule = ContextRule::from_json(*context);
    if (!rule) return rule.error();
    speak.context = *std::move(rule);
  }
  if (spec.has("output")) speak.output = spec.object("output");
  speak.document = spec.text("document");
  speak.model = spec.text("model");
  speak.parameters = spec.object("parameters");
  speak.retry.attempts = spec.integer("attempts", speak.retry.attempts);
  speak.retry.backoff_ms = spec.integer("backoff_ms", speak.retry.backoff_ms);
  speak.timeout_ms = spec.integer("timeout_ms", speak.timeout_ms);
  speak.fallback = spec.text_list("fallback");
  speak.continues = spec.integer("continue", speak.continues);
  return speak;
}

base::Result<AskPerson> read_ask(Spec& spec) {
  AskPerson ask;
  ask.role = spec.text("role");
  ask.to = spec.text("to");
  auto prompt = text_of(spec, "prompt");
  if (!prompt) return prompt.error();
  ask.prompt = *std::move(prompt);
  ask.choices = spec.text_list("choices");
  if (spec.has("timeout_ms")) ask.timeout_ms = spec.integer("timeout_ms", 0);
  ask.otherwise = spec.text("default");
  ask.document = spec.text("document");
  return ask;
}

Set read_set(Spec& spec) {
  Set set;
  for (const json::value& each : spec.list("set")) {
    Spec one(each, "assignment");
    Assignment assignment;
    assignment.variable = one.text("var");
    if (const json::value* literal = one.find("value")) assignment.literal = *literal;
    assignment.output = one.text("output");
    assignment.stat = one.text("stat");
    assignment.of = one.text_list("of");
    assignment.pointer = one.text("at");
    if (auto failed = one.take_error()) spec.fail(failed->message);
    set.assignments.push_back(std::move(assignment));
  }
  return set;
}

Discuss read_discuss(Spec& spec, int count) {
  Discuss discuss;
  discuss.among = spec.text_list("among");
  if (discuss.among.empty()) spec.fail("'among' names nobody");
  const std::string order = spec.text("order");
  bool known = false;
  for (const auto each : {Discuss::Order::fixed, Discuss::Order::round_robin,
                          Discuss::Order::random, Discuss::Order::moderator}) {
    if (order != order_name(each)) continue;
    discuss.order = each;
    known = true;
  }
  if (!known) spec.fail("unknown 'order'");
  discuss.max = spec.integer("max", 1);
  discuss.turn = spec.index("turn", count, false);
  if (spec.has("choice")) discuss.choice = spec.index("choice", count, false);
  discuss.check = spec.index("check", count, false);
  return discuss;
}

base::Result<Choice> read_choice(Spec& spec, int count) {
  Choice choice;
  choice.discuss = spec.index("discuss", count, false);
  choice.role = spec.text("role");
  choice.model = spec.text("model");
  const json::value* context = spec.find("context");
  if (context == nullptr) return choice;
  auto rule = ContextRule::from_json(*context);
  if (!rule) return rule.error();
  choice.context = *std::move(rule);
  return choice;
}

Parallel read_parallel(Spec& spec, int count) {
  Parallel parallel;
  for (const json::value& branch : spec.list("branches")) {
    const std::int64_t index = branch.is_int64() ? branch.get_int64() : count;
    if (index >= count || (index < 0 && index != Instruction::kBranchEnd))
      spec.fail("'branches' names no instruction");
    parallel.branches.push_back(static_cast<int>(index));
  }
  if (parallel.branches.empty()) spec.fail("'branches' is empty");
  parallel.each = spec.text_list("each");
  return parallel;
}

base::Result<Call> read_call(Spec& spec, int count) {
  Call call;
  call.flow = spec.text("call");
  auto topic = text_of(spec, "topic");
  if (!topic) return topic.error();
  call.topic = *std::move(topic);
  for (const auto& member : spec.object("vars")) {
    Spec one(member.value(), "argument");
    Argument argument;
    if (const json::value* literal = one.find("value")) {
      argument.literal = *literal;
    } else {
      auto text = text_of(one, "text");
      if (!text) return text.error();
      argument.text = *std::move(text);
    }
    if (auto failed = one.take_error()) spec.fail(failed->message);
    call.variables.emplace(member.key(), std::move(argument));
  }
  for (const auto& member : spec.object("initial"))
    call.initial.emplace(member.key(), member.value());
  call.default_topic = spec.text("default_topic");
  call.result = spec.text("result");
  call.prefix = spec.text("prefix");
  call.entry = spec.index("entry", count, true);
  return call;
}

base::Result<void> read_step(Instruction& instruction, Spec& spec, int count) {
  const std::string kind = spec.text("kind");
  if (kind == "speak") {
    auto speak = read_speak(spec);
    if (!speak) return speak.error();
    instruction.step = *std::move(speak);
  } else if (kind == "ask") {
    auto ask = read_ask(spec);
    if (!ask) return ask.error();
    instruction.step = *std::move(ask);
  } else if (kind == "loop") {
    instruction.step = Loop{.max = spec.integer("max", 1),
                            .body = spec.index("body", count, false),
                            .check = spec.index("check", count, false),
                            .check_first = spec.flag("check_first", false)};
  } else if (kind == "loop_check") {
    instruction.step = LoopCheck{.loop = spec.index("loop", count, false),
                                 .until = condition_of(spec, "until"),
                                 .while_ = condition_of(spec, "while")};
  } else if (kind == "if") {
    auto condition = condition_of(spec, "if");
    if (!condition) return base::Error{.code = base::Code::invalid, .message = "'if' without one"};
    instruction.step = If{.condition = *std::move(condition),
                          .then = spec.index("then", count, true),
                          .otherwise = spec.index("else", count, true)};
  } else if (kind == "set") {
    instruction.step = read_set(spec);
  } else if (kind == "end") {
    auto reason = text_of(spec, "reason");
    if (!reason) return reason.error();
    instruction.step = End{*std::move(reason)};
  } else if (kind == "discuss") {
    instruction.step = read_discuss(spec, count);
  } else if (kind == "choice") {
    auto choice = read_choice(spec, count);
    if (!choice) return choice.error();
    instruction.step = *std::move(choice);
  } else if (kind == "parallel") {
    instruction.step = read_parallel(spec, count);
  } else if (kind == "call") {
    auto call = read_call(spec, count);
    if (!call) return call.error();
    instruction.step = *std::move(call);
  } else {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("this program cannot perform '{}' steps", kind)};
  }
  return {};
}

}  // namespace

json::value ContextRule::to_json() const {
  json::object out;
  out["scope"] = scope_name(scope);
  if (!from.empty()) out["from"] = names_json(from);
  if (!except.empty()) out["except"] = names_json(except);
  if (last) out["last"] = *last;
  if (max_tokens) out["max_tokens"] = *max_tokens;
  if (!include_topic) out["include_topic"] = false;
  if (!documents.empty()) out["documents"] = names_json(documents);
  if (anonymous) out["anonymous"] = true;
  if (out.size() == 1) return out["scope"];
  return out;
}

base::Result<ContextRule> ContextRule::from_json(const json::value& value) {
  ContextRule rule;
  if (value.is_string()) {
    const auto scope = scope_from(value.get_string());
    if (!scope)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("unknown context scope '{}'",
                                                std::string_view(value.get_string()))};
    rule.scope = *scope;
    return rule;
  }
  Spec spec(value, "context");
  if (spec.has("scope")) {
    const auto scope = scope_from(spec.text("scope"));
    if (scope) {
      rule.scope = *scope;
    } else {
      spec.fail("unknown scope");
    }
  }
  rule.from = spec.text_list("from");
  rule.except = spec.text_list("except");
  if (spec.has("last")) rule.last = spec.integer("last", 0);
  if (spec.has("max_tokens")) rule.max_tokens = spec.integer("max_tokens", 0);
  rule.include_topic = spec.flag("include_topic", true);
  rule.documents = spec.text_list("documents");
  rule.anonymous = spec.flag("anonymous", false);
  if (auto failed = spec.take_error()) return *failed;
  return rule;
}

json::object write_instruction(const Instruction& instruction) {
  json::object out;
  out["kind"] = instruction.kind();
  if (!instruction.name.empty()) out["name"] = instruction.name;
  out["path"] = instruction.path;
  std::visit([&](const auto& step) { write(out, step); }, instruction.step);
  if (instruction.jump) {
    json::object jump;
    jump["target"] = instruction.jump->target;
    if (instruction.jump->max) jump["max"] = *instruction.jump->max;
    if (instruction.jump->when) jump["when"] = instruction.jump->when->to_json();
    out["goto"] = std::move(jump);
  }
  if (!instruction.loops.empty()) {
    json::array loops;
    for (const int loop : instruction.loops) loops.push_back(loop);
    out["loops"] = std::move(loops);
  }
  out["next"] = instruction.next;
  return out;
}

base::Result<Instruction> read_instruction(const json::value& value, int count) {
  Spec spec(value, "step");
  Instruction instruction;
  instruction.name = spec.text("name");
  instruction.path = spec.text("path");
  instruction.next = spec.index("next", count, true);
  for (const json::value& loop : spec.list("loops")) {
    if (!loop.is_int64() || loop.get_int64() < 0 || loop.get_int64() >= count) {
      spec.fail("'loops' names no instruction");
      continue;
    }
    instruction.loops.push_back(static_cast<int>(loop.get_int64()));
  }
  if (const json::value* jump = spec.find("goto")) {
    Spec in(*jump, "goto");
    Goto to;
    to.target = in.index("target", count, false);
    if (in.has("max")) to.max = in.integer("max", 0);
    to.when = condition_of(in, "when");
    if (auto failed = in.take_error()) spec.fail(failed->message);
    instruction.jump = std::move(to);
  }
  const auto read = read_step(instruction, spec, count);
  // What is wrong with a member comes before what follows from it.
  if (auto failed = spec.take_error()) return *failed;
  if (!read) return read.error();
  return instruction;
}

Spec::Spec(const json::value& value, std::string_view what)
    : object_(value.is_object() ? &value.get_object() : &kNoObject), what_(what) {
  if (!value.is_object()) fail("it is no object");
}

bool Spec::has(std::string_view name) const {
  return find(name) != nullptr;
}

const json::value* Spec::find(std::string_view name) const {
  return object_->if_contains(name);
}

std::string Spec::text(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return std::string(value->get_string());
  fail(fmt::format("'{}' is no text", name));
  return {};
}

std::int64_t Spec::integer(std::string_view name, std::int64_t otherwise) {
  const json::value* value = find(name);
  if (value == nullptr) return otherwise;
  if (value->is_int64()) return value->get_int64();
  fail(fmt::format("'{}' is no whole number", name));
  return otherwise;
}

bool Spec::flag(std::string_view name, bool otherwise) {
  const json::value* value = find(name);
  if (value == nullptr) return otherwise;
  if (value->is_bool()) return value->get_bool();
  fail(fmt::format("'{}' is neither true nor false", name));
  return otherwise;
}

const json::array& Spec::list(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return kNoArray;
  if (value->is_array()) return value->get_array();
  fail(fmt::format("'{}' is no list", name));
  return kNoArray;
}

std::vector<std::string> Spec::text_list(std::string_view name) {
  std::vector<std::string> texts;
  for (const json::value& each : list(name)) {
    if (each.is_string()) {
      texts.emplace_back(each.get_string());
    } else {
      fail(fmt::format("'{}' holds what is no text", name));
    }
  }
  return texts;
}

json::object Spec::object(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (value->is_object()) return value->get_object();
  fail(fmt::format("'{}' is no object", name));
  return {};
}

std::map<std::string, std::string> Spec::texts(std::string_view name) {
  std::map<std::string, std::string> texts;
  for (const auto& member : object(name)) {
    if (member.value().is_string()) {
      texts.emplace(member.key(), member.value().get_string());
    } else {
      fail(fmt::format("'{}' holds what is no text", name));
    }
  }
  return texts;
}

int Spec::index(std::string_view name, int count, bool may_end) {
  const std::int64_t value = integer(name, Instruction::kEnd);
  if (value >= 0 && value < count) return static_cast<int>(value);
  if (may_end && value == Instruction::kBranchEnd) return Instruction::kBranchEnd;
  if (value != Instruction::kEnd || !may_end) fail(fmt::format("'{}' names no instruction", name));
  return Instruction::kEnd;
}

void Spec::fail(std::string message) {
  if (!error_)
    error_ = base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}: {}", what_, std::move(message))};
}

}  // namespace tertulia::flow
