#include <fmt/format.h>

#include <algorithm>

#include "flow/draft.h"

namespace tertulia::flow {
namespace {

// Numbers the instructions in the order of the text, then links them: an instruction's `next` is
// what follows it in its list, or what follows the block that it is the last of.
class Compiler final {
 public:
  explicit Compiler(FlowDraft draft) : draft_(std::move(draft)) {}

  Compiled compile() {
    place_list(draft_.steps, "", {});
    link_list(draft_.steps, Instruction::kEnd);
    Compiled compiled;
    compiled.program = std::move(draft_.program);
    compiled.program.entry = draft_.steps.empty() ? Instruction::kEnd : index_of(draft_.steps[0]);
    for (const auto& [step, index] : jumps_) {
      Goto jump;
      jump.target = ids_.at(step->jump->step);
      jump.max = step->jump->max;
      jump.when = std::move(step->jump->when);
      instructions_[static_cast<size_t>(index)].jump = std::move(jump);
    }
    compiled.program.steps = std::move(instructions_);
    compiled.places = std::move(places_);
    compiled.called = std::move(called_);
    return compiled;
  }

 private:
  void place_list(std::vector<StepDraft>& list, const std::string& path,
                  const std::vector<int>& loops) {
    int number = 0;
    for (StepDraft& step : list)
      place_step(step, path + (path.empty() ? "" : ".") + std::to_string(++number), loops);
  }

  int add(const StepDraft& step, std::string path, const std::vector<int>& loops) {
    const int index = static_cast<int>(instructions_.size());
    Instruction instruction;
    instruction.path = std::move(path);
    instruction.loops = loops;
    instructions_.push_back(std::move(instruction));
    Compiled::Places places{.step = step.place,
                            .context = step.context_place.value_or(step.place),
                            .condition = step.place};
    if (const auto* loop = std::get_if<LoopDraft>(&step.step);
        loop != nullptr && (loop->until || loop->while_))
      places.condition = loop->condition_place;
    if (const auto* branch = std::get_if<IfDraft>(&step.step))
      places.condition = branch->condition_place;
    if (const auto* discuss = std::get_if<DiscussDraft>(&step.step); discuss && discuss->until)
      places.condition = discuss->condition_place;
    places_.push_back(places);
    return index;
  }

  void place_step(StepDraft& step, const std::string& path, const std::vector<int>& loops) {
    const int index = add(step, path, loops);
    indexes_[&step] = index;
    instructions_[static_cast<size_t>(index)].name = step.id;
    if (!step.id.empty()) ids_[step.id] = index;
    if (step.jump) jumps_.emplace_back(&step, index);
    if (auto* loop = std::get_if<LoopDraft>(&step.step)) {
      std::vector<int> inside = loops;
      inside.push_back(index);
      place_list(loop->steps, path + ".loop", inside);
      checks_[&step] = add(step, path + ".check", inside);
    } else if (auto* branch = std::get_if<IfDraft>(&step.step)) {
      place_list(branch->then, path + ".then", loops);
      place_list(branch->otherwise, path + ".else", loops);
    } else if (auto* discuss = std::get_if<DiscussDraft>(&step.step)) {
      Turns& turns = turns_[&step];
      if (!discuss->moderator.empty()) turns.choice = add(step, path + ".choice", loops);
      turns.turn = add(step, path + ".turn", loops);
      turns.check = add(step, path + ".check", loops);
    } else if (auto* parallel = std::get_if<ParallelDraft>(&step.step)) {
      // A branch is a line of its own: no loop of its block is under way in it.
      for (size_t i = 0; i < parallel->branches.size(); ++i)
        place_list(parallel->branches[i], fmt::format("{}.parallel.{}", path, i + 1), {});
    }
  }

  [[nodiscard]] int index_of(const StepDraft& step) const { return indexes_.at(&step); }
  [[nodiscard]] int first_of(const std::vector<StepDraft>& list, int otherwise) const {
    return list.empty() ? otherwise : index_of(list.front());
  }

  void link_list(std::vector<StepDraft>& list, int after) {
    for (size_t i = 0; i < list.size(); ++i)
      link_step(list[i], i + 1 < list.size() ? index_of(list[i + 1]) : after);
  }

  void link_step(StepDraft& step, int next) {
    Instruction& instruction = instructions_[static_cast<size_t>(index_of(step))];
    instruction.next = next;
    if (auto* loop = std::get_if<LoopDraft>(&step.step)) {
      const int check = checks_.at(&step);
      instruction.step = Loop{.max = loop->max,
                              .body = first_of(loop->steps, check),
                              .check = check,
                              .check_first = loop->while_.has_value()};
      Instruction& after_body = instructions_[static_cast<size_t>(check)];
      after_body.next = next;
      after_body.step = LoopCheck{.loop = index_of(step),
                                  .until = std::move(loop->until),
                                  .while_ = std::move(loop->while_)};
      link_list(loop->steps, check);
    } else if (auto* branch = std::get_if<IfDraft>(&step.step)) {
      instruction.step = If{.condition = std::move(branch->condition),
                            .then = first_of(branch->then, next),
                            .otherwise = first_of(branch->otherwise, next)};
      link_list(branch->then, next);
      link_list(branch->otherwise, next);
    } else if (auto* discuss = std::get_if<DiscussDraft>(&step.step)) {
      link_discuss(*discuss, step, index_of(step));
    } else if (auto* parallel = std::get_if<ParallelDraft>(&step.step)) {
      Parallel linked;
      linked.each = std::move(parallel->each);
      for (auto& steps : parallel->branches) {
        linked.branches.push_back(first_of(steps, Instruction::kBranchEnd));
        link_list(steps, Instruction::kBranchEnd);
      }
      instruction.step = std::move(linked);
    } else if (auto* call = std::get_if<CallDraft>(&step.step)) {
      called_[index_of(step)] = {std::move(call->called), std::move(call->roles)};
      instruction.step = std::move(call->call);
    } else if (auto* speak = std::get_if<Speak>(&step.step)) {
      instruction.step = std::move(*speak);
    } else if (auto* ask = std::get_if<AskPerson>(&step.step)) {
      instruction.step = std::move(*ask);
    } else if (auto* set = std::get_if<Set>(&step.step)) {
      instruction.step = std::move(*set);
    } else {
      instruction.step = std::move(std::get<End>(step.step));
    }
  }

  void link_discuss(DiscussDraft& draft, const StepDraft& step, int index) {
    const Turns& turns = turns_.at(&step);
    const auto at = [&](int which) -> Instruction& {
      return instructions_[static_cast<size_t>(which)];
    };
    for (const int part : {turns.choice, turns.turn, turns.check})
      if (part != Discuss::kNone) at(part).name.clear();
    Discuss& discuss = draft.discuss;
    discuss.turn = turns.turn;
    discuss.choice = turns.choice;
    discuss.check = turns.check;
    if (turns.choice != Discuss::kNone) {
      at(turns.choice).next = turns.turn;
      at(turns.choice).step = Choice{.discuss = index,
                                     .role = std::move(draft.moderator),
                                     .context = draft.turn.context,
                                     .model = {}};
    }
    at(turns.turn).next = turns.check;
    at(turns.turn).step = std::move(draft.turn);
    at(turns.check).next = at(index).next;
    at(turns.check).step = LoopCheck{.loop = index, .until = std::move(draft.until), .while_ = {}};
    at(index).step = std::move(discuss);
  }

  // The further instructions of a discuss.
  struct Turns {
    int choice = Discuss::kNone;
    int turn = 0;
    int check = 0;
  };

  FlowDraft draft_;
  std::map<const StepDraft*, Turns> turns_;
  std::map<int, Compiled::Called> called_;
  std::vector<Instruction> instructions_;
  std::vector<Compiled::Places> places_;
  std::map<const StepDraft*, int> indexes_;
  std::map<const StepDraft*, int> checks_;
  std::map<std::string, int, std::less<>> ids_;
  std::vector<std::pair<StepDraft*, int>> jumps_;
};

}  // namespace

Compiled compile_draft(FlowDraft draft) {
  return Compiler(std::move(draft)).compile();
}

}  // namespace tertulia::flow
