// The rows of a declared table, read page by page and written again, whatever engine they come from
// and go to: the two hands of copy.h. A page is the unit in memory.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/sha256.h"
#include "db/connection.h"
#include "schema/description.h"

namespace tertulia::schema::internal {

// A value by its declared type; a time is its text as this program writes it.
using CopyValue = std::variant<std::nullptr_t, std::int64_t, double, bool, std::string>;

struct CopyRow {
  std::int64_t key = 0;
  std::vector<CopyValue> values;    // by column
  std::vector<bool> leads_nowhere;  // by column; of SQLite
};

// Adds the row to a digest: no two different rows give the same bytes.
void add_to(base::Sha256& digest, const CopyRow& row);

class PageReader final {
 public:
  // Refuses what `meant_for` cannot hold. `table` must outlive this.
  PageReader(db::Connection& connection, const TableDescription& table, db::Engine meant_for);

  // The next rows by key; none where there are no more.
  [[nodiscard]] base::Result<std::vector<CopyRow>> next();

 private:
  base::Result<CopyRow> read(const db::Row& row) const;
  base::Result<CopyValue> value(const db::Row& row, int column, char type) const;
  base::Error refuse(std::int64_t key, const ColumnDescription& column, std::string_view why) const;

  db::Connection& connection_;
  const TableDescription& table_;
  const db::Engine meant_for_;
  std::string sql_;
  std::size_t key_at_ = 0;
  std::int64_t from_ = std::numeric_limits<std::int64_t>::min();
  bool at_end_ = false;
};

// Where the primary key stands among the columns; every declared table has one of integers.
[[nodiscard]] std::size_t key_column(const TableDescription& table);

// Inserts the rows, many in a statement.
[[nodiscard]] base::Result<void> insert_rows(db::Connection& connection,
                                             const TableDescription& table,
                                             std::span<const CopyRow> rows);

}  // namespace tertulia::schema::internal
