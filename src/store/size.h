// How much room the database takes.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "db/connection.h"

namespace tertulia::store {

// Of the database with its indexes; on SQLite without what is in the -wal alone.
[[nodiscard]] base::Result<std::int64_t> database_bytes(db::Connection& connection);

// Of SQLite's write-ahead log; 0 where there is none. Nothing on PostgreSQL, whose log is the
// server's.
[[nodiscard]] std::optional<std::int64_t> wal_bytes(const db::Location& location);

}  // namespace tertulia::store
