// A script is one direction of a migration, as its author wrote it: statements, and comments that
// say more than SQL can. Of the whole script, in a line of its own:
//
//   -- outside-transaction: yes        PostgreSQL, for CREATE or DROP INDEX CONCURRENTLY alone
//
// Of the statement that follows:
//
//   -- check: every session has a topic    a SELECT, performed before the change: the rows that it
//   SELECT id FROM sessions WHERE ...      returns are in the migration's way, and are shown
//
//   -- rebuild: messages                   SQLite: the table gets this shape (see rebuild.h)
//   -- rebuild-value: content = trim(content)    what a column of it holds, if not its old value
//   -- rebuild-without: idx_messages_old         an index or trigger that is not made again
//   CREATE TABLE messages (...);
//
// What its statements would destroy is read from the statements themselves.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "schema/rebuild.h"

namespace tertulia::schema {

// What a DROP takes away.
struct Dropped {
  std::string table;
  std::string column;  // empty: the table itself
};

struct Rebuild {
  std::string table;
  RebuildOptions options;
};

struct Statement {
  std::string_view sql;
  std::optional<Rebuild> rebuild;
};

struct Check {
  std::string words;  // what must be so
  std::string_view sql;
};

struct Script {
  std::string_view text;
  std::vector<Statement> statements;  // without the checks
  std::vector<Check> checks;
  std::vector<Dropped> dropped;
  bool outside_transaction = false;
};

// The value of a line "-- key: value" among the comments of a text; empty if there is none.
[[nodiscard]] std::string directive(std::string_view text, std::string_view key);

// The text must live as long as the script. Invalid where it is not SQL, or a directive stands
// above what it cannot be said of.
[[nodiscard]] base::Result<Script> parse_script(db::Engine engine, std::string_view text);

// Performs the statements, within the caller's transaction; on SQLite one that was begun with
// foreign keys off. What would run outside a transaction runs inside it as well, with the locks
// that it was to avoid: for databases that nobody else uses yet.
[[nodiscard]] base::Result<void> perform(db::Connection& connection, const Script& script);

// Conflict where a check finds rows: what must be so, and the first of the rows that are not.
[[nodiscard]] base::Result<void> check_data(db::Connection& connection, const Script& script);

}  // namespace tertulia::schema
