#include "engine/branch_point.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "flow/replay.h"

namespace tertulia::engine {

using model::SessionStatus;
using model::StepStatus;

base::Result<BranchPoint> BranchPoint::find(db::Connection& connection, FlowCache& flows, Id parent,
                                            std::int64_t at) {
  BranchPoint point;
  if (auto done = point.read(connection, flows, parent); !done) return done.error();
  if (auto done = point.find_step(at); !done) return done.error();
  if (auto done = point.find_state(); !done) return done.error();
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
  return {};
}

const BranchPoint::Row* BranchPoint::row(std::int64_t order) const {
  const auto found = rows_.find(order);
  return found == rows_.end() ? nullptr : found->second;
}

std::vector<const BranchPoint::Row*> BranchPoint::around(const Row& row) const {
  std::vector<const Row*> found;
  for (const auto* at = &row; at->parent_log_id;) {
    const auto parent = rows_by_id_.find(*at->parent_log_id);
    if (parent == rows_by_id_.end()) break;
    at = parent->second;
    found.push_back(at);
  }
  return found;
}

const flow::Instruction* BranchPoint::instruction_of(const Row& row) const {
  const auto& ids = session_.flow->step_ids;
  const auto found = std::find(ids.begin(), ids.end(), row.step_id);
  if (found == ids.end()) return nullptr;
  return &session_.program().steps[static_cast<std::size_t>(found - ids.begin())];
}

std::string BranchPoint::words_of(const Row& row) const {
  const flow::Instruction* step = instruction_of(row);
  return fmt::format("step {} of session {} ({})", row.execution_order, session_.id,
                     step != nullptr ? step->label() : "unknown");
}

bool BranchPoint::says(const Row& row) const {
  const flow::Instruction* step = instruction_of(row);
  if (step == nullptr) return false;
  if (step->says() || std::holds_alternative<flow::Choice>(step->step)) return true;
  // What a judge decided is not determined by what was said before.
  return step->condition() != nullptr &&
         row.result_data.value_or("").find("\"judges\"") != std::string::npos;
}

// A row that is skipped because its session was cancelled was left open, not passed.
bool BranchPoint::is_done(const Row& row) const {
  if (row.status == StepStatus::completed) return true;
  return row.status == StepStatus::skipped &&
         !(whole_.row.status == SessionStatus::terminated &&
           row.execution_order == whole_.log.back().execution_order);
}

// What stands between the step and the order that is branched at is determined by the step, and
// will be written anew.
base::Result<void> BranchPoint::find_step(std::int64_t at) {
  if (at == 0) return {};
  const auto found = rows_.find(at);
  if (found == rows_.end()) {
    std::string has = "it has not begun";
    if (!rows_.empty())
      has = fmt::format("its log has {} to {}", rows_.begin()->first, rows_.rbegin()->first);
    return base::Error{
        .code = base::Code::not_found,
        .message = fmt::format("session {} has no step {}: {}", session_.id, at, has),
        .remedy = fmt::format("tertulia session log {}", session_.id)};
  }
  for (auto row = std::make_reverse_iterator(std::next(found)); row != rows_.rend(); ++row) {
    if (!says(*row->second)) continue;
    step_ = row->second;
    break;
  }
  if (step_ == nullptr) return {};
  if (!is_done(*step_))
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{} is not done: it is {}", words_of(*step_),
                               model::to_text(step_->status.value_or(StepStatus::pending))),
        .remedy = fmt::format("branch at a step before it, or go on first: tertulia session "
                              "resume {}",
                              session_.id)};
  if (auto cuts = check_blocks(*found->second); !cuts) return cuts;
  return check_blocks(*step_);
}

base::Result<void> BranchPoint::check_blocks(const Row& row) const {
  for (const auto* block : around(row)) {
    const flow::Instruction* step = instruction_of(*block);
    if (step == nullptr || step->kind() != "parallel") continue;
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{} lies in the parallel block of step {}, which cannot be cut",
                               words_of(row), block->execution_order),
        .remedy = "branch at a step before the block, or at one that speaks after it"};
  }
  return {};
}

base::Result<void> BranchPoint::find_state() {
  auto stored = flow::State::from_text(whole_.state);
  if (!stored) return stored.error();
  const flow::Limits limits = stored->limits;
  if (step_ == nullptr) {
    state_.limits = limits;
    return {};
  }
  flow::ReplayInput input;
  input.program = &session_.program();
  input.step_ids = session_.flow->step_ids;
  input.variables = session_.snapshot.variables;
  input.log = whole_.log;
  for (const auto& message : whole_.messages) input.messages.push_back(to_said(message, session_));
  input.topic = session_.topic;
  input.stored = *std::move(stored);
  input.adopted_rows = session_.snapshot.adopted_rows;
  input.adopted_messages = session_.snapshot.adopted_messages;
  bool found = false;
  input.seed = session_.seed;
  input.played = session_.snapshot.played;
  const auto report = flow::replay(input, [&](const flow::State& at, const flow::Strand& strand) {
    if (strand.number != 0 || strand.open->order != step_->execution_order) return;
    state_ = at;
    found = true;
  });
  if (!found) {
    std::string why;
    if (!report.disagreements.empty())
      why = fmt::format(" (step {}: {})", report.disagreements.front().order,
                        report.disagreements.front().what);
    return base::Error{
        .code = base::Code::conflict,
        .message = fmt::format("the log of session {} does not explain it{}", session_.id, why),
        .remedy = fmt::format("tertulia session replay {}", session_.id)};
  }
  state_.limits = limits;
  state_.open->attempt = step_->attempt_count.value_or(1);
  state_.open->spent = {};
  return {};
}

}  // namespace tertulia::engine
