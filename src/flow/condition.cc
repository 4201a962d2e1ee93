#include "flow/condition.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

namespace tertulia::flow {
namespace {

using Kind = Condition::Kind;
using Test = Condition::Test;

constexpr std::array<std::pair<std::string_view, Test>, 7> kTests = {
    std::pair<std::string_view, Test>{"equals", Test::equals},
    {"not_equals", Test::not_equals},
    {"gt", Test::gt},
    {"gte", Test::gte},
    {"lt", Test::lt},
    {"lte", Test::lte},
    {"in", Test::in}};

base::Error invalid(std::string message) {
  return {.code = base::Code::invalid, .message = "not a condition: " + std::move(message)};
}

base::Result<std::string> text_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return invalid(fmt::format("'{}' is no text", name));
  return std::string(value->get_string());
}

base::Result<void> read_test(Condition& condition, const json::object& object) {
  for (const auto& [name, test] : kTests) {
    const json::value* operand = object.if_contains(name);
    if (operand == nullptr) continue;
    condition.test = test;
    condition.operand = *operand;
    return {};
  }
  return invalid("it compares with nothing");
}

base::Result<void> read_parts(Condition& condition, const json::value& list) {
  if (!list.is_array()) return invalid("'all' and 'any' want a list");
  for (const json::value& each : list.get_array()) {
    auto part = Condition::from_json(each);
    if (!part) return part.error();
    condition.parts.push_back(*std::move(part));
  }
  return {};
}

base::Result<void> read_message_test(Condition& condition, const json::object& object,
                                     std::string_view name) {
  auto text = text_member(object, name);
  if (!text) return text.error();
  condition.text = *std::move(text);
  if (object.contains("of")) {
    auto of = text_member(object, "of");
    if (!of) return of.error();
    condition.of = *std::move(of);
  }
  return {};
}

base::Result<void> compile_regex(Condition& condition) {
  RE2::Options options;
  options.set_log_errors(false);
  auto regex = std::make_shared<const RE2>(condition.text, options);
  if (!regex->ok())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("'{}' is not a regular expression (RE2): {}",
                                              condition.text, regex->error())};
  condition.regex = std::move(regex);
  return {};
}

bool message_holds(const Condition& condition, const Facts& facts) {
  const auto message = facts.last_message(condition.of);
  if (!message) return false;
  switch (condition.kind) {
    case Kind::contains:
      return message->find(condition.text) != std::string_view::npos;
    case Kind::equals:
      return *message == condition.text;
    case Kind::matches:
      return RE2::PartialMatch(re2::StringPiece(message->data(), message->size()),
                               *condition.regex);
    default:
      return false;
  }
}

// -1, 0 or 1 between two numbers or two texts; nothing between others.
std::optional<int> order_of(const json::value& a, const json::value& b) {
  const auto sign = [](auto x, auto y) { return x < y ? -1 : (y < x ? 1 : 0); };
  if (a.is_int64() && b.is_int64()) return sign(a.get_int64(), b.get_int64());
  if (a.is_number() && b.is_number()) return sign(a.to_number<double>(), b.to_number<double>());
  if (a.is_string() && b.is_string()) return sign(a.get_string().compare(b.get_string()), 0);
  return {};
}

bool test_holds(const Condition& condition, const json::value& value) {
  const json::value& operand = condition.operand;
  const auto ordered = [&](auto&& accepts) {
    const auto order = order_of(value, operand);
    return order.has_value() && accepts(*order);
  };
  switch (condition.test) {
    case Test::equals:
      return base::equal(value, operand);
    case Test::not_equals:
      return !base::equal(value, operand);
    case Test::gt:
      return ordered([](int order) { return order > 0; });
    case Test::gte:
      return ordered([](int order) { return order >= 0; });
    case Test::lt:
      return ordered([](int order) { return order < 0; });
    case Test::lte:
      return ordered([](int order) { return order <= 0; });
    case Test::in:
      return operand.is_array() &&
             std::any_of(operand.get_array().begin(), operand.get_array().end(),
                         [&](const json::value& each) { return base::equal(value, each); });
  }
  return false;
}

}  // namespace

std::string_view test_name(Test test) {
  for (const auto& [name, value] : kTests)
    if (value == test) return name;
  return {};
}

json::value Condition::to_json() const {
  json::object out;
  const auto parts_json = [&] {
    json::array list;
    for (const Condition& part : parts) list.push_back(part.to_json());
    return list;
  };
  switch (kind) {
    case Kind::contains:
      out["contains"] = text;
      break;
    case Kind::matches:
      out["matches"] = text;
      break;
    case Kind::equals:
      out["equals"] = text;
      break;
    case Kind::output:
      out["output"] = subject;
      if (!pointer.empty()) out["at"] = pointer;
      out[test_name(test)] = operand;
      break;
    case Kind::variable:
      out["var"] = subject;
      out[test_name(test)] = operand;
      break;
    case Kind::rounds_at_least:
      out["rounds_at_least"] = rounds;
      break;
    case Kind::judge:
      out["judge"] = subject;
      out["question"] = question.source();
      break;
    case Kind::all:
      out["all"] = parts_json();
      break;
    case Kind::any:
      out["any"] = parts_json();
      break;
    case Kind::not_:
      out["not"] = parts.front().to_json();
      break;
  }
  if (!of.empty()) out["of"] = of;
  return out;
}

base::Result<Condition> Condition::from_json(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return invalid("it is no mapping");
  Condition condition;
  base::Result<void> read;
  // `output` and `var` come first: they too have an `equals`.
  if (object->contains("output")) {
    condition.kind = Kind::output;
    auto subject = text_member(*object, "output");
    if (!subject) return subject.error();
    condition.subject = *std::move(subject);
    if (object->contains("at")) {
      auto pointer = text_member(*object, "at");
      if (!pointer) return pointer.error();
      condition.pointer = *std::move(pointer);
    }
    read = read_test(condition, *object);
  } else if (object->contains("var")) {
    condition.kind = Kind::variable;
    auto subject = text_member(*object, "var");
    if (!subject) return subject.error();
    condition.subject = *std::move(subject);
    read = read_test(condition, *object);
  } else if (object->contains("contains")) {
    condition.kind = Kind::contains;
    read = read_message_test(condition, *object, "contains");
  } else if (object->contains("matches")) {
    condition.kind = Kind::matches;
    read = read_message_test(condition, *object, "matches");
    if (read) read = compile_regex(condition);
  } else if (object->contains("equals")) {
    condition.kind = Kind::equals;
    read = read_message_test(condition, *object, "equals");
  } else if (const json::value* rounds = object->if_contains("rounds_at_least")) {
    condition.kind = Kind::rounds_at_least;
    if (!rounds->is_int64()) return invalid("'rounds_at_least' is no whole number");
    condition.rounds = rounds->get_int64();
  } else if (object->contains("judge")) {
    condition.kind = Kind::judge;
    auto subject = text_member(*object, "judge");
    if (!subject) return subject.error();
    condition.subject = *std::move(subject);
    auto question = text_member(*object, "question");
    if (!question) return question.error();
    auto text = Text::parse(*question);
    if (!text) return text.error();
    condition.question = *std::move(text);
  } else if (const json::value* all = object->if_contains("all")) {
    condition.kind = Kind::all;
    read = read_parts(condition, *all);
  } else if (const json::value* any = object->if_contains("any")) {
    condition.kind = Kind::any;
    read = read_parts(condition, *any);
  } else if (const json::value* part = object->if_contains("not")) {
    condition.kind = Kind::not_;
    auto negated = from_json(*part);
    if (!negated) return negated.error();
    condition.parts.push_back(*std::move(negated));
  } else {
    return invalid(
        "it has none of contains, matches, equals, output, var, rounds_at_least, judge, all, "
        "any, not");
  }
  if (!read) return read.error();
  return condition;
}

bool Condition::asks_judge() const {
  return kind == Kind::judge || std::any_of(parts.begin(), parts.end(), [](const Condition& part) {
           return part.asks_judge();
         });
}

namespace {

// Takes the answers one by one, as the condition comes to its judges.
class Hearing final {
 public:
  Hearing(const Facts& facts, const std::vector<bool>& answers)
      : facts_(facts), answers_(answers) {}

  Verdict hear(const Condition& condition) {
    switch (condition.kind) {
      case Kind::judge:
        if (heard_ < answers_.size()) return {.holds = answers_[heard_++], .judge = nullptr};
        return {.holds = {}, .judge = &condition};
      case Kind::all:
        return hear_parts(condition, false);
      case Kind::any:
        return hear_parts(condition, true);
      case Kind::not_: {
        Verdict verdict = hear(condition.parts.front());
        if (verdict.holds) verdict.holds = !*verdict.holds;
        return verdict;
      }
      default:
        return {.holds = holds(condition, facts_), .judge = nullptr};
    }
  }

 private:
  // What costs nothing comes first. One part that is `decides` decides the whole.
  Verdict hear_parts(const Condition& whole, bool decides) {
    for (const Condition& part : whole.parts)
      if (!part.asks_judge() && holds(part, facts_) == decides)
        return {.holds = decides, .judge = nullptr};
    for (const Condition& part : whole.parts) {
      if (!part.asks_judge()) continue;
      const Verdict verdict = hear(part);
      if (!verdict.holds || *verdict.holds == decides) return verdict;
    }
    return {.holds = !decides, .judge = nullptr};
  }

  const Facts& facts_;
  const std::vector<bool>& answers_;
  std::size_t heard_ = 0;
};

}  // namespace

Verdict judged(const Condition& condition, const Facts& facts, const std::vector<bool>& answers) {
  return Hearing(facts, answers).hear(condition);
}

bool holds(const Condition& condition, const Facts& facts) {
  const auto part_holds = [&](const Condition& part) { return holds(part, facts); };
  switch (condition.kind) {
    case Kind::contains:
    case Kind::matches:
    case Kind::equals:
      return message_holds(condition, facts);
    case Kind::output: {
      const json::value* output = facts.output(condition.subject);
      const json::value* value =
          output != nullptr ? base::at_pointer(*output, condition.pointer) : nullptr;
      static const json::value kNull;
      return test_holds(condition, value != nullptr ? *value : kNull);
    }
    case Kind::variable: {
      const json::value* value = facts.variable(condition.subject);
      static const json::value kNull;
      return test_holds(condition, value != nullptr ? *value : kNull);
    }
    case Kind::rounds_at_least:
      return facts.round() >= condition.rounds;
    case Kind::judge:
      return false;
    case Kind::all:
      return std::all_of(condition.parts.begin(), condition.parts.end(), part_holds);
    case Kind::any:
      return std::any_of(condition.parts.begin(), condition.parts.end(), part_holds);
    case Kind::not_:
      return !part_holds(condition.parts.front());
  }
  return false;
}

}  // namespace tertulia::flow
