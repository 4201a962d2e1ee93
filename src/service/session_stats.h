// What sessions took, by flow, role, model and status.
#pragma once

#include "base/json.h"
#include "store/stats.h"

namespace tertulia::service {

// {total, by_flow, by_role, by_model, by_status}.
[[nodiscard]] base::json::object stats_json(const store::Stats& stats);

}  // namespace tertulia::service
