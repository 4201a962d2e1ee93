#include "engine/batch_here.h"

#include <utility>

namespace tertulia::engine {
namespace {

// How often sessions are told again to stop: one whose claim was on its way begins later.
constexpr std::chrono::milliseconds kTellAgain{200};

}  // namespace

base::Result<BatchEstimate> sum_estimates(const BatchCasting& casting,
                                          const std::vector<BatchInput>& inputs) {
  BatchEstimate sum;
  sum.inputs = sum.sampled = static_cast<std::int64_t>(inputs.size());
  double cost = 0;
  bool has_cost = true;
  for (const BatchInput& input : inputs) {
    auto each = casting.estimate(input);
    if (!each) return each.error();
    sum.calls += static_cast<double>(each->calls);
    sum.prompt_tokens += static_cast<double>(each->prompt_tokens);
    sum.completion_tokens += static_cast<double>(each->completion_tokens);
    cost += each->cost_usd.value_or(0);
    has_cost = has_cost && each->cost_usd;
  }
  if (has_cost) sum.cost_usd = cost;
  return sum;
}

BatchHere::BatchHere(BatchCasting casting, BatchView view, EngineSource engine,
                     db::Connection& reader)
    : casting_(std::move(casting)),
      view_(std::move(view)),
      engine_source_(std::move(engine)),
      reader_(reader) {}

base::Result<void> BatchHere::check(const std::vector<BatchInput>& inputs, bool needs_price) {
  for (const BatchInput& input : inputs)
    if (auto good = casting_.check(input, needs_price); !good) return good;
  return {};
}

base::Result<BatchEstimate> BatchHere::estimate(const std::vector<BatchInput>& inputs) {
  return sum_estimates(casting_, inputs);
}

base::Result<BatchStanding> BatchHere::open(const std::string& inputs, const std::string& name) {
  auto engine = engine_source_();
  if (!engine) return engine.error();
  engine_ = *engine;
  auto batch = BatchSessions::find_or_make(engine_->writer(), reader_, casting_, inputs, name);
  if (!batch) return batch.error();
  batch_ = batch->id;
  sessions_.emplace(engine_->writer(), reader_, flows_, batch_);
  return standing();
}

base::Result<BatchStanding> BatchHere::standing() {
  return sessions_->standing();
}

base::Result<std::vector<PlacedInput>> BatchHere::place(const std::vector<BatchInput>& inputs) {
  return sessions_->place(casting_, inputs);
}

base::Result<void> BatchHere::begin(const std::vector<Id>& sessions) {
  {
    const std::lock_guard lock(mutex_);
    performed_ += sessions.size();
  }
  for (const Id session : sessions)
    engine_->perform_soon(session, {.action = Action::resume}, [this](const Outcome& outcome) {
      const std::lock_guard lock(mutex_);
      outcomes_.push_back(outcome);
      --performed_;
      changed_.notify_all();
    });
  return {};
}

base::Result<std::vector<StoppedSession>> BatchHere::take_stopped() {
  std::vector<Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    outcomes.swap(outcomes_);
  }
  std::vector<StoppedSession> stopped;
  stopped.reserve(outcomes.size());
  for (Outcome& outcome : outcomes) {
    auto usage = store::sum_usage(reader_, outcome.session_id);
    if (!usage) return usage.error();
    stopped.push_back({.session = outcome.session_id,
                       .status = outcome.status,
                       .stop_reason = outcome.stop_reason,
                       .reason = std::move(outcome.stop_text),
                       .spent_usd = usage->cost_usd,
                       .error = std::move(outcome.error)});
  }
  return stopped;
}

void BatchHere::wait(std::chrono::milliseconds longest) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, longest, [&] { return !outcomes_.empty() || is_woken_; });
  is_woken_ = false;
}

void BatchHere::wake() {
  const std::lock_guard lock(mutex_);
  is_woken_ = true;
  changed_.notify_all();
}

base::Result<void> BatchHere::pause(bool at_once) {
  engine_->pause_all(at_once);
  return {};
}

void BatchHere::abandon() {
  std::unique_lock lock(mutex_);
  while (performed_ > 0) {
    lock.unlock();
    engine_->pause_all(true);
    lock.lock();
    changed_.wait_for(lock, kTellAgain);
  }
}

base::Result<std::int64_t> BatchHere::give_lines(const std::vector<Id>& finished) {
  return sessions_->give_lines(finished);
}

base::Result<std::vector<ResultLine>> BatchHere::lines(std::int64_t first, std::int64_t limit) {
  return sessions_->lines(view_, first, limit);
}

base::Result<std::vector<store::OpenBatchInput>> BatchHere::open_inputs(Id after,
                                                                        std::int64_t limit) {
  return store::load_open_batch_inputs(reader_, batch_, after, limit);
}

}  // namespace tertulia::engine
