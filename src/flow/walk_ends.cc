// How a session comes to stand: at its end, or where its strands rest.
#include <utility>

#include "flow/walk.h"

namespace tertulia::flow {

using model::ResultType;
using model::SessionStatus;
using model::StepStatus;
using model::StopReason;

void Walk::settle() {
  if (over_) return;
  bool runs = false, waits = false, stands = state_.resume_at.has_value();
  const Strand::Open* why = nullptr;
  state_.each_strand([&](const Strand& strand) {
    if (!strand.open) return;
    const Strand::Open& open = *strand.open;
    runs = runs || open.status == StepStatus::running;
    waits = waits || open.status == StepStatus::waiting;
    const bool failed = open.status == StepStatus::failed || open.status == StepStatus::timeout;
    stands = stands || failed || open.status == StepStatus::pending;
    // What failed says more than what a limit holds.
    if (open.reason && (why == nullptr || (failed && why->status == StepStatus::pending)))
      why = &open;
  });
  if (runs) {
    state_.status = SessionStatus::running;
    state_.stop_reason.reset();
    state_.stop_text.clear();
    return;
  }
  if (!stands && waits) {
    state_.status = SessionStatus::waiting;
    state_.stop_reason.reset();
    state_.stop_text.clear();
    emit(Stop{});
    return;
  }
  if (reason_) return stop(SessionStatus::paused, *reason_, std::move(reason_text_));
  if (why != nullptr) return stop(SessionStatus::paused, *why->reason, why->error);
  // Nothing new was said of why: it stands as it stood.
  stop(SessionStatus::paused, state_.stop_reason.value_or(StopReason::asked), state_.stop_text);
}

void Walk::stop(SessionStatus status, StopReason reason, std::string text) {
  state_.status = status;
  state_.stop_reason = reason;
  state_.stop_text = std::move(text);
  emit(Stop{});
}

void Walk::clear(Strand& strand, std::size_t depth, const Closing& closing, std::string_view why,
                 const json::value& cause) {
  if (!strand.branches.empty()) {
    for (Strand& branch : strand.branches) clear(branch, 0, skipped(), why, cause);
    gather(strand);  // what was said stays said
  }
  if (strand.open) {
    const Strand::Open& open = *strand.open;
    Closing left = skipped();
    mark_branch(strand, left);
    count_spent(strand);
    if (!open.spent.empty()) put_spent(left.data, open.spent);
    emit(CloseRow{.order = open.order, .attempt = open.attempt, .closing = std::move(left)});
    strand.open.reset();
  }
  while (strand.frames.size() > depth) {
    Closing own = closing;
    if (own.result_type == ResultType::success &&
        strand.frames.back().kind == Strand::Frame::Kind::loop)
      own.result_type = ResultType::loop_entry;
    close_frame(strand, std::move(own), why, cause);
  }
}

void Walk::finish(StopReason reason, std::string text, std::string_view why, json::value cause) {
  clear(state_, 0, completed(ResultType::success), why, cause);
  over_ = true;
  stop(SessionStatus::finished, reason, std::move(text));
}

void Walk::fail(std::string text) {
  Closing closing;
  closing.status = StepStatus::failed;
  closing.result_type = ResultType::error;
  closing.error_message = text;
  clear(state_, 0, closing);
  over_ = true;
  stop(SessionStatus::failed, StopReason::engine_failure, std::move(text));
}

void Walk::cancel() {
  clear(state_, 0, skipped());
  state_.resume_at.reset();
  over_ = true;
  stop(SessionStatus::terminated, StopReason::cancelled, {});
}

}  // namespace tertulia::flow
