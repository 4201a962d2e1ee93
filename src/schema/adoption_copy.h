// The rows of an older database on their way into the head's tables: the old tables are set aside
// under other names, and come back row by row (in one statement each) once the new ones are made.
// What a row cannot keep in its place is noted and kept. Internal to adoption (adoption.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "db/connection.h"
#include "schema/description.h"

namespace tertulia::schema::internal {

class AdoptionCopy final {
 public:
  AdoptionCopy(db::Connection& connection, base::Timestamp now)
      : connection_(connection), now_(now) {}

  // Renames the tables, and drops their triggers and indexes, whose names the new ones need.
  [[nodiscard]] base::Result<void> move_aside(const std::vector<std::string>& tables);
  // Once the notes' own table is there.
  [[nodiscard]] base::Result<void> note_what_was_dropped();
  // Fills the new table from the old, which goes; the rows copied.
  [[nodiscard]] base::Result<std::int64_t> bring_back(std::string_view table);

 private:
  struct Dropped {
    std::string table;
    std::string words;
  };

  // The value of a column of the new table, as an expression over the old.
  [[nodiscard]] std::string value_of(const TableDescription& table,
                                     const ColumnDescription& column) const;
  [[nodiscard]] base::Result<void> note_filled(const TableDescription& table,
                                               const ColumnDescription& column);
  [[nodiscard]] base::Result<void> keep_other_columns(const TableDescription& table);
  [[nodiscard]] base::Result<void> make_unique(const TableDescription& table);
  [[nodiscard]] base::Result<void> read_times(const TableDescription& table,
                                              const ColumnDescription& column);
  [[nodiscard]] base::Result<void> read_words(const TableDescription& table);
  [[nodiscard]] base::Result<void> run(const std::string& sql);
  [[nodiscard]] bool had(std::string_view column) const;

  db::Connection& connection_;
  base::Timestamp now_;
  std::vector<Dropped> dropped_;
  std::vector<std::string> old_columns_;  // of the table that is being brought back
};

}  // namespace tertulia::schema::internal
