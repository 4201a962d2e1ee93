// What a database says about its own schema: its rows in schema_migrations and the shape of those
// of Tertulia's tables that are there.
//
// schema_migrations is made with the first migration, in the same transaction, and stands outside
// the declared model: it must be readable before anything is known about the rest, so it never
// changes. A row is written in the transaction of its migration; one without `finished_at` is a
// migration that was performed in several transactions and broke off.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "db/connection.h"
#include "schema/migration.h"
#include "schema/shape.h"

namespace tertulia::schema {

struct HistoryRow {
  int version = 0;
  std::string name;
  std::string checksum;
  std::string fingerprint;
  // May a program that does not know this migration use the database? Recorded here because such a
  // program has no other way to know.
  bool compatible = false;
  bool finished = false;
  std::string program_version;

  [[nodiscard]] std::string full_name() const;
};

// How the history stands to the program's migrations, before the schema itself is looked at.
enum class Standing {
  fresh,       // no table of ours
  foreign,     // tables by our names, but no history of ours: the older system's, or another's
  current,     // at the program's version
  behind,      // migrations are pending
  ahead,       // it has migrations that this program does not know
  unfinished,  // a migration broke off
  gap,         // a number is missing
  edited,      // a migration is recorded that is not the program's of that number
};

struct Situation {
  SchemaShape shape;  // of the declared tables that are there
  bool has_history = false;
  bool history_is_ours = false;
  std::vector<HistoryRow> rows;  // by version

  [[nodiscard]] int version() const { return rows.empty() ? 0 : rows.back().version; }
  // Is the last migration begun and not finished?
  [[nodiscard]] bool is_broken_off() const { return !rows.empty() && !rows.back().finished; }
  // The version without that migration.
  [[nodiscard]] int whole_version() const { return version() - (is_broken_off() ? 1 : 0); }
};

// Reads only, and what it says was so at one moment, also beside a program that migrates.
[[nodiscard]] base::Result<Situation> read_situation(db::Connection& connection);

struct Judgement {
  Standing standing = Standing::fresh;
  std::string why;  // of unfinished, gap, edited and foreign: which, and what is wrong with it
};
[[nodiscard]] Judgement judge(const Situation& situation, std::span<const Migration> migrations);

// Can the migration that broke off be gone on with in that direction? Only the last one, if it is
// one of `migrations` and is performed outside a transaction.
[[nodiscard]] bool can_go_on(const Situation& situation, std::span<const Migration> migrations,
                             bool upwards);

// The runner's statements, inside its transaction. `finished` is empty where the migration is yet
// to be performed, outside of one.
[[nodiscard]] base::Result<void> create_history(db::Connection& connection);
[[nodiscard]] base::Result<void> record(db::Connection& connection, const Migration& migration,
                                        base::Timestamp started,
                                        std::optional<base::Timestamp> finished);
[[nodiscard]] base::Result<void> set_finished(db::Connection& connection,
                                              const Migration& migration,
                                              std::optional<base::Timestamp> finished);
[[nodiscard]] base::Result<void> erase(db::Connection& connection, const Migration& migration);

}  // namespace tertulia::schema
