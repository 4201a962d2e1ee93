// BatchHere performs a batch in this process, with its engine.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine/batch_casting.h"
#include "engine/batch_place.h"
#include "engine/batch_sessions.h"
#include "engine/engine.h"

namespace tertulia::engine {

class BatchHere final : public BatchPlace {
 public:
  using EngineSource = std::function<base::Result<Engine*>()>;

  // The engine is asked for by `open`: what only checks and estimates starts none. `reader` is used
  // on the batch's thread.
  BatchHere(BatchCasting casting, BatchView view, EngineSource engine, db::Connection& reader);

  base::Result<void> check(const std::vector<BatchInput>& inputs, bool needs_price) override;
  base::Result<BatchEstimate> estimate(const std::vector<BatchInput>& inputs) override;
  base::Result<BatchStanding> open(const std::string& inputs, const std::string& name) override;
  base::Result<BatchStanding> standing() override;
  base::Result<std::vector<PlacedInput>> place(const std::vector<BatchInput>& inputs) override;
  base::Result<void> begin(const std::vector<Id>& sessions) override;
  base::Result<std::vector<StoppedSession>> take_stopped() override;
  void wait(std::chrono::milliseconds longest) override;
  void wake() override;
  base::Result<void> pause(bool at_once) override;
  void abandon() override;
  base::Result<std::int64_t> give_lines(const std::vector<Id>& finished) override;
  base::Result<std::vector<ResultLine>> lines(std::int64_t first, std::int64_t limit) override;
  base::Result<std::vector<store::OpenBatchInput>> open_inputs(Id after,
                                                               std::int64_t limit) override;

 private:
  const BatchCasting casting_;
  const BatchView view_;
  const EngineSource engine_source_;
  db::Connection& reader_;

  // From `open` on.
  Engine* engine_ = nullptr;
  Id batch_ = 0;
  FlowCache flows_;
  std::optional<BatchSessions> sessions_;

  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  std::vector<Outcome> outcomes_;
  std::size_t performed_ = 0;  // begun, and not among the outcomes yet
  bool is_woken_ = false;
};

// The sum of the estimates of these inputs.
[[nodiscard]] base::Result<BatchEstimate> sum_estimates(const BatchCasting& casting,
                                                        const std::vector<BatchInput>& inputs);

}  // namespace tertulia::engine
