#include "service/session_stats.h"

#include <utility>

namespace tertulia::service {
namespace {

namespace json = base::json;
using store::StatsLine;

json::object line_json(const StatsLine& line) {
  json::object out;
  if (!line.name.empty()) out["name"] = line.name;
  out["sessions"] = line.sessions;
  out["steps"] = line.steps;
  out["calls"] = line.calls;
  out["failed_calls"] = line.failed_calls;
  out["prompt_tokens"] = line.prompt_tokens;
  out["completion_tokens"] = line.completion_tokens;
  if (line.cost_usd) out["cost_usd"] = *line.cost_usd;
  out["duration_ms"] = line.duration_ms;
  return out;
}

}  // namespace

json::object stats_json(const store::Stats& stats) {
  json::object out;
  out["total"] = line_json(stats.total);
  for (const auto& [by, lines] :
       {std::pair("by_flow", &stats.by_flow), std::pair("by_role", &stats.by_role),
        std::pair("by_model", &stats.by_model), std::pair("by_status", &stats.by_status)}) {
    json::array list;
    for (const StatsLine& line : *lines) list.push_back(line_json(line));
    out[by] = std::move(list);
  }
  return out;
}

}  // namespace tertulia::service
