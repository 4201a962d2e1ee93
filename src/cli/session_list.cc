// tertulia session list.
#include <fmt/format.h>

#include "base/utf8.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "service/session_view.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

struct ListOptions {
  service::SessionSelection selection;
  std::int64_t limit = 50;
  Id below = 0;
};

base::Result<int> list(Context& context, const ListOptions& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto filter = service::to_filter(**reader, options.selection, base::Clock::system().now());
  if (!filter) return filter.error();
  store::SessionPage page{.filter = *std::move(filter), .below = {}, .limit = options.limit};
  if (options.below > 0) page.below = options.below;
  if (context.json) {
    auto listed = service::list_sessions_json(**reader, page);
    if (!listed) return listed.error();
    print_json(json::object{{"items", std::move(listed->items)}});
    return kExitDone;
  }
  auto sessions = store::list_sessions(**reader, page);
  if (!sessions) return sessions.error();
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
