// The SQLite side of Connection: WAL, synchronous=FULL, foreign keys on, no double-quoted string
// literals, no trusted schema, no memory mapping.
//
// Why one writing connection a process, and a lock file:
// SQLite 3.7.0 to 3.51.2 (Debian 12 has 3.40.1) can corrupt or lose commits of a WAL database when
// two connections write or checkpoint at the same instant: a checkpointer that resets the WAL can
// miss that another connection has just restarted it (fixed in 3.51.3). The race needs two parties
// that write or checkpoint. Here there is never a second one:
//   - a process has one connection with Access::write on a file (a registry refuses another), and
//     it belongs to one thread at a time, so inside a process there is one party;
//   - that connection holds an exclusive flock on FILE.lock through every write transaction
//     (checkpoints by wal_autocheckpoint run inside its COMMIT), every explicit checkpoint, opening
//     (which may recover the WAL) and closing (which checkpoints), so that of all processes one is
//     the party at a time, and flock's release and acquisition order what each sees;
//   - every other connection is opened read-only, with wal_autocheckpoint=0 and no checkpoint on
//     close: it can neither write nor checkpoint.
// A process that dies leaves its flock to the kernel, which releases it.
#pragma once

#include "db/connection.h"

struct sqlite3;

namespace tertulia::db {

// Opens a SQLite file; `options` as for db::open. Refuses directories, files that are not
// databases, and network file systems (their locks are not to be trusted).
[[nodiscard]] base::Result<std::unique_ptr<Connection>> open_sqlite(const std::string& path,
                                                                    const OpenOptions& options);

// A database in memory, for the declared model's scratch copy and for tests of statements.
[[nodiscard]] base::Result<std::unique_ptr<Connection>> open_sqlite_in_memory();

// Calls `job` with SQLite's own handle of a connection made here, outside of a transaction that
// writes: for the backup API, which SQL cannot reach (sqlite_backup.h). A connection that writes to
// a file has its turn meanwhile, also between the transactions that `job` begins and ends.
using HandleFn = std::function<base::Result<void>(sqlite3*)>;
[[nodiscard]] base::Result<void> with_sqlite_handle(Connection& connection, const HandleFn& job);

// SQLite's own version, as linked.
[[nodiscard]] std::string_view sqlite_version();

}  // namespace tertulia::db
