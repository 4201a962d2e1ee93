// SchemaShape is what a database's tables look like, in words that do not depend on how they came
// to be: types through a table of synonyms, expressions token by token, everything in the order of
// names. `canonical_text` writes it down, `fingerprint` is that text's SHA-256.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/connection.h"

namespace tertulia::schema {

struct ColumnShape {
  std::string type;  // "integer", "varchar(20)", "text", "time" ...; unknown ones as written
  bool nullable = true;
  std::string default_value;  // normalised; empty: none
  std::string note;           // what else there is to it: "identity", "generated"; usually empty

  bool operator==(const ColumnShape&) const = default;
  [[nodiscard]] std::string words() const;
};

struct IndexShape {
  bool unique = false;
  std::vector<std::string> columns;  // a name or an expression, with "desc", a collation ...
  std::string where;                 // normalised; empty: the whole table
  std::string note;                  // "hash", "invalid" ...; usually empty

  bool operator==(const IndexShape&) const = default;
  [[nodiscard]] std::string words() const;
};

struct TableShape {
  std::map<std::string, ColumnShape> columns;
  std::vector<std::string> primary_key;
  std::set<std::string> foreign_keys;  // "(session_id) -> sessions (id)"
  std::map<std::string, IndexShape> indexes;
  // UNIQUE constraints that made themselves an index without a name of its own.
  std::set<std::string> uniques;
  std::set<std::string> checks;                 // normalised
  std::map<std::string, std::string> triggers;  // name -> text
  std::set<std::string> options;                // "autoincrement", "without rowid", "strict"

  bool operator==(const TableShape&) const = default;
};

struct SchemaShape {
  std::map<std::string, TableShape> tables;
};

// Reads the shape of those of `tables` that are there. Reads only, and only what concerns them: its
// cost does not grow with other tables. On PostgreSQL the tables of the current schema are meant.
[[nodiscard]] base::Result<SchemaShape> introspect(db::Connection& connection,
                                                   std::span<const std::string> tables);

// The names of the declared tables, and of former ones: what a fingerprint covers.
[[nodiscard]] const std::vector<std::string>& declared_names();

[[nodiscard]] std::string canonical_text(const SchemaShape& shape);
[[nodiscard]] std::string fingerprint(const SchemaShape& shape);

}  // namespace tertulia::schema
