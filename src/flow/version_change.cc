#include "flow/version_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "flow/output_place.h"

namespace tertulia::flow {
namespace {

using Variables = std::map<std::string, json::value, std::less<>>;

base::Error invalid(std::string message) {
  return {.code = base::Code::invalid, .message = std::move(message), .remedy = {}};
}

// "'verdict'", or "speak 2.loop.1" of a step without an id.
std::string words_of(const Instruction& step) {
  return step.name.empty() ? step.label() : fmt::format("'{}'", step.name);
}

bool same_judges(const Instruction& a, const Instruction& b) {
  const Condition *one = a.condition(), *other = b.condition();
  if (one == nullptr || other == nullptr) return one == other;
  return base::equal(one->to_json(), other->to_json());
}

class VersionChange final {
 public:
  VersionChange(const Program& from, const Program& to) : from_(from), to_(to) {}

  base::Result<State> move(const State& state) {
    State moved = state;
    if (auto done = move_strand(moved, {}, nullptr); !done) return done.error();
    if (state.resume_at) {
      const auto at = place_of(*state.resume_at);
      if (!at) return missing(*state.resume_at);
      moved.resume_at = *at;
    }
    return moved;
  }

 private:
  [[nodiscard]] const Instruction& old_step(int index) const {
    return from_.steps[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] const Instruction& new_step(int index) const {
    return to_.steps[static_cast<std::size_t>(index)];
  }

  // The step of the other version that is this one.
  std::optional<int> place_of(int index) {
    const auto known = places_.find(index);
    if (known != places_.end()) return known->second;
    const auto found = find_place(index);
    places_.emplace(index, found);
    return found;
  }

  [[nodiscard]] std::optional<int> find_place(int index) {
    const Instruction& step = old_step(index);
    if (!step.name.empty()) {
      // Flows that are called have ids of their own.
      std::vector<int> named = steps_where([&](const Instruction& other) {
        return other.name == step.name && other.kind() == step.kind();
      });
      if (named.size() > 1)
        std::erase_if(named, [&](int each) { return new_step(each).path != step.path; });
      return named.empty() ? std::nullopt : std::optional(named.front());
    }
    std::string path = step.path;
    if (const int block = block_around(step.path); block >= 0) {
      const auto around = place_of(block);
      if (!around) return {};
      path = new_step(*around).path + path.substr(old_step(block).path.size());
    }
    const std::vector<int> there = steps_where([&](const Instruction& other) {
      return other.path == path && other.name.empty() && other.kind() == step.kind() &&
             other.role() == step.role();
    });
    return there.empty() ? std::nullopt : std::optional(there.front());
  }

  template <class Test>
  [[nodiscard]] std::vector<int> steps_where(const Test& test) const {
    std::vector<int> found;
    for (std::size_t i = 0; i < to_.steps.size(); ++i)
      if (test(to_.steps[i])) found.push_back(static_cast<int>(i));
    return found;
  }

  // The innermost step in which the path lies; -1 for none.
  [[nodiscard]] int block_around(const std::string& path) const {
    int found = -1;
    std::size_t longest = 0;
    for (std::size_t i = 0; i < from_.steps.size(); ++i) {
      const std::string& outer = from_.steps[i].path;
      if (outer.size() <= longest || outer.size() >= path.size() || !path.starts_with(outer) ||
          path[outer.size()] != '.')
        continue;
      found = static_cast<int>(i);
      longest = outer.size();
    }
    return found;
  }

  [[nodiscard]] base::Error missing(int index) const {
    return invalid(fmt::format("it has no step {}, at which the session stands there",
                               words_of(old_step(index))));
  }
  [[nodiscard]] base::Error other(int index, std::string_view what) const {
    return invalid(fmt::format("in its step {}, at which the session stands there, {}",
                               words_of(old_step(index)), what));
  }

  // `around`: the other version's blocks around the strand, outermost first; `owner`: the call that
  // made the strand's outermost scope, null where it is the flow's own.
  base::Result<void> move_strand(Strand& strand, std::vector<int> around, const Call* owner) {
    for (Strand::Frame& frame : strand.frames) {
      const int before = frame.block;
      if (auto done = move_frame(frame); !done) return done;
      around.push_back(frame.block);
      if (frame.kind != Strand::Frame::Kind::call) continue;
      for (Scope& caller : frame.caller)
        if (auto done = move_scope(caller, owner); !done) return done;
      owner = &std::get<Call>(new_step(frame.block).step);
      if (owner->flow != std::get<Call>(old_step(before).step).flow)
        return other(before, "another flow is called");
    }
    if (auto done = move_scope(strand, owner); !done) return done;
    if (strand.open)
      if (auto done = move_open(*strand.open, around, strand.number); !done) return done;
    strand.visits = moved_counts(strand.visits);
    strand.jumps = moved_counts(strand.jumps);
    for (Strand& branch : strand.branches)
      if (auto done = move_strand(branch, around, owner); !done) return done;
    return {};
  }

  base::Result<void> move_scope(Scope& scope, const Call* owner) const {
    if (owner == nullptr) {
      auto variables = variables_of_version(to_, scope.variables);
      if (!variables) return variables.error();
      scope.variables = *std::move(variables);
      return {};
    }
    Variables moved(owner->initial.begin(), owner->initial.end());
    for (const auto& [name, argument] : owner->variables) {
      if (argument.literal) moved.insert_or_assign(name, *argument.literal);
      if (!argument.literal && !scope.variables.contains(name))
        return invalid(fmt::format(
            "it gives the flow '{}', which is under way, a variable '{}' that has no value",
            owner->flow, name));
      moved.try_emplace(name);
    }
    for (auto& [name, value] : moved)
      if (const auto known = scope.variables.find(name); known != scope.variables.end())
        value = known->second;
    scope.variables = std::move(moved);
    scope.prefix = owner->prefix;
    return {};
  }

  base::Result<void> move_frame(Strand::Frame& frame) {
    const int before = frame.block;
    const auto place = place_of(before);
    if (!place) return missing(before);
    if (frame.kind == Strand::Frame::Kind::discuss && frame.chosen >= 0) {
      const auto& among = std::get<Discuss>(new_step(*place).step).among;
      const std::string& role =
          std::get<Discuss>(old_step(before).step).among[static_cast<std::size_t>(frame.chosen)];
      const auto found = std::find(among.begin(), among.end(), role);
      if (found == among.end()) return other(before, fmt::format("'{}' takes no turns", role));
      frame.chosen = static_cast<int>(found - among.begin());
    }
    if (frame.kind == Strand::Frame::Kind::parallel) {
      const auto &then = std::get<Parallel>(old_step(before).step),
                 &now = std::get<Parallel>(new_step(*place).step);
      if (then.branches.size() != now.branches.size() || then.each != now.each)
        return other(before, "the branches are others");
    }
    frame.block = *place;
    return {};
  }

  base::Result<void> move_open(Strand::Open& open, const std::vector<int>& around, int branch) {
    const int before = open.instruction;
    const auto place = place_of(before);
    if (!place) return missing(before);
    const Instruction &then = old_step(before), &now = new_step(*place);
    if (then.role() != now.role())
      return other(before, fmt::format("'{}' does not speak", then.role()));
    if (!same_judges(then, now)) return other(before, "another condition is judged");
    if (blocks_around(now.path) != around || !lies_in_branch(now.path, around, branch))
      return other(before, "the blocks around it are others");
    open.instruction = *place;
    return {};
  }

  // The blocks of the other version around a path, outermost first.
  [[nodiscard]] std::vector<int> blocks_around(const std::string& path) const {
    std::vector<int> blocks = steps_where([&](const Instruction& step) {
      const std::string_view kind = step.kind();
      return (kind == "loop" || kind == "discuss" || kind == "parallel" || kind == "call") &&
             step.path.size() < path.size() && path.starts_with(step.path) &&
             path[step.path.size()] == '.';
    });
    std::sort(blocks.begin(), blocks.end(),
              [&](int a, int b) { return new_step(a).path.size() < new_step(b).path.size(); });
    return blocks;
  }

  // Does the path lie in this branch of the innermost parallel around it?
  [[nodiscard]] bool lies_in_branch(const std::string& path, const std::vector<int>& around,
                                    int branch) const {
    const auto block = std::find_if(around.rbegin(), around.rend(), [&](int each) {
      return std::holds_alternative<Parallel>(new_step(each).step);
    });
    if (block == around.rend()) return branch == 0;
    const auto& parallel = std::get<Parallel>(new_step(*block).step);
    if (!parallel.each.empty()) return true;
    return path.starts_with(fmt::format("{}.parallel.{}.", new_step(*block).path, branch));
  }

  [[nodiscard]] std::map<int, std::int64_t> moved_counts(
      const std::map<int, std::int64_t>& counts) {
    std::map<int, std::int64_t> moved;
    for (const auto& [index, count] : counts)
      if (const auto place = place_of(index)) moved[*place] += count;
    return moved;
  }

  const Program& from_;
  const Program& to_;
  std::map<int, std::optional<int>> places_;
};

}  // namespace

base::Result<State> move_to_version(const Program& from, const Program& to, const State& state) {
  return VersionChange(from, to).move(state);
}

base::Result<Variables> variables_of_version(const Program& program, const Variables& values) {
  Variables found;
  for (const VariableDeclaration& declared : program.variables) {
    const auto known = values.find(declared.name);
    if (known == values.end() && !declared.initial)
      return invalid(
          fmt::format("its variable '{}' has neither a value nor a default", declared.name));
    const json::value& value = known == values.end() ? *declared.initial : known->second;
    // What no output gave is null, whatever is declared.
    if (!declared.type.empty() && !value.is_null() && !has_type(value, declared.type))
      return invalid(fmt::format("its variable '{}' is declared as {}, and stands at {}",
                                 declared.name, declared.type, base::to_text(value)));
    found.emplace(declared.name, value);
  }
  return found;
}

}  // namespace tertulia::flow
