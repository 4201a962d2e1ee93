// RunnerLock keeps programs that migrate the same database out of each other's way.
//
// SQLite needs none: the runner's BEGIN IMMEDIATE is one. On PostgreSQL it is an advisory lock of
// the session, polled without a transaction: a program that waited inside one would hold back
// everything that waits for old transactions.
#pragma once

#include "db/connection.h"
#include "schema/runner.h"

namespace tertulia::schema::internal {

class RunnerLock final {
 public:
  [[nodiscard]] static base::Result<RunnerLock> take(db::Connection& connection,
                                                     const RunOptions& options);
  RunnerLock(RunnerLock&& other) noexcept;
  RunnerLock& operator=(RunnerLock&&) = delete;
  ~RunnerLock();

 private:
  explicit RunnerLock(db::Connection* held_by) : held_by_(held_by) {}
  db::Connection* held_by_;  // null: nothing to give back
};

}  // namespace tertulia::schema::internal
