// Where a schema differs from the one expected, object by object.
#pragma once

#include <string>
#include <vector>

#include "schema/shape.h"

namespace tertulia::schema {

struct Difference {
  enum class Kind { missing, changed, unexpected };
  std::string table;
  std::string object;  // "table", "column topic", "index idx_roles_name" ...
  Kind kind = Kind::missing;
  std::string expected;  // empty for what is unexpected
  std::string found;     // empty for what is missing
  // It can be added without touching a row: a table, an index, a column that may be NULL.
  bool can_be_added = false;
  std::string remedy;

  // "step_execution_logs: index idx_step_logs_status is missing (expected (status))"
  [[nodiscard]] std::string words() const;
};
[[nodiscard]] std::string_view kind_name(Difference::Kind kind);

struct Comparison {
  std::vector<Difference> differences;
  std::vector<std::string> notices;  // indexes that are not ours: no drift
};

// Remedies are those of a database at this program's version.
[[nodiscard]] Comparison compare(const SchemaShape& expected, const SchemaShape& found);

}  // namespace tertulia::schema
