#include "store/size.h"

#include <filesystem>

#include "db/value.h"
#include "store/sql.h"

namespace tertulia::store {

base::Result<std::int64_t> database_bytes(db::Connection& connection) {
  return db::read_integer(connection, sql::select_database_bytes, {});
}

std::optional<std::int64_t> wal_bytes(const db::Location& location) {
  if (location.engine != db::Engine::sqlite) return {};
  std::error_code none;
  const auto bytes = std::filesystem::file_size(location.target + "-wal", none);
  return none ? 0 : static_cast<std::int64_t>(bytes);
}

}  // namespace tertulia::store
