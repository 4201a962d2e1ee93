// tertulia db init, status, repair.
#include <fmt/format.h>

#include "cli/db_commands.h"
#include "cli/db_report.h"
#include "cli/terminal.h"
#include "db/sqlite_connection.h"
#include "schema/repair.h"
#include "schema/scratch.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

// Do the migrations lead to the model? No row of a database is asked for that: on SQLite not even
// the file.
base::Result<int> against_model(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto connection = location->engine == db::Engine::sqlite
                        ? db::open_sqlite_in_memory()
                        : db::open(*location, {.access = db::Access::read});
  if (!connection) return connection.error();
  const auto migrations = schema::migrations(location->engine);
  const int head = static_cast<int>(migrations.size());
  auto migrated = schema::shape_of_version(**connection, migrations, head);
  if (!migrated) return migrated.error().in("the migrations");
  auto declared = schema::declared_shape(**connection);
  if (!declared) return declared.error().in("the declared model");
  const auto [differences, notices] = schema::compare(*declared, *migrated);
  const bool equal = schema::fingerprint(*declared) == schema::fingerprint(*migrated);
  if (context.json) {
    json::object out;
    out["engine"] = db::engine_name(location->engine);
    out["head"] = head;
    out["equal"] = equal;
    out["model_fingerprint"] = schema::fingerprint(*declared);
    out["migrations_fingerprint"] = schema::fingerprint(*migrated);
    out["differences"] = differences_json(differences);
    print_json(out);
    return equal ? kExitDone : kExitDatabase;
  }
  fmt::print("model       {}\nmigrations  {} ({} of them, {})\n", schema::fingerprint(*declared),
             schema::fingerprint(*migrated), head, db::engine_name(location->engine));
  if (equal) {
    fmt::print("the migrations lead to exactly the declared model\n");
    return kExitDone;
  }
  if (!differences.empty()) print_differences(differences);
  for (const auto& notice : notices) fmt::print("notice: {}\n", safe_for_terminal(notice));
  fmt::print("script/new-migration NAME writes the migration that is missing\n");
  return kExitDatabase;
}

base::Result<int> status(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  return say(*proof, *location, context.json);
}

base::Result<int> init(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  if (proof->state != schema::State::fresh) return say(*proof, *location, context.json);
  auto connection = db::open(*location, {.access = db::Access::write, .create = true});
  if (!connection) return connection.error();
  const auto migrations = schema::migrations(location->engine);
  auto done = schema::migrate(**connection, static_cast<int>(migrations.size()), migrations);
  if (!done) return done.error();
  connection->reset();
  proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  return say(*proof, *location, context.json);
}

base::Result<int> repair(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto connection = db::open(*location, {.access = db::Access::write});
  if (!connection) return connection.error();
  auto done = schema::repair(**connection);
  if (!done) return done.error();
  if (context.json) {
    json::object out;
    out["added"] = json_list(done->added);
    for (const auto& member : proof_json(done->proof, *location))
      out[member.key()] = member.value();
    print_json(out);
    return done->proof.may_run() ? kExitDone : kExitDatabase;
  }
  for (const std::string& each : done->added) fmt::print("added {}\n", each);
  return say(done->proof, *location, false);
}

}  // namespace

void add_db_status(CLI::App& db, Context& context) {
  auto* initialising = db.add_subcommand("init", "Makes the schema in an empty database");
  initialising->alias("init-db");
  initialising->footer("Example: tertulia db init --db ./notes.db");
  run_on_parse(*initialising, [&context] { return init(context); });

  auto* asking = db.add_subcommand(
      "status", "Version, pending migrations, drift; exit 0 only if the program could start");
  auto model = std::make_shared<bool>(false);
  asking->add_flag("--against-model", *model,
                   "For developers: do all migrations lead to the declared model?");
  asking->footer("Example: tertulia db status --db postgresql://me@localhost/tertulia");
  run_on_parse(*asking,
               [&context, model] { return *model ? against_model(context) : status(context); });

  auto* mending = db.add_subcommand("repair", "Adds what is missing and can be added safely");
  mending->footer("Example: tertulia db repair --db ./notes.db");
  run_on_parse(*mending, [&context] { return repair(context); });
}

}  // namespace tertulia::cli
