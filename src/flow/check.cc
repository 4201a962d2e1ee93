#include "flow/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/near_name.h"
#include "flow/draft.h"
#include "flow/output_place.h"

namespace tertulia::flow {
namespace {

constexpr std::size_t kMostListed = 8;  // names in a message

std::string hint(std::string_view name, const std::vector<std::string>& known,
                 std::string_view what) {
  const std::string near = base::near_name(name, known);
  if (!near.empty()) return fmt::format("; did you mean '{}'?", near);
  if (known.empty()) return fmt::format("; the flow has no {}", what);
  if (known.size() > kMostListed) return {};
  return fmt::format("; there are: {}", fmt::join(known, ", "));
}

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Checker final {
 public:
  Checker(const FlowDraft& draft, const CheckOptions& options, Problems& problems)
      : draft_(draft), options_(options), problems_(problems) {}

  void check() {
    for (const RoleDeclaration& role : draft_.program.roles) roles_.push_back(role.ref);
    for (const auto& variable : draft_.program.variables) variables_.push_back(variable.name);
    gather(draft_.steps, {});
    for (const Use& use : draft_.uses) check_use(use);
    check_jumps();
    check_branches(draft_.steps);
    check_calls(draft_.steps);
    check_limits();
  }

 private:
  using List = std::vector<StepDraft>;
  // Where a step stands: the lists around it, outermost first, and its place in each.
  using Blocks = std::vector<std::pair<const List*, std::size_t>>;
  struct Standing {
    const StepDraft* step = nullptr;
    Blocks blocks;
    int each_block = 0;
  };

  // ---- names -----------------------------------------------------------------------------------

  // Everything that steps declare, before anything is held against it.
  void gather(const List& list, const Blocks& around) {
    Blocks blocks = around;
    blocks.emplace_back(&list, 0);
    for (const StepDraft& step : list) {
      if (!step.id.empty()) {
        const auto [first, added] = steps_.emplace(step.id, Standing{&step, blocks, each_block_});
        if (!added)
          problems_.error(step.id_place,
                          fmt::format("two steps have the id '{}': the other is in line {}",
                                      step.id, first->second.step->id_place.line));
        step_names_.push_back(step.id);
      }
      if (step.jump) jumps_.push_back({&step, blocks, each_block_});
      if (const auto* speak = std::get_if<Speak>(&step.step)) {
        if (!speak->document.empty()) documents_.push_back(speak->document);
        if (speak->output && !step.id.empty()) outputs_.push_back(step.id);
      } else if (const auto* parallel = std::get_if<ParallelDraft>(&step.step)) {
        // No goto leads out of a branch: its lists have nothing around them.
        const int before = each_block_;
        if (parallel->each_block != 0) each_block_ = parallel->each_block;
        for (const List& branch : parallel->branches) gather(branch, {});
        each_block_ = before;
      } else if (const auto* call = std::get_if<CallDraft>(&step.step)) {
        if (!step.id.empty()) {
          calls_.push_back(step.id);
          if (!call->called || !call->called->result.empty()) outputs_.push_back(step.id);
        }
      } else if (const auto* ask = std::get_if<AskPerson>(&step.step)) {
        if (!ask->document.empty()) documents_.push_back(ask->document);
      } else if (const auto* loop = std::get_if<LoopDraft>(&step.step)) {
        gather(loop->steps, blocks);
      } else if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
        gather(branch->then, blocks);
        gather(branch->otherwise, blocks);
      }
      ++blocks.back().second;
    }
  }

  void check_use(const Use& use) {
    if (use.name.empty()) return;  // told by the parser
    switch (use.kind) {
      case Use::Kind::role:
        if (!has(roles_, use.name))
          problems_.error(use.place, fmt::format("unknown role '{}'{}", use.name,
                                                 hint(use.name, roles_, "roles")));
        return;
      case Use::Kind::variable:
        check_variable_use(use);
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
      case Use::Kind::call:
        if (!has(calls_, use.name))
          problems_.error(use.place, fmt::format("there is no call with the id '{}'{}", use.name,
                                                 hint(use.name, calls_, "call with an id")));
        return;
      case Use::Kind::profile:
        // PROVIDER/MODEL and rehearsal need no profile of their own.
        if (options_.profiles && !has(*options_.profiles, use.name) &&
            use.name.find('/') == std::string::npos && use.name.rfind("rehearsal", 0) != 0)
          problems_.warn(use.place,
                         fmt::format("the model profile '{}' is not configured{}", use.name,
                                     hint(use.name, *options_.profiles, "profiles configured")));
        return;
      case Use::Kind::stored_role:
        if (options_.stored_roles && !has(*options_.stored_roles, use.name))
          problems_.warn(use.place,
                         fmt::format("there is no stored role '{}'{}", use.name,
                                     hint(use.name, *options_.stored_roles, "stored roles")));
        return;
      case Use::Kind::output:
        check_output_use(use);
        return;
    }
  }

  void check_variable_use(const Use& use) {
    const auto found =
        std::find(variables_.begin(), variables_.end(), use.name) - variables_.begin();
    if (static_cast<std::size_t>(found) == variables_.size()) {
      problems_.error(use.place, fmt::format("unknown variable '{}'{}", use.name,
                                             hint(use.name, variables_, "vars")));
      return;
    }
    if (!use.value) return;
    const VariableDeclaration& variable = draft_.program.variables[static_cast<std::size_t>(found)];
    const auto broken = why_not(*use.value, variable);
    if (use.test == Condition::Test::equals && broken && !use.value->is_null())
      problems_.warn(use.place, fmt::format("this is never true: '{}' {}", use.name, *broken));
    if (use.test) return;
    if (use.value->is_object() && variable.type != "object") {
      problems_.error(
          use.place, fmt::format("'{}' is set to a literal, to {{ output: STEP, at: /pointer }} or "
                                 "to {{ stat: ..., of: [STEP] }}; a mapping as a literal needs a "
                                 "variable of type object",
                                 use.name));
    } else if (broken) {
      problems_.error(use.place, fmt::format("'{}' {}, found {}", use.name, *broken,
                                             base::to_text(*use.value)));
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
    const Standing& from = steps_.find(use.name)->second;
    if (from.each_block != 0 && from.each_block != use.each_block && !use.in_stat)
      problems_.error(use.place,
                      fmt::format("the step '{}' is performed by each of several roles: its output "
                                  "is many, which only a stat takes: {{ stat: ..., of: [{}] }}",
                                  use.name, use.name));
    const auto* speak = std::get_if<Speak>(&from.step->step);
    if (speak == nullptr || !speak->output) return;  // a second step of this id: told already
    const OutputPlace place(*speak->output, use.pointer);
    if (!place.possible()) {
      problems_.error(use.place,
                      fmt::format("the output of '{}' has no '{}'{}", use.name, place.missing(),
                                  hint(place.missing(), place.known(), "properties there")));
    } else if (use.test && !place.may_hold(*use.test, *use.value)) {
      problems_.warn(use.place,
                     fmt::format("this is never true: the output's schema excludes {} {}",
                                 test_name(*use.test), base::to_text(*use.value)));
    }
  }

  // ---- gotos -----------------------------------------------------------------------------------

  void check_jumps() {
    for (const Standing& from : jumps_) {
      const GotoDraft& jump = *from.step->jump;
      if (std::holds_alternative<IfDraft>(from.step->step))
        problems_.error(jump.place,
                        "this version of the program cannot perform a goto on an 'if' step: put it "
                        "on a step in its branches");
      if (std::holds_alternative<End>(from.step->step))
        problems_.error(jump.place, "an 'end' step ends the session: its goto is never taken");
      const auto target = steps_.find(jump.step);
      if (target == steps_.end()) continue;  // told already
      if (level_of(from, target->second) == kOutside)
        problems_.error(jump.place,
                        fmt::format("goto leads into a block from outside, or out of a parallel's "
                                    "branch: '{}' is in a loop or branch that this step is not in",
                                    jump.step));
    }
  }

  static constexpr std::size_t kOutside = SIZE_MAX;

  // Which of the lists around a step is the one in which another stands.
  static std::size_t level_of(const Standing& from, const Standing& target) {
    const std::size_t level = target.blocks.size() - 1;
    const bool inside =
        level < from.blocks.size() && target.blocks[level].first == from.blocks[level].first;
    return inside ? level : kOutside;
  }

  // ---- branches and calls ----------------------------------------------------------------------

  template <class Visit>
  static void each_list(const StepDraft& step, const Visit& visit) {
    if (const auto* loop = std::get_if<LoopDraft>(&step.step)) visit(loop->steps);
    if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
      visit(branch->then);
      visit(branch->otherwise);
    }
    if (const auto* parallel = std::get_if<ParallelDraft>(&step.step))
      for (const List& branch : parallel->branches) visit(branch);
  }

  // What a list changes that its siblings would change too: variables and documents, by name.
  using Changes = std::map<std::string, Place>;
  static void changes_of(const List& list, Changes& variables, Changes& documents) {
    for (const StepDraft& step : list) {
      if (const auto* set = std::get_if<Set>(&step.step))
        for (const Assignment& each : set->assignments)
          variables.emplace(each.variable, step.place);
      if (const auto* speak = std::get_if<Speak>(&step.step); speak && !speak->document.empty())
        documents.emplace(speak->document, step.place);
      if (const auto* ask = std::get_if<AskPerson>(&step.step); ask && !ask->document.empty())
        documents.emplace(ask->document, step.place);
      each_list(step, [&](const List& inner) { changes_of(inner, variables, documents); });
    }
  }

  void check_branches(const List& list) {
    for (const StepDraft& step : list) {
      if (const auto* parallel = std::get_if<ParallelDraft>(&step.step)) {
        Changes variables, documents;
        for (const List& branch : parallel->branches) {
          Changes own_variables, own_documents;
          changes_of(branch, own_variables, own_documents);
          const auto clash = [&](const Changes& own, Changes& others, std::string_view what) {
            for (const auto& [name, place] : own)
              if (!others.emplace(name, place).second || !parallel->each.empty())
                problems_.error(place, fmt::format("two branches {} '{}' at the same time: which "
                                                   "one would be kept?",
                                                   what, name));
          };
          clash(own_variables, variables, "set");
          clash(own_documents, documents, "write the document");
        }
      }
      each_list(step, [&](const List& inner) { check_branches(inner); });
    }
  }

  static std::size_t depth_of(std::string_view path) {
    std::size_t depth = 0;
    for (std::size_t at = path.find(".call."); at != std::string_view::npos;
         at = path.find(".call.", at + 1))
      ++depth;
    return depth;
  }

  void check_calls(const List& list) {
    for (const StepDraft& step : list) {
      if (const auto* call = std::get_if<CallDraft>(&step.step); call && call->called) {
        for (const Instruction& inner : call->called->steps) {
          const auto* further = std::get_if<Call>(&inner.step);
          if (further != nullptr && further->flow == draft_.program.name) {
            problems_.error(step.place, fmt::format("the flow '{}' calls '{}' again: a flow cannot "
                                                    "be part of itself",
                                                    call->call.flow, further->flow));
            break;
          }
          if (depth_of(inner.path) + 1 >= static_cast<std::size_t>(kMaxCallDepth)) {
            problems_.error(step.place,
                            fmt::format("calls are nested {} deep at most", kMaxCallDepth));
            break;
          }
        }
        instructions_ += call->called->steps.size();
        if (instructions_ > kMaxInstructions) {
          problems_.error(step.place, fmt::format("with the flows that it calls, the flow has more "
                                                  "than {} steps",
                                                  kMaxInstructions));
          return;
        }
        const std::string prefix = step.id + '/';
        for (const std::string& role : roles_)
          if (!step.id.empty() && role.starts_with(prefix))
            problems_.error(step.place, fmt::format("the role '{}' has the name that a role of the "
                                                    "call '{}' gets: call one of them otherwise",
                                                    role, step.id));
      }
      each_list(step, [&](const List& inner) { check_calls(inner); });
    }
  }

  // ---- limits ----------------------------------------------------------------------------------

  // What a list can take at most: steps that ask a model, and rounds that begin. As double, which
  // grows without overflow.
  struct Cost {
    double steps = 0;
    double rounds = 0;
  };

  Cost cost_of(const List& list, bool in_loop) const {
    std::vector<Cost> each;
    for (const StepDraft& step : list) each.push_back(cost_of(step, in_loop));
    Cost sum;
    for (const Cost& cost : each) {
      sum.steps += cost.steps;
      sum.rounds += cost.rounds;
    }
    // A goto back repeats what stands between, each time that it is taken.
    for (const Standing& from : jumps_) {
      const GotoDraft& jump = *from.step->jump;
      const auto target = steps_.find(jump.step);
      if (target == steps_.end() || target->second.blocks.back().first != &list) continue;
      const std::size_t level = level_of(from, target->second);
      if (level == kOutside) continue;
      const std::size_t first = target->second.blocks.back().second;
      const double times = static_cast<double>(jump.max.value_or(0));
      if (!in_loop && first <= from.blocks[level].second) sum.rounds += times;
      for (std::size_t i = first; i <= from.blocks[level].second; ++i) {
        sum.steps += times * each[i].steps;
        sum.rounds += times * each[i].rounds;
      }
    }
    return sum;
  }

  Cost cost_of(const StepDraft& step, bool in_loop) const {
    if (std::holds_alternative<Speak>(step.step) || std::holds_alternative<AskPerson>(step.step))
      return {.steps = 1, .rounds = 0};
    const auto judges = [](const std::optional<Condition>& condition) {
      return condition && condition->asks_judge() ? 1.0 : 0.0;
    };
    if (const auto* loop = std::get_if<LoopDraft>(&step.step)) {
      const double times = static_cast<double>(loop->max);
      return {.steps = times * cost_of(loop->steps, true).steps +
                       (times - 1) * judges(loop->until) + times * judges(loop->while_),
              .rounds = in_loop ? 0 : times - 1};
    }
    if (const auto* discuss = std::get_if<DiscussDraft>(&step.step)) {
      const double turns = static_cast<double>(discuss->discuss.max);
      return {.steps = turns * (discuss->moderator.empty() ? 1 : 2) +
                       (turns - 1) * judges(discuss->until),
              .rounds = 0};
    }
    if (const auto* call = std::get_if<CallDraft>(&step.step); call && call->called) {
      // Its loops are not counted: each of its steps once.
      const auto& steps = call->called->steps;
      return {.steps = static_cast<double>(std::count_if(
                  steps.begin(), steps.end(), [](const auto& each) { return each.says(); })),
              .rounds = 0};
    }
    if (const auto* parallel = std::get_if<ParallelDraft>(&step.step)) {
      double steps = 0;
      for (const List& branch : parallel->branches) steps += cost_of(branch, true).steps;
      if (!parallel->each.empty()) steps *= static_cast<double>(parallel->each.size());
      return {.steps = steps, .rounds = 0};
    }
    if (const auto* branch = std::get_if<IfDraft>(&step.step)) {
      const Cost then = cost_of(branch->then, in_loop);
      const Cost otherwise = cost_of(branch->otherwise, in_loop);
      return {.steps = std::max(then.steps, otherwise.steps) +
                       (branch->condition.asks_judge() ? 1.0 : 0.0),
              .rounds = std::max(then.rounds, otherwise.rounds)};
    }
    return {};
  }

  void check_limits() {
    const Limits& limits = draft_.program.limits;
    const Cost most = cost_of(draft_.steps, false);
    const auto warn = [&](double needed, std::int64_t limit, std::string_view what) {
      if (needed > static_cast<double>(limit))
        problems_.warn(draft_.limits_place,
                       fmt::format("the flow's loops can take {:.0f} {}, its limit is {}", needed,
                                   what, limit));
    };
    warn(most.steps, limits.steps, "steps");
    warn(most.rounds + 1, limits.rounds, "rounds");
  }

  const FlowDraft& draft_;
  const CheckOptions& options_;
  Problems& problems_;
  std::vector<std::string> roles_, variables_, documents_, outputs_, step_names_, calls_;
  int each_block_ = 0;
  std::size_t instructions_ = 0;
  std::map<std::string, Standing, std::less<>> steps_;
  std::vector<Standing> jumps_;
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
    checked.name = draft->program.name;
    if (!problems.has_errors()) {
      Compiled compiled = compile_draft(*std::move(draft));
      warn_of_ways(compiled, problems);
      add_called(compiled);
      checked.program = std::move(compiled.program);
    }
  }
  checked.problems = problems.take();
  return checked;
}

}  // namespace tertulia::flow
