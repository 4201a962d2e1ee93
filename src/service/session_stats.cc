#include "service/session_stats.h"

#include <array>
#include <utility>

namespace tertulia::service {
namespace {

namespace json = base::json;
using store::StatsBy;
using store::StatsLine;

constexpr std::array kGroups = {std::pair{StatsBy::flow, "flow"}, std::pair{StatsBy::role, "role"},
                                std::pair{StatsBy::model, "model"},
                                std::pair{StatsBy::status, "status"}};

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

// Each session has one status, so these lines add up to everything.
StatsLine total_of(const std::vector<StatsLine>& by_status) {
  StatsLine total;
  for (const StatsLine& line : by_status) {
    total.sessions += line.sessions;
    total.steps += line.steps;
    total.calls += line.calls;
    total.failed_calls += line.failed_calls;
    total.prompt_tokens += line.prompt_tokens;
    total.completion_tokens += line.completion_tokens;
    if (line.cost_usd) total.cost_usd = total.cost_usd.value_or(0) + *line.cost_usd;
    total.duration_ms += line.duration_ms;
  }
  return total;
}

}  // namespace

base::Result<SessionStats> load_session_stats(db::Connection& reader,
                                              const store::SessionFilter& filter) {
  SessionStats stats;
  for (const auto& [by, name] : kGroups) {
    auto lines = store::load_stats(reader, by, filter);
    if (!lines) return lines.error();
    stats.groups.push_back({name, *std::move(lines)});
  }
  stats.total = total_of(stats.groups.back().lines);
  return stats;
}

json::object stats_json(const SessionStats& stats) {
  json::object out;
  out["total"] = line_json(stats.total);
  for (const StatsGroup& group : stats.groups) {
    json::array list;
    for (const StatsLine& line : group.lines) list.push_back(line_json(line));
    out["by_" + group.by] = std::move(list);
  }
  return out;
}

}  // namespace tertulia::service
