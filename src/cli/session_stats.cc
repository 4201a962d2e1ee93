// tertulia session stats.
#include <fmt/format.h>

#include "base/json_members.h"
#include "base/utf8.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

void print_head(std::string_view name) {
  fmt::print("{}\n", styled(fmt::format("{:<28} {:>8} {:>8} {:>8} {:>7} {:>10} {:>10} {:>10}  {}",
                                        name, "sessions", "steps", "calls", "failed", "tokens in",
                                        "out", "US dollars", "time of calls"),
                            Style::bold));
}

void print_line(const json::object& line, std::string_view shown_as = {}) {
  const auto number = [&](const char* name) -> std::int64_t {
    return base::integer_at(line, name);
  };
  std::string name(shown_as);
  if (name.empty()) name = base::text_at(line, "name");
  name = base::shorten(safe_for_terminal(name), 28);
  const std::size_t width = base::display_width(name);
  if (width < 28) name.append(28 - width, ' ');
  const auto cost = base::number_at(line, "cost_usd");
  fmt::print("{} {:>8} {:>8} {:>8} {:>7} {:>10} {:>10} {:>10}  {}\n", name, number("sessions"),
             number("steps"), number("calls"), number("failed_calls"), number("prompt_tokens"),
             number("completion_tokens"), cost ? fmt::format("{:.4f}", *cost) : "-",
             base::duration_words(std::chrono::milliseconds(number("duration_ms"))));
}

base::Result<int> stats(Context& context, const service::SessionSelection& selection) {
  auto records = context.records();
  if (!records) return records.error();
  auto found = (*records)->stats(selection);
  if (!found) return found.error();
  if (context.json) {
    print_json(*found);
    return kExitDone;
  }
  const json::value* total = found->if_contains("total");
  const json::value* sessions = total != nullptr ? base::at_pointer(*total, "/sessions") : nullptr;
  if (sessions == nullptr || !total->is_object() || *sessions == json::value(0)) {
    fmt::print("no such sessions\n");
    return kExitDone;
  }
  for (const char* by : {"flow", "role", "model", "status"}) {
    const json::value* lines = found->if_contains(std::string("by_") + by);
    if (lines == nullptr || !lines->is_array() || lines->get_array().empty()) continue;
    print_head(by);
    for (const json::value& line : lines->get_array())
      if (line.is_object()) print_line(line.get_object());
    fmt::print("\n");
  }
  print_head("");
  print_line(total->get_object(), "all");
  return kExitDone;
}

}  // namespace

void add_session_stats(CLI::App& session, Context& context) {
  auto* command = session.add_subcommand(
      "stats", "Counts, tokens, cost and time by flow, role, model and status");
  auto options = std::make_shared<service::SessionSelection>();
  add_selection(*command, *options);
  command->footer("Example: tertulia session stats --flow debate --status finished");
  run_on_parse(
      *command, [&context, options] { return stats(context, *options); }, Place::anywhere);
}

}  // namespace tertulia::cli
