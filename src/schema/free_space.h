// Is there room for what is about to be written? Asked before it is begun: a disk that fills up
// halfway costs an hour, and everybody else on it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "db/connection.h"

namespace tertulia::schema {

// Storage where the disk that holds `folder` has fewer free bytes.
[[nodiscard]] base::Result<void> require_free(const std::filesystem::path& folder,
                                              std::int64_t bytes);

// Room for `times` the size of a SQLite file beside it: a migration may rewrite every page, which
// stand in the log until they are committed. Nothing is asked of databases in memory, nor of
// PostgreSQL, which does not tell how much its server's disk holds.
[[nodiscard]] base::Result<void> room_to_move(db::Connection& connection, int times);

}  // namespace tertulia::schema
