#include "adopt/walk.h"

#include <fmt/format.h>

#include "base/json.h"

namespace tertulia::adopt {
namespace {

using model::StepStatus;

class HeardRecord final : public flow::Record {
 public:
  explicit HeardRecord(const WalkInput& input) : input_(input) {}
  [[nodiscard]] std::optional<std::string_view> message(std::int64_t position) const override {
    if (position < 1 || static_cast<std::size_t>(position) > input_.messages.size()) return {};
    return input_.messages[static_cast<std::size_t>(position) - 1].text;
  }
  [[nodiscard]] const base::json::value* output(std::int64_t) const override { return nullptr; }
  [[nodiscard]] std::string_view topic() const override { return input_.topic; }

 private:
  const WalkInput& input_;
};

// The id of the message that a row of the older log names, if it does.
std::optional<model::Id> message_named(const model::StepExecutionLog& row) {
  auto data = base::parse_json(row.result_data.value_or(""));
  if (!data) return {};
  const auto* id = base::at_pointer(*data, "/message_id");
  if (id == nullptr || !id->is_int64()) return {};
  return id->get_int64();
}

bool is_over(const model::StepExecutionLog& row) {
  return row.status == StepStatus::completed;
}

class AlongMessages final {
 public:
  explicit AlongMessages(const WalkInput& input)
      : input_(input), record_(input), of_message_(input.messages.size()) {}

  WalkResult walk() {
    flow::Start start;
    // Limits are this program's: what is there already is not held against them.
    flow::Limits none;
    none.steps = INT64_MAX;
    none.rounds = INT64_MAX;
    start.limits = none;
    if (!feed(start)) return std::move(result_);
    std::vector<int> instructions;
    // First without the older log: which step said what is told by the speakers alone.
    for (std::size_t i = 0; i < input_.messages.size(); ++i) {
      if (!may_say(i)) return std::move(result_);
      result_.rows[static_cast<std::size_t>(result_.state.open->order) - 1].message = i;
      instructions.push_back(result_.state.open->instruction);
      flow::Answered answer;
      answer.text = input_.messages[i].text;
      if (!feed(answer)) return std::move(result_);
    }
    match_log(instructions);
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool misfit(std::string why) {
    result_.misfit = std::move(why);
    return false;
  }

  [[nodiscard]] bool may_say(std::size_t index) {
    const auto& state = result_.state;
    const std::string& role = input_.messages[index].role;
    if (state.status != model::SessionStatus::running)
      return misfit(fmt::format("message {} stands after the end of its flow", index + 1));
    const auto& step = input_.program->steps[static_cast<std::size_t>(state.open->instruction)];
    const std::string& expected = std::get<flow::Speak>(step.step).role;
    if (role == expected) return true;
    return misfit(fmt::format("message {} is {}'s, where its flow has {} ({})", index + 1,
                              role.empty() ? std::string("nobody") : role, expected, step.label()));
  }

  [[nodiscard]] bool feed(const flow::Event& event) {
    auto effects = flow::advance(*input_.program, result_.state, event, record_);
    if (!effects) return misfit(effects.error().message);
    for (const flow::Effect& effect : *effects) {
      if (const auto* opened = std::get_if<flow::OpenRow>(&effect)) {
        LogRow row;
        row.order = opened->order;
        row.instruction = opened->instruction;
        row.opened = *opened;
        row.closing = opened->closed;
        result_.rows.push_back(std::move(row));
      } else if (const auto* closed = std::get_if<flow::CloseRow>(&effect)) {
        result_.rows[static_cast<std::size_t>(closed->order) - 1].closing = closed->closing;
      }
    }
    return true;
  }

  // Which of the older rows belongs to which message: by the message's id where a row has it, else
  // from the end, because it is the oldest messages that were said before there was a log.
  void match_log(const std::vector<int>& instructions) {
    std::vector<bool> used(input_.log.size());
    for (std::size_t r = 0; r < input_.log.size(); ++r) {
      const auto id = message_named(input_.log[r]);
      if (!id) continue;
      for (std::size_t m = 0; m < input_.messages.size(); ++m)
        if (input_.messages[m].id == *id && !of_message_[m] && is_of(r, instructions[m])) {
          of_message_[m] = r;
          used[r] = true;
          break;
        }
    }
    std::size_t m = input_.messages.size();
    for (std::size_t r = input_.log.size(); r-- > 0;) {
      if (used[r] || !is_over(input_.log[r])) continue;
      while (m > 0 && (of_message_[m - 1] || !is_of(r, instructions[m - 1]))) --m;
      if (m == 0) break;
      of_message_[--m] = r;
      used[r] = true;
    }
    for (LogRow& row : result_.rows)
      if (row.message) row.older = of_message_[*row.message];
    take_open_row(used);
    for (std::size_t r = 0; r < input_.log.size(); ++r)
      if (!used[r]) {
        static_cast<void>(
            misfit(fmt::format("row {} of its log belongs to no message and is not its next step",
                               input_.log[r].execution_order)));
        return;
      }
  }

  // A row that was begun and never ended is where the session stands.
  void take_open_row(std::vector<bool>& used) {
    if (!result_.state.open || input_.log.empty() || used.back()) return;
    LogRow& open = result_.rows.back();
    if (is_over(input_.log.back()) || !is_of(input_.log.size() - 1, open.instruction)) return;
    open.older = input_.log.size() - 1;
    used.back() = true;
  }

  [[nodiscard]] bool is_of(std::size_t row, int instruction) const {
    return input_.log[row].step_id == input_.step_ids[static_cast<std::size_t>(instruction)];
  }

  const WalkInput& input_;
  HeardRecord record_;
  std::vector<std::optional<std::size_t>> of_message_;
  WalkResult result_;
};

}  // namespace

WalkResult walk_along(const WalkInput& input) {
  return AlongMessages(input).walk();
}

}  // namespace tertulia::adopt
