#include "schema/history.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "schema/runner_lock.h"

namespace tertulia::schema {
namespace {

constexpr std::string_view kTable = "schema_migrations";

constexpr db::Sql kCreate{
    .name = "create_history",
    .sqlite =
        "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "checksum VARCHAR(64) NOT NULL, checksum_algorithm VARCHAR(20) NOT NULL, "
        "fingerprint VARCHAR(64) NOT NULL, compatible BOOLEAN NOT NULL, "
        "started_at DATETIME NOT NULL, finished_at DATETIME, program_version TEXT NOT NULL)",
    .postgres =
        "CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, "
        "checksum VARCHAR(64) NOT NULL, checksum_algorithm VARCHAR(20) NOT NULL, "
        "fingerprint VARCHAR(64) NOT NULL, compatible BOOLEAN NOT NULL, "
        "started_at TIMESTAMPTZ NOT NULL, finished_at TIMESTAMPTZ, program_version TEXT NOT NULL)"};

constexpr std::array<std::string_view, 9> kColumns = {
    "version",    "name",       "checksum",    "checksum_algorithm", "fingerprint",
    "compatible", "started_at", "finished_at", "program_version"};

constexpr std::string_view kRecordText =
    "INSERT INTO schema_migrations (version, name, checksum, checksum_algorithm, fingerprint, "
    "compatible, started_at, finished_at, program_version) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
constexpr db::Sql kRecord{
    .name = "record_migration", .sqlite = kRecordText, .postgres = kRecordText};

constexpr std::string_view kSetFinishedText =
    "UPDATE schema_migrations SET finished_at = $2 WHERE version = $1";
constexpr db::Sql kSetFinished{
    .name = "set_migration_finished", .sqlite = kSetFinishedText, .postgres = kSetFinishedText};

constexpr std::string_view kEraseText = "DELETE FROM schema_migrations WHERE version = $1";
constexpr db::Sql kErase{.name = "erase_migration", .sqlite = kEraseText, .postgres = kEraseText};

base::Result<std::vector<HistoryRow>> read_rows(db::Connection& connection) {
  std::vector<HistoryRow> rows;
  auto done = connection.each_text(
      "SELECT version, name, checksum, fingerprint, compatible, finished_at, program_version "
      "FROM schema_migrations ORDER BY version",
      {}, [&](const db::Row& row) -> base::Result<void> {
        rows.push_back({.version = static_cast<int>(row.integer(0)),
                        .name = std::string(row.text(1)),
                        .checksum = std::string(row.text(2)),
                        .fingerprint = std::string(row.text(3)),
                        .compatible = row.boolean(4),
                        .finished = !row.is_null(5),
                        .program_version = std::string(row.text(6))});
        return {};
      });
  if (!done) return done.error();
  return rows;
}

std::string difference_of(const HistoryRow& row, const Migration& migration) {
  if (row.name != migration.name)
    return fmt::format("version {} is recorded as {}, this program's is {}", row.version,
                       row.full_name(), migration.full_name());
  if (row.checksum != migration.checksum)
    return fmt::format(
        "{} was applied with another text than this program's (checksum {:.12}, here {:.12})",
        row.full_name(), row.checksum, migration.checksum);
  if (row.fingerprint != migration.fingerprint)
    return fmt::format("{} was recorded with fingerprint {:.12}, this program's has {:.12}",
                       row.full_name(), row.fingerprint, migration.fingerprint);
  return {};
}

// In several statements: the callers below see to it that they speak of one moment. Half of a
// schema from before a migration and half from after it would look like drift.
base::Result<Situation> read_once(db::Connection& connection) {
  std::vector<std::string> names = declared_names();
  names.emplace_back(kTable);
  auto shape = introspect(connection, names);
  if (!shape) return shape.error();
  Situation situation{.shape = *std::move(shape), .rows = {}};
  const auto history = situation.shape.tables.find(std::string(kTable));
  if (history == situation.shape.tables.end()) return situation;
  situation.has_history = true;
  // Other tools keep a table of this name too.
  const auto& columns = history->second.columns;
  situation.history_is_ours =
      columns.size() == kColumns.size() &&
      std::all_of(kColumns.begin(), kColumns.end(),
                  [&](std::string_view name) { return columns.contains(std::string(name)); });
  situation.shape.tables.erase(history);
  if (!situation.history_is_ours) return situation;
  auto rows = read_rows(connection);
  if (!rows) return rows.error();
  situation.rows = *std::move(rows);
  return situation;
}

// A reading transaction of SQLite sees one moment, of the schema too.
base::Result<Situation> read_in_snapshot(db::Connection& connection) {
  if (auto begun = connection.run_script("BEGIN"); !begun) return begun.error();
  auto situation = read_once(connection);
  auto ended = connection.run_script("COMMIT");
  if (situation && !ended) return ended.error();
  return situation;
}

// PostgreSQL has no such transaction for its catalogs: the functions that spell out constraints and
// indexes look past the snapshot. Nor can comparing the history before and after tell whether a
// migration went up and down again in between. So migrators are kept out while we read.
base::Result<Situation> read_between_migrators(db::Connection& connection) {
  auto lock = internal::RunnerLock::share(connection);
  if (!lock) return lock.error();
  return read_once(connection);
}

}  // namespace

std::string HistoryRow::full_name() const {
  return fmt::format("{:04}_{}", version, name);
}

base::Result<Situation> read_situation(db::Connection& connection) {
  // A migration's transaction: the runner's lock keeps others away.
  if (connection.in_transaction()) return read_once(connection);
  return connection.engine() == db::Engine::sqlite ? read_in_snapshot(connection)
                                                   : read_between_migrators(connection);
}

Judgement judge(const Situation& situation, std::span<const Migration> migrations) {
  if (situation.has_history && !situation.history_is_ours)
    return {Standing::foreign, "its table schema_migrations is another program's"};
  if (situation.rows.empty()) {
    if (situation.shape.tables.empty()) return {Standing::fresh, {}};
    std::vector<std::string_view> names;
    for (const auto& [name, table] : situation.shape.tables) names.push_back(name);
    return {Standing::foreign, fmt::format("it has the table{} {} but no history of migrations",
                                           names.size() == 1 ? "" : "s", fmt::join(names, ", "))};
  }
  int expected = 1;
  for (const auto& row : situation.rows) {
    if (row.version != expected)
      return {Standing::gap, fmt::format("version {} is recorded, but not version {} before it",
                                         row.version, expected)};
    if (static_cast<std::size_t>(row.version) <= migrations.size()) {
      auto why = difference_of(row, migrations[static_cast<std::size_t>(row.version) - 1]);
      if (!why.empty()) return {Standing::edited, std::move(why)};
    }
    if (!row.finished)
      return {Standing::unfinished, fmt::format("{} was begun by Tertulia {} and not finished",
                                                row.full_name(), row.program_version)};
    ++expected;
  }
  const auto version = static_cast<std::size_t>(situation.version());
  if (version > migrations.size()) return {Standing::ahead, {}};
  return {version == migrations.size() ? Standing::current : Standing::behind, {}};
}

bool can_go_on(const Situation& situation, std::span<const Migration> migrations, bool upwards) {
  if (judge(situation, migrations).standing != Standing::unfinished) return false;
  const auto& rows = situation.rows;
  const bool is_last =
      situation.is_broken_off() &&
      std::all_of(rows.begin(), rows.end() - 1, [](const HistoryRow& row) { return row.finished; });
  const auto version = static_cast<std::size_t>(situation.version());
  if (!is_last || version > migrations.size()) return false;
  const Migration& migration = migrations[version - 1];
  return (upwards ? migration.up : migration.down).outside_transaction;
}

base::Result<void> create_history(db::Connection& connection) {
  auto done = connection.run(kCreate);
  if (!done) return done.error();
  return {};
}

base::Result<void> record(db::Connection& connection, const Migration& migration,
                          base::Timestamp started, std::optional<base::Timestamp> finished) {
  const std::string from = base::to_iso8601(started);
  const std::string to = finished ? base::to_iso8601(*finished) : std::string();
  const std::array<db::Param, 9> params = {
      std::int64_t{migration.version},
      migration.name,
      std::string_view(migration.checksum),
      kChecksumAlgorithm,
      std::string_view(migration.fingerprint),
      migration.compatible,
      std::string_view(from),
      finished ? db::Param(std::string_view(to)) : db::Param(nullptr),
      std::string_view(TERTULIA_VERSION)};
  auto done = connection.run(kRecord, params);
  if (!done) return done.error();
  return {};
}

base::Result<void> set_finished(db::Connection& connection, const Migration& migration,
                                std::optional<base::Timestamp> finished) {
  const std::string time = finished ? base::to_iso8601(*finished) : std::string();
  const std::array<db::Param, 2> params = {
      std::int64_t{migration.version},
      finished ? db::Param(std::string_view(time)) : db::Param(nullptr)};
  auto done = connection.run(kSetFinished, params);
  if (!done) return done.error();
  return {};
}

base::Result<void> erase(db::Connection& connection, const Migration& migration) {
  const std::array<db::Param, 1> params = {std::int64_t{migration.version}};
  auto done = connection.run(kErase, params);
  if (!done) return done.error();
  return {};
}

}  // namespace tertulia::schema
