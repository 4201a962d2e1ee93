// tertulia session delete, tertulia session prune: sessions that are not wanted any more.
#include "service/session_removal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>

#include "base/json_members.h"
#include "cli/db_report.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "remote/server_records.h"

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

// Deletes sessions, in the database or through a server.
class Remover {
 public:
  virtual ~Remover() = default;
  // How many fit.
  virtual base::Result<std::int64_t> count(const service::SessionSelection& selection) = 0;
  virtual base::Result<service::Removal> remove(const service::SessionSelection& selection,
                                                std::int64_t count) = 0;
  virtual base::Result<void> remove_one(Id id) = 0;
};

class RemoverHere final : public Remover {
 public:
  // With an engine for its node: a session in flight is not deleted.
  RemoverHere(engine::Engine& engine, db::Connection& reader) : engine_(engine), reader_(reader) {}

  base::Result<std::int64_t> count(const service::SessionSelection& selection) override {
    auto filter = service::to_filter(reader_, selection, base::Clock::system().now());
    if (!filter) return filter.error();
    filter_ = *std::move(filter);
    return store::count_sessions(reader_, filter_);
  }
  base::Result<service::Removal> remove(const service::SessionSelection&,
                                        std::int64_t count) override {
    ProgressLine progress("deleting", "sessions");
    return service::remove_sessions(engine_, reader_, filter_,
                                    [&](std::int64_t deleted) { progress.show(deleted, count); });
  }
  base::Result<void> remove_one(Id id) override { return engine_.remove(id); }

 private:
  engine::Engine& engine_;
  db::Connection& reader_;
  store::SessionFilter filter_;  // as it was counted
};

class RemoverThere final : public Remover {
 public:
  explicit RemoverThere(const remote::ApiClient& server) : server_(server) {}

  base::Result<std::int64_t> count(const service::SessionSelection& selection) override {
    json::object body = remote::selection_json(selection);
    body["dry_run"] = true;
    auto told = server_.post("/api/v1/sessions/prune", body);
    if (!told) return told.error();
    return base::integer_at(*told, "would_delete");
  }
  base::Result<service::Removal> remove(const service::SessionSelection& selection,
                                        std::int64_t) override {
    auto told = server_.post("/api/v1/sessions/prune", remote::selection_json(selection));
    if (!told) return told.error();
    service::Removal removal{.deleted = base::integer_at(*told, "deleted"), .in_flight = {}};
    if (const json::array* left = base::array_at(*told, "in_flight"))
      for (const json::value& id : *left)
        if (id.is_int64()) removal.in_flight.push_back(id.get_int64());
    return removal;
  }
  base::Result<void> remove_one(Id id) override {
    auto done = server_.send({.method = "DELETE", .target = remote::session_path(id)});
    if (!done) return done.error();
    return {};
  }

 private:
  const remote::ApiClient& server_;
};

base::Result<std::unique_ptr<Remover>> remover(Context& context) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return std::unique_ptr<Remover>(std::make_unique<RemoverThere>(**server));
  auto engine = context.engine();
  if (!engine) return engine.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  return std::unique_ptr<Remover>(std::make_unique<RemoverHere>(**engine, **reader));
}

base::Result<int> remove_selected(Context& context, const RemovalOptions& options) {
  auto by = remover(context);
  if (!by) return by.error();
  auto count = (*by)->count(options.selection);
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
  auto removal = (*by)->remove(options.selection, *count);
  if (!removal) return removal.error();
  tell_removal(*removal, context.json);
  return kExitDone;
}

// Sessions that were named one by one: each is meant, so the first that cannot be deleted is an
// error.
base::Result<int> remove_named(Context& context, const std::vector<Id>& ids) {
  auto by = remover(context);
  if (!by) return by.error();
  service::Removal removal;
  for (const Id id : ids) {
    if (auto done = (*by)->remove_one(id); !done) return done.error();
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
  run_on_parse(
      *deleting,
      [&context, options]() -> base::Result<int> {
        const service::SessionSelection& selection = options->selection;
        if (selection.empty())
          return base::Error{.code = base::Code::invalid,
                             .message = "delete wants ids, or --status, --flow or --older-than",
                             .remedy = "tertulia session list"};
        const bool is_named =
            selection.statuses.empty() && selection.flow.empty() && selection.older_than.empty();
        if (is_named && !options->dry_run) return remove_named(context, selection.ids);
        return remove_selected(context, *options);
      },
      Place::anywhere);

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
  run_on_parse(
      *pruning,
      [&context, pruned] {
        auto& statuses = pruned->selection.statuses;
        if (statuses.empty()) statuses = {"finished", "terminated"};
        return remove_selected(context, *pruned);
      },
      Place::anywhere);
}

}  // namespace tertulia::cli
