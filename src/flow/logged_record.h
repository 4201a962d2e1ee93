// LoggedRecord is what a session has recorded, as its log and its messages hold it: what replay
// reads back where a live session is told. Internal to replay.
#pragma once

#include <map>
#include <optional>
#include <string_view>

#include "flow/replay.h"

namespace tertulia::flow {

class LoggedRecord final : public Record {
 public:
  // Borrows the input.
  explicit LoggedRecord(const ReplayInput& input);

  [[nodiscard]] std::optional<std::string_view> message(std::int64_t key) const override;
  [[nodiscard]] const json::value* output(std::int64_t order) const override;
  [[nodiscard]] std::string_view topic() const override { return input_.topic; }
  [[nodiscard]] std::uint64_t seed() const override { return input_.seed; }
  [[nodiscard]] std::optional<Limit> finished_at(std::int64_t order) const override;
  [[nodiscard]] std::optional<model::StopReason> stopped_before(std::int64_t order) const override;

  // What the row with this order said; null where it is not known.
  [[nodiscard]] const Said* said_by(std::int64_t order) const;
  // The row's result_data; null where it has none, or it is no object.
  [[nodiscard]] const json::object* result_data(std::int64_t order) const;
  // A member of it; null where there is none.
  [[nodiscard]] const json::value* data(std::int64_t order, std::string_view name) const;
  // What the row's calls have used, as it says; nothing where it does not.
  [[nodiscard]] std::optional<Spent> spent(std::int64_t order) const;
  // The limit that closed the row.
  [[nodiscard]] std::optional<model::StopReason> limit(std::int64_t order) const;

 private:
  const ReplayInput& input_;
  std::map<std::int64_t, json::value> data_;
  std::map<std::int64_t, const Said*> by_order_;
};

}  // namespace tertulia::flow
