// BatchPlace is where the sessions of a batch are kept and performed: this process, with its engine
// (batch_here.h), or a server (remote/server_batch.h). The batch (batch.h) says which of them,
// when, and what becomes of the results.
//
// `check` and `estimate` come before `open`, all else after it. One thread at a time; `wake` from
// any. Whatever the database or the server is not able to do is an error that ends the batch.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/batch_inputs.h"
#include "engine/batch_result.h"
#include "model/rows.h"
#include "store/batches.h"
#include "store/step_log.h"

namespace tertulia::engine {

struct BatchEstimate {
  std::int64_t inputs = 0;
  std::int64_t sampled = 0;
  double calls = 0;  // of all inputs, from the mean of those sampled
  double prompt_tokens = 0;
  double completion_tokens = 0;
  std::optional<double> cost_usd;
};

// How a batch stands.
struct BatchStanding {
  Id id = 0;
  std::int64_t results = 0;  // inputs that have a line
  store::UsageSum usage;
};

// What an input has come to.
struct PlacedInput {
  bool has_result = false;  // it has its line, and perhaps no session any more
  Id session = 0;
  model::SessionStatus status = model::SessionStatus::not_started;
  double spent_usd = 0;
};

// A session that is not performed any more.
struct StoppedSession {
  Id session = 0;
  model::SessionStatus status = model::SessionStatus::not_started;
  std::optional<model::StopReason> stop_reason;
  std::string reason;  // in words; may be empty
  std::optional<double> spent_usd;
  std::optional<base::Error> error;  // it could not be performed; its status says nothing then
};

// A result: the line's number, whose it is, and the line; without one where its session was
// deleted.
struct ResultLine {
  std::int64_t number = 0;
  std::string input;
  std::optional<std::string> text;
};

class BatchPlace {
 public:
  virtual ~BatchPlace() = default;

  // Could sessions be made of these inputs? Invalid names the place of one of which none can.
  [[nodiscard]] virtual base::Result<void> check(const std::vector<BatchInput>& inputs,
                                                 bool needs_price) = 0;
  // The sum over these; `inputs` and `sampled` are their number.
  [[nodiscard]] virtual base::Result<BatchEstimate> estimate(
      const std::vector<BatchInput>& inputs) = 0;

  // Finds the batch of that identity (BatchCasting::identity), or makes it.
  [[nodiscard]] virtual base::Result<BatchStanding> open(const std::string& inputs,
                                                         const std::string& name) = 0;
  [[nodiscard]] virtual base::Result<BatchStanding> standing() = 0;

  // Makes sessions for those that have none, all or none of them, and says of each what it has come
  // to. Conflict where an id has begun another input.
  [[nodiscard]] virtual base::Result<std::vector<PlacedInput>> place(
      const std::vector<BatchInput>& inputs) = 0;
  // Begins sessions, or goes on with them. One that cannot be begun has stopped.
  [[nodiscard]] virtual base::Result<void> begin(const std::vector<Id>& sessions) = 0;
  // Those that were begun and have stopped since the last call.
  [[nodiscard]] virtual base::Result<std::vector<StoppedSession>> take_stopped() = 0;
  // Returns when one may have stopped, `wake` was called, or after so long.
  virtual void wait(std::chrono::milliseconds longest) = 0;
  virtual void wake() = 0;
  // All that were begun pause, after their present step or at once. May be said again and again.
  [[nodiscard]] virtual base::Result<void> pause(bool at_once) = 0;
  // Something went wrong: nothing that was begun is to outlive the batch, as far as that can be.
  virtual void abandon() = 0;

  // Gives each of these finished sessions the next line, unless it has one: how many lines there
  // are then.
  [[nodiscard]] virtual base::Result<std::int64_t> give_lines(const std::vector<Id>& finished) = 0;
  // Lines from `first` on, at most `limit`.
  [[nodiscard]] virtual base::Result<std::vector<ResultLine>> lines(std::int64_t first,
                                                                    std::int64_t limit) = 0;
  // Inputs without a result, in the order in which they were begun.
  [[nodiscard]] virtual base::Result<std::vector<store::OpenBatchInput>> open_inputs(
      Id after, std::int64_t limit) = 0;
};

}  // namespace tertulia::engine
