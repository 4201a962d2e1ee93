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
  service::SessionSelection selection;
  std::int64_t limit = 50;
  Id below = 0;
};

std::string text_of(const json::value& item, std::string_view pointer) {
  const json::value* value = base::at_pointer(item, pointer);
  if (value == nullptr) return {};
  return value->is_string() ? std::string(value->get_string()) : base::to_text(*value);
}

base::Result<int> list(Context& context, const ListOptions& options) {
  auto records = context.records();
  if (!records) return records.error();
  auto listed = (*records)->sessions(options.selection, options.below, options.limit);
  if (!listed) return listed.error();
  if (context.json) {
    print_json(json::object{{"items", std::move(listed->items)}});
    return kExitDone;
  }
  if (listed->items.empty() && options.selection.empty() && options.below == 0)
    fmt::print("no sessions yet; try: tertulia run debate\n");
  else if (listed->items.empty())
    fmt::print("no such sessions\n");
  for (const json::value& item : listed->items) {
    const std::string flow = text_of(item, "/flow");
    fmt::print("{:>6}  {:<11} {:>4} steps  {}  {}\n", text_of(item, "/id"),
               text_of(item, "/status"), text_of(item, "/steps"),
               flow.empty() ? "?" : safe_for_terminal(flow),
               styled(base::shorten(safe_for_terminal(text_of(item, "/topic")), 60), Style::dim));
  }
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
  run_on_parse(
      *listing, [&context, options] { return list(context, *options); }, Place::anywhere);
}

}  // namespace tertulia::cli
