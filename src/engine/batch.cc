#include "engine/batch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <future>

#include "base/random.h"
#include "base/sha256.h"
#include "engine/cost.h"
#include "store/sessions.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;
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

// The engine's writer from this thread: performed in its group's transaction, and waited for.
base::Result<void> write(Writer& writer, Writer::Work work) {
  std::promise<base::Result<void>> done;
  writer.submit(std::move(work),
                [&](base::Result<void> result) { done.set_value(std::move(result)); });
  return done.get_future().get();
}

std::string reason_of(const store::OpenBatchInput& input) {
  using model::SessionStatus;
  if (input.status == SessionStatus::waiting) return "waits for a person";
  if (input.status == SessionStatus::terminated) return "cancelled";
  std::string reason(input.stop_reason ? model::to_text(*input.stop_reason)
                                       : model::to_text(input.status));
  if (!input.error_reason.empty()) reason += ": " + input.error_reason;
  return reason;
}

// Not a failure: it was stopped on the way, or has not begun.
bool is_unfinished(const store::OpenBatchInput& input) {
  using model::SessionStatus;
  return input.status == SessionStatus::not_started || input.status == SessionStatus::running ||
         input.status == SessionStatus::finished ||
         (input.status == SessionStatus::paused && input.stop_reason == model::StopReason::asked);
}

}  // namespace

Batch::Batch(BatchOptions options, ProfileSource profiles, RoleSource roles,
             ProviderSource providers)
    : options_(std::move(options)),
      profiles_(std::move(profiles)),
      roles_([roles = std::move(roles),
              known = std::make_shared<std::map<std::string, std::optional<model::Role>>>()](
                 const std::string& name) -> base::Result<std::optional<model::Role>> {
        // Asked for each input: the library is read once.
        if (const auto found = known->find(name); found != known->end()) return found->second;
        auto role = roles(name);
        if (!role) return role.error();
        return known->emplace(name, *role).first->second;
      }),
      providers_(std::move(providers)) {}

CastingCall Batch::call_of(const BatchInput& input) const {
  CastingCall call = options_.call;
  call.topic = input.topic;
  call.roles = input.cast;
  call.variables = input.variables(*call.program);
  call.seed = input.session_seed();
  call.now = base::Clock::system().now();
  return call;
}

std::string Batch::identity() const {
  json::object all;
  all["flow"] = options_.call.program->name;
  all["source_sha256"] = options_.call.version->source_sha256;
  all["header"] = options_.call.program->header_json();
  all["model"] = options_.model;
  all["inputs"] = std::filesystem::absolute(options_.inputs).lexically_normal().string();
  all["name"] = options_.name;
  return base::sha256_hex(base::to_text(all));
}

base::Result<void> Batch::check_price(const store::NewSession& session) const {
  if (!options_.max_cost_usd) return {};
  const auto refuse = [](const std::string& profile) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("a limit on cost needs a price, and the profile {} "
                                              "has none",
                                              profile),
                       .remedy =
                           "give it one in the configuration: price: { input: 0.25, output: "
                           "2.00 }, in US dollars a million tokens"};
  };
  auto cast = flow::Cast::from_text(session.roles_snapshot);
  if (!cast) return cast.error();
  for (const auto& role : cast->roles)
    if (!has_price(role.model)) return refuse(role.profile);
  auto snapshot = FlowSnapshot::from_text(session.flow_snapshot);
  if (!snapshot) return snapshot.error();
  for (const auto& [name, profile] : snapshot->models)
    if (!has_price(profile)) return refuse(name);
  return {};
}

base::Result<std::int64_t> Batch::check() {
  if (auto fits = check_view(options_.view, *options_.call.program); !fits) return fits.error();
  auto inputs = BatchInputs::open(options_.inputs);
  if (!inputs) return inputs.error();
  std::vector<std::pair<std::uint64_t, std::int64_t>> ids;  // digest and line
  for (;;) {
    auto input = inputs->next();
    if (!input) return input.error();
    if (!*input) break;
    const std::string place = fmt::format("{}:{}", options_.inputs, (*input)->line);
    auto made = cast(call_of(**input), profiles_, roles_);
    if (!made) return made.error().in(place);
    if (ids.empty())
      if (auto priced = check_price(*made); !priced) return priced.error();
    ids.emplace_back(std::stoull(base::sha256_hex((*input)->id).substr(0, 16), nullptr, 16),
                     (*input)->line);
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
  BatchEstimate sum;
  sum.inputs = total_;
  double cost = 0;
  bool has_cost = true;
  const std::int64_t stride = std::max<std::int64_t>(1, total_ / kSample);
  for (std::int64_t at = 0; sum.sampled < kSample; ++at) {
    auto input = inputs->next();
    if (!input) return input.error();
    if (!*input) break;
    if (at % stride != 0) continue;
    auto each = estimate_session(call_of(**input), profiles_, roles_, providers_);
    if (!each) return each.error().in(fmt::format("{}:{}", options_.inputs, (*input)->line));
    ++sum.sampled;
    sum.calls += static_cast<double>(each->calls);
    sum.prompt_tokens += static_cast<double>(each->prompt_tokens);
    sum.completion_tokens += static_cast<double>(each->completion_tokens);
    cost += each->cost_usd.value_or(0);
    has_cost = has_cost && each->cost_usd;
  }
  const double factor = static_cast<double>(sum.inputs) / static_cast<double>(sum.sampled);
  sum.calls *= factor;
  sum.prompt_tokens *= factor;
  sum.completion_tokens *= factor;
  if (has_cost) sum.cost_usd = cost * factor;
  return sum;
}

void Batch::pause(bool at_once) {
  const std::lock_guard lock(mutex_);
  pauses_ = std::max(pauses_, at_once ? 2 : 1);
  changed_.notify_all();
}

base::Result<BatchReport> Batch::run(Engine& engine, db::Connection& reader, const Watch& watch) {
  engine_ = &engine;
  reader_ = &reader;
  begun_ = flushed_ = steady_now();
  base::Result<void> done;
  engine.writer().run([&](db::Connection& connection) {
    auto batch = store::find_or_make_batch(
        connection,
        {.identity = identity(),
         .name = fmt::format("{} over {}{}", options_.call.program->name, options_.inputs,
                             options_.name.empty() ? "" : " (" + options_.name + ")"),
         .flow_version_id = options_.call.version->id,
         .now = base::Clock::system().now()});
    if (batch) {
      batch_ = batch->id;
    } else {
      done = batch.error();
    }
  });
  if (!done) return done.error();
  auto flow = flows_.load(reader, options_.call.version->id, options_.call.program->header_json());
  if (!flow) return flow.error();
  flow_ = *std::move(flow);
  if (auto opened = open_output(); !opened) return opened.error();

  auto usage = store::sum_batch_usage(reader, batch_);
  if (!usage) return usage.error();
  cost_ = usage->cost_usd.value_or(0);
  has_price_ = usage->cost_usd.has_value();
  ended_ = lines_;
  auto each = estimate();
  if (!each) return each.error();
  if (each->cost_usd) {
    estimated_each_ = *each->cost_usd / static_cast<double>(each->inputs);
    has_price_ = true;
  }
  auto inputs = BatchInputs::open(options_.inputs);
  if (!inputs) return inputs.error();
  inputs_.emplace(*std::move(inputs));

  done = loop(watch);
  if (!done) {
    drain();
    return done.error();
  }
  if (auto synced = output_->sync(); !synced) return synced.error();
  BatchReport report;
  report.ending = stopping_.value_or(BatchReport::Ending::complete);
  report.batch = batch_;
  report.last_failure = last_failure_;
  if (auto written = write_failures(report); !written) return written.error();
  usage = store::sum_batch_usage(reader, batch_);
  if (!usage) return usage.error();
  report.usage = *usage;
  report.progress = progress();
  return report;
}

base::Result<void> Batch::open_output() {
  auto output = BatchOutput::open(options_.out);
  if (!output) return output.error();
  output_.emplace(*std::move(output));
  auto lines = store::count_batch_lines(*reader_, batch_);
  if (!lines) return lines.error();
  lines_ = *lines;
  if (auto ours = check_lines(); !ours) return ours;
  if (auto cut = output_->cut_torn_line(); !cut) return cut;
  return write_lines(lines_);
}

// Nothing where it is not assigned, or its session was deleted.
base::Result<std::optional<std::string>> Batch::line_of(std::int64_t number) const {
  auto rows = store::load_batch_lines(*reader_, batch_, number, 1);
  if (!rows) return rows.error();
  if (rows->empty() || !rows->front().session_id) return std::optional<std::string>();
  auto line = result_line(*reader_, flows_, options_.view, rows->front().input_id,
                          *rows->front().session_id);
  if (!line) return line.error();
  return std::optional<std::string>(*std::move(line));
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
    auto rows = store::load_batch_lines(*reader_, batch_, output_->lines() + 1, kGroup);
    if (!rows) return rows.error();
    if (rows->empty() || rows->front().line != output_->lines() + 1)
      return base::Error{
          .code = base::Code::storage,
          .message = fmt::format("batch {} has no line {}", batch_, output_->lines() + 1),
          .remedy = "tertulia db verify"};
    for (const auto& row : *rows) {
      if (!row.session_id)
        return base::Error{
            .code = base::Code::not_found,
            .message = fmt::format("{} lacks the result of input '{}' (line {}), whose session was "
                                   "deleted",
                                   options_.out, row.input_id, *row.line),
            .remedy = "put the output of before back, or begin a batch of another --name"};
      auto line = result_line(*reader_, flows_, options_.view, row.input_id, *row.session_id);
      if (!line) return line.error();
      if (auto written = output_->append(*line); !written) return written;
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
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, steady_now() + kTick,
                          [&] { return !outcomes_.empty() || (pauses_ > 0 && !stopping_); });
      if (pauses_ > 0 && !stopping_) stop(BatchReport::Ending::paused);
    }
    // Again and again: a session whose claim was on its way when it was asked for begins later.
    if (stopping_ && stopping_ != BatchReport::Ending::max_cost) {
      int pauses = 0;
      {
        const std::lock_guard lock(mutex_);
        pauses = pauses_;
      }
      engine_->pause_all(pauses > 1 || stopping_ == BatchReport::Ending::unavailable);
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

// Something went wrong: what is in flight stops at once, so that nothing outlives the batch.
void Batch::drain() {
  std::unique_lock lock(mutex_);
  while (in_flight_.size() > outcomes_.size()) {
    lock.unlock();
    engine_->pause_all(true);
    lock.lock();
    changed_.wait_for(lock, kTick);
  }
}

void Batch::stop(BatchReport::Ending why) {
  if (!stopping_) stopping_ = why;
}

base::Result<void> Batch::start_some() {
  while (in_flight_.size() < options_.concurrency) {
    if (ready_.empty() && !inputs_end_)
      if (auto done = read_more(); !done) return done;
    if (ready_.empty()) return {};
    if (!may_afford_another()) {
      // Those under way may turn out cheaper than what is kept back for them.
      if (in_flight_.empty()) stop(BatchReport::Ending::max_cost);
      return {};
    }
    const Ready next = ready_.front();
    ready_.pop_front();
    InFlight& flight = in_flight_[next.session];
    if (!next.is_new) {
      auto usage = store::sum_usage(*reader_, next.session);
      if (!usage) return usage.error();
      flight.cost_before = usage->cost_usd.value_or(0);
    }
    engine_->perform_soon(next.session, {.action = Action::resume}, [this](const Outcome& outcome) {
      const std::lock_guard lock(mutex_);
      outcomes_.push_back(outcome);
      changed_.notify_all();
    });
  }
  return {};
}

bool Batch::may_afford_another() const {
  if (!options_.max_cost_usd) return true;
  const double each =
      ended_ > 0 ? cost_ / static_cast<double>(ended_) : estimated_each_.value_or(0);
  const double kept_back = each * static_cast<double>(in_flight_.size() + 1);
  return cost_ + kept_back <= *options_.max_cost_usd;
}

base::Result<void> Batch::read_more() {
  std::vector<std::pair<BatchInput, store::NewSession>> fresh;
  while (!inputs_end_ && fresh.size() + ready_.size() < kGroup) {
    auto input = inputs_->next();
    if (!input) return input.error();
    if (!*input) {
      inputs_end_ = true;
      break;
    }
    if (auto done = sort_in(**std::move(input), fresh); !done) return done;
  }
  return make(fresh);
}

// Done, finished without a line, to be gone on with, or to be made.
base::Result<void> Batch::sort_in(BatchInput input,
                                  std::vector<std::pair<BatchInput, store::NewSession>>& fresh) {
  auto known = store::find_batch_input(*reader_, batch_, input.id);
  if (!known) return known.error();
  if (*known && (*known)->input.input_sha256 != input.sha256())
    return base::Error{
        .code = base::Code::conflict,
        .message = fmt::format("{}:{}: this batch has begun another input under the id '{}'",
                               options_.inputs, input.line, input.id),
        .remedy = "inputs that were changed want new ids; --name NAME begins a batch of its own"};
  if (*known && (*known)->input.line) return {};
  if (*known && (*known)->status) {
    const Id session = *(*known)->input.session_id;
    switch (*(*known)->status) {
      case model::SessionStatus::finished:
        finished_.push_back(session);
        break;
      case model::SessionStatus::failed:
      case model::SessionStatus::terminated:
        ++failed_;  // cannot be gone on with
        break;
      default:
        ready_.push_back({.session = session, .is_new = false});
    }
    return {};
  }
  auto made = cast(call_of(input), profiles_, roles_);
  if (!made) return made.error().in(fmt::format("{}:{}", options_.inputs, input.line));
  fresh.emplace_back(std::move(input), *std::move(made));
  return {};
}

base::Result<void> Batch::make(const std::vector<std::pair<BatchInput, store::NewSession>>& fresh) {
  if (fresh.empty()) return {};
  std::vector<Id> ids;
  auto done = write(engine_->writer(), [&](db::Connection& connection) -> base::Result<void> {
    ids.clear();
    for (const auto& [input, session] : fresh) {
      auto id = store::create_session_within(connection, session);
      if (!id) return id.error();
      model::BatchInput row;
      row.batch_id = batch_;
      row.input_id = input.id;
      row.input_sha256 = input.sha256();
      row.session_id = *id;
      row.created_at = session.now;
      if (auto tied = store::tie_batch_input(connection, row); !tied) return tied;
      ids.push_back(*id);
    }
    return {};
  });
  if (!done) return done;
  for (const Id id : ids) ready_.push_back({.session = id, .is_new = true});
  return {};
}

base::Result<void> Batch::take_ended() {
  std::vector<Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    outcomes.swap(outcomes_);
  }
  base::Result<void> done;
  for (const Outcome& outcome : outcomes) {
    auto taken = take(outcome);
    if (!taken && done) done = std::move(taken);
  }
  return done;
}

base::Result<void> Batch::take(const Outcome& outcome) {
  const auto flight = in_flight_.find(outcome.session_id);
  const double cost_before = flight->second.cost_before;
  in_flight_.erase(flight);
  auto usage = store::sum_usage(*reader_, outcome.session_id);
  if (!usage) return usage.error();
  cost_ += usage->cost_usd.value_or(0) - cost_before;
  has_price_ = has_price_ || usage->cost_usd;
  if (outcome.error && outcome.error->code == base::Code::storage) return *outcome.error;
  if (!outcome.error && outcome.status == model::SessionStatus::finished) {
    ++ended_;
    unavailable_in_a_row_ = 0;
    finished_.push_back(outcome.session_id);
    return {};
  }
  if (!outcome.error && stopping_ && outcome.stop_reason == model::StopReason::asked) return {};
  ++failed_;
  ++ended_;
  if (outcome.error) {
    last_failure_ = outcome.error->message;
    if (not_begun_.size() < kMostNotBegun) not_begun_[outcome.session_id] = outcome.error->message;
  } else {
    last_failure_ = reason_of({.id = 0,
                               .input_id = {},
                               .session_id = outcome.session_id,
                               .status = outcome.status,
                               .stop_reason = outcome.stop_reason,
                               .error_reason = outcome.stop_text});
  }
  if (outcome.stop_reason != model::StopReason::model_unavailable) {
    unavailable_in_a_row_ = 0;
  } else if (++unavailable_in_a_row_ >= kUnavailableInARow) {
    stop(BatchReport::Ending::unavailable);
  }
  return {};
}

base::Result<void> Batch::give_lines() {
  flushed_ = steady_now();
  if (!finished_.empty()) {
    auto done = write(engine_->writer(), [&](db::Connection& connection) -> base::Result<void> {
      for (const Id session : finished_)
        if (auto given = store::assign_batch_line(connection, batch_, session); !given)
          return given;
      return {};
    });
    if (!done) return done;
    finished_.clear();
    auto lines = store::count_batch_lines(*reader_, batch_);
    if (!lines) return lines.error();
    done_now_ += *lines - lines_;
    lines_ = *lines;
    if (auto written = write_lines(lines_); !written) return written;
  }
  return output_->sync();
}

base::Result<void> Batch::write_failures(BatchReport& report) {
  const std::string path = options_.out + ".failures.jsonl";
  const std::string beside = path + ".new";
  std::FILE* file = nullptr;
  const auto failed = [&] {
    base::Error error{.code = base::Code::storage,
                      .message = fmt::format("{}: {}", beside, std::strerror(errno))};
    if (file != nullptr) std::fclose(file);
    return error;
  };
  for (Id after = 0;;) {
    auto inputs = store::load_open_batch_inputs(*reader_, batch_, after, 256);
    if (!inputs) return inputs.error();
    if (inputs->empty()) break;
    after = inputs->back().id;
    for (const auto& input : *inputs) {
      const auto known = not_begun_.find(input.session_id);
      if (known == not_begun_.end() && is_unfinished(input)) continue;
      if (file == nullptr && (file = std::fopen(beside.c_str(), "we")) == nullptr) return failed();
      json::object line;
      line["id"] = input.input_id;
      line["session"] = input.session_id;
      line["status"] = model::to_text(input.status);
      line["reason"] = known != not_begun_.end() ? known->second : reason_of(input);
      const std::string text = base::to_text(line) + '\n';
      if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) return failed();
      ++report.failures;
    }
  }
  std::error_code ignored;  // it need not be there
  if (file == nullptr) {
    std::filesystem::remove(path, ignored);
    return {};
  }
  if (std::fflush(file) != 0 || ::fdatasync(::fileno(file)) != 0) return failed();
  std::fclose(file);
  std::error_code moved;
  std::filesystem::rename(beside, path, moved);
  if (moved)
    return base::Error{.code = base::Code::storage,
                       .message = fmt::format("{}: {}", path, moved.message())};
  report.failures_file = path;
  return {};
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
