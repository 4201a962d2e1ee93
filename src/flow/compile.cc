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

  FlowDraft draft_;
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
