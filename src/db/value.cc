#include "db/value.h"

namespace tertulia::db {
namespace {

base::Result<std::int64_t> rows_of(Connection& connection, std::string_view text, Params params,
                                   const RowFn& row) {
  return connection.each_text(text, params, row);
}
base::Result<std::int64_t> rows_of(Connection& connection, const Sql& sql, Params params,
                                   const RowFn& row) {
  return connection.each(sql, params, row);
}

template <class Statement>
base::Result<std::int64_t> integer_of(Connection& connection, const Statement& statement,
                                      Params params) {
  std::int64_t value = 0;
  auto read = rows_of(connection, statement, params, [&](const Row& row) -> base::Result<void> {
    value = row.integer(0);
    return {};
  });
  if (!read) return read.error();
  return value;
}

template <class Statement>
base::Result<std::string> text_of(Connection& connection, const Statement& statement,
                                  Params params) {
  std::string value;
  auto read = rows_of(connection, statement, params, [&](const Row& row) -> base::Result<void> {
    value = row.text(0);
    return {};
  });
  if (!read) return read.error();
  return value;
}

}  // namespace

base::Result<std::int64_t> read_integer(Connection& connection, std::string_view text,
                                        Params params) {
  return integer_of(connection, text, params);
}
base::Result<std::int64_t> read_integer(Connection& connection, const Sql& sql, Params params) {
  return integer_of(connection, sql, params);
}
base::Result<std::string> read_text(Connection& connection, std::string_view text, Params params) {
  return text_of(connection, text, params);
}
base::Result<std::string> read_text(Connection& connection, const Sql& sql, Params params) {
  return text_of(connection, sql, params);
}

}  // namespace tertulia::db
