#include "flow/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/near_name.h"
#include "flow/draft.h"

namespace tertulia::flow {
namespace {

std::string hint(std::string_view name, const std::vector<std::string>& known,
                 std::string_view what) {
  const std::string near = base::near_name(name, known);
  if (!near.empty()) return fmt::format("; did you mean '{}'?", near);
  if (known.empty()) return fmt::format("; the flow has no {}", what);
  if (known.size() > 8) return {};
  return fmt::format("; there are: {}", fmt::join(known, ", "));
}

std::string visible(const json::value& value) {
  return base::to_text(value);
}

// The schema at a pointer into values of this schema, as far as it can be told.
struct Target {
  const json::object* schema = nullptr;  // null: cannot be told
  bool impossible = false;
  std::string missing;             // the property that is not there
  std::vector<std::string> known;  // and those that are
};

Target target_of(const json::object& schema, std::string_view pointer) {
  Target target{.schema = &schema, .impossible = false, .missing = {}, .known = {}};
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string part(pointer.substr(0, pointer.find('/')));
    pointer.remove_prefix(part.size());
    if (target.schema->contains("$ref") || target.schema->contains("anyOf")) return {};
    const json::value* properties = target.schema->if_contains("properties");
    const json::value* items = target.schema->if_contains("items");
    if (properties != nullptr) {
      const json::value* property = properties->get_object().if_contains(part);
      if (property == nullptr) {
        target.impossible = true;
        target.missing = part;
        for (const auto& each : properties->get_object()) target.known.emplace_back(each.key());
        return target;
      }
      target.schema = &property->get_object();
    } else if (items != nullptr) {
      target.schema = &items->get_object();
    } else {
      return {};
    }
  }
  return target;
}

class Checker final {
 public:
  Checker(const FlowDraft& draft, const CheckOptions& options, Problems& problems)
      : draft_(draft), options_(options), problems_(problems) {}

  void check() {
    gather(draft_.steps, {});
    for (const RoleDeclaration& role : draft_.program.roles) roles_.push_back(role.ref);
    for (const auto& variable : draft_.program.variables) variables_.push_back(variable.name);
    for (const Use& use : draft_.uses) check_use(use);
    for (const auto& [step, blocks] : jumps_) check_jump(*step, blocks);
    walk(draft_.steps);
    check_limits();
  }

 private:
  using Blocks = std::vector<const void*>;

  // Everything that steps declare, before anything is held against it.
  void gather(const std::vector<StepDraft>& list, const Blocks& blocks) {
    Blocks inside = blocks;
    inside.push_back(&list);
    for (const StepDraft& step : list) {
      if (!step.id.empty()) {
        if (!steps_.emplace(step.id, std::pair(&step, inside)).second)
          problems_.error(step.place, fmt::format("two steps have the id '{}'", step.id));
        step_names_.push_back(step.id);
      }
      if (step.jump) jumps_.emplace_back(&step, inside);
      if (const auto* speak = std::get_if<Speak>(&step.step)) {
        if (!speak->document.empty()) documents_.push_back(speak->document);
        speakers_.insert(speak->role);
        if (speak->output && !step.id.empty()) outputs_.push_back(step.id);
      } else if (const auto* loop = std::get_if<LoopDraft>(&step.step)) {
        gather(loop->steps, inside);
      } else if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
        gather(branch->then, inside);
        gather(branch->otherwise, inside);
      }
    }
  }

  static bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  void check_use(const Use& use) {
    switch (use.kind) {
      case Use::Kind::role:
        if (!use.name.empty() && !has(roles_, use.name))
          problems_.error(use.place, fmt::format("unknown role '{}'{}", use.name,
                                                 hint(use.name, roles_, "roles")));
        return;
      case Use::Kind::variable:
        if (!has(variables_, use.name))
          problems_.error(use.place, fmt::format("unknown variable '{}'{}", use.name,
                                                 hint(use.name, variables_, "vars")));
        return;
      case Use::Kind::document:
        if (!has(documents_, use.name))
          problems_.error(use.place,
                          fmt::format("no step writes the document '{}'{}", use.name,
                                      hint(use.name, documents_, "step that writes a document")));
        return;
      case Use::Kind::step:
        if (!steps_.contains(use.name))
          problems_.error(use.place, fmt::format("there is no step with the id '{}'{}", use.name,
                                                 hint(use.name, step_names_, "step with an id")));
        return;
      case Use::Kind::profile:
        if (options_.profiles && !has(*options_.profiles, use.name) &&
            use.name.find('/') == std::string::npos && use.name.rfind("rehearsal", 0) != 0)
          problems_.warn(use.place,
                         fmt::format("the model profile '{}' is not configured{}", use.name,
                                     hint(use.name, *options_.profiles, "profiles configured")));
        return;
      case Use::Kind::output:
        check_output_use(use);
        return;
    }
  }

  void check_output_use(const Use& use) {
    if (!has(outputs_, use.name)) {
      problems_.error(use.place,
                      steps_.contains(use.name)
                          ? fmt::format("the step '{}' has no 'output'", use.name)
                          : fmt::format("there is no step '{}' with an output{}", use.name,
                                        hint(use.name, outputs_, "step with an id and an output")));
      return;
    }
    const auto& speak = std::get<Speak>(steps_.find(use.name)->second.first->step);
    const Target target = target_of(*speak.output, use.pointer);
    if (target.impossible) {
      problems_.error(use.place,
                      fmt::format("the output of '{}' has no '{}'{}", use.name, target.missing,
                                  hint(target.missing, target.known, "properties")));
      return;
    }
    if (target.schema == nullptr || !use.must_equal) return;
    if (const json::value* list = target.schema->if_contains("enum")) {
      for (const json::value& each : list->get_array())
        if (base::equal(each, *use.must_equal)) return;
      problems_.warn(use.place, fmt::format("this is never true: {} is none of {}",
                                            visible(*use.must_equal), visible(*list)));
    }
  }

  void check_jump(const StepDraft& step, const Blocks& blocks) {
    const auto target = steps_.find(step.jump->step);
    if (target == steps_.end()) return;  // told already
    const Blocks& around = target->second.second;
    const bool inside =
        around.size() <= blocks.size() && std::equal(around.begin(), around.end(), blocks.begin());
    if (!inside)
      problems_.error(step.jump->place,
                      fmt::format("goto leads into a block from outside: '{}' is in a loop or "
                                  "branch that this step is not in",
                                  step.jump->step));
  }

  // ---- what people fall into
  // ---------------------------------------------------------------------

  void walk(const std::vector<StepDraft>& list) {
    for (const StepDraft& step : list) {
      if (const auto* speak = std::get_if<Speak>(&step.step)) {
        check_scope(step, *speak);
        spoken_.insert(speak->role);
      } else if (const auto* loop = std::get_if<LoopDraft>(&step.step)) {
        check_exit(*loop);
        // In a loop, what stands below has spoken too, from the second pass on.
        std::set<std::string> before = spoken_;
        add_speakers(loop->steps, spoken_);
        loops_.push_back(loop);
        walk(loop->steps);
        loops_.pop_back();
        before.merge(spoken_);
        spoken_ = std::move(before);
      } else if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
        walk(branch->then);
        walk(branch->otherwise);
      }
    }
  }

  static void add_speakers(const std::vector<StepDraft>& list, std::set<std::string>& into) {
    for (const StepDraft& step : list) {
      if (const auto* speak = std::get_if<Speak>(&step.step)) into.insert(speak->role);
      if (const auto* loop = std::get_if<LoopDraft>(&step.step)) add_speakers(loop->steps, into);
      if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
        add_speakers(branch->then, into);
        add_speakers(branch->otherwise, into);
      }
    }
  }

  void check_scope(const StepDraft& step, const Speak& speak) {
    const Place place = step.context_place.value_or(step.place);
    for (const std::string& role : speak.context.from) {
      if (!has(roles_, role)) continue;
      if (!speakers_.contains(role)) {
        problems_.warn(place, fmt::format("the context names '{}', which never speaks", role));
      } else if (!spoken_.contains(role) && jumps_.empty()) {
        problems_.warn(place,
                       fmt::format("the context names '{}', which has not spoken by then", role));
      }
    }
    if (!speak.document.empty() && !loops_.empty()) check_revision(place, speak);
  }

  // A writer who is shown the criticism but not the draft.
  void check_revision(Place place, const Speak& speak) {
    const ContextRule& rule = speak.context;
    using Scope = ContextRule::Scope;
    if (has(rule.documents, speak.document)) return;
    for (const Text::Piece& piece : speak.task.pieces())
      if (piece.is_reference && piece.reference.head == Reference::Head::document &&
          piece.reference.name == speak.document)
        return;
    const bool shows_own =
        rule.scope != Scope::none && rule.scope != Scope::topic && rule.scope != Scope::last &&
        (rule.from.empty() || has(rule.from, speak.role)) && !has(rule.except, speak.role);
    if (!shows_own)
      problems_.warn(place,
                     fmt::format("'{}' revises the document '{}' without being shown it: add "
                                 "documents: [{}]",
                                 speak.role, speak.document, speak.document));
  }

  void check_exit(const LoopDraft& loop) {
    if (loop.decided_by.empty()) return;
    std::set<std::string> speakers, outputs, variables;
    add_speakers(loop.steps, speakers);
    add_results(loop.steps, outputs, variables);
    for (const Use& use : loop.decided_by) {
      if (use.kind == Use::Kind::role &&
          (use.name.empty() ? !speakers.empty() : speakers.contains(use.name)))
        return;
      if (use.kind == Use::Kind::output && outputs.contains(use.name)) return;
      if (use.kind == Use::Kind::variable && variables.contains(use.name)) return;
    }
    problems_.warn(loop.condition_place,
                   "no step inside the loop decides this condition: it cannot change from pass to "
                   "pass");
  }

  static void add_results(const std::vector<StepDraft>& list, std::set<std::string>& outputs,
                          std::set<std::string>& variables) {
    for (const StepDraft& step : list) {
      if (const auto* speak = std::get_if<Speak>(&step.step); speak && speak->output)
        outputs.insert(step.id);
      if (const auto* set = std::get_if<Set>(&step.step))
        for (const Assignment& each : set->assignments) variables.insert(each.variable);
      if (const auto* loop = std::get_if<LoopDraft>(&step.step))
        add_results(loop->steps, outputs, variables);
      if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
        add_results(branch->then, outputs, variables);
        add_results(branch->otherwise, outputs, variables);
      }
    }
  }

  // How often models are asked at most, gotos aside; bounded, so that it cannot overflow.
  static double most_steps(const std::vector<StepDraft>& list) {
    double sum = 0;
    for (const StepDraft& step : list) {
      if (std::holds_alternative<Speak>(step.step)) sum += 1;
      if (const auto* loop = std::get_if<LoopDraft>(&step.step))
        sum += static_cast<double>(loop->max) * most_steps(loop->steps);
      if (const auto* branch = std::get_if<IfDraft>(&step.step))
        sum += std::max(most_steps(branch->then), most_steps(branch->otherwise));
    }
    return sum;
  }

  void check_limits() {
    const Limits& limits = draft_.program.limits;
    const double most = most_steps(draft_.steps);
    if (most > static_cast<double>(limits.steps))
      problems_.warn(draft_.limits_place,
                     fmt::format("the flow's loops can take {:.0f} steps, its limit is {}", most,
                                 limits.steps));
    std::int64_t rounds = 1;
    for (const StepDraft& step : draft_.steps)
      if (const auto* loop = std::get_if<LoopDraft>(&step.step)) rounds += loop->max - 1;
    if (rounds > limits.rounds)
      problems_.warn(draft_.limits_place,
                     fmt::format("the flow's loops can take {} rounds, its limit is {}", rounds,
                                 limits.rounds));
  }

  const FlowDraft& draft_;
  const CheckOptions& options_;
  Problems& problems_;
  std::vector<std::string> roles_, variables_, documents_, outputs_, step_names_;
  std::set<std::string> speakers_;  // who speaks anywhere
  std::set<std::string> spoken_;    // who has spoken by then
  std::vector<const LoopDraft*> loops_;
  std::map<std::string, std::pair<const StepDraft*, Blocks>, std::less<>> steps_;
  std::vector<std::pair<const StepDraft*, Blocks>> jumps_;
};

}  // namespace

void Problems::add(Problem::Severity severity, Place place, std::string& message) {
  if (severity == Problem::Severity::error) ++errors_;
  list_.push_back({severity, place.line, place.column, std::move(message)});
}

std::vector<Problem> Problems::take() {
  std::stable_sort(list_.begin(), list_.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(list_);
}

void check_draft(const FlowDraft& draft, const CheckOptions& options, Problems& problems) {
  Checker(draft, options, problems).check();
}

CheckedFlow check_flow(std::string_view source, const CheckOptions& options) {
  CheckedFlow checked;
  const std::size_t first = source.find_first_not_of(" \t\r\n");
  checked.format = first != std::string_view::npos && source[first] == '{' ? "json" : "yaml";
  Problems problems;
  auto draft = parse_draft(source, options, problems);
  if (draft) {
    check_draft(*draft, options, problems);
    if (!problems.has_errors()) {
      Compiled compiled = compile_draft(*std::move(draft));
      warn_of_unreachable(compiled, problems);
      for (const Place& place : compiled.places) checked.lines.push_back(place.line);
      checked.program = std::move(compiled.program);
    }
  }
  checked.problems = problems.take();
  return checked;
}

}  // namespace tertulia::flow
