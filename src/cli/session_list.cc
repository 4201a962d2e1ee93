// tertulia session list.
#include <fmt/format.h>

#include "base/utf8.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

struct ListOptions {
  SelectionOptions selection;
  std::int64_t limit = 50;
  Id below = 0;
};

json::object summary_json(const store::SessionSummary& session) {
  json::object out;
  out["id"] = session.id;
  out["flow"] = session.flow.value_or("");
  out["flow_version"] = session.flow_version.value_or(0);
  out["topic"] = session.topic.value_or("");
  out["status"] = model::to_text(session.status);
  if (session.stop_reason) out["stop_reason"] = model::to_text(*session.stop_reason);
  out["round"] = session.round;
  out["steps"] = session.executed_steps;
  out["messages"] = session.messages;
  out["created_at"] = base::to_iso8601(session.created_at);
  if (session.ended_at) out["ended_at"] = base::to_iso8601(*session.ended_at);
  return out;
}

base::Result<int> list(Context& context, const ListOptions& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto filter = to_filter(**reader, options.selection, base::Clock::system().now());
  if (!filter) return filter.error();
  store::SessionPage page{.filter = *std::move(filter), .below = {}, .limit = options.limit};
  if (options.below > 0) page.below = options.below;
  auto sessions = store::list_sessions(**reader, page);
  if (!sessions) return sessions.error();
  if (context.json) {
    json::array items;
    for (const auto& session : *sessions) items.push_back(summary_json(session));
    json::object out;
    out["items"] = std::move(items);
    print_json(out);
    return kExitDone;
  }
  if (sessions->empty() && options.selection.empty() && options.below == 0)
    fmt::print("no sessions yet; try: tertulia run debate\n");
  else if (sessions->empty())
    fmt::print("no such sessions\n");
  for (const auto& session : *sessions)
    fmt::print(
        "{:>6}  {:<11} {:>4} steps  {}  {}\n", session.id, model::to_text(session.status),
        session.executed_steps, session.flow.value_or("?"),
        styled(base::shorten(safe_for_terminal(session.topic.value_or("")), 60), Style::dim));
  return kExitDone;
}

}  // namespace

void add_session_list(CLI::App& session, Context& context) {
  auto* listing = session.add_subcommand("list", "The sessions, newest first");
  auto options = std::make_shared<ListOptions>();
  add_selection(*listing, options->selection);
  listing->add_option("--limit", options->limit, "How many")->check(CLI::Range(1, 10000));
  listing->add_option("--below", options->below, "Only ids below this one (the next page)");
  listing->footer("Example: tertulia session list --status paused,waiting --flow debate");
  run_on_parse(*listing, [&context, options] { return list(context, *options); });
}

}  // namespace tertulia::cli
