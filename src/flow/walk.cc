#include "flow/walk.h"

#include <fmt/format.h>

#include <utility>

#include "flow/statistics.h"

namespace tertulia::flow {

using model::ResultType;
using model::StepStatus;
using model::StopReason;
using Frame = Strand::Frame;

namespace {

// The part of a value that a pointer names; null where there is none.
json::value part(const json::value* value, std::string_view pointer) {
  const json::value* found = value == nullptr ? nullptr : base::at_pointer(*value, pointer);
  return found == nullptr ? json::value(nullptr) : *found;
}

}  // namespace

Closing completed(ResultType type) {
  Closing closing;
  closing.result_type = type;
  return closing;
}

Closing skipped() {
  Closing closing;
  closing.status = StepStatus::skipped;
  return closing;
}

std::optional<std::string_view> FreshRecord::message(std::int64_t key) const {
  if (key == 0) return std::nullopt;
  if (const auto placed = placed_.find(key); placed != placed_.end()) key = placed->second;
  const auto fresh = said_.find(key);
  return fresh != said_.end() ? std::string_view(fresh->second) : recorded_->message(key);
}

const json::value* FreshRecord::output(std::int64_t order) const {
  const auto fresh = outputs_.find(order);
  return fresh != outputs_.end() ? &fresh->second : recorded_->output(order);
}

void Walk::go_on(Strand& strand, int instruction) {
  Strand* at = &strand;
  go(*at, instruction);
  while (!over_) {
    if (returned_) {
      const Returned back = *std::exchange(returned_, std::nullopt);
      at = back.strand;
      go(*at, back.next);
      continue;
    }
    if (!at->done) return;
    // A branch is at its end: the last of them takes the block's strand on.
    Strand* parent = parent_of(*at);
    for (const Strand& branch : parent->branches)
      if (!branch.done) return;
    strand_ = parent;
    at = parent;
    go(*at, join());
  }
}

void Walk::go(Strand& strand, int instruction) {
  Strand* const before = std::exchange(strand_, &strand);
  while (!is_unwinding() && instruction != kRest) {
    if (instruction == Instruction::kBranchEnd) {
      strand.done = true;
      break;
    }
    if (instruction == Instruction::kEnd) {
      if (!strand.frames.empty() && strand.frames.back().kind == Frame::Kind::call) {
        instruction = return_from_call();
        continue;
      }
      finish(StopReason::end_of_flow, {}, "ended_by", "end_of_flow");
      break;
    }
    if (quiet_rows_ >= kMaxQuietRows) {
      fail(
          fmt::format("the flow goes round without asking a model: {} rows in one go, the last "
                      "before the step {}",
                      quiet_rows_, step(instruction).label()));
      break;
    }
    instruction = std::visit([&](const auto& kind) { return perform(instruction, kind); },
                             step(instruction).step);
  }
  strand_ = before;
}

// ---- steps without effects ---------------------------------------------------------------------

int Walk::perform(int index, const Loop& loop) {
  const OpenRow row = next_row(index);
  ++quiet_rows_;
  emit(row);
  strand_->frames.push_back(
      {.block = index, .order = row.order, .kind = Frame::Kind::loop, .caller = {}});
  if (loop.check_first) return loop.check;
  begin_iteration();
  return loop.body;
}

int Walk::perform(int index, const LoopCheck& check) {
  const Frame& frame = strand_->frames.back();
  const auto* loop = std::get_if<Loop>(&step(check.loop).step);
  const std::int64_t max =
      loop != nullptr ? loop->max : std::get<Discuss>(step(check.loop).step).max;
  if (frame.iteration >= max) return decided(index, check, {});
  const Condition* condition = step(index).condition();
  if (condition == nullptr) return decided(index, check, true);
  const Verdict verdict = judged(*condition, facts(), {});
  if (!verdict.holds) return open_row(index, verdict.judge->subject);
  return decided(index, check, *verdict.holds);
}

// Absent: at the loop's max, where nothing is asked.
int Walk::decided(int index, const LoopCheck& check, std::optional<bool> held) {
  Frame& frame = strand_->frames.back();
  const Instruction& entry = step(check.loop);
  const auto* loop = std::get_if<Loop>(&entry.step);
  const bool has_condition = check.until || check.while_;

  Closing closing;
  bool again = held.has_value();
  if (!held) {
    closing.data["at_max"] = true;
  } else if (has_condition) {
    again = check.until ? !*held : *held;
    closing.data["condition"] = *held;
  }
  closing.loop_check_result = again;
  closing.result_type = again ? ResultType::loop_continue : ResultType::loop_break;
  if (loop == nullptr) closing.data["turn"] = frame.iteration;
  // Turns that nothing is asked about need no row.
  if (loop != nullptr || has_condition)
    static_cast<void>(write_or_close(index, std::move(closing)));
  if (!again)
    return leave_block(completed(loop != nullptr ? ResultType::loop_entry : ResultType::success));
  if (loop == nullptr) return next_turn(check.loop);
  begin_iteration();
  return loop->body;
}

int Walk::perform(int index, const If& choice) {
  const Verdict verdict = judged(choice.condition, facts(), {});
  if (!verdict.holds) return open_row(index, verdict.judge->subject);
  return decided(index, choice, *verdict.holds);
}

int Walk::decided(int index, const If& choice, bool held) {
  Closing closing = completed(held ? ResultType::condition_true : ResultType::condition_false);
  closing.condition_evaluation = held;
  const int next = take_jump(index, held ? choice.then : choice.otherwise, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  const std::int64_t order = write_or_close(index, std::move(closing));
  return landed(jumps, index, next, order);
}

int Walk::perform(int index, const Set& set) {
  Closing closing = completed(ResultType::success);
  json::object values;
  for (const Assignment& assignment : set.assignments) {
    json::value value = assigned(assignment);
    values[assignment.variable] = value;
    strand_->variables.insert_or_assign(assignment.variable, std::move(value));
  }
  closing.data["set"] = std::move(values);
  const int next = take_jump(index, step(index).next, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  const std::int64_t order = write_row(index, std::move(closing));
  return landed(jumps, index, next, order);
}

int Walk::perform(int index, const End& end) {
  const SessionFacts facts = this->facts();
  std::string reason = expand(end.reason, {.facts = &facts, .topic = record_.topic()});
  Closing closing = completed(ResultType::success);
  closing.data["reason"] = reason;
  const std::int64_t order = write_row(index, std::move(closing));
  // In a called flow it returns, in whichever of the flow's branches it stands.
  for (Strand* at = strand_; at != nullptr; at = parent_of(*at)) {
    for (std::size_t depth = at->frames.size(); depth > 0; --depth) {
      if (at->frames[depth - 1].kind != Frame::Kind::call) continue;
      clear(*at, depth, completed(ResultType::success), "ended_by", order);
      strand_ = at;
      returned_ = Returned{.strand = at, .next = return_from_call()};
      return kRest;
    }
  }
  finish(StopReason::end_step, std::move(reason), "ended_by", order);
  return kRest;
}

json::value Walk::assigned(const Assignment& assignment) const {
  if (assignment.literal) return *assignment.literal;
  if (assignment.stat.empty()) return part(facts().output(assignment.output), assignment.pointer);
  std::vector<json::value> values;
  for (const std::string& name : assignment.of)
    for (json::value& value : outputs_of(name, assignment.pointer))
      values.push_back(std::move(value));
  return statistic(assignment.stat, values);
}

// The output of a step; of a step that was performed by each of several roles, all of theirs.
std::vector<json::value> Walk::outputs_of(const std::string& name,
                                          const std::string& pointer) const {
  std::vector<json::value> values;
  const std::string first = name + '#';
  for (auto each = strand_->outputs.lower_bound(first);
       each != strand_->outputs.end() && each->first.starts_with(first); ++each)
    values.push_back(part(record_.output(each->second), pointer));
  if (values.empty()) values.push_back(part(facts().output(name), pointer));
  return values;
}

// ---- rows --------------------------------------------------------------------------------------

OpenRow Walk::next_row(int index) {
  OpenRow row;
  row.order = ++state_.last_order;
  row.instruction = index;
  if (!strand_->frames.empty()) {
    row.parent_order = strand_->frames.back().order;
  } else if (strand_->number != 0) {
    row.parent_order = strand_->block_order;
  }
  row.round = state_.round;
  row.iteration = strand_->iteration();
  // A check before an iteration belongs to the one that it may begin.
  if (const auto* check = std::get_if<LoopCheck>(&step(index).step))
    if (const auto* loop = std::get_if<Loop>(&step(check->loop).step); loop && loop->check_first)
      ++row.iteration;
  return row;
}

std::int64_t Walk::write_row(int index, Closing closing) {
  OpenRow row = next_row(index);
  row.status = closing.status;
  mark_branch(*strand_, closing);
  row.closed = std::move(closing);
  ++quiet_rows_;
  const std::int64_t order = row.order;
  emit(std::move(row));
  return order;
}

std::int64_t Walk::write_or_close(int index, Closing closing) {
  if (!strand_->open) return write_row(index, std::move(closing));
  const std::int64_t order = strand_->open->order;
  closing.duration_ms = judged_ms_;
  close_open(std::move(closing));
  strand_->open.reset();
  return order;
}

void Walk::mark_branch(const Strand& strand, Closing& closing) {
  if (strand.number == 0) return;
  closing.data["branch"] = strand.number;
  if (!strand.each_role.empty()) closing.data["each"] = strand.each_role;
}

// ---- loops, jumps and rounds -------------------------------------------------------------------

int Walk::take_jump(int index, int otherwise, Closing& closing) {
  const auto& jump = step(index).jump;
  if (!jump || !jump->max) return otherwise;
  if (jump->when && !holds(*jump->when, facts())) return otherwise;
  std::int64_t& taken = strand_->jumps[index];
  const bool jumps = taken < *jump->max;
  if (jumps) ++taken;
  closing.loop_check_result = jumps;
  // The row of an `if` or a loop keeps the result that says what it did.
  if (closing.result_type == ResultType::success)
    closing.result_type = jumps ? ResultType::loop_continue : ResultType::loop_break;
  return jumps ? jump->target : otherwise;
}

int Walk::landed(bool jumps, int from, int next, std::int64_t order) {
  return jumps && !land(from, next, order) ? kRest : next;
}

bool Walk::land(int from, int target, std::int64_t order) {
  const std::vector<int>& around = step(target).loops;
  // A jump stays in its flow: the frames up to the call's are the caller's.
  std::size_t own = strand_->frames.size();
  while (own > 0 && strand_->frames[own - 1].kind != Frame::Kind::call) --own;
  std::size_t kept = 0;
  while (kept < around.size() && own + kept < strand_->frames.size() &&
         strand_->frames[own + kept].block == around[kept])
    ++kept;
  if (kept < around.size()) {
    fail(fmt::format("the goto of step {} leads into a loop that is not under way",
                     step(from).label()));
    return false;
  }
  while (strand_->frames.size() > own + kept)
    close_frame(*strand_, completed(ResultType::loop_entry), "left_by", order);
  if (around.empty() && target <= from && strand_->number == 0 && own == 0) begin_round();
  return true;
}

void Walk::begin_iteration() {
  Frame& frame = strand_->frames.back();
  ++frame.iteration;
  if (frame.iteration > 1 && strand_->frames.size() == 1 && strand_->number == 0) begin_round();
}

void Walk::begin_round() {
  ++state_.round;
  state_.previous_round_start = state_.round_start;
  state_.round_start = state_.last_position + 1;
}

}  // namespace tertulia::flow
