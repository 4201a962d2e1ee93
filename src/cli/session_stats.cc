// tertulia session stats.
#include "service/session_stats.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

using store::StatsLine;

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

base::Result<int> stats(Context& context, const service::SessionSelection& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto filter = service::to_filter(**reader, options, base::Clock::system().now());
  if (!filter) return filter.error();
  auto found = service::load_session_stats(**reader, *filter);
  if (!found) return found.error();
  if (context.json) {
    print_json(service::stats_json(*found));
    return kExitDone;
  }
  StatsLine total = found->total;
  if (total.sessions == 0) {
    fmt::print("no such sessions\n");
    return kExitDone;
  }
  for (const auto& [name, lines] : found->groups) {
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
  auto options = std::make_shared<service::SessionSelection>();
  add_selection(*command, *options);
  command->footer("Example: tertulia session stats --flow debate --status finished");
  run_on_parse(*command, [&context, options] { return stats(context, *options); });
}

}  // namespace tertulia::cli
