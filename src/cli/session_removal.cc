// tertulia session delete, tertulia session prune: sessions that are not wanted any more.
#include "service/session_removal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>

#include "cli/db_report.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

struct RemovalOptions {
  service::SessionSelection selection;
  bool yes = false;
  bool dry_run = false;
};

base::Result<bool> may_delete(const RemovalOptions& options, std::int64_t count) {
  if (options.yes) return true;
  if (!input_is_terminal() || !error_is_terminal())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} sessions would be deleted with all that they "
                                              "recorded; nothing was deleted",
                                              count),
                       .remedy = "say --yes to delete them"};
  std::cerr << "Delete " << count << " sessions with all that they recorded? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void tell_removal(const service::Removal& removal, bool as_json) {
  if (as_json) {
    print_json(service::removal_json(removal));
    return;
  }
  if (!removal.in_flight.empty())
    fmt::print(stderr, "left out, because another process performs them: {}\n",
               fmt::join(removal.in_flight, ", "));
  fmt::print(stderr, "{} session{} deleted\n", removal.deleted,
             removal.deleted == 1 ? " is" : "s are");
}

base::Result<int> remove_selected(Context& context, const RemovalOptions& options) {
  auto engine = context.engine();  // for its node: a session in flight is not deleted
  if (!engine) return engine.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto filter = service::to_filter(**reader, options.selection, base::Clock::system().now());
  if (!filter) return filter.error();
  auto count = store::count_sessions(**reader, *filter);
  if (!count) return count.error();
  if (options.dry_run) {
    if (context.json)
      print_json(json::object{{"would_delete", *count}});
    else
      fmt::print("{} sessions would be deleted\n", *count);
    return kExitDone;
  }
  if (*count > 0) {
    auto may = may_delete(options, *count);
    if (!may) return may.error();
    if (!*may) {
      fmt::print(stderr, "nothing was deleted\n");
      return kExitFailed;
    }
  }
  auto removal = [&] {
    ProgressLine progress("deleting", "sessions");
    return service::remove_sessions(**engine, **reader, *filter,
                                    [&](std::int64_t deleted) { progress.show(deleted, *count); });
  }();
  if (!removal) return removal.error();
  tell_removal(*removal, context.json);
  return kExitDone;
}

// Sessions that were named one by one: each is meant, so the first that cannot be deleted is an
// error.
base::Result<int> remove_named(Context& context, const std::vector<Id>& ids) {
  auto engine = context.engine();
  if (!engine) return engine.error();
  service::Removal removal;
  for (const Id id : ids) {
    auto done = (*engine)->remove(id);
    if (!done) return done.error();
    ++removal.deleted;
    if (!context.json) fmt::print(stderr, "session {} is deleted\n", id);
  }
  if (context.json) tell_removal(removal, true);
  return kExitDone;
}

}  // namespace

void add_session_removal(CLI::App& session, Context& context) {
  auto* deleting = session.add_subcommand("delete", "Deletes sessions with all that they recorded");
  auto options = std::make_shared<RemovalOptions>();
  add_selection(*deleting, options->selection);
  deleting->add_flag("--yes", options->yes, "Do not ask (ids alone are not asked about)");
  deleting->add_flag("--dry-run", options->dry_run, "Only say how many");
  deleting->footer("Example: tertulia session delete --status failed --older-than 30d --yes");
  run_on_parse(*deleting, [&context, options]() -> base::Result<int> {
    const service::SessionSelection& selection = options->selection;
    if (selection.empty())
      return base::Error{.code = base::Code::invalid,
                         .message = "delete wants ids, or --status, --flow or --older-than",
                         .remedy = "tertulia session list"};
    const bool is_named =
        selection.statuses.empty() && selection.flow.empty() && selection.older_than.empty();
    if (is_named && !options->dry_run) return remove_named(context, selection.ids);
    return remove_selected(context, *options);
  });

  auto* pruning = session.add_subcommand(
      "prune", "Deletes sessions that are over and with which nothing was done for long");
  auto pruned = std::make_shared<RemovalOptions>();
  add_selection(*pruning, pruned->selection);
  pruning->get_option("--older-than")->required();
  pruning->get_option("--status")
      ->description("Only these (finished,terminated if it is not given)");
  pruning->add_flag("--yes", pruned->yes, "Do not ask");
  pruning->add_flag("--dry-run", pruned->dry_run, "Only say how many");
  pruning->footer("Example: tertulia session prune --older-than 90d --dry-run");
  run_on_parse(*pruning, [&context, pruned] {
    auto& statuses = pruned->selection.statuses;
    if (statuses.empty()) statuses = {"finished", "terminated"};
    return remove_selected(context, *pruned);
  });
}

}  // namespace tertulia::cli
