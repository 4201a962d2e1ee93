// The runner takes a database from version to version, each migration in one transaction of its
// own: history read again, checks of the rows, statements, foreign keys, row counts of the tables
// that it was not meant to change, fingerprint, history row, commit. Whatever goes wrong, the
// database is at some version whole; but for those that PostgreSQL performs outside a transaction
// (script.h), which the history names as unfinished until they are, and which the next run goes on
// with. Any number of programs may run at once: one does the work, the others wait for it and find
// it done.
//
// The connection must have been opened for writing and be outside a transaction; the call ends so.
// Errors: drift (the schema is not what its history says, or what the migration declares: named),
// denied (rows would be lost), timeout (another program holds a lock for too long), conflict
// (rows in the way, broken references, or rows that went or came unasked), storage (also where a
// disk has no room for it).
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "schema/loss.h"
#include "schema/migration.h"

namespace tertulia::schema {

enum class Direction { up, down };

struct Move {
  const Migration* migration = nullptr;
  Direction direction = Direction::up;
  std::vector<Loss> losses;

  [[nodiscard]] const Script& script() const {
    return direction == Direction::up ? migration->up : migration->down;
  }
};

struct Plan {
  int from = 0;
  int to = 0;
  std::vector<Move> moves;
};

struct RunOptions {
  bool allow_data_loss = false;
  std::chrono::milliseconds lock_patience = std::chrono::seconds(60);
  const base::Clock* clock = &base::Clock::system();
  // PostgreSQL: how long a statement waits for other sessions' locks on its tables, while everybody
  // else waits behind it; then the migration is rolled back and begun again after a pause.
  std::chrono::milliseconds statement_patience = std::chrono::seconds(5);
  int attempts = 5;
  std::chrono::milliseconds pause = std::chrono::seconds(2);
  std::function<void(const Move&)> on_move = {};  // before each attempt
  // Once, before the first change to a database that has rows, given its version: the place for a
  // backup. Outside a transaction, with other migrators kept out. An error ends the run with
  // nothing changed.
  std::function<base::Result<void>(int from)> before_first_move = {};
};

// What migrating or rolling back to version `to` would do. Reads only. Invalid where there is no
// such version, denied where a migration on the way is irreversible.
[[nodiscard]] base::Result<Plan> plan(db::Connection& connection, int to,
                                      std::span<const Migration> migrations);

// Goes up to version `to`; what was done (nothing, if the database is there or beyond).
[[nodiscard]] base::Result<Plan> migrate(db::Connection& connection, int to,
                                         std::span<const Migration> migrations,
                                         const RunOptions& options = {});

// Goes down to version `to`.
[[nodiscard]] base::Result<Plan> rollback(db::Connection& connection, int to,
                                          std::span<const Migration> migrations,
                                          const RunOptions& options = {});

}  // namespace tertulia::schema
