// Batch performs one flow version over many inputs, a session each: so many in flight, the rest to
// come still in the file. Everything that must outlive the process is in the database:
//
//   input read -> session made and tied to it (one transaction) -> performed -> finished
//     -> given the next line of the output (one transaction) -> written there
//
// A process that dies anywhere in this is gone on with by the next run of the same batch: what has
// its line is not looked at again, what is finished is given one, what was under way is resumed,
// the rest begins. Its identity is the flow (text and roles), the model, the file of inputs and a
// name that the user may give; inputs may be added to the file, not changed.
//
// Memory: what is in flight, one group of inputs to come, and 16 bytes an input to find ids that
// are there twice.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/batch_inputs.h"
#include "engine/batch_output.h"
#include "engine/batch_result.h"
#include "engine/casting.h"
#include "engine/dry_run.h"
#include "engine/engine.h"
#include "store/batches.h"

namespace tertulia::engine {

struct BatchOptions {
  std::string inputs;       // a path
  std::string out;          // a path
  std::string name;         // tells batches of the same flow and inputs apart; may be empty
  CastingCall call;         // what all sessions share; topic, cast and the like are the inputs'
  base::json::value model;  // the profile that `call` names, as a part of the identity
  BatchView view;
  std::size_t concurrency = 64;
  std::optional<double> max_cost_usd;  // of the whole batch, earlier runs included
};

struct BatchProgress {
  std::int64_t inputs = 0;    // in the file
  std::int64_t done = 0;      // have their result, earlier runs included
  std::int64_t done_now = 0;  // of these, by this run
  std::int64_t failed = 0;    // ended without a result in this run
  std::size_t in_flight = 0;
  std::optional<double> cost_usd;           // so far
  std::optional<double> expected_cost_usd;  // of all
  std::chrono::milliseconds elapsed{0};     // of this run
  std::optional<std::chrono::milliseconds> left;
};

struct BatchReport {
  enum class Ending {
    complete,     // every input has been tried
    paused,       // somebody asked for it
    max_cost,     // the next session might have cost more than is left
    unavailable,  // the model could not be used, session after session
  };
  Ending ending = Ending::complete;
  model::Id batch = 0;
  BatchProgress progress;
  store::UsageSum usage;      // of the batch
  std::int64_t failures = 0;  // lines of `failures_file`
  std::string failures_file;  // OUT.failures.jsonl; empty where there are none
  std::string last_failure;   // in words
};

struct BatchEstimate {
  std::int64_t inputs = 0;
  std::int64_t sampled = 0;
  double calls = 0;  // of all inputs, from the mean of those sampled
  double prompt_tokens = 0;
  double completion_tokens = 0;
  std::optional<double> cost_usd;
};

class Batch final {
 public:
  Batch(BatchOptions options, ProfileSource profiles, RoleSource roles, ProviderSource providers);

  // Reads all inputs: what is wrong with one is invalid, with its place, before anything is made or
  // spent. Their number.
  [[nodiscard]] base::Result<std::int64_t> check();
  // After `check`: performs some sessions in memory.
  [[nodiscard]] base::Result<BatchEstimate> estimate() const;

  using Watch = std::function<void(const BatchProgress&)>;
  // After `check`. Blocks; `watch` is called on this thread about five times a second. `reader` is
  // used on this thread only.
  [[nodiscard]] base::Result<BatchReport> run(Engine& engine, db::Connection& reader,
                                              const Watch& watch);
  // Ends `run` before its end: sessions pause after their present step, or at once. Any thread.
  void pause(bool at_once);

 private:
  // A session to be performed next.
  struct Ready {
    Id session = 0;
    bool is_new = false;
  };
  struct InFlight {
    double cost_before = 0;  // what earlier runs spent on it
  };

  [[nodiscard]] CastingCall call_of(const BatchInput& input) const;
  [[nodiscard]] std::string identity() const;
  [[nodiscard]] base::Result<void> check_price(const store::NewSession& session) const;
  [[nodiscard]] base::Result<void> open_output();
  [[nodiscard]] base::Result<void> check_lines() const;
  [[nodiscard]] base::Result<std::optional<std::string>> line_of(std::int64_t number) const;
  [[nodiscard]] base::Result<void> write_lines(std::int64_t through);
  [[nodiscard]] base::Result<void> read_more();
  [[nodiscard]] base::Result<void> sort_in(
      BatchInput input, std::vector<std::pair<BatchInput, store::NewSession>>& fresh);
  [[nodiscard]] base::Result<void> make(
      const std::vector<std::pair<BatchInput, store::NewSession>>& fresh);
  [[nodiscard]] base::Result<void> start_some();
  [[nodiscard]] bool may_afford_another() const;
  [[nodiscard]] base::Result<void> take_ended();
  [[nodiscard]] base::Result<void> take(const Outcome& outcome);
  [[nodiscard]] base::Result<void> give_lines();
  [[nodiscard]] base::Result<void> write_failures(BatchReport& report);
  [[nodiscard]] BatchProgress progress() const;
  void stop(BatchReport::Ending why);
  [[nodiscard]] base::Result<void> loop(const Watch& watch);
  void drain();

  const BatchOptions options_;
  const ProfileSource profiles_;
  const RoleSource roles_;
  const ProviderSource providers_;

  // Those of the run.
  Engine* engine_ = nullptr;
  db::Connection* reader_ = nullptr;
  mutable FlowCache flows_;
  std::shared_ptr<const PerformableFlow> flow_;  // keeps it in the cache
  Id batch_ = 0;
  std::optional<BatchOutput> output_;
  std::optional<BatchInputs> inputs_;
  bool inputs_end_ = false;
  std::deque<Ready> ready_;
  std::map<Id, InFlight> in_flight_;
  std::vector<Id> finished_;             // without a line so far
  std::map<Id, std::string> not_begun_;  // sessions that could not be performed, and why; bounded
  std::int64_t total_ = 0;
  std::int64_t lines_ = 0;  // assigned
  std::int64_t done_now_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t ended_ = 0;  // sessions, for the mean cost; earlier runs included
  std::int64_t unavailable_in_a_row_ = 0;
  std::string last_failure_;
  double cost_ = 0;
  bool has_price_ = false;
  std::optional<double> estimated_each_;
  base::SteadyTime begun_;
  base::SteadyTime flushed_;
  std::optional<BatchReport::Ending> stopping_;

  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  std::vector<Outcome> outcomes_;
  int pauses_ = 0;  // 1: after the present steps; 2: at once
};

}  // namespace tertulia::engine
