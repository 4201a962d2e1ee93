// SQLite's error codes as Errors.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "db/connection.h"

struct sqlite3;

namespace tertulia::db {

// The error of a call that returned `status`; `name` is the statement's, `path` the database's.
[[nodiscard]] base::Error sqlite_error(sqlite3* handle, int status, std::string_view name,
                                       const std::string& path);

}  // namespace tertulia::db
