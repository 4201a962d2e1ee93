// ServerBatch performs a batch at a server, over its HTTP API (/api/v1/batches). The inputs are
// this side's, and so is how many sessions are in flight; the server keeps what has become of each.
// It may go away and come back: sessions that it dropped are begun again.
//
// Borrows the client.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/batch_place.h"
#include "remote/api_client.h"

namespace tertulia::remote {

struct ServerBatchWish {
  std::string flow;
  std::int64_t flow_version = 0;  // at the server
  std::string model;              // empty: the server's own
  engine::BatchView view;
  // Set where files of that path are this machine's, and the server is another one: its name, which
  // tells inputs of one path on two machines apart.
  std::string machine;
};

class ServerBatch final : public engine::BatchPlace {
 public:
  ServerBatch(const ApiClient& client, ServerBatchWish wish);

  base::Result<void> check(const std::vector<engine::BatchInput>& inputs,
                           bool needs_price) override;
  base::Result<engine::BatchEstimate> estimate(
      const std::vector<engine::BatchInput>& inputs) override;
  base::Result<engine::BatchStanding> open(const std::string& inputs,
                                           const std::string& name) override;
  base::Result<engine::BatchStanding> standing() override;
  base::Result<std::vector<engine::PlacedInput>> place(
      const std::vector<engine::BatchInput>& inputs) override;
  base::Result<void> begin(const std::vector<model::Id>& sessions) override;
  base::Result<std::vector<engine::StoppedSession>> take_stopped() override;
  void wait(std::chrono::milliseconds longest) override;
  void wake() override;
  base::Result<void> pause(bool at_once) override;
  void abandon() override;
  base::Result<std::int64_t> give_lines(const std::vector<model::Id>& finished) override;
  base::Result<std::vector<engine::ResultLine>> lines(std::int64_t first,
                                                      std::int64_t limit) override;
  base::Result<std::vector<store::OpenBatchInput>> open_inputs(model::Id after,
                                                               std::int64_t limit) override;

 private:
  using Clock = std::chrono::steady_clock;
  // A POST that may be sent twice.
  [[nodiscard]] base::Result<base::json::object> post(const std::string& target,
                                                      const base::json::object& body) const;
  [[nodiscard]] std::string path(std::string_view more = {}) const;
  [[nodiscard]] base::json::object with_flow(base::json::object body) const;
  [[nodiscard]] base::json::array performed() const;
  // Sends inputs in requests of a bounded size; gives the part of each to `take`.
  using Part = std::vector<engine::BatchInput>;
  [[nodiscard]] base::Result<void> in_parts(
      const Part& inputs,
      const std::function<base::Result<void>(base::json::array part)>& send) const;

  const ApiClient& client_;
  const ServerBatchWish wish_;
  model::Id batch_ = 0;
  // Begun and not stopped; how often each was begun again, although nobody else had it.
  std::map<model::Id, int> performed_;
  std::vector<engine::StoppedSession> refused_;
  std::optional<bool> asked_to_pause_;  // at once?
  Clock::time_point asked_at_, stopped_at_;

  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  bool is_woken_ = false;
};

}  // namespace tertulia::remote
