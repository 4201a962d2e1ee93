// replay_test.cc changes logs in every field and expects the change to be found;
// machine_property_test.cc replays random sessions after every event.
#include "flow/replay.h"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

#include "flow/logged_record.h"
#include "flow/version_change.h"

namespace tertulia::flow {

using model::SessionStatus;
using model::StepStatus;
using model::StopReason;

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

// A row as replay expects it.
struct Expected {
  OpenRow opened;
  model::Id step_id = 0;
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
  Replay(const ReplayInput& input, const ReplayWatch& watch)
      : input_(input), watch_(watch), record_(input) {
    use_version();
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
    // The stored limits are those of the end, not of the way: what they stopped is in the log.
    Limits limits = unlimited();
    limits.finish = input_.stored.limits.finish;
    state_.counts_from = input_.stored.counts_from;
    feed(Start{.variables = input_.variables, .limits = limits, .played = input_.played});
    while (consistent_ && perform_next()) {
    }
    if (consistent_ && version_ < input_.earlier.size())
      disagree(input_.earlier[version_].until,
               "the log ends before this row, from which on another version of the flow holds");
    if (!consistent_) return;
    stand();
    // Cancelled while a limit held it, in a session of 0.1.0-pre.1: that left no row.
    if (consistent_ && input_.stored.status == SessionStatus::terminated &&
        state_.status == SessionStatus::paused)
      feed(Cancel{});
  }

  // Feeds what closed the next of the open rows; false where all that is left stays open.
  [[nodiscard]] bool perform_next() {
    const model::StepExecutionLog* next = nullptr;
    std::int64_t soonest = 0;
    for (const Strand* strand : state_.open_strands()) {
      const auto* row = open_row(*strand);
      if (row == nullptr) return false;
      const StepStatus status = row->status.value_or(StepStatus::pending);
      if (status != StepStatus::completed && status != StepStatus::skipped) continue;
      const json::value* limit = record_.data(row->execution_order, "limit");
      const json::value* at = record_.data(row->execution_order, "commit_seq");
      const std::int64_t seq = at != nullptr && at->is_int64() ? at->get_int64() : kNoLimit;
      // A row of a branch that was skipped without a place in the order fell with its block.
      if (strand->number != 0 && seq == kNoLimit && limit == nullptr) continue;
      if (next != nullptr && soonest <= seq) continue;
      next = row;
      soonest = seq;
    }
    if (next == nullptr) return false;
    perform_row(*next);
    return true;
  }

  // The log's row of a strand's open one; null, and told, where the log has another.
  [[nodiscard]] const model::StepExecutionLog* open_row(const Strand& strand) {
    const auto* row = row_at(strand.open->order);
    consistent_ = false;
    if (row == nullptr) {
      disagree(strand.open->order, "the log ends before this row, which the flow goes on to");
      return nullptr;
    }
    const model::Id opened = at(strand.open->order).step_id;
    if (row->step_id != opened) {
      disagree(row->execution_order, differs("step_id", row->step_id, opened));
      return nullptr;
    }
    consistent_ = true;
    return row;
  }

  void perform_row(const model::StepExecutionLog& row) {
    const std::int64_t order = row.execution_order;
    // Cancelling and skipping look alike, but only skipping leads to further rows; where it did not
    // (a limit held the session, which was then cancelled) both lead to the same state.
    const bool was_cancelled = row.status == StepStatus::skipped &&
                               input_.stored.status == SessionStatus::terminated &&
                               order == last_order() && !record_.limit(order) &&
                               record_.data(order, "commit_seq") == nullptr;
    if (watch_.closes && !was_cancelled) watch_.closes(state_, *state_.strand_of(order));
    change_version(order);
    if (consistent_) attempts(row);
    if (!consistent_) return;
    if (row.status == StepStatus::completed) return feed(answer_of(row));
    if (const auto reason = record_.limit(order)) {
      return feed(LimitReached{
          .reason = *reason, .text = input_.stored.stop_text, .finish = true, .order = order});
    }
    if (was_cancelled) return feed(Cancel{});
    feed(Skip{.order = order});
  }

  // Under which version the session goes on.
  void use_version() {
    const bool is_earlier = version_ < input_.earlier.size();
    program_ = is_earlier ? input_.earlier[version_].program : input_.program;
    step_ids_ = is_earlier ? &input_.earlier[version_].step_ids : &input_.step_ids;
  }

  void change_version(std::int64_t closes) {
    if (version_ == input_.earlier.size() || input_.earlier[version_].until != closes) return;
    const Program& before = *program_;
    ++version_;
    use_version();
    auto moved = move_to_version(before, *program_, state_);
    if (moved) {
      state_ = *std::move(moved);
      return;
    }
    disagree(closes, moved.error().message);
    consistent_ = false;
  }

  // Whether an attempt failed or was interrupted, the row keeps only their count; of a judge's row,
  // each judge but the first was an attempt more.
  void attempts(const model::StepExecutionLog& row) {
    const std::int64_t order = row.execution_order;
    const json::value* judges = record_.data(order, "judges");
    const bool has_judges = judges != nullptr && judges->is_array();
    const std::size_t earlier =
        has_judges && !judges->get_array().empty() ? judges->get_array().size() - 1 : 0;
    const std::int64_t attempts =
        row.attempt_count.value_or(1) - static_cast<std::int64_t>(earlier);
    while (consistent_ && state_.strand_of(order)->open->attempt < attempts)
      feed(Interrupted{.order = order});
    for (std::size_t i = 0; consistent_ && i < earlier; ++i) {
      Answered answer;
      answer.output = judges->get_array()[i];
      answer.order = order;
      feed(answer);
    }
  }

  // What is still open stands as the log and the stored state say: what failed first, then what a
  // limit holds, then what was paused.
  void stand() {
    const State& stored = input_.stored;
    if (stored.status == SessionStatus::terminated && !state_.open_strands().empty()) {
      feed(Cancel{});
      return;
    }
    std::vector<std::int64_t> orders;
    for (const Strand* strand : state_.open_strands()) orders.push_back(strand->open->order);
    const auto pass = [&](const auto& visit) {
      for (const std::int64_t order : orders) {
        const auto* row = row_at(order);
        if (consistent_ && row != nullptr && state_.strand_of(order) != nullptr) visit(*row, order);
      }
    };
    const auto stored_open = [&](std::int64_t order) -> const Strand::Open* {
      const Strand* strand = stored.strand_of(order);
      return strand == nullptr ? nullptr : &*strand->open;
    };
    const StopReason reason = stored.stop_reason.value_or(StopReason::step_failed);
    pass([&](const auto& row, std::int64_t order) { take_given(row, order, stored_open(order)); });
    pass([&](const auto& row, std::int64_t order) {
      const auto* open = stored_open(order);
      if (row.status == StepStatus::failed) {
        AttemptFailed failed;
        failed.message = row.error_message.value_or("");
        failed.again = false;
        failed.reason = open != nullptr && open->reason ? *open->reason : reason;
        failed.duration_ms = row.duration_ms.value_or(0);
        failed.order = order;
        // No profile is left to fall back to.
        state_.strand_of(order)->open->profile = kNoLimit;
        feed(failed);
      } else if (row.status == StepStatus::timeout) {
        feed(StepTimedOut{.duration_ms = row.duration_ms.value_or(0), .spent = {}, .order = order});
      }
    });
    pass([&](const auto& row, std::int64_t order) {
      const auto* open = stored_open(order);
      if (row.status == StepStatus::pending && open != nullptr && open->reason)
        feed(LimitReached{
            .reason = *open->reason,
            .text = state_.strand_of(order)->number != 0 ? open->error : stored.stop_text,
            .finish = false,
            .order = order});
    });
    pass([&](const auto& row, std::int64_t order) {
      if (row.status == StepStatus::pending &&
          state_.strand_of(order)->open->status == StepStatus::running)
        feed(Pause{.reason = reason, .text = stored.stop_text, .order = order});
    });
    // Why a session stands in which several steps do is told by its own row alone.
    if (consistent_ && state_.status == SessionStatus::paused && !state_.branches.empty()) {
      state_.stop_reason = stored.stop_reason;
      state_.stop_text = stored.stop_text;
    }
  }

  // The attempts of a row that is still open, and what no row holds of it.
  void take_given(const model::StepExecutionLog& row, std::int64_t order,
                  const Strand::Open* stored) {
    if (stored != nullptr) {
      for (const json::value& judgement : stored->judgements) {
        if (!consistent_) return;
        while (consistent_ && state_.strand_of(order)->open->attempt <
                                  row.attempt_count.value_or(1) -
                                      static_cast<std::int64_t>(stored->judgements.size()))
          feed(Interrupted{.order = order});
        Answered answer;
        answer.output = judgement;
        answer.order = order;
        feed(answer);
      }
    }
    while (consistent_ && state_.strand_of(order)->open->attempt < row.attempt_count.value_or(1))
      feed(Interrupted{.order = order});
    if (!consistent_ || stored == nullptr) return;
    Strand::Open& open = *state_.strand_of(order)->open;
    open.spent = stored->spent;
  }

  [[nodiscard]] Answered answer_of(const model::StepExecutionLog& row) const {
    const std::int64_t order = row.execution_order;
    const Strand& strand = *state_.strand_of(order);
    Answered answer;
    if (const Said* said = record_.said_by(order)) {
      answer.text = said->text;
    } else if (strand.number == 0) {
      answer.text = record_.message(state_.last_position + 1).value_or("");
    }
    answer.duration_ms = row.duration_ms.value_or(0);
    answer.order = order;
    if (const json::value* output = record_.output(order)) answer.output = *output;
    const json::value* judges = record_.data(order, "judges");
    if (judges != nullptr && judges->is_array() && !judges->get_array().empty())
      answer.output = judges->get_array().back();
    answer.spent = record_.spent(row.execution_order);
    return answer;
  }

  void feed(const Event& event) {
    if (!feed_to(state_, event)) consistent_ = false;
  }

  [[nodiscard]] bool feed_to(State& state, const Event& event) {
    auto effects = advance(*program_, state, event, record_);
    if (!effects) {
      disagree(state.last_order, effects.error().message);
      return false;
    }
    std::vector<std::int64_t> opened;
    for (const Effect& effect : *effects) {
      std::visit([&](const auto& each) { apply(each); }, effect);
      if (const auto* row = std::get_if<OpenRow>(&effect)) opened.push_back(row->order);
    }
    for (const std::int64_t order : opened) {
      Strand* strand = state.strand_of(order);
      if (strand == nullptr) continue;
      if (watch_.opened) watch_.opened(state, *strand);
      // What a row had used when it was skipped, by a person or with its block, is told by no
      // event.
      const auto* row = row_at(order);
      if (row == nullptr || row->status != StepStatus::skipped) continue;
      strand->open->spent = record_.spent(row->execution_order).value_or(Spent{});
      strand->open->attempt = std::max(strand->open->attempt, row->attempt_count.value_or(1));
    }
    return true;
  }

  // ---- the effects ----------------------------------------------------------------------------

  void apply(const OpenRow& row) {
    Expected expected;
    expected.opened = row;
    expected.step_id = step_id(row.instruction);
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
  void apply(const PlaceSaid& placed) {
    for (Say& said : said_)
      if (said.order == placed.order) said.position = placed.position;
  }
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
    check("step_id", value(row.step_id), value(expected.step_id));
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
    std::map<std::int64_t, const Said*> recorded;
    for (const Said& message : input_.messages) recorded.emplace(message.position, &message);
    for (const Say& said : said_) {
      const std::int64_t key = said.position != 0 ? said.position : -said.order;
      const auto found = recorded.find(key);
      if (found == recorded.end()) {
        disagree(said.order, fmt::format("message {} is missing", key));
        continue;
      }
      const Said& message = *found->second;
      const auto check = [&](std::string_view name, const auto& logged, const auto& replayed) {
        if (logged != replayed)
          disagree(said.order, differs(fmt::format("message {}: {}", key, name), logged, replayed));
      };
      check("role", message.role, said.role);
      if (message.position < 0 || message.position > input_.adopted_messages)
        check("round", message.round, said.round);
      check("document", message.document, said.document);
      check("document_version", message.document_version, said.document_version);
      recorded.erase(found);
    }
    for (const auto& [key, message] : recorded)
      disagree(0, fmt::format("message {} belongs to no row of the log", key));
  }

  // All but the inputs that no row holds: limits as a person set them, and what the attempts at the
  // open rows left behind.
  void compare_states() {
    State stored = input_.stored;
    stored.limits = state_.limits;
    stored.each_strand([&](Strand& strand) {
      if (!strand.open) return;
      Strand* replayed = state_.strand_of(strand.open->order);
      if (replayed == nullptr) return;
      Strand::Open& given = *strand.open;
      const Strand::Open& open = *replayed->open;
      given.failures = open.failures;
      given.profile = open.profile;
      given.part = open.part;
      given.parts = open.parts;
      given.wrong = open.wrong;
      given.wrong_why = open.wrong_why;
    });
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
    return index < step_ids_->size() ? (*step_ids_)[index] : 0;
  }
  [[nodiscard]] static Limits unlimited() {
    Limits limits;
    limits.steps = kNoLimit;
    limits.rounds = kNoLimit;
    return limits;
  }

  const ReplayInput& input_;
  const ReplayWatch& watch_;
  const Program* program_ = nullptr;
  const std::vector<model::Id>* step_ids_ = nullptr;
  std::size_t version_ = 0;  // by place in `earlier`; behind them, the session's own
  LoggedRecord record_;
  State state_;
  std::vector<Expected> expected_;  // by order, from 1
  std::vector<Say> said_;
  bool consistent_ = true;
  ReplayReport report_;
};

}  // namespace

ReplayReport replay(const ReplayInput& input, const ReplayWatch& watch) {
  return Replay(input, watch).run();
}

}  // namespace tertulia::flow
