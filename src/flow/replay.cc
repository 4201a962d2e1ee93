// replay_test.cc changes logs in every field and expects the change to be found;
// machine_property_test.cc replays random sessions after every event.
#include "flow/replay.h"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

namespace tertulia::flow {

using model::SessionStatus;
using model::StepStatus;
using model::StopReason;

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

// The record as the log and the messages hold it.
class LoggedRecord final : public Record {
 public:
  explicit LoggedRecord(const ReplayInput& input) : input_(input) {
    for (const auto& row : input.log) {
      if (!row.result_data) continue;
      auto data = base::parse_json(*row.result_data);
      if (data && data->is_object()) data_.emplace(row.execution_order, std::move(*data));
    }
  }

  [[nodiscard]] std::optional<std::string_view> message(std::int64_t position) const override {
    if (position < 1 || static_cast<std::size_t>(position) > input_.messages.size())
      return std::nullopt;
    return input_.messages[static_cast<std::size_t>(position - 1)].text;
  }
  [[nodiscard]] const json::value* output(std::int64_t order) const override {
    const json::object* data = result_data(order);
    return data == nullptr ? nullptr : data->if_contains("output");
  }
  [[nodiscard]] std::string_view topic() const override { return input_.topic; }

  // Null where the row has none, or it is no object.
  [[nodiscard]] const json::object* result_data(std::int64_t order) const {
    const auto found = data_.find(order);
    return found == data_.end() ? nullptr : &found->second.get_object();
  }

 private:
  const ReplayInput& input_;
  std::map<std::int64_t, json::value> data_;
};

// A row as replay expects it.
struct Expected {
  OpenRow opened;
  StepStatus status = StepStatus::running;
  std::int64_t attempt = 1;
  Closing closing;  // of a row that is closed
};

template <class T>
std::string shown(const std::optional<T>& value) {
  if (!value) return "nothing";
  if constexpr (std::is_enum_v<T>)
    return std::string(model::to_text(*value));
  else
    return fmt::format("{}", *value);
}

class Replay final {
 public:
  Replay(const ReplayInput& input, const std::function<void(const State&)>& at_step)
      : input_(input), program_(*input.program), at_step_(at_step), record_(input) {
    for (const auto& row : input.log) {
      const auto index = instruction_of(row.step_id);
      if (index && program_.steps[*index].says())
        last_speak_ = std::max(last_speak_, row.execution_order);
    }
  }

  ReplayReport run() {
    report_.rows = static_cast<std::int64_t>(input_.log.size());
    report_.messages = static_cast<std::int64_t>(input_.messages.size());
    if (numbered() && begun()) perform();
    if (consistent_) {
      compare_rows();
      compare_messages();
      compare_states();
    }
    report_.state = std::move(state_);
    return std::move(report_);
  }

 private:
  // ---- the events -----------------------------------------------------------------------------

  // A session that was never started has nothing to perform.
  [[nodiscard]] bool begun() {
    if (!input_.log.empty()) return true;
    if (input_.stored.status == SessionStatus::not_started) return false;
    // Cancelled without a row: before it started, or stopped by a limit at its first step. Only the
    // latter has limits and variables, which its stored state shows.
    if (input_.stored.status != SessionStatus::terminated) return true;
    State cancelled;
    if (!feed_to(cancelled, Cancel{})) return false;
    cancelled.limits = input_.stored.limits;
    if (cancelled.to_text() != input_.stored.to_text()) return true;
    state_ = std::move(cancelled);
    return false;
  }

  void perform() {
    Start start{.variables = input_.variables, .limits = unlimited()};
    if (last_speak_ == 0) start.limits = input_.stored.limits;
    feed(start);
    while (consistent_ &&
           (state_.status == SessionStatus::running || state_.status == SessionStatus::waiting)) {
      const auto* row = row_at(state_.open->order);
      if (row == nullptr) {
        disagree(state_.open->order, "the log ends before this row, which the flow goes on to");
        consistent_ = false;
        return;
      }
      if (row->step_id != step_id(state_.open->instruction)) {
        disagree(row->execution_order,
                 differs("step_id", row->step_id, step_id(state_.open->instruction)));
        consistent_ = false;
        return;
      }
      if (!perform_row(*row)) break;
    }
    // Cancelled while a limit held it: that left no row.
    if (consistent_ && input_.stored.status == SessionStatus::terminated &&
        state_.status == SessionStatus::paused)
      feed(Cancel{});
  }

  // Feeds what happened to the open row; false if it is where the session stands.
  bool perform_row(const model::StepExecutionLog& row) {
    if (at_step_) at_step_(state_);
    // Whether an attempt failed or was interrupted, the row keeps only their count.
    while (consistent_ && state_.open->attempt < row.attempt_count.value_or(1)) feed(Interrupted{});
    // Limits stopped the session nowhere before the last row, or it was gone on with: only what
    // follows that row stands under the limits of the stored state.
    if (row.execution_order == last_speak_) state_.limits = input_.stored.limits;
    const State& stored = input_.stored;
    const StopReason reason = stored.stop_reason.value_or(StopReason::step_failed);
    switch (row.status.value_or(StepStatus::pending)) {
      case StepStatus::completed:
        feed(answer_of(row));
        return true;
      case StepStatus::skipped:
        // Cancelling and skipping look alike, but only skipping leads to further rows; where it did
        // not (a limit held the session, which was then cancelled) both lead to the same state.
        if (stored.status == SessionStatus::terminated && row.execution_order == last_order())
          feed(Cancel{});
        else
          feed(Skip{});
        return true;
      case StepStatus::failed:
        feed(AttemptFailed{.message = row.error_message.value_or(""),
                           .again = false,
                           .reason = reason,
                           .duration_ms = row.duration_ms.value_or(0)});
        return false;
      case StepStatus::timeout:
        feed(StepTimedOut{.duration_ms = row.duration_ms.value_or(0)});
        return false;
      case StepStatus::pending:
        feed(Pause{.reason = reason, .text = stored.stop_text});
        // Resumed: that has no commit of its own, so the row still says pending.
        if (consistent_ && stored.status == SessionStatus::running) feed(Resume{});
        return false;
      case StepStatus::running:
      case StepStatus::waiting:
        return false;
    }
    return false;
  }

  [[nodiscard]] Answered answer_of(const model::StepExecutionLog& row) const {
    Answered answer;
    answer.text = record_.message(state_.last_position + 1).value_or("");
    answer.duration_ms = row.duration_ms.value_or(0);
    if (const json::value* output = record_.output(row.execution_order)) answer.output = *output;
    return answer;
  }

  void feed(const Event& event) {
    if (!feed_to(state_, event)) consistent_ = false;
  }

  [[nodiscard]] bool feed_to(State& state, const Event& event) {
    auto effects = advance(program_, state, event, record_);
    if (!effects) {
      disagree(state.last_order, effects.error().message);
      return false;
    }
    for (const Effect& effect : *effects)
      std::visit([&](const auto& each) { apply(each); }, effect);
    return true;
  }

  // ---- the effects ----------------------------------------------------------------------------

  void apply(const OpenRow& row) {
    Expected expected;
    expected.opened = row;
    expected.status = row.status;
    if (row.closed) expected.closing = *row.closed;
    expected_.push_back(std::move(expected));
  }
  void apply(const CloseRow& row) {
    Expected& expected = at(row.order);
    expected.status = row.closing.status;
    expected.attempt = row.attempt;
    expected.closing = row.closing;
  }
  void apply(const ChangeRow& row) {
    at(row.order).status = row.status;
    at(row.order).attempt = row.attempt;
  }
  void apply(const Say& said) { said_.push_back(said); }
  void apply(const Ask&) {}
  void apply(const Stop&) {}

  Expected& at(std::int64_t order) { return expected_[static_cast<std::size_t>(order - 1)]; }

  // ---- the comparison -------------------------------------------------------------------------

  [[nodiscard]] bool numbered() {
    std::int64_t order = 0;
    for (const auto& row : input_.log)
      if (row.execution_order != ++order) {
        disagree(row.execution_order, fmt::format("execution_order: {} was expected here", order));
        return consistent_ = false;
      }
    return true;
  }

  void compare_rows() {
    for (const Expected& expected : expected_) {
      const auto* row = row_at(expected.opened.order);
      if (row == nullptr)
        disagree(expected.opened.order, "the row is missing from the log");
      else
        compare_row(*row, expected);
    }
    for (auto order = static_cast<std::int64_t>(expected_.size()) + 1; order <= last_order();
         ++order)
      disagree(order, "the log has a row that replay does not reach");
  }

  void compare_row(const model::StepExecutionLog& row, const Expected& expected) {
    const OpenRow& opened = expected.opened;
    const Closing& closing = expected.closing;
    std::optional<model::Id> parent;
    if (opened.parent_order) {
      const auto* parent_row = row_at(*opened.parent_order);
      if (parent_row != nullptr) parent = parent_row->id;
    }
    const auto check = [&](std::string_view name, const auto& logged, const auto& replayed) {
      if (logged != replayed) disagree(row.execution_order, differs(name, logged, replayed));
    };
    const auto value = [](auto number) { return std::optional(number); };
    check("step_id", value(row.step_id), value(step_id(opened.instruction)));
    if (is_older(row)) return;
    check("parent_log_id", row.parent_log_id, parent);
    check("round_index", row.round_index, value(opened.round));
    check("loop_iteration", row.loop_iteration, value(opened.iteration));
    check("attempt_count", row.attempt_count, value(expected.attempt));
    check("status", row.status, value(expected.status));
    check("result_type", row.result_type, closing.result_type);
    check("condition_evaluation", row.condition_evaluation, closing.condition_evaluation);
    check("loop_check_result", row.loop_check_result, closing.loop_check_result);
    check("error_message", value(row.error_message.value_or("")), value(closing.error_message));
    compare_data(row, closing.data);
  }

  // Did the older system write the row?
  [[nodiscard]] bool is_older(const model::StepExecutionLog& row) const {
    if (row.execution_order > input_.adopted_rows) return false;
    const json::object* data = record_.result_data(row.execution_order);
    return data == nullptr || !data->contains("reconstructed");
  }

  // The log's result_data may hold more (usage, the message's id); what the machine determines must
  // be in it.
  void compare_data(const model::StepExecutionLog& row, const json::object& replayed) {
    static const json::object nothing;
    const json::object* logged = record_.result_data(row.execution_order);
    if (logged == nullptr) logged = &nothing;
    for (const auto& member : replayed) {
      const json::value* found = logged->if_contains(member.key());
      if (found == nullptr || !base::equal(*found, member.value()))
        disagree(row.execution_order, differs("result_data." + std::string(member.key()),
                                              found == nullptr ? "nothing" : base::to_text(*found),
                                              base::to_text(member.value())));
    }
  }

  void compare_messages() {
    const std::size_t both = std::min(said_.size(), input_.messages.size());
    for (std::size_t i = 0; i < both; ++i) {
      const Said& message = input_.messages[i];
      const Say& said = said_[i];
      const auto check = [&](std::string_view name, const auto& logged, const auto& replayed) {
        if (logged != replayed)
          disagree(said.order,
                   differs(fmt::format("message {}: {}", said.position, name), logged, replayed));
      };
      check("position", message.position, said.position);
      check("role", message.role, said.role);
      if (message.position > input_.adopted_messages) check("round", message.round, said.round);
      check("document", message.document, said.document);
      check("document_version", message.document_version, said.document_version);
    }
    for (std::size_t i = both; i < said_.size(); ++i)
      disagree(said_[i].order, fmt::format("message {} is missing", said_[i].position));
    for (std::size_t i = both; i < input_.messages.size(); ++i)
      disagree(0,
               fmt::format("message {} belongs to no row of the log", input_.messages[i].position));
  }

  // All but the inputs that no row holds: limits as a person set them, and how many of the open
  // row's attempts count against its retries.
  void compare_states() {
    State stored = input_.stored;
    stored.limits = state_.limits;
    if (stored.open && state_.open) stored.open->failures = state_.open->failures;
    const auto logged = base::parse_json(stored.to_text());
    const auto replayed = base::parse_json(state_.to_text());
    if (!logged || !replayed) {
      disagree(0, "the state is too deep to be compared");
      return;
    }
    std::set<std::string> names;
    for (const auto* state : {&*logged, &*replayed})
      for (const auto& member : state->get_object()) names.emplace(member.key());
    for (const std::string& name : names) {
      const json::value* a = logged->get_object().if_contains(name);
      const json::value* b = replayed->get_object().if_contains(name);
      if (a != nullptr && b != nullptr && base::equal(*a, *b)) continue;
      disagree(0, fmt::format("state.{}: stored is {}, replay gives {}", name,
                              a == nullptr ? "nothing" : base::to_text(*a),
                              b == nullptr ? "nothing" : base::to_text(*b)));
    }
  }

  // ---- small things ---------------------------------------------------------------------------

  template <class T>
  [[nodiscard]] static std::string differs(std::string_view name, const std::optional<T>& logged,
                                           const std::optional<T>& replayed) {
    return fmt::format("{}: log has {}, replay gives {}", name, shown(logged), shown(replayed));
  }
  template <class T>
  [[nodiscard]] static std::string differs(std::string_view name, const T& logged,
                                           const T& replayed) {
    return fmt::format("{}: log has {}, replay gives {}", name, logged, replayed);
  }

  void disagree(std::int64_t order, std::string what) {
    report_.disagreements.push_back({.order = order, .what = std::move(what)});
  }

  [[nodiscard]] const model::StepExecutionLog* row_at(std::int64_t order) const {
    if (order < 1 || order > last_order()) return nullptr;
    return &input_.log[static_cast<std::size_t>(order - 1)];
  }
  [[nodiscard]] std::int64_t last_order() const {
    return static_cast<std::int64_t>(input_.log.size());
  }
  [[nodiscard]] model::Id step_id(int instruction) const {
    const auto index = static_cast<std::size_t>(instruction);
    return index < input_.step_ids.size() ? input_.step_ids[index] : 0;
  }
  [[nodiscard]] std::optional<std::size_t> instruction_of(model::Id id) const {
    for (std::size_t i = 0; i < std::min(input_.step_ids.size(), program_.steps.size()); ++i)
      if (input_.step_ids[i] == id) return i;
    return std::nullopt;
  }
  [[nodiscard]] static Limits unlimited() {
    Limits limits;
    limits.steps = kNoLimit;
    limits.rounds = kNoLimit;
    return limits;
  }

  const ReplayInput& input_;
  const Program& program_;
  const std::function<void(const State&)>& at_step_;
  LoggedRecord record_;
  State state_;
  std::vector<Expected> expected_;  // by order, from 1
  std::vector<Say> said_;
  std::int64_t last_speak_ = 0;
  bool consistent_ = true;
  ReplayReport report_;
};

}  // namespace

ReplayReport replay(const ReplayInput& input, const std::function<void(const State&)>& at_step) {
  return Replay(input, at_step).run();
}

}  // namespace tertulia::flow
