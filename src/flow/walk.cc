#include "flow/walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "flow/statistics.h"

namespace tertulia::flow {

using model::ResultType;
using model::SessionStatus;
using model::StepStatus;
using model::StopReason;

namespace {

Closing completed(ResultType type) {
  Closing closing;
  closing.result_type = type;
  return closing;
}

// The part of a value that a pointer names; null where there is none.
json::value part(const json::value* value, std::string_view pointer) {
  const json::value* found = value == nullptr ? nullptr : base::at_pointer(*value, pointer);
  return found == nullptr ? json::value(nullptr) : *found;
}

}  // namespace

void FreshRecord::say(std::int64_t position, std::string text) {
  position_ = position;
  text_ = std::move(text);
}

void FreshRecord::put_out(std::int64_t order, json::value output) {
  order_ = order;
  output_ = std::move(output);
}

std::optional<std::string_view> FreshRecord::message(std::int64_t position) const {
  if (position == 0) return std::nullopt;
  return position == position_ ? std::string_view(text_) : recorded_->message(position);
}

const json::value* FreshRecord::output(std::int64_t order) const {
  return order != 0 && order == order_ ? &output_ : recorded_->output(order);
}

void Walk::go(int instruction) {
  resting_ = false;
  while (!resting_) {
    if (instruction == Instruction::kEnd) {
      finish(StopReason::end_of_flow, {}, "ended_by", "end_of_flow");
      return;
    }
    if (quiet_rows_ >= kMaxQuietRows) {
      fail(
          fmt::format("the flow goes round without asking a model: {} rows in one go, the last "
                      "before the step {}",
                      quiet_rows_, step(instruction).label()));
      return;
    }
    instruction = std::visit([&](const auto& kind) { return perform(instruction, kind); },
                             step(instruction).step);
  }
}

// ---- the kinds of steps ------------------------------------------------------------------------

int Walk::perform(int index, const Speak&) {
  if (open_row(index, StepStatus::running)) ask();
  return index;
}

int Walk::perform(int index, const AskPerson&) {
  if (open_row(index, StepStatus::waiting)) wait();
  return index;
}

bool Walk::open_row(int index, StepStatus status) {
  resting_ = true;
  if (const auto reason = reached_limit()) {
    if (state_.limits.finish) {
      finish(*reason, {}, "ended_by", json::string_view(model::to_text(*reason)));
    } else {
      state_.resume_at = index;
      stop(SessionStatus::paused, *reason, {});
    }
    return false;
  }
  OpenRow row = next_row(index);
  row.status = status;
  State::Open open;
  open.order = row.order;
  open.instruction = index;
  open.visit = ++state_.visits[index];
  open.status = status;
  state_.open = open;
  ++state_.steps_used;
  emit(std::move(row));
  return true;
}

int Walk::perform(int index, const Loop& loop) {
  const OpenRow row = next_row(index);
  ++quiet_rows_;
  emit(row);
  state_.frames.push_back({.loop = index, .iteration = 0, .order = row.order});
  if (loop.check_first) return loop.check;
  begin_iteration();
  return loop.body;
}

int Walk::perform(int index, const LoopCheck& check) {
  const State::Frame frame = state_.frames.back();
  const Instruction& entry = step(check.loop);
  const Loop& loop = std::get<Loop>(entry.step);
  const bool at_max = frame.iteration >= loop.max;

  Closing closing;
  bool again = !at_max;
  if (at_max) {
    closing.data["at_max"] = true;
  } else if (check.until || check.while_) {
    const bool held = holds(check.until ? *check.until : *check.while_, facts_);
    again = check.until ? !held : held;
    closing.data["condition"] = held;
  }
  closing.loop_check_result = again;
  closing.result_type = again ? ResultType::loop_continue : ResultType::loop_break;
  write_row(index, frame.iteration + (loop.check_first ? 1 : 0), std::move(closing));
  if (again) {
    begin_iteration();
    return loop.body;
  }

  // The loop's own goto stands on the loop's own row.
  Closing leaving = completed(ResultType::loop_entry);
  const int next = take_jump(check.loop, entry.next, leaving);
  const bool jumps = leaving.loop_check_result.value_or(false);
  leave_loop(std::move(leaving));
  if (jumps && !land(check.loop, next, frame.order)) resting_ = true;
  return next;
}

int Walk::perform(int index, const If& choice) {
  const bool held = holds(choice.condition, facts_);
  Closing closing = completed(held ? ResultType::condition_true : ResultType::condition_false);
  closing.condition_evaluation = held;
  const int next = take_jump(index, held ? choice.then : choice.otherwise, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  write_row(index, state_.iteration(), std::move(closing));
  if (jumps && !land(index, next, state_.last_order)) resting_ = true;
  return next;
}

int Walk::perform(int index, const Set& set) {
  Closing closing = completed(ResultType::success);
  json::object values;
  for (const Assignment& assignment : set.assignments) {
    json::value value = assigned(assignment);
    values[assignment.variable] = value;
    state_.variables.insert_or_assign(assignment.variable, std::move(value));
  }
  closing.data["set"] = std::move(values);
  const int next = take_jump(index, step(index).next, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  write_row(index, state_.iteration(), std::move(closing));
  if (jumps && !land(index, next, state_.last_order)) resting_ = true;
  return next;
}

int Walk::perform(int index, const End& end) {
  resting_ = true;
  std::string reason = expand(
      end.reason, {.facts = &facts_, .topic = record_.topic(), .role_name = {}, .to_name = {}});
  Closing closing = completed(ResultType::success);
  closing.data["reason"] = reason;
  write_row(index, state_.iteration(), std::move(closing));
  finish(StopReason::end_step, std::move(reason), "ended_by", state_.last_order);
  return index;
}

json::value Walk::assigned(const Assignment& assignment) const {
  if (assignment.literal) return *assignment.literal;
  if (assignment.stat.empty()) return part(facts_.output(assignment.output), assignment.pointer);
  std::vector<json::value> values;
  for (const std::string& name : assignment.of)
    values.push_back(part(facts_.output(name), assignment.pointer));
  return statistic(assignment.stat, values);
}

// ---- the open row ------------------------------------------------------------------------------

void Walk::answered(const Answered& answer) {
  const State::Open open = *state_.open;
  const Instruction& asked = step(open.instruction);
  const auto* person = std::get_if<AskPerson>(&asked.step);
  const auto* speak = std::get_if<Speak>(&asked.step);
  const std::string& document = person != nullptr ? person->document : speak->document;

  state_.status = SessionStatus::running;
  Say said;
  said.order = open.order;
  said.position = ++state_.last_position;
  said.role = asked.role();
  said.to = person != nullptr ? person->to : speak->to;
  said.text = answer.text;
  said.round = state_.round;
  State::Spoken& spoken = state_.spoken[said.role];
  ++spoken.count;
  spoken.last = said.position;
  if (!document.empty()) {
    State::Version& version = state_.documents[document];
    ++version.number;
    version.position = said.position;
    said.document = document;
    said.document_version = version.number;
  }
  record_.say(said.position, answer.text);
  if (person == nullptr) state_.elapsed_ms += answer.duration_ms;

  Closing closing = completed(ResultType::success);
  closing.duration_ms = answer.duration_ms;
  closing.data["position"] = said.position;
  if (answer.output) {
    closing.data["output"] = *answer.output;
    record_.put_out(open.order, *answer.output);
    if (!asked.name.empty()) state_.outputs[asked.name] = open.order;
  }
  for (const auto& member : answer.data) closing.data[member.key()] = member.value();

  const int next = take_jump(open.instruction, asked.next, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  close_open(std::move(closing));
  state_.open.reset();
  emit(std::move(said));
  if (jumps && !land(open.instruction, next, open.order)) return;
  go(next);
}

void Walk::skip() {
  Closing closing;
  closing.status = StepStatus::skipped;
  const int next = step(state_.open->instruction).next;
  close_open(std::move(closing));
  state_.open.reset();
  state_.status = SessionStatus::running;
  state_.stop_reason.reset();
  state_.stop_text.clear();
  go(next);
}

void Walk::ask() {
  const State::Open& open = *state_.open;
  emit(Ask{.order = open.order,
           .instruction = open.instruction,
           .attempt = open.attempt,
           .failures = open.failures});
}

void Walk::wait() {
  resting_ = true;
  state_.status = SessionStatus::waiting;
  emit(Stop{});
}

void Walk::close_open(Closing closing) {
  state_.open->status = closing.status;
  emit(CloseRow{
      .order = state_.open->order, .attempt = state_.open->attempt, .closing = std::move(closing)});
}

// ---- rows --------------------------------------------------------------------------------------

OpenRow Walk::next_row(int index) {
  OpenRow row;
  row.order = ++state_.last_order;
  row.instruction = index;
  if (!state_.frames.empty()) row.parent_order = state_.frames.back().order;
  row.round = state_.round;
  row.iteration = state_.iteration();
  return row;
}

void Walk::write_row(int index, std::int64_t iteration, Closing closing) {
  OpenRow row = next_row(index);
  row.iteration = iteration;
  row.status = closing.status;
  row.closed = std::move(closing);
  ++quiet_rows_;
  emit(std::move(row));
}

// ---- loops, jumps and rounds -------------------------------------------------------------------

int Walk::take_jump(int index, int otherwise, Closing& closing) {
  const auto& jump = step(index).jump;
  if (!jump || !jump->max) return otherwise;
  if (jump->when && !holds(*jump->when, facts_)) return otherwise;
  std::int64_t& taken = state_.jumps[index];
  const bool jumps = taken < *jump->max;
  if (jumps) ++taken;
  closing.loop_check_result = jumps;
  // The row of an `if` or a loop keeps the result that says what it did.
  if (closing.result_type == ResultType::success)
    closing.result_type = jumps ? ResultType::loop_continue : ResultType::loop_break;
  return jumps ? jump->target : otherwise;
}

bool Walk::land(int from, int target, std::int64_t order) {
  const std::vector<int>& around = step(target).loops;
  const auto inside = [&](std::size_t depth) {
    return depth < around.size() && state_.frames[depth].loop == around[depth];
  };
  std::size_t kept = 0;
  while (kept < state_.frames.size() && inside(kept)) ++kept;
  if (kept < around.size()) {
    fail(fmt::format("the goto of step {} leads into a loop that is not under way",
                     step(from).label()));
    return false;
  }
  while (state_.frames.size() > kept)
    leave_loop(completed(ResultType::loop_entry), "left_by", order);
  if (around.empty() && target <= from) begin_round();
  return true;
}

void Walk::begin_iteration() {
  State::Frame& frame = state_.frames.back();
  ++frame.iteration;
  if (frame.iteration > 1 && state_.frames.size() == 1) begin_round();
}

void Walk::begin_round() {
  ++state_.round;
  state_.previous_round_start = state_.round_start;
  state_.round_start = state_.last_position + 1;
}

void Walk::leave_loop(Closing closing, std::string_view why, json::value cause) {
  const State::Frame frame = state_.frames.back();
  state_.frames.pop_back();
  closing.data["iterations"] = frame.iteration;
  if (!why.empty()) closing.data[why] = std::move(cause);
  emit(CloseRow{.order = frame.order, .attempt = 1, .closing = std::move(closing)});
}

std::optional<StopReason> Walk::reached_limit() const {
  const Limits& limits = state_.limits;
  if (state_.steps_used >= limits.steps) return StopReason::limit_steps;
  if (state_.round > limits.rounds) return StopReason::limit_rounds;
  if (limits.time_ms && state_.elapsed_ms >= *limits.time_ms) return StopReason::limit_time;
  return std::nullopt;
}

// ---- the session's end -------------------------------------------------------------------------

void Walk::stop(SessionStatus status, StopReason reason, std::string text) {
  resting_ = true;
  state_.status = status;
  state_.stop_reason = reason;
  state_.stop_text = std::move(text);
  emit(Stop{});
}

void Walk::finish(StopReason reason, std::string text, std::string_view why, json::value cause) {
  while (!state_.frames.empty()) leave_loop(completed(ResultType::loop_entry), why, cause);
  stop(SessionStatus::finished, reason, std::move(text));
}

void Walk::fail(std::string text) {
  while (!state_.frames.empty()) {
    Closing closing;
    closing.status = StepStatus::failed;
    closing.result_type = ResultType::error;
    closing.error_message = text;
    leave_loop(std::move(closing));
  }
  stop(SessionStatus::failed, StopReason::engine_failure, std::move(text));
}

void Walk::cancel() {
  Closing skipped;
  skipped.status = StepStatus::skipped;
  if (state_.open) {
    close_open(skipped);
    state_.open.reset();
  }
  while (!state_.frames.empty()) leave_loop(skipped);
  state_.resume_at.reset();
  stop(SessionStatus::terminated, StopReason::cancelled, {});
}

}  // namespace tertulia::flow
