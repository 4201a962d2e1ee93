#include <fmt/format.h>

#include <array>

#include "flow/parse.h"

namespace tertulia::flow {
namespace {

using Kind = Condition::Kind;
using Test = Condition::Test;

constexpr std::array<std::pair<const char*, Test>, 7> kTests = {
    std::pair<const char*, Test>{"equals", Test::equals},
    {"not_equals", Test::not_equals},
    {"gt", Test::gt},
    {"gte", Test::gte},
    {"lt", Test::lt},
    {"lte", Test::lte},
    {"in", Test::in}};

}  // namespace

std::optional<Condition> StepParser::condition(const YAML::Node& node) {
  if (!node.IsMap()) {
    reader_.error(node,
                  "expected a condition such as { contains: TEXT } or { output: STEP, at: "
                  "/pointer, equals: VALUE }");
    return {};
  }
  // `output` and `var` first: their tests have names that are conditions of their own.
  if (node["output"] || node["var"]) {
    Condition condition;
    const char* key = node["output"] ? "output" : "var";
    condition.kind = node["output"] ? Kind::output : Kind::variable;
    condition.subject = reader_.text(node[key], key).value_or("");
    return value_test(node, std::move(condition));
  }
  for (const char* key : {"contains", "matches", "equals"})
    if (node[key]) return message_test(node, key);
  if (node["judge"]) return judge(node);
  static_cast<void>(reader_.mapping(node, Construct::condition, "a condition"));
  if (node.size() != 1) {
    reader_.error(node,
                  "a condition is one of contains, matches, equals, output, var, "
                  "rounds_at_least, judge, all, any, not");
    return {};
  }
  if (const auto rounds = node["rounds_at_least"]) {
    Condition condition;
    condition.kind = Kind::rounds_at_least;
    const auto count = reader_.count(rounds, "rounds_at_least", 1, 1'000'000);
    if (!count) return {};
    condition.rounds = *count;
    return condition;
  }
  if (const auto list = node["all"]) return parts(list, Kind::all);
  if (const auto list = node["any"]) return parts(list, Kind::any);
  if (const auto negated = node["not"]) {
    auto part = condition(negated);
    if (!part) return {};
    Condition condition;
    condition.kind = Kind::not_;
    condition.parts.push_back(*std::move(part));
    return condition;
  }
  return {};  // an unknown key, told already
}

std::optional<Condition> StepParser::parts(const YAML::Node& list, Kind kind) {
  if (!list.IsSequence() || list.size() == 0) {
    reader_.error(list, "expected a list of conditions");
    return {};
  }
  Condition whole;
  whole.kind = kind;
  for (const auto& each : list) {
    auto part = condition(each);
    if (part) whole.parts.push_back(*std::move(part));
  }
  if (whole.parts.size() != list.size()) return {};
  return whole;
}

std::optional<Condition> StepParser::judge(const YAML::Node& node) {
  for (const auto& each : node)
    if (each.first.Scalar() != "judge" && each.first.Scalar() != "question") {
      reader_.error(each.first, fmt::format("unknown key '{}' beside 'judge'; known is 'question'",
                                            each.first.Scalar()));
      return {};
    }
  Condition condition;
  condition.kind = Kind::judge;
  condition.subject = role(node["judge"], "judge");
  if (condition.subject == kEach) {
    reader_.error(node["judge"], "a judge is one role, not each");
    return {};
  }
  if (!node["question"]) {
    reader_.error(node, "a judge needs 'question': what it is to answer with yes or no");
    return {};
  }
  auto question = text(node["question"], "question");
  if (!question) return {};
  if (question->empty()) {
    reader_.error(node["question"], "'question' is empty");
    return {};
  }
  refuse_reference(node["question"], *question, Reference::Head::to_name,
                   "{{to.name}} has no meaning here: a judge speaks to nobody");
  condition.question = *std::move(question);
  return condition;
}

std::optional<Condition> StepParser::message_test(const YAML::Node& node, std::string_view key) {
  for (const auto& each : node)
    if (each.first.Scalar() != key && each.first.Scalar() != "of") {
      reader_.error(each.first, fmt::format("unknown key '{}' beside '{}'; known is 'of'",
                                            each.first.Scalar(), key));
      return {};
    }
  const auto wanted = node[std::string(key)];
  auto text = reader_.text(wanted, key);
  if (!text) return {};
  json::object as_json;
  as_json[key] = *text;
  if (const auto of = node["of"]) {
    auto role = reader_.text(of, "of");
    if (!role) return {};
    use(Use::Kind::role, *role, of);
    as_json["of"] = *std::move(role);
  }
  auto condition = Condition::from_json(as_json);  // compiles the regular expression
  if (!condition) {
    reader_.error(wanted, condition.error().message);
    return {};
  }
  return *std::move(condition);
}

std::optional<Condition> StepParser::value_test(const YAML::Node& node, Condition condition) {
  const bool is_output = condition.kind == Kind::output;
  const char* own = is_output ? "output" : "var";
  int tests = 0;
  for (const auto& each : node) {
    const std::string& key = each.first.Scalar();
    bool known = key == own || (is_output && key == "at");
    for (const auto& [name, test] : kTests) {
      if (key != name) continue;
      known = true;
      ++tests;
      condition.test = test;
      condition.operand = reader_.value(each.second);
      if (test == Test::in && !condition.operand.is_array())
        reader_.error(each.second, "'in' wants a list of values");
    }
    if (!known)
      reader_.error(each.first, fmt::format("unknown key '{}' in a condition on {}; known are {}"
                                            "equals, not_equals, gt, gte, lt, lte, in",
                                            key, is_output ? "an output" : "a variable",
                                            is_output ? "at, " : ""));
  }
  if (node["at"] && is_output) condition.pointer = pointer(node["at"]);
  if (tests != 1) {
    reader_.error(node,
                  "a condition compares with one of equals, not_equals, gt, gte, lt, lte, in");
    return {};
  }
  use(is_output ? Use::Kind::output : Use::Kind::variable, condition.subject, node[own],
      condition.pointer, condition.test, condition.operand);
  return condition;
}

}  // namespace tertulia::flow
