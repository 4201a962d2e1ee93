// tertulia db copy: a whole database from one place, and engine, to another.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "cli/db_commands.h"
#include "cli/db_report.h"
#include "cli/db_verify.h"
#include "cli/terminal.h"
#include "schema/copy.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

// Orphans that people are shown at most.
constexpr std::size_t kMostShown = 12;

struct Report {
  schema::Copy copy;
  FullVerification replayed;
  double seconds = 0;
};

// Every log must say of its session in the copy what it says in the original.
base::Result<void> same_replay(Context& context, db::Connection& from, db::Connection& to,
                               FullVerification& replayed) {
  FullVerification before;
  if (auto done = replay_all(context, from, before); !done) return done;
  if (auto done = replay_all(context, to, replayed); !done) return done;
  if (before.unexplained == replayed.unexplained &&
      before.sessions_replayed == replayed.sessions_replayed)
    return {};
  std::string first = fmt::format("{} sessions are replayed and not {}", replayed.sessions_replayed,
                                  before.sessions_replayed);
  for (const std::string& line : replayed.unexplained)
    if (std::find(before.unexplained.begin(), before.unexplained.end(), line) ==
        before.unexplained.end()) {
      first = line;
      break;
    }
  return base::Error{
      .code = base::Code::storage,
      .message = fmt::format("replayed in the copy a log says otherwise than in the original: {}; "
                             "nothing was copied",
                             first),
      .remedy = "tertulia db verify on the database that was to be copied"};
}

base::Result<Report> perform(Context& context, const db::Location& from, const db::Location& to) {
  const auto begun = std::chrono::steady_clock::now();
  Report report;
  std::optional<ProgressLine> line;
  std::string doing;
  schema::CopyOptions options;
  options.progress = [&](const std::string& now_doing, std::int64_t done, std::int64_t total) {
    if (!line || doing != now_doing) line.emplace(doing = now_doing, "rows");
    line->show(done, total);
  };
  options.examine = [&](db::Connection& original, db::Connection& copy) {
    line.reset();
    return same_replay(context, original, copy, report.replayed);
  };
  auto copied = schema::copy_database(from, to, options);
  line.reset();
  if (!copied) return copied.error();
  report.copy = *std::move(copied);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return report;
}

json::object report_json(const Report& report, const db::Location& from, const db::Location& to) {
  json::object out;
  out["from"] = from.shown();
  out["to"] = to.shown();
  json::array tables, orphans;
  for (const auto& each : report.copy.tables)
    tables.push_back(json::object{{"table", each.table},
                                  {"rows", each.rows},
                                  {"added", each.added},
                                  {"sha256", each.sha256}});
  for (const auto& each : report.copy.orphans)
    orphans.push_back(json::object{{"table", each.table},
                                   {"id", each.row},
                                   {"column", each.column},
                                   {"parent", each.parent},
                                   {"value", each.value},
                                   {"became", each.is_null_now ? "null" : "tombstone"},
                                   {"words", each.words()}});
  out["tables"] = std::move(tables);
  out["orphans"] = std::move(orphans);
  out["left"] = json_list(report.copy.left);
  out["sessions_replayed"] = report.replayed.sessions_replayed;
  out["sessions_only_read"] = report.replayed.sessions_only_read;
  out["unexplained"] = json_list(report.replayed.unexplained);
  out["seconds"] = report.seconds;
  return out;
}

void print_report(const Report& report, const db::Location& from, const db::Location& to) {
  std::int64_t rows = 0;
  for (const auto& each : report.copy.tables) {
    fmt::print("{:<20} {:>8} rows{}\n", each.table, each.rows,
               each.added > 0 ? fmt::format(", {} added", each.added) : std::string());
    rows += each.rows;
  }
  std::size_t shown = 0;
  for (const auto& each : report.copy.orphans) {
    if (++shown > kMostShown) break;
    fmt::print("  {} {}: {}\n", each.table, each.row, each.words());
  }
  if (report.copy.orphans.size() > kMostShown)
    fmt::print("  and {} more: they are in adopted_notes\n",
               report.copy.orphans.size() - kMostShown);
  for (const std::string& table : report.copy.left)
    fmt::print(
        "{}\n",
        styled(safe_for_terminal(fmt::format("table {} is not Tertulia's: not copied", table)),
               Style::dim));
  const auto& replayed = report.replayed;
  fmt::print("{} rows from {} to {} in {:.1f} s, read back and equal\n", rows, from.shown(),
             to.shown(), report.seconds);
  fmt::print("{} sessions replayed: {}\n", replayed.sessions_replayed,
             replayed.unexplained.empty() ? "every log explains its session"
                                          : fmt::format("{} disagreements, as in the original",
                                                        replayed.unexplained.size()));
  if (replayed.sessions_only_read > 0)
    fmt::print("{} adopted sessions do not follow their flows and are for reading only\n",
               replayed.sessions_only_read);
}

base::Result<int> copy(Context& context, const std::string& from_text, const std::string& to_text) {
  auto from = db::Location::parse(from_text);
  if (!from) return from.error();
  auto to = db::Location::parse(to_text);
  if (!to) return to.error();
  auto report = perform(context, *from, *to);
  if (!report) return report.error();
  if (context.json) {
    print_json(report_json(*report, *from, *to));
  } else {
    print_report(*report, *from, *to);
  }
  return kExitDone;
}

}  // namespace

void add_db_copy(CLI::App& db, Context& context) {
  auto* command = db.add_subcommand(
      "copy", "Copies a whole database into an empty one, of the same engine or the other");
  auto from = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  command->add_option("from", *from, "The database to copy: it is only read, and may be in use")
      ->required();
  command->add_option("to", *to, "The database to fill: absent or empty")->required();
  command->footer("Example: tertulia db copy ./notes.db postgresql://me@localhost/tertulia");
  run_on_parse(*command, [&context, from, to] { return copy(context, *from, *to); });
}

}  // namespace tertulia::cli
