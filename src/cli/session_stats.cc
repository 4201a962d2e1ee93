// tertulia session stats.
#include <fmt/format.h>

#include <array>

#include "base/utf8.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "store/stats.h"

namespace tertulia::cli {
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

void print_head(std::string_view name) {
  fmt::print("{}\n", styled(fmt::format("{:<28} {:>8} {:>8} {:>8} {:>7} {:>10} {:>10} {:>10}  {}",
                                        name, "sessions", "steps", "calls", "failed", "tokens in",
                                        "out", "US dollars", "time of calls"),
                            Style::bold));
}

void print_line(const StatsLine& line) {
  std::string name = base::shorten(safe_for_terminal(line.name), 28);
  const std::size_t width = base::display_width(name);
  if (width < 28) name.append(28 - width, ' ');
  fmt::print("{} {:>8} {:>8} {:>8} {:>7} {:>10} {:>10} {:>10}  {}\n", name, line.sessions,
             line.steps, line.calls, line.failed_calls, line.prompt_tokens, line.completion_tokens,
             line.cost_usd ? fmt::format("{:.4f}", *line.cost_usd) : "-",
             base::duration_words(std::chrono::milliseconds(line.duration_ms)));
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

base::Result<int> stats(Context& context, const SelectionOptions& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto filter = to_filter(**reader, options, base::Clock::system().now());
  if (!filter) return filter.error();
  json::object out;
  std::vector<std::pair<const char*, std::vector<StatsLine>>> groups;
  for (const auto& [by, name] : kGroups) {
    auto lines = store::load_stats(**reader, by, *filter);
    if (!lines) return lines.error();
    groups.emplace_back(name, *std::move(lines));
  }
  StatsLine total = total_of(groups.back().second);
  if (context.json) {
    out["total"] = line_json(total);
    for (const auto& [name, lines] : groups) {
      json::array list;
      for (const StatsLine& line : lines) list.push_back(line_json(line));
      out[std::string("by_") + name] = std::move(list);
    }
    print_json(out);
    return kExitDone;
  }
  if (total.sessions == 0) {
    fmt::print("no such sessions\n");
    return kExitDone;
  }
  for (const auto& [name, lines] : groups) {
    if (lines.empty()) continue;
    print_head(name);
    for (const StatsLine& line : lines) print_line(line);
    fmt::print("\n");
  }
  total.name = "all";
  print_head("");
  print_line(total);
  return kExitDone;
}

}  // namespace

void add_session_stats(CLI::App& session, Context& context) {
  auto* command = session.add_subcommand(
      "stats", "Counts, tokens, cost and time by flow, role, model and status");
  auto options = std::make_shared<SelectionOptions>();
  add_selection(*command, *options);
  command->footer("Example: tertulia session stats --flow debate --status finished");
  run_on_parse(*command, [&context, options] { return stats(context, *options); });
}

}  // namespace tertulia::cli
