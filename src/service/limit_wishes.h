// The limits of a session as a caller may set or raise them; what is not said stays as it is.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "db/connection.h"
#include "flow/limits.h"
#include "model/rows.h"

namespace tertulia::service {

// Positive, where said.
struct LimitWishes {
  std::optional<std::int64_t> steps = {};
  std::optional<std::int64_t> rounds = {};
  std::optional<std::int64_t> tokens = {};
  std::optional<double> cost_usd = {};
  std::optional<std::int64_t> time_ms = {};

  [[nodiscard]] bool empty() const { return !steps && !rounds && !tokens && !cost_usd && !time_ms; }
  [[nodiscard]] flow::Limits over(flow::Limits limits) const;
};

// The limits in force in a session with these over them, as engine::Wish takes them; nothing where
// none is wished.
[[nodiscard]] base::Result<std::optional<flow::Limits>> limits_in_session(
    db::Connection& reader, model::Id session, const LimitWishes& wishes);

}  // namespace tertulia::service
