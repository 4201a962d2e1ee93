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
// Where the sessions are kept and performed is the place's affair (batch_place.h).
//
// Memory: what is in flight, one group of inputs to come, and 16 bytes an input to find ids that
// are there twice.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/batch_inputs.h"
#include "engine/batch_output.h"
#include "engine/batch_place.h"

namespace tertulia::engine {

struct BatchOptions {
  std::string inputs;  // a path
  std::string out;     // a path
  std::string name;    // tells batches of the same flow and inputs apart; may be empty
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
  std::int64_t failures = 0;  // lines of OUT.failures.jsonl
  std::string last_failure;   // in words
};

class Batch final {
 public:
  // Borrows the place.
  Batch(BatchOptions options, BatchPlace& place);

  // Reads all inputs: what is wrong with one is invalid, with its place, before anything is made or
  // spent. Their number.
  [[nodiscard]] base::Result<std::int64_t> check();
  // After `check`: performs some sessions in memory.
  [[nodiscard]] base::Result<BatchEstimate> estimate() const;

  using Watch = std::function<void(const BatchProgress&)>;
  // After `check`. Blocks; `watch` is called on this thread about five times a second.
  [[nodiscard]] base::Result<BatchReport> run(const Watch& watch);
  // Ends `run` before its end: sessions pause after their present step, or at once. Any thread.
  void pause(bool at_once);

 private:
  // A session to be performed next.
  struct Ready {
    Id session = 0;
    double spent_usd = 0;  // by earlier runs
  };

  [[nodiscard]] base::Result<void> open_output();
  [[nodiscard]] base::Result<void> check_lines() const;
  [[nodiscard]] base::Result<std::optional<std::string>> line_of(std::int64_t number) const;
  [[nodiscard]] base::Result<void> write_lines(std::int64_t through);
  [[nodiscard]] base::Result<void> read_more();
  void sort_in(const PlacedInput& input);
  [[nodiscard]] base::Result<void> start_some();
  [[nodiscard]] bool may_afford_another() const;
  [[nodiscard]] base::Result<void> take_ended();
  [[nodiscard]] base::Result<void> take(const StoppedSession& stopped);
  [[nodiscard]] base::Result<void> give_lines();
  [[nodiscard]] BatchProgress progress() const;
  void stop(BatchReport::Ending why);
  [[nodiscard]] base::Result<void> loop(const Watch& watch);

  const BatchOptions options_;
  BatchPlace& place_;

  // Those of the run.
  Id batch_ = 0;
  std::optional<BatchOutput> output_;
  std::optional<BatchInputs> inputs_;
  bool inputs_end_ = false;
  std::deque<Ready> ready_;
  std::map<Id, double> in_flight_;       // with what earlier runs spent on each
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

  std::atomic<int> pauses_ = 0;  // 1: after the present steps; 2: at once
};

}  // namespace tertulia::engine
