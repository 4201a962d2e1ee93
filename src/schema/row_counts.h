// How many rows the tables have: before and after a migration, so that a statement that takes rows
// along by mistake (a trigger, a cascade, a copy that lost some) is seen before it is committed;
// and in a database and its backup.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "schema/migration.h"
#include "schema/shape.h"

namespace tertulia::schema {

using RowCounts = std::map<std::string, std::int64_t>;  // by table

// Of all tables, whoever's they are.
[[nodiscard]] base::Result<RowCounts> count_rows(db::Connection& connection);
// Of those of the shape.
[[nodiscard]] base::Result<RowCounts> count_rows(db::Connection& connection,
                                                 const SchemaShape& shape);

// Conflict where a table that stands on both sides has another number of rows, and no statement of
// the script inserts into it or deletes from it.
[[nodiscard]] base::Result<void> rows_are_kept(const RowCounts& before, const RowCounts& after,
                                               const Script& script);

}  // namespace tertulia::schema
