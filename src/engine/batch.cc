#include "engine/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/sha256.h"
#include "engine/batch_failures.h"
#include "engine/full_disk.h"

namespace tertulia::engine {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kGroup = 64;  // inputs made ahead, lines written, in one transaction
constexpr milliseconds kTick{200};
constexpr std::int64_t kSample = 25;
constexpr std::size_t kMostNotBegun = 1'000;
// So many sessions one after another that could not use their model end the batch: a wrong key must
// not make fifty thousand failures.
constexpr std::int64_t kUnavailableInARow = 20;

base::SteadyTime steady_now() {
  return std::chrono::steady_clock::now();
}

// The next inputs; none at the end of the file.
base::Result<std::vector<BatchInput>> read_group(BatchInputs& inputs) {
  std::vector<BatchInput> group;
  while (group.size() < kGroup) {
    auto input = inputs.next();
    if (!input) return input.error();
    if (!*input) break;
    group.push_back(**std::move(input));
  }
  return group;
}

}  // namespace

Batch::Batch(BatchOptions options, BatchPlace& place)
    : options_(std::move(options)), place_(place) {}

base::Result<std::int64_t> Batch::check() {
  auto inputs = BatchInputs::open(options_.inputs);
  if (!inputs) return inputs.error();
  std::vector<std::pair<std::uint64_t, std::int64_t>> ids;  // digest and line
  for (;;) {
    auto group = read_group(*inputs);
    if (!group) return group.error();
    if (group->empty()) break;
    for (const BatchInput& input : *group)
      ids.emplace_back(std::stoull(base::sha256_hex(input.id).substr(0, 16), nullptr, 16),
                       input.line);
    if (auto good = place_.check(*group, options_.max_cost_usd.has_value()); !good)
      return good.error();
  }
  if (ids.empty())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} holds no input", options_.inputs),
                       .remedy = "a line for each, such as {\"id\": \"a1\", \"topic\": \"Tea\"}"};
  total_ = static_cast<std::int64_t>(ids.size());
  std::sort(ids.begin(), ids.end());
  std::optional<std::pair<std::int64_t, std::int64_t>> twice;  // the second's line, the first's
  for (std::size_t i = 1; i < ids.size(); ++i)
    if (ids[i].first == ids[i - 1].first && (!twice || ids[i].second < twice->first))
      twice = {ids[i].second, ids[i - 1].second};
  if (twice)
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{}:{}: the id of this input is that of line {}", options_.inputs,
                               twice->first, twice->second),
        .remedy = "ids must be unique; an input without one has the number of its line as its id"};
  return total_;
}

base::Result<BatchEstimate> Batch::estimate() const {
  auto inputs = BatchInputs::open(options_.inputs);
  if (!inputs) return inputs.error();
  std::vector<BatchInput> sample;
  const std::int64_t stride = std::max<std::int64_t>(1, total_ / kSample);
  for (std::int64_t at = 0; static_cast<std::int64_t>(sample.size()) < kSample; ++at) {
    auto input = inputs->next();
    if (!input) return input.error();
    if (!*input) break;
    if (at % stride == 0) sample.push_back(**std::move(input));
  }
  auto sum = place_.estimate(sample);
  if (!sum) return sum;
  sum->inputs = total_;
  const double factor = static_cast<double>(sum->inputs) / static_cast<double>(sum->sampled);
  sum->calls *= factor;
  sum->prompt_tokens *= factor;
  sum->completion_tokens *= factor;
  if (sum->cost_usd) *sum->cost_usd *= factor;
  return sum;
}

void Batch::pause(bool at_once) {
  pauses_ = std::max<int>(pauses_, at_once ? 2 : 1);
  place_.wake();
}

base::Result<BatchReport> Batch::run(const Watch& watch) {
  begun_ = flushed_ = steady_now();
  auto standing = place_.open(
      std::filesystem::absolute(options_.inputs).lexically_normal().string(), options_.name);
  if (!standing) return standing.error();
  batch_ = standing->id;
  lines_ = ended_ = standing->results;
  cost_ = standing->usage.cost_usd.value_or(0);
  has_price_ = standing->usage.cost_usd.has_value();
  if (auto opened = open_output(); !opened) return opened.error();
  auto each = estimate();
  if (!each) return each.error();
  if (each->cost_usd) {
    estimated_each_ = *each->cost_usd / static_cast<double>(each->inputs);
    has_price_ = true;
  }
  auto inputs = BatchInputs::open(options_.inputs);
  if (!inputs) return inputs.error();
  inputs_.emplace(*std::move(inputs));

  if (auto done = loop(watch); !done) {
    place_.abandon();
    return done.error();
  }
  if (auto synced = output_->sync(); !synced) return synced.error();
  BatchReport report;
  report.ending = stopping_.value_or(BatchReport::Ending::complete);
  report.batch = batch_;
  report.last_failure = last_failure_;
  auto failures = write_failures(failures_file(options_.out), place_, not_begun_);
  if (!failures) return failures.error();
  report.failures = *failures;
  standing = place_.standing();
  if (!standing) return standing.error();
  report.usage = standing->usage;
  report.progress = progress();
  return report;
}

base::Result<void> Batch::open_output() {
  auto output = BatchOutput::open(options_.out);
  if (!output) return output.error();
  output_.emplace(*std::move(output));
  if (auto ours = check_lines(); !ours) return ours;
  if (auto cut = output_->cut_torn_line(); !cut) return cut;
  return write_lines(lines_);
}

// Nothing where it is not assigned, or its session was deleted.
base::Result<std::optional<std::string>> Batch::line_of(std::int64_t number) const {
  auto lines = place_.lines(number, 1);
  if (!lines) return lines.error();
  if (lines->empty() || lines->front().number != number) return std::optional<std::string>();
  return std::move(lines->front().text);
}

// Is this the output of this batch, in this format? Its last line and what is torn after it say so,
// before anything in it is touched.
base::Result<void> Batch::check_lines() const {
  const base::Error other{
      .code = base::Code::conflict,
      .message = fmt::format("{} holds something else than the results of this batch (batch {}: "
                             "this flow, model, file of inputs and format)",
                             options_.out, batch_),
      .remedy = "name another file with --out"};
  const std::int64_t written = output_->lines();
  if (written > lines_) return other;
  if (written > 0) {
    auto last = line_of(written);
    if (!last) return last.error();
    if (*last && **last != output_->last_line()) return other;
  }
  if (output_->torn_line().empty()) return {};
  auto next = line_of(written + 1);
  if (!next) return next.error();
  if (!*next || !(*next)->starts_with(output_->torn_line())) return other;
  return {};
}

// Writes the lines that are assigned and not in the file yet.
base::Result<void> Batch::write_lines(std::int64_t through) {
  while (output_->lines() < through) {
    auto lines = place_.lines(output_->lines() + 1, kGroup);
    if (!lines) return lines.error();
    if (lines->empty() || lines->front().number != output_->lines() + 1)
      return base::Error{
          .code = base::Code::storage,
          .message = fmt::format("batch {} has no line {}", batch_, output_->lines() + 1),
          .remedy = "tertulia db verify"};
    for (const ResultLine& line : *lines) {
      if (!line.text)
        return base::Error{
            .code = base::Code::not_found,
            .message = fmt::format("{} lacks the result of input '{}' (line {}), whose session was "
                                   "deleted",
                                   options_.out, line.input, line.number),
            .remedy = "put the output of before back, or begin a batch of another --name"};
      if (auto written = output_->append(*line.text); !written) return written;
    }
  }
  return {};
}

base::Result<void> Batch::loop(const Watch& watch) {
  base::SteadyTime watched = begun_ - kTick;
  for (;;) {
    if (!stopping_) {
      if (auto done = start_some(); !done) return done;
    }
    if (in_flight_.empty() && (stopping_ || (inputs_end_ && ready_.empty()))) break;
    place_.wait(kTick);
    if (pauses_ > 0) stop(BatchReport::Ending::paused);
    if (stopping_ && stopping_ != BatchReport::Ending::max_cost) {
      const bool at_once = pauses_ > 1 || stopping_ == BatchReport::Ending::unavailable;
      if (auto asked = place_.pause(at_once); !asked) return asked;
    }
    if (auto done = take_ended(); !done) return done;
    const auto now = steady_now();
    if (finished_.size() >= kGroup || now - flushed_ >= kTick)
      if (auto done = give_lines(); !done) return done;
    if (watch && now - watched >= kTick) {
      watched = now;
      watch(progress());
    }
  }
  return give_lines();
}

void Batch::stop(BatchReport::Ending why) {
  if (!stopping_) stopping_ = why;
}

base::Result<void> Batch::start_some() {
  std::vector<Id> begun;
  while (in_flight_.size() < options_.concurrency) {
    // Groups that are done already give nothing to begin: the next is read at once.
    while (ready_.empty() && !inputs_end_)
      if (auto done = read_more(); !done) return done;
    if (ready_.empty()) break;
    if (!may_afford_another()) {
      // Those under way may turn out cheaper than what is kept back for them.
      if (in_flight_.empty()) stop(BatchReport::Ending::max_cost);
      break;
    }
    const Ready next = ready_.front();
    ready_.pop_front();
    in_flight_[next.session] = next.spent_usd;
    begun.push_back(next.session);
  }
  if (begun.empty()) return {};
  return place_.begin(begun);
}

bool Batch::may_afford_another() const {
  if (!options_.max_cost_usd) return true;
  const double each =
      ended_ > 0 ? cost_ / static_cast<double>(ended_) : estimated_each_.value_or(0);
  const double kept_back = each * static_cast<double>(in_flight_.size() + 1);
  return cost_ + kept_back <= *options_.max_cost_usd;
}

base::Result<void> Batch::read_more() {
  auto group = read_group(*inputs_);
  if (!group) return group.error();
  if (group->empty()) {
    inputs_end_ = true;
    return {};
  }
  auto placed = place_.place(*group);
  if (!placed) return placed.error();
  for (const PlacedInput& each : *placed) sort_in(each);
  return {};
}

// Done, finished without a line, not to be gone on with, or to be performed.
void Batch::sort_in(const PlacedInput& input) {
  if (input.has_result) return;
  switch (input.status) {
    case model::SessionStatus::finished:
      finished_.push_back(input.session);
      break;
    case model::SessionStatus::failed:
    case model::SessionStatus::terminated:
      ++failed_;
      break;
    default:
      ready_.push_back({.session = input.session, .spent_usd = input.spent_usd});
  }
}

base::Result<void> Batch::take_ended() {
  auto stopped = place_.take_stopped();
  if (!stopped) return stopped.error();
  base::Result<void> done;
  for (const StoppedSession& each : *stopped) {
    auto taken = take(each);
    if (!taken && done) done = std::move(taken);
  }
  return done;
}

base::Result<void> Batch::take(const StoppedSession& stopped) {
  const auto flight = in_flight_.find(stopped.session);
  if (flight == in_flight_.end()) return {};
  cost_ += stopped.spent_usd.value_or(0) - flight->second;
  has_price_ = has_price_ || stopped.spent_usd;
  in_flight_.erase(flight);
  if (stopped.error && is_of_storage(*stopped.error)) return *stopped.error;
  if (stopped.stop_reason == model::StopReason::storage_full)
    return base::Error{.code = base::Code::storage_full, .message = stopped.reason};
  if (!stopped.error && stopped.status == model::SessionStatus::finished) {
    ++ended_;
    unavailable_in_a_row_ = 0;
    finished_.push_back(stopped.session);
    return {};
  }
  if (!stopped.error && stopping_ && stopped.stop_reason == model::StopReason::asked) return {};
  ++failed_;
  ++ended_;
  if (stopped.error) {
    last_failure_ = stopped.error->message;
    if (not_begun_.size() < kMostNotBegun) not_begun_[stopped.session] = stopped.error->message;
  } else {
    last_failure_ = failure_reason(stopped.status, stopped.stop_reason, stopped.reason);
  }
  if (stopped.stop_reason != model::StopReason::model_unavailable) {
    unavailable_in_a_row_ = 0;
  } else if (++unavailable_in_a_row_ >= kUnavailableInARow) {
    stop(BatchReport::Ending::unavailable);
  }
  return {};
}

base::Result<void> Batch::give_lines() {
  flushed_ = steady_now();
  if (!finished_.empty()) {
    auto lines = place_.give_lines(finished_);
    if (!lines) return lines.error();
    finished_.clear();
    done_now_ += *lines - lines_;
    lines_ = *lines;
    if (auto written = write_lines(lines_); !written) return written;
  }
  return output_->sync();
}

BatchProgress Batch::progress() const {
  BatchProgress now;
  now.inputs = total_;
  now.done = lines_;
  now.done_now = done_now_;
  now.failed = failed_;
  now.in_flight = in_flight_.size();
  now.elapsed = std::chrono::duration_cast<milliseconds>(steady_now() - begun_);
  if (has_price_) {
    now.cost_usd = cost_;
    const double each =
        ended_ > 0 ? cost_ / static_cast<double>(ended_) : estimated_each_.value_or(0);
    now.expected_cost_usd = std::max(cost_, each * static_cast<double>(total_));
  }
  const std::int64_t ended = done_now_ + failed_;
  const std::int64_t left = total_ - lines_ - failed_;
  if (ended > 0)
    now.left = milliseconds(static_cast<std::int64_t>(
        static_cast<double>(now.elapsed.count()) / static_cast<double>(ended) *
        static_cast<double>(std::max<std::int64_t>(0, left))));
  return now;
}

}  // namespace tertulia::engine
