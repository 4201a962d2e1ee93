// tertulia db adopt: takes over a database of the older system.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "adopt/adopt.h"
#include "cli/db_commands.h"
#include "cli/db_report.h"
#include "cli/db_verify.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
namespace fs = std::filesystem;

// Notes of a kind that people are shown at most.
constexpr int kMostShown = 12;

struct AdoptOptions {
  std::string file;
  std::string to;
  bool in_place = false;
};

struct Done {
  std::string file;  // the adopted database
  std::optional<schema::Backup> backup;
  adopt::Adoption adoption;
};

base::Result<schema::Recognition> recognise(const db::Location& location) {
  auto connection = db::open(location, {.access = db::Access::read});
  if (!connection) {
    base::Error error = connection.error();
    if (error.code == base::Code::not_found) error.remedy = "tertulia db init makes a new one";
    return error;
  }
  return schema::recognise(**connection);
}

base::Result<adopt::Adoption> adopt_file(Context& context, const db::Location& location) {
  auto config = context.config();
  if (!config) return config.error();
  auto connection = db::open(location, {.access = db::Access::write});
  if (!connection) return connection.error();
  return adopt::adopt_database(**connection, {.profile = (*config)->model.value,
                                              .profiles = context.profiles(),
                                              .now = base::Clock::system().now()});
}

base::Result<Done> adopt_in_place(Context& context, const AdoptOptions& options) {
  Done done{.file = options.file, .backup = {}, .adoption = {}};
  const db::Location location{db::Engine::sqlite, options.file};
  auto found = recognise(location);
  if (!found) return found.error();
  if (found->origin == schema::Origin::older) {
    ProgressLine progress("saving the database", "pages");
    auto saved = schema::back_up(location, {}, progress.callback());
    if (!saved) return saved.error().in("the backup before the adoption");
    done.backup = *std::move(saved);
  }
  auto adopted = adopt_file(context, location);
  if (!adopted) return adopted.error();
  done.adoption = *std::move(adopted);
  return done;
}

base::Result<Done> adopt_copy(Context& context, const AdoptOptions& options) {
  Done done{.file = options.to.empty() ? options.file + ".adopted" : options.to,
            .backup = {},
            .adoption = {}};
  const db::Location from{db::Engine::sqlite, options.file};
  const db::Location to{db::Engine::sqlite, done.file};
  auto found = recognise(from);
  if (!found) return found.error();
  if (found->origin == schema::Origin::ours) {
    done.file = options.file;
    done.adoption.found = *std::move(found);
    return done;
  }
  const bool copies = found->origin == schema::Origin::older;
  if (copies && fs::exists(done.file)) {
    // A second time changes nothing; a file that is something else is not written over.
    auto there = recognise(to);
    if (there && there->origin == schema::Origin::ours) {
      done.adoption.found = *std::move(there);
      return done;
    }
  }
  if (copies) {
    ProgressLine progress("copying the database", "pages");
    if (auto copied = schema::back_up(from, done.file, progress.callback()); !copied)
      return copied.error();
  }
  // What is not the older system's is refused on the file itself, which that leaves as it is.
  auto adopted = adopt_file(context, copies ? to : from);
  if (!adopted) {
    std::error_code ignored;
    if (copies) fs::remove(done.file, ignored);
    return adopted.error();
  }
  done.adoption = *std::move(adopted);
  return done;
}

json::object adoption_json(const Done& done) {
  const adopt::Adoption& adoption = done.adoption;
  json::object out;
  out["file"] = done.file;
  out["adopted"] = adoption.done;
  if (done.backup) out["backup"] = backup_json(*done.backup);
  json::object found;
  found["missing"] = differences_json(adoption.found.missing);
  found["unknown_tables"] = json_list(adoption.found.unknown);
  found["satisfied"] = adoption.found.satisfied;
  out["found"] = std::move(found);
  json::array tables, flows, notes;
  for (const auto& each : adoption.tables)
    tables.push_back(
        json::object{{"table", each.table}, {"rows", each.rows}, {"was_there", each.was_there}});
  for (const auto& each : adoption.flows) {
    json::object one{{"name", each.name}, {"title", each.title}};
    if (!each.why_not.empty()) one["why_not"] = each.why_not;
    flows.push_back(std::move(one));
  }
  for (const auto& each : adoption.notes) {
    json::object one{{"kind", each.kind}, {"table", each.table}};
    if (each.row) one["id"] = *each.row;
    if (!each.column.empty()) one["column"] = each.column;
    one["words"] = each.words;
    notes.push_back(std::move(one));
  }
  out["tables"] = std::move(tables);
  out["flows"] = std::move(flows);
  out["sessions"] = json::object{{"all", adoption.sessions.all},
                                 {"can_go_on", adoption.sessions.can_go_on},
                                 {"over", adoption.sessions.over},
                                 {"only_read", adoption.sessions.only_read},
                                 {"log_rows_made", adoption.sessions.rows_made}};
  out["leftovers"] = adoption.leftovers;
  out["notes"] = std::move(notes);
  return out;
}

void print_adoption(const Done& done) {
  const adopt::Adoption& adoption = done.adoption;
  if (done.backup) fmt::print("the file as it was is in {}\n", done.backup->file);
  for (const auto& each : adoption.found.missing) fmt::print("{}\n", each.words());
  for (const auto& each : adoption.found.unknown)
    fmt::print("{}\n", styled(safe_for_terminal("table " + each + " is not Tertulia's: left alone"),
                              Style::dim));
  for (const auto& each : adoption.tables)
    fmt::print("{:<20} {:>7} rows{}\n", each.table, each.rows,
               each.was_there ? "" : " (the table was not there)");
  for (const auto& each : adoption.flows)
    fmt::print(
        "{:<20} {}{}\n", each.name, safe_for_terminal(each.title),
        each.why_not.empty() ? std::string() : styled("  no flow: " + each.why_not, Style::yellow));
  const auto& sessions = adoption.sessions;
  fmt::print(
      "{} sessions: {} can be gone on with, {} are over, {} are for reading only; {} log rows "
      "made\n",
      sessions.all, sessions.can_go_on, sessions.over, sessions.only_read, sessions.rows_made);
  std::map<std::string, int> shown;
  for (const auto& each : adoption.notes) {
    if (++shown[each.kind] > kMostShown) continue;
    const std::string place = each.row ? fmt::format("{} {}", each.table, *each.row) : each.table;
    fmt::print("  {:<11} {}: {}\n", each.kind, place, safe_for_terminal(each.words));
  }
  for (const auto& [kind, count] : shown)
    if (count > kMostShown)
      fmt::print("  {:<11} and {} more: --json has them all\n", kind, count - kMostShown);
  if (adoption.leftovers > 0)
    fmt::print("{} values that have no place any more are in adopted_leftovers\n",
               adoption.leftovers);
}

base::Result<int> adopt_database(Context& context, const AdoptOptions& options) {
  auto done = options.in_place ? adopt_in_place(context, options) : adopt_copy(context, options);
  if (!done) return done.error();
  const db::Location location{db::Engine::sqlite, done->file};
  if (!done->adoption.done) {
    if (context.json) {
      print_json(adoption_json(*done));
    } else {
      fmt::print("{} is Tertulia's already: nothing was changed\n", done->file);
    }
    return kExitDone;
  }
  auto verified = verify_in_full(context, location);
  if (!verified) return verified.error();
  const int status = verified->good() ? kExitDone : kExitDatabase;
  if (context.json) {
    json::object out = adoption_json(*done);
    out["verification"] = verification_json(*verified, location);
    print_json(out);
    return status;
  }
  print_adoption(*done);
  print_verification(*verified);
  fmt::print("tertulia session list --db {}\n", done->file);
  return status;
}

}  // namespace

void add_db_adopt(CLI::App& db, Context& context) {
  auto* command = db.add_subcommand("adopt", "Takes over a database of the older system");
  auto options = std::make_shared<AdoptOptions>();
  command->add_option("file", options->file, "The older system's SQLite file")->required();
  auto* to = command->add_option("--to", options->to, "The copy to make; without it FILE.adopted");
  command
      ->add_flag("--in-place", options->in_place,
                 "Change the file itself, after a backup, and not a copy")
      ->excludes(to);
  command->add_option("--model", context.flags.model,
                      "The model that plays the sessions' roles from now on");
  command->footer(
      "Example: tertulia db adopt old.db, then tertulia session list --db "
      "old.db.adopted");
  run_on_parse(*command, [&context, options] { return adopt_database(context, *options); });
}

}  // namespace tertulia::cli
