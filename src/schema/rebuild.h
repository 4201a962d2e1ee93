// Rebuilding is how a SQLite table gets a shape that ALTER TABLE cannot give it: a column less of
// which a key or a check speaks, another type, a check, a key more or less. The steps are those of
// https://sqlite.org/lang_altertable.html#otheralter, once, so that nobody writes them by hand:
//
//   auto off = ForeignKeysOff::begin(connection);         // outside the transaction
//   auto transaction = db::Transaction::begin(connection);
//   rebuild_table(connection, "messages", "CREATE TABLE messages (...)");
//   transaction->commit();
//   off->end();
//
// All rows are kept, with the values of the columns that both shapes have; so are the table's
// indexes and triggers, other tables' references to it, views on it, and the counter of an
// AUTOINCREMENT key. Where rebuilding fails the table is as it was, and the caller's transaction
// can go on.
//
// SQLite only. Errors: internal (called in the wrong order, which would let DROP TABLE cascade into
// the children), invalid (`create_sql` does not create this table, or cannot take the rows'
// columns), conflict (rows violate the new shape: a key, a check, a reference that held before),
// drift (a view or trigger that worked no longer would), storage.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "db/connection.h"

namespace tertulia::schema {

// SQLite's foreign keys are not enforced while this lives. They cannot be turned off inside a
// transaction, so begin it before, and end it after.
class ForeignKeysOff final {
 public:
  [[nodiscard]] static base::Result<ForeignKeysOff> begin(db::Connection& connection);
  ForeignKeysOff(ForeignKeysOff&& other) noexcept;
  ForeignKeysOff& operator=(ForeignKeysOff&&) = delete;
  // As `end`, where that has not been called; a failure goes to the log.
  ~ForeignKeysOff();
  // Enforces them again, if they were before. Internal where the transaction is still open.
  [[nodiscard]] base::Result<void> end();

 private:
  explicit ForeignKeysOff(db::Connection* connection) : connection_(connection) {}
  db::Connection* connection_;  // null: nothing to turn on again
};

struct RebuildOptions {
  // What a column of the new shape holds, as an expression over the old table's columns. Without
  // one it is the old column of that name; where there is none, the new column's default.
  std::map<std::string, std::string> values = {};
  // Indexes and triggers of the old table that are not made again.
  std::set<std::string> without = {};
};

// Gives `table` the shape of `create_sql`, a CREATE TABLE under the table's own name. Within a
// transaction that was begun with foreign keys off.
[[nodiscard]] base::Result<void> rebuild_table(db::Connection& connection, std::string_view table,
                                               std::string_view create_sql,
                                               const RebuildOptions& options = {});

}  // namespace tertulia::schema
