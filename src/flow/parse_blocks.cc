// The parser's part for blocks that are more than a loop: discuss, parallel, call.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/near_name.h"
#include "flow/parse.h"

namespace tertulia::flow {

std::optional<DiscussDraft> StepParser::discuss(const YAML::Node& step_node, StepDraft& step) {
  static_cast<void>(reader_.mapping(step_node, Construct::discuss_step, "a discuss step"));
  const YAML::Node node = step_node["discuss"];
  if (!reader_.mapping(node, Construct::discuss, "a discuss")) return {};
  DiscussDraft draft;
  Discuss& discuss = draft.discuss;
  if (const auto among = node["among"]) {
    for (const auto& each : among)
      if (among.IsSequence()) discuss.among.push_back(role(each, "among"));
    if (discuss.among.size() < 2) reader_.error(among, "'among' is a list of two roles at least");
    for (auto each = discuss.among.begin(); each != discuss.among.end(); ++each)
      if (std::find(discuss.among.begin(), each, *each) != each)
        reader_.error(among, fmt::format("the role '{}' stands there twice", *each));
  } else {
    reader_.error(node, "a discuss needs 'among': the roles that take turns");
  }
  if (const auto order = node["order"]) {
    const std::string word = reader_.text(order, "order").value_or("");
    std::vector<std::string> known;
    bool found = false;
    for (const auto each : {Discuss::Order::fixed, Discuss::Order::round_robin,
                            Discuss::Order::random, Discuss::Order::moderator}) {
      known.emplace_back(order_name(each));
      if (word != known.back()) continue;
      discuss.order = each;
      found = true;
    }
    if (!found)
      reader_.error(order,
                    fmt::format("'order' is one of {}, found '{}'", fmt::join(known, ", "), word));
  }
  const bool moderated = discuss.order == Discuss::Order::moderator;
  if (const auto moderator = node["moderator"]) {
    draft.moderator = role(moderator, "moderator");
    if (!moderated)
      reader_.error(moderator, "a moderator chooses who speaks: that needs 'order: moderator'");
  } else if (moderated) {
    reader_.error(node["order"], "'order: moderator' needs 'moderator': the role that chooses");
  }
  if (const auto max = node["max"]) {
    discuss.max = reader_.count(max, "discuss.max", 1, 1'000'000).value_or(1);
  } else {
    reader_.error(node, "a discuss needs 'max': how many turns are taken at most");
  }
  if (const auto until = node["until"]) {
    draft.condition_place = reader_.place(until);
    draft.until = condition(until);
  }
  if (const auto task = node["task"])
    if (auto parsed = text(task, "task")) draft.turn.task = *std::move(parsed);
  refuse_reference(node["task"], draft.turn.task, Reference::Head::to_name,
                   "{{to.name}} has no meaning here: a turn is said to everyone");
  asking(node, draft.turn, step);
  return draft;
}

std::optional<ParallelDraft> StepParser::parallel(const YAML::Node& step_node) {
  static_cast<void>(reader_.mapping(step_node, Construct::parallel, "a parallel step"));
  const YAML::Node node = step_node["parallel"];
  if (node.IsMap()) return parallel_each(node);
  if (!node.IsSequence() || node.size() < 2) {
    reader_.error(node,
                  "a parallel is a list of two branches at least, each a list of steps, or "
                  "{ each: [ROLE, ...], do: [steps] }");
    return {};
  }
  ParallelDraft draft;
  int number = 0;
  for (const auto& each : node)
    draft.branches.push_back(steps(each, fmt::format("branch {}", ++number)));
  return draft;
}

std::optional<ParallelDraft> StepParser::parallel_each(const YAML::Node& node) {
  if (!reader_.mapping(node, Construct::each, "a parallel")) return {};
  ParallelDraft draft;
  if (const auto each = node["each"]) {
    draft.each = used_names(Use::Kind::role, each, "each");
    if (draft.each.size() < 2) reader_.error(each, "'each' is a list of two roles at least");
    for (auto one = draft.each.begin(); one != draft.each.end(); ++one)
      if (std::find(draft.each.begin(), one, *one) != one)
        reader_.error(each, fmt::format("the role '{}' stands there twice", *one));
  } else {
    reader_.error(node, "a parallel with 'do' needs 'each': the roles that perform it");
  }
  if (const auto body = node["do"]) {
    const int before = each_block_;
    each_block_ = draft.each_block = ++each_blocks_;
    draft.branches.push_back(steps(body, "do"));
    each_block_ = before;
  } else {
    reader_.error(node, "a parallel with 'each' needs 'do': the steps of each");
    draft.branches.emplace_back();
  }
  return draft;
}

std::optional<CallDraft> StepParser::call(const YAML::Node& node) {
  static_cast<void>(reader_.mapping(node, Construct::call, "a call step"));
  CallDraft draft;
  draft.call.flow = reader_.text(node["call"], "call").value_or("");
  if (draft.call.flow.empty()) return draft;
  if (draft.call.flow == draft_.program.name) {
    reader_.error(node["call"], fmt::format("the flow '{}' calls itself", draft.call.flow));
  } else if (!options_.find_flow) {
    reader_.error(node["call"], "no flow can be called from here: there is no store to find it in");
  } else if (auto found = options_.find_flow(draft.call.flow)) {
    draft.called = *std::move(found);
    draft.call.default_topic = draft.called->topic;
    draft.call.result = draft.called->result;
    for (const VariableDeclaration& variable : draft.called->variables)
      if (variable.initial) draft.call.initial[variable.name] = *variable.initial;
  } else {
    reader_.error(node["call"], found.error().message);
  }
  call_with(node["with"], draft);
  return draft;
}

void StepParser::call_with(const YAML::Node& node, CallDraft& draft) {
  std::vector<std::string> given;
  if (node && reader_.mapping(node, Construct::with, "'with'")) {
    if (const auto topic = node["topic"])
      if (auto parsed = text(topic, "topic")) draft.call.topic = *std::move(parsed);
    if (const auto roles = node["roles"]; roles && reader_.names(roles, "roles")) {
      for (const auto& each : roles) {
        const std::string& inner = each.first.Scalar();
        draft.roles[inner] = role(each.second, "roles");
        if (draft.called && draft.called->role(inner) == nullptr)
          reader_.error(each.first,
                        fmt::format("the flow '{}' has no role '{}'", draft.call.flow, inner));
      }
    }
    if (const auto variables = node["vars"]; variables && reader_.names(variables, "vars")) {
      for (const auto& each : variables) {
        const std::string& name = each.first.Scalar();
        given.push_back(name);
        Argument argument;
        json::value value = reader_.value(each.second);
        if (value.is_string() && value.get_string().find("{{") != json::string::npos) {
          if (auto parsed = text(each.second, name)) argument.text = *std::move(parsed);
        } else {
          argument.literal = std::move(value);
        }
        if (draft.called) {
          const auto& declared = draft.called->variables;
          const auto variable = std::find_if(declared.begin(), declared.end(),
                                             [&](const auto& one) { return one.name == name; });
          if (variable == declared.end()) {
            reader_.error(each.first,
                          fmt::format("the flow '{}' has no variable '{}'", draft.call.flow, name));
          } else if (argument.literal) {
            if (const auto broken = why_not(*argument.literal, *variable))
              reader_.error(each.second, fmt::format("'{}' {}", name, *broken));
          }
        }
        draft.call.variables[name] = std::move(argument);
      }
    }
  }
  if (!draft.called) return;
  for (const VariableDeclaration& variable : draft.called->variables)
    if (!variable.initial && std::find(given.begin(), given.end(), variable.name) == given.end())
      problems_.error(node ? reader_.place(node) : Place{},
                      fmt::format("the flow '{}' needs a value for '{}': with: {{ vars: {{ {}: ... "
                                  "}} }}",
                                  draft.call.flow, variable.name, variable.name));
}

}  // namespace tertulia::flow
