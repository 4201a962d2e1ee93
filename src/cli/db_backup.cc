// tertulia db backup, restore.
#include <fmt/format.h>

#include "cli/db_commands.h"
#include "cli/db_report.h"
#include "schema/backup.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

base::Result<int> back_up(Context& context, const std::string& to) {
  auto location = context.location();
  if (!location) return location.error();
  base::Result<schema::Backup> backup = [&] {
    ProgressLine progress("saving the database", "pages");
    return schema::back_up(*location,
                           to.empty() ? std::nullopt : std::optional<std::filesystem::path>(to),
                           progress.callback());
  }();
  if (!backup) return backup.error();
  if (context.json) {
    print_json(backup_json(*backup));
  } else {
    fmt::print("{}\n{}: written, read again, equal\n", backup->file, backup_words(*backup));
  }
  return kExitDone;
}

base::Result<int> restore(Context& context, const std::string& from, bool without_backup) {
  auto location = context.location();
  if (!location) return location.error();
  // What stands there now is replaced, and somebody may yet want it.
  std::optional<schema::Backup> replaced;
  if (!without_backup && location->engine == db::Engine::sqlite) {
    ProgressLine progress("saving what is replaced", "pages");
    auto saved = schema::back_up_if_rows(*location, progress.callback());
    if (!saved) {
      base::Error error = saved.error().in("the backup of what would be replaced");
      error.remedy = "tertulia db restore --without-backup, if that may go";
      return error;
    }
    replaced = *std::move(saved);
  }
  base::Result<schema::Backup> restored = [&] {
    ProgressLine progress("restoring", "pages");
    return schema::restore(from, *location, progress.callback());
  }();
  if (!restored) return restored.error();
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  if (context.json) {
    json::object out;
    out["restored"] = backup_json(*restored);
    if (replaced) out["replaced"] = backup_json(*replaced);
    out["database"] = proof_json(*proof, *location);
    print_json(out);
    return kExitDone;
  }
  if (replaced) fmt::print("what stood there before is in {}\n", replaced->file);
  fmt::print("{} restored from {}\n{}\n", location->shown(), restored->file,
             backup_words(*restored));
  if (!proof->may_run() && !proof->remedy.empty()) fmt::print("{}\n", proof->remedy);
  return kExitDone;
}

}  // namespace

void add_db_backup(CLI::App& db, Context& context) {
  auto* saving = db.add_subcommand("backup", "Saves the whole database in one file");
  auto to = std::make_shared<std::string>();
  saving->add_option("file", *to,
                     "The file to make; without it, NAME.v<version>-<UTC time>.backup beside the "
                     "database");
  saving->footer("Example: tertulia db backup /var/backups/tertulia-today.backup");
  run_on_parse(*saving, [&context, to] { return back_up(context, *to); });

  auto* restoring = db.add_subcommand("restore", "Puts a backup's content back");
  auto from = std::make_shared<std::string>();
  auto without = std::make_shared<bool>(false);
  restoring->add_option("backup", *from, "What db backup made")->required();
  restoring->add_flag("--without-backup", *without, "Do not save what is replaced");
  restoring->footer("Example: tertulia db restore notes.db.v9-20261124T153000Z.backup");
  run_on_parse(*restoring, [&context, from, without] { return restore(context, *from, *without); });
}

}  // namespace tertulia::cli
