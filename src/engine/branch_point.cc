#include "engine/branch_point.h"

#include <fmt/format.h>

#include <algorithm>

#include "flow/replay.h"

namespace tertulia::engine {

using model::StepStatus;

base::Result<BranchPoint> BranchPoint::find(db::Connection& connection, FlowCache& flows, Id parent,
                                            std::int64_t at) {
  BranchPoint point;
  if (auto done = point.read(connection, flows, parent); !done) return done.error();
  if (auto done = point.find_step(at); !done) return done.error();
  return point;
}

base::Result<void> BranchPoint::read(db::Connection& connection, FlowCache& flows, Id parent) {
  auto session = load_session_data(connection, flows, parent);
  if (!session) return session.error();
  session_ = *std::move(session);
  auto whole = store::load_whole_session(connection, parent);
  if (!whole) return whole.error();
  whole_ = *std::move(whole);
  for (const auto& row : whole_.log) {
    rows_.emplace(row.execution_order, &row);
    rows_by_id_.emplace(row.id, &row);
  }
  for (const auto& message : whole_.messages) messages_.emplace(message.id, &message);
  return {};
}

const BranchPoint::Row* BranchPoint::row(std::int64_t order) const {
  const auto found = rows_.find(order);
  return found == rows_.end() ? nullptr : found->second;
}

const model::Message* BranchPoint::message_of(const Row& row) const {
  const auto data = base::parse_json(row.result_data.value_or("{}"));
  const base::json::value* id = data ? base::at_pointer(*data, "/message_id") : nullptr;
  if (id == nullptr || !id->is_int64()) return nullptr;
  const auto found = messages_.find(id->get_int64());
  return found == messages_.end() ? nullptr : found->second;
}

const model::Message* BranchPoint::said() const {
  if (step_ == nullptr || step_->status == StepStatus::skipped) return nullptr;
  const flow::Instruction* step = session_.step_of(*step_);
  if (step == nullptr || !step->says()) return nullptr;
  if (const auto* message = message_of(*step_)) return message;
  // Rows of the older system name no message: theirs is the next.
  const auto next = static_cast<std::size_t>(state_.last_position);
  return next < whole_.messages.size() ? &whole_.messages[next] : nullptr;
}

const PerformableFlow& BranchPoint::flow() const {
  return versions_before_ < session_.earlier.size() ? *session_.earlier[versions_before_]
                                                    : *session_.flow;
}

std::string BranchPoint::words_of(const Row& row) const {
  const flow::Instruction* step = session_.step_of(row);
  return fmt::format("step {} of session {} ({})", row.execution_order, session_.id,
                     step != nullptr ? step->label() : "unknown");
}

base::Error BranchPoint::not_done(const Row& row) const {
  const StepStatus status = row.status.value_or(StepStatus::pending);
  if (status == StepStatus::skipped)
    return {
        .code = base::Code::invalid,
        .message = words_of(row) + " was never answered: the session, or its block, ended first",
        .remedy = "branch at a step before it"};
  return {.code = base::Code::invalid,
          .message = fmt::format("{} is not done: it is {}", words_of(row), model::to_text(status)),
          .remedy = fmt::format("branch at a step before it, or go on first: tertulia session "
                                "resume {}",
                                session_.id)};
}

// A row that asks somebody is branched at itself. What stands between two such rows is determined
// by the first, and will be written anew: any other row is branched at the row whose answer led to
// it.
base::Result<void> BranchPoint::find_step(std::int64_t at) {
  auto stored = flow::State::from_text(whole_.state);
  if (!stored) return stored.error();
  const flow::Limits limits = stored->limits;
  if (at == 0) {
    state_.limits = limits;
    return {};
  }
  const Row* wanted = row(at);
  if (wanted == nullptr) {
    std::string has = "it has not begun";
    if (!rows_.empty())
      has = fmt::format("its log has {} to {}", rows_.begin()->first, rows_.rbegin()->first);
    return base::Error{
        .code = base::Code::not_found,
        .message = fmt::format("session {} has no step {}: {}", session_.id, at, has),
        .remedy = fmt::format("tertulia session log {}", session_.id)};
  }

  const flow::ReplayInput input =
      replay_input(session_, *std::move(stored), whole_.log, whole_.messages);
  bool asks = false;   // does the row ask somebody?
  bool found = false;  // ... and was it answered?
  std::size_t versions = 0;
  const auto closes = [&](const flow::State& state, const flow::Strand& strand) {
    const std::int64_t order = strand.open->order;
    if (order == at || (!asks && state.last_order < at)) {
      found = found || order == at;
      state_ = state;
      step_ = row(order);
      versions_before_ = versions;
    }
    if (versions < input.earlier.size() && input.earlier[versions].until == order) ++versions;
  };
  const auto report = flow::replay(input, {.opened =
                                               [&](const flow::State&, const flow::Strand& strand) {
                                                 asks = asks || strand.open->order == at;
                                               },
                                           .closes = closes});
  if (report.state.last_order < at) {
    std::string why;
    if (!report.disagreements.empty())
      why = fmt::format(" (step {}: {})", report.disagreements.front().order,
                        report.disagreements.front().what);
    return base::Error{
        .code = base::Code::conflict,
        .message = fmt::format("the log of session {} does not explain it{}", session_.id, why),
        .remedy = fmt::format("tertulia session replay {}", session_.id)};
  }
  if (asks && !found) return not_done(*wanted);
  if (step_ == nullptr) {
    state_ = {};
  } else {
    if (auto cuts = check_blocks(*wanted); !cuts) return cuts;
    if (auto cuts = check_blocks(*step_); !cuts) return cuts;
    begin_attempts_anew();
  }
  state_.limits = limits;
  return {};
}

// While a block is under way its branches go on, and what the branch would be is not settled.
base::Result<void> BranchPoint::check_blocks(const Row& row) const {
  for (const Row* block = &row; block->parent_log_id;) {
    const auto around = rows_by_id_.find(*block->parent_log_id);
    if (around == rows_by_id_.end()) break;
    block = around->second;
    const flow::Instruction* step = session_.step_of(*block);
    if (step == nullptr || step->kind() != "parallel" || block->completed_at) continue;
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{} lies in the parallel block of step {}, which is not done",
                               words_of(row), block->execution_order),
        .remedy = fmt::format("branch at a step before the block, or go on first: tertulia session "
                              "resume {}",
                              session_.id)};
  }
  return {};
}

// Of the step that is branched at its attempts are inherited with its answer; what other branches
// had under way is asked anew.
void BranchPoint::begin_attempts_anew() {
  state_.each_strand([&](flow::Strand& strand) {
    if (!strand.open) return;
    const bool is_cut = strand.open->order == step_->execution_order;
    strand.open->attempt = is_cut ? step_->attempt_count.value_or(1) : 1;
    strand.open->spent = {};
  });
}

}  // namespace tertulia::engine
