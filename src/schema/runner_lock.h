// RunnerLock keeps programs that migrate the same database out of each other's way, and readers of
// the schema from seeing half of a migration.
//
// SQLite needs none: the turn to write, which the runner keeps from its first migration to its
// last, and a reader's transaction are that. On PostgreSQL it is an advisory lock of the session,
// polled without a transaction: a program that waited inside one would hold back everything that
// waits for old transactions.
#pragma once

#include "db/connection.h"
#include "schema/runner.h"

namespace tertulia::schema::internal {

class RunnerLock final {
 public:
  // Alone: to change the schema. Timeout after the options' patience.
  [[nodiscard]] static base::Result<RunnerLock> take(db::Connection& connection,
                                                     const RunOptions& options);
  // With other readers: to read it, while nobody changes it.
  [[nodiscard]] static base::Result<RunnerLock> share(db::Connection& connection);
  RunnerLock(RunnerLock&& other) noexcept;
  RunnerLock& operator=(RunnerLock&&) = delete;
  ~RunnerLock();

 private:
  RunnerLock(db::Connection* held_by, std::string_view mode) : held_by_(held_by), mode_(mode) {}
  static base::Result<RunnerLock> wait_for(db::Connection& connection, const RunOptions& options,
                                           std::string_view mode);

  db::Connection* held_by_;  // null: nothing to give back
  std::string_view mode_;    // the end of the functions' names: "" or "_shared"
};

}  // namespace tertulia::schema::internal
