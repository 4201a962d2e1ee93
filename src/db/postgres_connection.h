// The PostgreSQL side of Connection, over libpq: parameters and results as text, statements
// prepared once a connection, batches in pipeline mode (one round trip), UTC, UTF-8.
#pragma once

#include "db/connection.h"

namespace tertulia::db {

[[nodiscard]] base::Result<std::unique_ptr<Connection>> open_postgres(const Location& location,
                                                                      const OpenOptions& options);

}  // namespace tertulia::db
