// A declared table, described once: which column holds which member of its row type, and what C++
// cannot say (lengths, defaults, keys, indexes, checks). The type of a column and whether it may be
// NULL follow from the member's type:
//
//   std::int64_t -> integer (64 bits)    bool -> boolean      std::string, enums -> text or varchar
//   double -> real                       Timestamp -> time    std::optional<T> -> T, may be NULL
//
// Everything here is a constant; `TableDescription` is the same without the row type, for code that
// goes through all tables.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"

namespace tertulia::schema {

enum class ColumnType { integer, real, boolean, time, text };

// A column of the table of Row, and the member whose value it holds.
template <class Row, class Member>
struct Column {
  std::string_view name;
  Member Row::*member;
  int length = 0;                // of a VARCHAR; 0 is TEXT
  std::string_view default_sql;  // an expression that both engines read alike
  std::string_view parent;       // the table whose `id` this column holds
  bool is_key = false;
  bool is_generated = false;

  // The primary key; its value is made by the database.
  [[nodiscard]] constexpr Column generated_key() const {
    Column changed = *this;
    changed.is_key = true;
    changed.is_generated = true;
    return changed;
  }
  // The primary key; its value is the program's.
  [[nodiscard]] constexpr Column key() const {
    Column changed = *this;
    changed.is_key = true;
    return changed;
  }
  [[nodiscard]] constexpr Column varchar(int most) const {
    Column changed = *this;
    changed.length = most;
    return changed;
  }
  [[nodiscard]] constexpr Column defaults_to(std::string_view sql) const {
    Column changed = *this;
    changed.default_sql = sql;
    return changed;
  }
  [[nodiscard]] constexpr Column refers_to(std::string_view table) const {
    Column changed = *this;
    changed.parent = table;
    return changed;
  }
};

template <class Row, class Member>
[[nodiscard]] constexpr Column<Row, Member> column(std::string_view name, Member Row::*member) {
  return {.name = name, .member = member, .default_sql = {}, .parent = {}};
}

struct Index {
  std::string_view name;
  std::string_view columns;  // as in SQL: names, quoted where they must be, with commas between
  std::string_view where = {};
  bool unique = false;
};

// A specialisation describes the table of Row: `table`, `columns` (a tuple of Column), and what of
// TableDefaults it overrides.
template <class Row>
struct Declared;

struct TableDefaults {
  static constexpr std::array<Index, 0> indexes = {};
  static constexpr std::array<std::string_view, 0> checks = {};
  // Generated ids of deleted rows are not given to new ones. PostgreSQL never does; SQLite needs to
  // be told, and pays a row of sqlite_sequence an insert.
  static constexpr bool ids_never_reused = false;
};

struct ColumnDescription {
  std::string_view name;
  ColumnType type = ColumnType::text;
  int length = 0;
  bool nullable = false;
  std::string_view default_sql;
  std::string_view parent;
  bool is_key = false;
  bool is_generated = false;
};

struct TableDescription {
  std::string_view name;
  std::vector<ColumnDescription> columns;
  std::vector<Index> indexes;
  std::vector<std::string_view> checks;
  bool ids_never_reused = false;
};

namespace internal {

template <class T>
struct Stored {
  using Type = T;
  static constexpr bool nullable = false;
};
template <class T>
struct Stored<std::optional<T>> {
  using Type = T;
  static constexpr bool nullable = true;
};

template <class T>
[[nodiscard]] constexpr ColumnType column_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return ColumnType::integer;
  } else if constexpr (std::is_same_v<T, double>) {
    return ColumnType::real;
  } else if constexpr (std::is_same_v<T, bool>) {
    return ColumnType::boolean;
  } else if constexpr (std::is_same_v<T, base::Timestamp>) {
    return ColumnType::time;
  } else {
    static_assert(std::is_same_v<T, std::string> || std::is_enum_v<T>,
                  "a member of this type has no column type");
    return ColumnType::text;
  }
}

}  // namespace internal

template <class Row, class Member>
[[nodiscard]] constexpr ColumnDescription describe(const Column<Row, Member>& column) {
  using Stored = internal::Stored<Member>;
  return {.name = column.name,
          .type = internal::column_type<typename Stored::Type>(),
          .length = column.length,
          .nullable = Stored::nullable,
          .default_sql = column.default_sql,
          .parent = column.parent,
          .is_key = column.is_key,
          .is_generated = column.is_generated};
}

}  // namespace tertulia::schema
