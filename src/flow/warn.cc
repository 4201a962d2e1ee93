#include <fmt/format.h>

#include <algorithm>
#include <bitset>

#include "flow/draft.h"

namespace tertulia::flow {
namespace {

// A step is four instructions at most: a discuss, its choice, its turn and its check.
constexpr std::size_t kMostInstructions = 4 * kMaxFlowSteps;
using Steps = std::bitset<kMostInstructions>;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <class Visit>
void each_leaf(const Condition& condition, const Visit& visit) {
  if (condition.parts.empty()) visit(condition);
  for (const Condition& part : condition.parts) each_leaf(part, visit);
}

class Ways final {
 public:
  Ways(const Compiled& compiled, Problems& problems)
      : program_(compiled.program), places_(compiled.places), problems_(problems) {
    const std::size_t count = program_.steps.size();
    for (std::size_t i = 0; i < count; ++i)
      if (std::holds_alternative<Parallel>(program_.steps[i].step))
        blocks_.emplace_back(program_.steps[i].path + ".parallel.", static_cast<int>(i));
    for (std::size_t i = 0; i < count; ++i) next_.push_back(next_of(program_.steps[i]));
    find_reached();
    find_before();
  }

  void warn() {
    bool told = false;  // one warning tells of all that follows in one run
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const Instruction& step = program_.steps[i];
      if (!reached_[i]) {
        // A loop's check is no step of the text: a loop may well be left before it.
        if (std::holds_alternative<LoopCheck>(step.step)) continue;
        if (!told) problems_.warn(places_[i].step, "this step is never reached");
        told = true;
        continue;
      }
      told = false;
      std::visit([&](const auto& kind) { warn_of(i, kind); }, step.step);
      // A goto is decided when its step is done.
      if (step.jump && step.jump->when)
        warn_of(*step.jump->when, Steps(before_[i]).set(i), places_[i].step);
    }
  }

 private:
  // ---- the ways --------------------------------------------------------------------------------

  [[nodiscard]] std::vector<int> next_of(const Instruction& step) const {
    std::vector<int> next;
    if (const auto* loop = std::get_if<Loop>(&step.step)) {
      next = {loop->check_first ? loop->check : loop->body};
    } else if (const auto* discuss = std::get_if<Discuss>(&step.step)) {
      next = {discuss->choice != Discuss::kNone ? discuss->choice : discuss->turn};
    } else if (const auto* parallel = std::get_if<Parallel>(&step.step)) {
      next = parallel->branches;
      if (std::find(next.begin(), next.end(), Instruction::kBranchEnd) != next.end())
        next.push_back(step.next);
    } else if (const auto* check = std::get_if<LoopCheck>(&step.step)) {
      const Instruction& entry = program_.steps[static_cast<std::size_t>(check->loop)];
      if (const auto* body_of = std::get_if<Loop>(&entry.step)) {
        next = {body_of->body, step.next};
      } else {
        const auto& turns = std::get<Discuss>(entry.step);
        next = {turns.choice != Discuss::kNone ? turns.choice : turns.turn, step.next};
      }
      if (entry.jump) next.push_back(entry.jump->target);  // taken when the loop is left
    } else if (const auto* choice = std::get_if<If>(&step.step)) {
      next = {choice->then, choice->otherwise};
    } else if (!std::holds_alternative<End>(step.step)) {
      next = {step.next};
    }
    if (step.jump && !std::holds_alternative<Loop>(step.step)) next.push_back(step.jump->target);
    // A branch's end leads on behind its block.
    for (int& each : next)
      if (each == Instruction::kBranchEnd) each = block_of(step).next;
    std::erase_if(next, [](int each) { return each < 0; });
    return next;
  }

  // The innermost parallel around a step of one of its branches; for a parallel with an empty
  // branch, the step itself.
  [[nodiscard]] const Instruction& block_of(const Instruction& step) const {
    const Instruction* found = &step;
    std::size_t longest = 0;
    for (const auto& [prefix, index] : blocks_) {
      if (prefix.size() < longest || !step.path.starts_with(prefix)) continue;
      longest = prefix.size();
      found = &program_.steps[static_cast<std::size_t>(index)];
    }
    return *found;
  }

  // The roles of which one speaks in the step.
  [[nodiscard]] std::vector<std::string> speakers_of(const Instruction& step) const {
    if (!step.says()) return {};
    if (!step.role().empty()) return {step.role()};
    for (const Instruction& each : program_.steps)
      if (const auto* discuss = std::get_if<Discuss>(&each.step);
          discuss != nullptr && &program_.steps[static_cast<std::size_t>(discuss->turn)] == &step)
        return discuss->among;
    // Of the innermost block with an `each` around it.
    std::vector<std::string> roles;
    std::size_t longest = 0;
    for (const auto& [prefix, index] : blocks_) {
      const auto& each =
          std::get<Parallel>(program_.steps[static_cast<std::size_t>(index)].step).each;
      if (each.empty() || prefix.size() < longest || !step.path.starts_with(prefix)) continue;
      longest = prefix.size();
      roles = each;
    }
    return roles;
  }

  void find_reached() {
    std::vector<int> waiting = {program_.entry};
    while (!waiting.empty()) {
      const auto index = static_cast<std::size_t>(waiting.back());
      waiting.pop_back();
      if (reached_[index]) continue;
      reached_.set(index);
      waiting.insert(waiting.end(), next_[index].begin(), next_[index].end());
    }
  }

  // What may have been performed before each step, on any way to it.
  void find_before() {
    before_.resize(program_.steps.size());
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < before_.size(); ++i) {
        if (!reached_[i]) continue;
        const Steps after = Steps(before_[i]).set(i);
        for (const int next : next_[i]) {
          Steps& before = before_[static_cast<std::size_t>(next)];
          const Steps joined = before | after;
          changed = changed || joined != before;
          before = joined;
        }
      }
    }
  }

  // Whether one of these steps is such a `Kind`.
  template <class Kind, class Is>
  [[nodiscard]] bool any(const Steps& steps, const Is& is) const {
    for (std::size_t i = 0; i < program_.steps.size(); ++i)
      if (const auto* kind = std::get_if<Kind>(&program_.steps[i].step);
          kind != nullptr && steps[i] && is(program_.steps[i], *kind))
        return true;
    return false;
  }
  [[nodiscard]] bool speaks(const std::string& role, const Steps& steps) const {
    for (std::size_t i = 0; i < program_.steps.size(); ++i)
      if (steps[i] && program_.steps[i].says() &&
          (role.empty() || contains(speakers_of(program_.steps[i]), role)))
        return true;
    return false;
  }
  [[nodiscard]] bool writes(const std::string& document, const Steps& steps) const {
    const auto is_version = [&](const Instruction&, const auto& says) {
      return says.document == document;
    };
    return any<Speak>(steps, is_version) || any<AskPerson>(steps, is_version);
  }
  [[nodiscard]] bool gives(const std::string& output, const Steps& steps) const {
    const auto is_it = [&](const Instruction& step, const auto&) { return step.name == output; };
    return any<Speak>(steps, is_it) || any<Call>(steps, is_it);
  }
  [[nodiscard]] bool sets(const std::string& variable, const Steps& steps) const {
    return any<Set>(steps, [&](const Instruction&, const Set& set) {
      return std::any_of(set.assignments.begin(), set.assignments.end(),
                         [&](const Assignment& each) { return each.variable == variable; });
    });
  }

  // ---- what is named before it is there --------------------------------------------------------

  void warn_of(std::size_t index, const Speak& speak) {
    const Place place = places_[index].context;
    for (const std::string& role : speak.context.from) {
      if (role == kEach || role.starts_with("call ")) continue;
      if (speaks(role, before_[index])) continue;
      problems_.warn(place,
                     speaks(role, reached_)
                         ? fmt::format("the context names '{}', which has not spoken by then", role)
                         : fmt::format("the context names '{}', which never speaks", role));
    }
    for (const std::string& document : speak.context.documents)
      if (!writes(document, before_[index]))
        problems_.warn(place, fmt::format("the document '{}' is not written by then", document));
    warn_of(speak.task, index);
    if (!speak.document.empty() && before_[index][index]) warn_of_revision(index, speak);
  }

  void warn_of(std::size_t index, const AskPerson& ask) { warn_of(ask.prompt, index); }

  void warn_of(std::size_t index, const Set& set) {
    for (const Assignment& each : set.assignments) {
      std::vector<std::string> steps = each.of;
      if (!each.output.empty()) steps.push_back(each.output);
      for (const std::string& step : steps)
        if (!gives(step, before_[index]))
          problems_.warn(places_[index].step,
                         fmt::format("'{}' has no output by then: it counts as null", step));
    }
  }

  void warn_of(std::size_t index, const End& end) { warn_of(end.reason, index); }
  void warn_of(std::size_t, const Loop&) {}
  void warn_of(std::size_t, const Discuss&) {}
  void warn_of(std::size_t, const Choice&) {}
  void warn_of(std::size_t, const Parallel&) {}
  void warn_of(std::size_t index, const Call& call) {
    warn_of(call.topic, index);
    for (const auto& [name, argument] : call.variables) warn_of(argument.text, index);
  }
  void warn_of(std::size_t index, const If& choice) {
    warn_of(choice.condition, before_[index], places_[index].condition);
  }

  void warn_of(const Text& text, std::size_t index) {
    for (const Text::Piece& piece : text.pieces()) {
      if (!piece.is_reference) continue;
      const auto& [head, name, path, offset] = piece.reference;
      if (head == Reference::Head::output && !gives(name, before_[index]))
        problems_.warn(
            places_[index].step,
            fmt::format("{{{{output.{}}}}} is empty here: the step has not run by then", name));
      if (head == Reference::Head::document && !writes(name, before_[index]))
        problems_.warn(
            places_[index].step,
            fmt::format("{{{{document.{}}}}} is empty here: it is not written by then", name));
    }
  }

  void warn_of(const Condition& condition, const Steps& before, Place place) {
    each_leaf(condition, [&](const Condition& leaf) {
      if (!leaf.of.empty() && !speaks(leaf.of, before))
        problems_.warn(place,
                       fmt::format("this is never true: '{}' has not spoken by then", leaf.of));
      if (leaf.kind == Condition::Kind::output && !gives(leaf.subject, before))
        problems_.warn(place,
                       fmt::format("'{}' has no output by then: it counts as null", leaf.subject));
      if (leaf.kind == Condition::Kind::rounds_at_least && leaf.rounds > program_.limits.rounds)
        problems_.warn(place, fmt::format("this is never true: the limit is {} rounds",
                                          program_.limits.rounds));
    });
  }

  // ---- loops -----------------------------------------------------------------------------------

  void warn_of(std::size_t index, const LoopCheck& check) {
    const auto& condition = check.until ? check.until : check.while_;
    if (!condition) return;
    const Place place = places_[index].condition;
    warn_of(*condition, before_[index], place);
    Steps body;
    const std::string within = program_.steps[static_cast<std::size_t>(check.loop)].path + '.';
    for (std::size_t i = 0; i < program_.steps.size(); ++i)
      if (reached_[i] && program_.steps[i].path.starts_with(within)) body.set(i);
    const bool outermost = program_.steps[static_cast<std::size_t>(check.loop)].loops.empty();
    bool decided = false;
    each_leaf(*condition, [&](const Condition& leaf) {
      switch (leaf.kind) {
        case Condition::Kind::contains:
        case Condition::Kind::matches:
        case Condition::Kind::equals:
          decided = decided || speaks(leaf.of, body);
          break;
        case Condition::Kind::output:
          decided = decided || gives(leaf.subject, body);
          break;
        case Condition::Kind::variable:
          decided = decided || sets(leaf.subject, body);
          break;
        case Condition::Kind::rounds_at_least:
          decided = decided || outermost;  // its passes are the rounds
          break;
        case Condition::Kind::judge:
          decided = true;
          break;
        default:
          break;
      }
    });
    if (!decided)
      problems_.warn(place,
                     "no step inside the loop decides this: it does not change from pass to pass");
  }

  // A writer who is shown the criticism but not the draft. The document is one that no other role
  // writes: of others' drafts, a role may well see less.
  void warn_of_revision(std::size_t index, const Speak& speak) {
    const bool alone = !any<Speak>(reached_, [&](const Instruction&, const Speak& other) {
      return other.document == speak.document && other.role != speak.role;
    });
    if (!alone || contains(speak.context.documents, speak.document)) return;
    for (const Text::Piece& piece : speak.task.pieces())
      if (piece.is_reference && piece.reference.head == Reference::Head::document &&
          piece.reference.name == speak.document)
        return;
    if (is_shown_own(index, speak)) return;
    problems_.warn(places_[index].context,
                   fmt::format("'{}' writes the document '{}' again without being shown its last "
                               "version: add documents: [{}]",
                               speak.role, speak.document, speak.document));
  }

  [[nodiscard]] static bool passes(const ContextRule& rule, const std::string& role) {
    return (rule.from.empty() || contains(rule.from, role)) && !contains(rule.except, role);
  }

  [[nodiscard]] bool is_shown_own(std::size_t index, const Speak& speak) const {
    using Scope = ContextRule::Scope;
    const ContextRule& rule = speak.context;
    const Instruction& step = program_.steps[index];
    if (!passes(rule, speak.role)) return false;
    if (rule.scope == Scope::none || rule.scope == Scope::topic) return false;
    // A pass of an outermost loop is a round: this one has an earlier version only if it stands
    // earlier in the pass.
    if (rule.scope == Scope::this_round && step.loops.size() == 1) {
      const bool earlier = any<Speak>(reached_, [&](const Instruction& other, const Speak& writer) {
        return &other < &step && other.loops == step.loops && writer.document == speak.document;
      });
      if (!earlier) return false;
    }
    const std::int64_t shown = rule.scope == Scope::last ? 1 : rule.last.value_or(INT64_MAX);
    return step.loops.empty() || shown >= distance_of_own(index, speak);
  }

  // How many messages back the last version is at least, in the passes of a loop: of the steps
  // that stand in it directly, going back from this one and round.
  [[nodiscard]] std::int64_t distance_of_own(std::size_t index, const Speak& speak) const {
    const Instruction& step = program_.steps[index];
    const std::string block = step.path.substr(0, step.path.rfind('.'));
    std::vector<const Speak*> body;
    std::size_t own = 0;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const Instruction& each = program_.steps[i];
      const auto* other = std::get_if<Speak>(&each.step);
      if (other == nullptr || each.path.substr(0, each.path.rfind('.')) != block) continue;
      if (i == index) own = body.size();
      body.push_back(other);
    }
    std::int64_t distance = 0;
    for (std::size_t back = 1; back <= body.size(); ++back) {
      const Speak& other = *body[(own + body.size() - back) % body.size()];
      if (speak.context.scope == ContextRule::Scope::last || passes(speak.context, other.role))
        ++distance;
      if (other.document == speak.document) break;
    }
    return distance;
  }

  const Program& program_;
  const std::vector<Compiled::Places>& places_;
  Problems& problems_;
  std::vector<std::pair<std::string, int>>
      blocks_;  // parallels: what their steps' paths begin with
  std::vector<std::vector<int>> next_;
  Steps reached_;
  std::vector<Steps> before_;
};

}  // namespace

void warn_of_ways(const Compiled& compiled, Problems& problems) {
  Ways(compiled, problems).warn();
}

}  // namespace tertulia::flow
