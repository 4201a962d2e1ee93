// What sessions took, by flow, role, model and status.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "store/stats.h"

namespace tertulia::service {

struct StatsGroup {
  std::string by;                       // flow, role, model, status
  std::vector<store::StatsLine> lines;  // the largest first
};
struct SessionStats {
  store::StatsLine total;
  std::vector<StatsGroup> groups;
};

[[nodiscard]] base::Result<SessionStats> load_session_stats(db::Connection& reader,
                                                            const store::SessionFilter& filter);
// {total, by_flow, by_role, by_model, by_status}.
[[nodiscard]] base::json::object stats_json(const SessionStats& stats);

}  // namespace tertulia::service
