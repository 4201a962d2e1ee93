// tertulia db plan, migrate, rollback.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cli/db_commands.h"
#include "cli/db_report.h"
#include "cli/db_verify.h"
#include "cli/rehearsal_step.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
namespace fs = std::filesystem;

struct MoveOptions {
  int to = -1;
  bool dry_run = false;
  bool on_copy = false;
  bool allow_data_loss = false;
  bool backup_done = false;
};

int version_wanted(const MoveOptions& options, schema::Direction direction, int version,
                   std::size_t head) {
  if (options.to >= 0) return options.to;
  return direction == schema::Direction::up ? static_cast<int>(head) : std::max(0, version - 1);
}

// What would be done; reads only, also where there is no database yet.
base::Result<schema::Plan> plan_of(const db::Location& location, const MoveOptions& options,
                                   schema::Direction direction) {
  const auto migrations = schema::migrations(location.engine);
  auto proof = schema::prove_at(location);
  if (!proof) return proof.error();
  if (proof->state == schema::State::older || proof->state == schema::State::foreign)
    return proof->error();
  const int to = version_wanted(options, direction, proof->version, migrations.size());
  if (proof->state == schema::State::fresh) {
    schema::Plan whole{.from = 0, .to = to, .moves = {}};
    for (const auto& migration : migrations)
      if (migration.version <= to)
        whole.moves.push_back(
            {.migration = &migration, .direction = schema::Direction::up, .losses = {}});
    return whole;
  }
  auto connection = db::open(location, {.access = db::Access::read});
  if (!connection) return connection.error();
  return schema::plan(**connection, to, migrations);
}

base::Result<int> show_plan(Context& context, const MoveOptions& options,
                            schema::Direction direction) {
  auto location = context.location();
  if (!location) return location.error();
  auto plan = plan_of(*location, options, direction);
  if (!plan) return plan.error();
  if (context.json) {
    print_json(plan_json(*plan, true));
  } else {
    print_plan(*plan, true);
  }
  return kExitDone;
}

// A backup is made by whoever is about to change something, with other migrators kept out where the
// engine can; `backup` says which it was.
base::Result<schema::Plan> perform(const db::Location& location, const MoveOptions& options,
                                   schema::Direction direction, int to,
                                   std::optional<schema::Backup>* backup) {
  const bool is_up = direction == schema::Direction::up;
  auto connection = db::open(location, {.access = db::Access::write, .create = is_up});
  if (!connection) return connection.error();
  schema::RunOptions run;
  run.allow_data_loss = options.allow_data_loss;
  run.on_move = [](const schema::Move& each) {
    fmt::print(stderr, "{} {} ...\n", each.direction == schema::Direction::up ? "up" : "down",
               each.migration->full_name());
  };
  if (backup != nullptr)
    run.before_first_move = [&](int) -> base::Result<void> {
      auto saved = [&] {
        ProgressLine progress("saving the database", "pages");
        return schema::back_up(location, {}, progress.callback());
      }();
      if (!saved) return saved.error().in("the backup before the change");
      *backup = *std::move(saved);
      fmt::print(stderr, "backup: {}\n", (*backup)->file);
      return {};
    };
  const auto migrations = schema::migrations(location.engine);
  return is_up ? schema::migrate(**connection, to, migrations, run)
               : schema::rollback(**connection, to, migrations, run);
}

bool is_refused(const schema::Plan& plan, const MoveOptions& options) {
  return !options.allow_data_loss &&
         std::any_of(plan.moves.begin(), plan.moves.end(),
                     [](const schema::Move& move) { return !move.losses.empty(); });
}

base::Result<int> move(Context& context, const MoveOptions& options, schema::Direction direction) {
  auto location = context.location();
  if (!location) return location.error();
  auto plan = plan_of(*location, options, direction);
  if (!plan) return plan.error();
  std::optional<schema::Backup> backup;
  // What will be refused needs none.
  const bool saves = !options.backup_done && !is_refused(*plan, options);
  auto done = perform(*location, options, direction, plan->to, saves ? &backup : nullptr);
  if (!done) {
    base::Error error = done.error();
    if (backup && error.remedy.empty())
      error.remedy = fmt::format("tertulia db status; the backup is {}", backup->file);
    return error;
  }
  if (context.json) {
    json::object out = plan_json(*done, false);
    if (backup) out["backup"] = backup_json(*backup);
    print_json(out);
    return kExitDone;
  }
  print_plan(*done, false);
  fmt::print("the database is at version {}\n", done->to);
  return kExitDone;
}

// A copy of a SQLite database beside it, gone when this is.
class TemporaryCopy final {
 public:
  explicit TemporaryCopy(const db::Location& original)
      : location_{db::Engine::sqlite,
                  fmt::format("{}.on-copy-{}.db", original.target, ::getpid())} {}
  TemporaryCopy(const TemporaryCopy&) = delete;
  TemporaryCopy& operator=(const TemporaryCopy&) = delete;
  ~TemporaryCopy() {
    std::error_code ignored;  // what stays is a copy, with a name that says so
    for (const char* ending : {"", "-wal", "-shm", ".lock"})
      fs::remove(location_.target + ending, ignored);
  }
  [[nodiscard]] const db::Location& location() const { return location_; }

 private:
  const db::Location location_;
};

base::Result<int> migrate_copy(Context& context, const MoveOptions& options) {
  auto location = context.location();
  if (!location) return location.error();
  if (location->engine == db::Engine::postgres)
    return base::Error{
        .code = base::Code::unavailable,
        .message = "a PostgreSQL server copies databases only for those who may create them",
        .remedy =
            "createdb --template=NAME COPY, then: tertulia db migrate --db "
            "postgresql://.../COPY"};
  const TemporaryCopy copy(*location);
  {
    ProgressLine progress("copying the database", "pages");
    auto copied = schema::back_up(*location, copy.location().target, progress.callback());
    if (!copied) return copied.error();
  }
  const int head = static_cast<int>(schema::migrations(location->engine).size());
  auto done = perform(copy.location(), options, schema::Direction::up,
                      options.to >= 0 ? options.to : head, nullptr);
  if (!done) return done.error().in("on the copy");
  std::optional<FullVerification> verification;
  std::optional<RehearsedStep> step;
  if (done->to == head) {
    auto verified = verify_in_full(context, copy.location());
    if (!verified) return verified.error().in("on the copy");
    verification = *std::move(verified);
    auto rehearsed = rehearse_step(context, copy.location());
    if (!rehearsed) return rehearsed.error().in("a step on the copy");
    step = *std::move(rehearsed);
  }
  const bool good = !verification || verification->good();
  if (context.json) {
    json::object out = plan_json(*done, false);
    out["on_copy"] = true;
    if (verification) out["verification"] = verification_json(*verification, *location);
    if (step) out["rehearsed_log_rows"] = step->log_rows;
    out["good"] = good;
    print_json(out);
    return good ? kExitDone : kExitDatabase;
  }
  print_plan(*done, false);
  if (verification) print_verification(*verification);
  if (step)
    fmt::print("a step of {} was rehearsed in the copy: {} log row{}\n", step->flow, step->log_rows,
               step->log_rows == 1 ? "" : "s");
  fmt::print("the copy {} version {} and is gone; {} is as it was\n",
             done->moves.empty() ? "was at" : "came to", done->to, location->shown());
  fmt::print("{}\n", good ? "tertulia db migrate" : "tertulia db verify");
  return good ? kExitDone : kExitDatabase;
}

using MoveBody = base::Result<int> (*)(Context&, const MoveOptions&);

std::pair<CLI::App*, std::shared_ptr<MoveOptions>> add_move(CLI::App& db, Context& context,
                                                            const char* name, const char* help,
                                                            MoveBody body) {
  auto* command = db.add_subcommand(name, help);
  auto options = std::make_shared<MoveOptions>();
  command->add_option("--to", options->to, "The version to arrive at")
      ->check(CLI::NonNegativeNumber);
  run_on_parse(*command, [&context, options, body] { return body(context, *options); });
  return {command, options};
}

void add_safety(CLI::App& command, MoveOptions& options) {
  command.add_flag("--dry-run", options.dry_run, "Only show what it would do");
  command.add_flag("--allow-data-loss", options.allow_data_loss, "Even where rows would be lost");
  command.add_flag("--backup-done", options.backup_done,
                   "You have a backup: make none before the change");
}

}  // namespace

void add_db_moves(CLI::App& db, Context& context) {
  auto* planning = add_move(db, context, "plan", "The SQL that migrate would run",
                            [](Context& in, const MoveOptions& options) {
                              return show_plan(in, options, schema::Direction::up);
                            })
                       .first;
  planning->footer("Example: tertulia db plan --db ./notes.db");

  auto migrating = add_move(db, context, "migrate", "Applies pending migrations, after a backup",
                            [](Context& in, const MoveOptions& options) {
                              if (options.dry_run)
                                return show_plan(in, options, schema::Direction::up);
                              return options.on_copy ? migrate_copy(in, options)
                                                     : move(in, options, schema::Direction::up);
                            });
  add_safety(*migrating.first, *migrating.second);
  migrating.first->add_flag("--on-copy", migrating.second->on_copy,
                            "Migrate a copy, verify it and rehearse a step in it; the database "
                            "itself is not touched");
  migrating.first->footer("Example: tertulia db migrate --on-copy && tertulia db migrate");

  auto rolling =
      add_move(db, context, "rollback", "Goes back one version, or to --to, after a backup",
               [](Context& in, const MoveOptions& options) {
                 return options.dry_run ? show_plan(in, options, schema::Direction::down)
                                        : move(in, options, schema::Direction::down);
               });
  add_safety(*rolling.first, *rolling.second);
  rolling.first->footer("Example: tertulia db rollback --to 8 --dry-run");
}

}  // namespace tertulia::cli
