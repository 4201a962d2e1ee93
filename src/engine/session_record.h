// SessionRecord is what a session has said and put out, for the machine (flow::Record) and for
// contexts (flow::History). It keeps the latest messages in memory, up to a bound, and fetches
// older ones in pages when they are asked for: a step's cost does not grow with the session. Lives
// on the engine's loop; `fetch` reads the database.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "flow/prompt.h"

namespace tertulia::engine {

class SessionRecord final : public flow::Record, public flow::History {
 public:
  // The messages at positions first to last.
  using Fetch =
      std::function<base::Result<std::vector<flow::Said>>(std::int64_t first, std::int64_t last)>;
  SessionRecord(std::string topic, std::uint64_t seed, Fetch fetch)
      : topic_(std::move(topic)), seed_(seed), fetch_(std::move(fetch)) {}

  // What a machine's effect says, puts out or places.
  void keep(const flow::Effect& effect);
  // Adds the next message (its position is one more than the last one's), or one of a branch, whose
  // position is minus its row's order until it is placed.
  void add(flow::Said said);
  // The message of this row has its position: the next one.
  void place(std::int64_t order, std::int64_t position);
  void put_out(std::int64_t order, base::json::value output);
  // Forgets the outputs that no step name refers to any more.
  void keep_outputs(const flow::State& state);

  // A message that could not be read since the last call; flow::Record has no way to say so itself.
  [[nodiscard]] std::optional<base::Error> take_error();

  [[nodiscard]] std::optional<std::string_view> message(std::int64_t key) const override;
  [[nodiscard]] const base::json::value* output(std::int64_t order) const override;
  [[nodiscard]] std::string_view topic() const override { return topic_; }
  [[nodiscard]] std::uint64_t seed() const override { return seed_; }
  [[nodiscard]] base::Result<const flow::Said*> at(std::int64_t key) const override;

 private:
  static constexpr std::size_t kMaxRecent = 256;
  static constexpr std::size_t kMaxRecentBytes = 1 << 20;
  static constexpr std::int64_t kPage = 64;

  std::string topic_;
  std::uint64_t seed_;
  Fetch fetch_;
  std::deque<flow::Said> recent_;  // consecutive positions
  std::size_t recent_bytes_ = 0;
  std::map<std::int64_t, flow::Said> unplaced_;  // by key: what branches said that are under way
  mutable std::vector<flow::Said> page_;         // the older ones fetched last
  mutable std::optional<base::Error> error_;
  std::map<std::int64_t, base::json::value> outputs_;
};

}  // namespace tertulia::engine
