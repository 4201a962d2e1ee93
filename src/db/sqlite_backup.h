// Whole SQLite databases copied page by page through SQLite's backup API, by the rules of
// sqlite_connection.h: the live file is read by a connection that only reads, and written by the
// one connection that writes, in its turn.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "db/connection.h"

namespace tertulia::db {

// Pages copied so far, and pages in all; from the calling thread.
using PageProgress = std::function<void(std::int64_t done, std::int64_t total)>;

// Copies the database of `from` into the file `to`, which must be empty or absent and nobody
// else's. What is copied is the moment of the read transaction that `from` is in, where it is in
// one. The copy is one file, not in WAL mode; it is not yet synced.
[[nodiscard]] base::Result<void> copy_sqlite(Connection& from, const std::string& to,
                                             const PageProgress& progress = {});

// Replaces the content of the database of `live`, which must be open for writing and outside a
// transaction, by that of the file `from`: one transaction, beside readers and other programs that
// have it open. Where the two have pages of different sizes it must be nobody else's for the
// moment (timeout otherwise).
[[nodiscard]] base::Result<void> overwrite_sqlite(Connection& live, const std::string& from,
                                                  const PageProgress& progress = {});

}  // namespace tertulia::db
