// One value of one row: counts, names, settings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "db/connection.h"

namespace tertulia::db {

// The first column of the last row that the statement gives: 0 or empty where it gives none, or
// NULL. Errors are those of Connection::each.
[[nodiscard]] base::Result<std::int64_t> read_integer(Connection& connection, std::string_view text,
                                                      Params params = {});
[[nodiscard]] base::Result<std::int64_t> read_integer(Connection& connection, const Sql& sql,
                                                      Params params = {});
[[nodiscard]] base::Result<std::string> read_text(Connection& connection, std::string_view text,
                                                  Params params = {});
[[nodiscard]] base::Result<std::string> read_text(Connection& connection, const Sql& sql,
                                                  Params params = {});

}  // namespace tertulia::db
