// Rows of the database as values of the row types, by the declared tables' own description: no
// second list of columns. Columns are found by name once for each statement, so a query may select
// more than the row type has, and in any order; one it lacks is an internal error that names it.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "db/connection.h"
#include "schema/declared.h"

namespace tertulia::store {

namespace internal {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
base::Result<void> read_value(const db::Row& row, int column, T& value) {
  if constexpr (IsOptional<T>::value) {
    if (row.is_null(column)) {
      value.reset();
      return {};
    }
    return read_value(row, column, value.emplace());
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    value = row.integer(column);
  } else if constexpr (std::is_same_v<T, double>) {
    value = row.real(column);
  } else if constexpr (std::is_same_v<T, bool>) {
    value = row.boolean(column);
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = row.text(column);
  } else if constexpr (std::is_same_v<T, base::Timestamp>) {
    const auto time = base::parse_iso8601(row.text(column));
    if (!time)
      return base::Error{.code = base::Code::storage,
                         .message = fmt::format("column {} holds '{}', which is not a time",
                                                row.name(column), row.text(column))};
    value = *time;
  } else {
    static_assert(std::is_enum_v<T>);
    const auto known = model::from_text<T>(row.text(column));
    if (!known)
      return base::Error{.code = base::Code::storage,
                         .message = fmt::format("column {} holds '{}', which is none of its values",
                                                row.name(column), row.text(column))};
    value = *known;
  }
  return {};
}

}  // namespace internal

// Reads rows of one statement's result.
template <class R>
class Reader final {
 public:
  base::Result<R> read(const db::Row& row) {
    if (columns_.empty()) {
      if (auto found = find_columns(row); !found) return found.error();
    }
    R value;
    base::Result<void> read;
    std::size_t next = 0;
    schema::for_each_column<R>([&](const auto& column) {
      const int at = columns_[next++];
      if (read) read = internal::read_value(row, at, value.*(column.member));
    });
    if (!read) return read.error();
    return value;
  }

 private:
  base::Result<void> find_columns(const db::Row& row) {
    base::Result<void> found;
    schema::for_each_column<R>([&](const auto& column) {
      int at = 0;
      while (at < row.size() && row.name(at) != column.name) ++at;
      if (at == row.size() && found)
        found = base::Error{.code = base::Code::internal,
                            .message = fmt::format("a query lacks the column {}", column.name)};
      columns_.push_back(at);
    });
    return found;
  }

  std::vector<int> columns_;
};

// All rows of a statement.
template <class R>
base::Result<std::vector<R>> read_all(db::Connection& connection, const db::Sql& sql,
                                      db::Params params) {
  std::vector<R> rows;
  Reader<R> reader;
  auto done = connection.each(sql, params, [&](const db::Row& row) -> base::Result<void> {
    auto value = reader.read(row);
    if (!value) return value.error();
    rows.push_back(*std::move(value));
    return {};
  });
  if (!done) return done.error();
  return rows;
}

// The first row of a statement, if there is one.
template <class R>
base::Result<std::optional<R>> read_one(db::Connection& connection, const db::Sql& sql,
                                        db::Params params) {
  auto rows = read_all<R>(connection, sql, params);
  if (!rows) return rows.error();
  if (rows->empty()) return std::optional<R>();
  return std::optional<R>(std::move(rows->front()));
}

}  // namespace tertulia::store
