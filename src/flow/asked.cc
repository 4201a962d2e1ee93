#include "flow/asked.h"

#include <algorithm>

namespace tertulia::flow {
namespace {

constexpr std::string_view kCall = "call ";  // in `from`: the roles of a called flow

json::object judgement_schema() {
  return {{"type", "object"},
          {"required", json::array{"reason", "answer"}},
          {"properties", json::object{{"reason", json::object{{"type", "string"}}},
                                      {"answer", json::object{{"type", "boolean"}}}}},
          {"additionalProperties", false}};
}

json::object choice_schema(const std::vector<std::string>& names) {
  json::array all;
  for (const std::string& name : names) all.emplace_back(name);
  return {{"type", "object"},
          {"required", json::array{"next"}},
          {"properties", json::object{{"next", json::object{{"enum", std::move(all)}}}}},
          {"additionalProperties", false}};
}

bool has_names_to_resolve(const std::vector<std::string>& roles) {
  return std::any_of(roles.begin(), roles.end(), [](const std::string& role) {
    return role == kEach || role.starts_with(kCall);
  });
}

// `each` by the branch's role, `call ID` by all roles of that call.
std::vector<std::string> resolved(const std::vector<std::string>& roles, const Program& program,
                                  const Strand& strand) {
  std::vector<std::string> found;
  for (const std::string& role : roles) {
    if (role == kEach) {
      found.push_back(strand.each_role);
    } else if (role.starts_with(kCall)) {
      const std::string prefix = strand.prefix + role.substr(kCall.size()) + '/';
      for (const RoleDeclaration& each : program.roles)
        if (each.scope.starts_with(prefix)) found.push_back(each.ref);
    } else {
      found.push_back(role);
    }
  }
  return found;
}

}  // namespace

Asked::Asked(const Program& program, const State& state, const Strand& strand, const Cast& cast,
             const Record& record) {
  const Instruction& step = program.steps[static_cast<std::size_t>(strand.open->instruction)];
  if ((speak_ = std::get_if<Speak>(&step.step)) != nullptr) {
    resolve(program, strand);
    return;
  }
  own_.emplace();
  own_->role = speaker_of(program, strand);
  if (const auto* choice = std::get_if<Choice>(&step.step)) {
    kind_ = Kind::choice;
    own_->context = choice->context;
    own_->model = choice->model;
    const auto& discuss =
        std::get<Discuss>(program.steps[static_cast<std::size_t>(choice->discuss)].step);
    among_ = discuss.among;
    for (const std::string& ref : among_) {
      const CastRole* role = cast.find(ref);
      names_.push_back(role != nullptr ? role->name : ref);
    }
    own_->output = choice_schema(names_);
  } else {
    kind_ = Kind::judgement;
    if (const Condition* judge = judge_of(program, state, strand, record))
      own_->task = judge->question;
    own_->output = judgement_schema();
  }
  speak_ = &*own_;
  resolve(program, strand);
}

void Asked::resolve(const Program& program, const Strand& strand) {
  const ContextRule& rule = speak_->context;
  const bool as_it_stands = !speak_->role.empty() && speak_->role != kEach && speak_->to != kEach &&
                            !has_names_to_resolve(rule.from) && !has_names_to_resolve(rule.except);
  if (as_it_stands) return;
  if (!own_) own_ = *speak_;
  own_->role = speaker_of(program, strand);
  if (own_->to == kEach) own_->to = strand.each_role;
  own_->context.from = resolved(rule.from, program, strand);
  own_->context.except = resolved(rule.except, program, strand);
}

json::value Asked::chosen(const json::value& said) const {
  const json::value* next = base::at_pointer(said, "/next");
  if (next == nullptr || !next->is_string()) return said;
  const std::string_view name = next->get_string();
  for (std::size_t i = 0; i < among_.size(); ++i)
    if (name == names_[i] || name == among_[i]) return json::object{{"next", among_[i]}};
  return said;
}

}  // namespace tertulia::flow
