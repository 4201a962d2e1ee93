// The declared model as DDL. It creates scratch copies to compare with, and what `db repair` adds;
// a database is never made from it (that is what migrations are for).
#pragma once

#include <string>

#include "db/connection.h"
#include "schema/description.h"

namespace tertulia::schema {

[[nodiscard]] std::string render_table(db::Engine engine, const TableDescription& table);
// A column as it stands in CREATE TABLE and after ADD COLUMN.
[[nodiscard]] std::string render_column(db::Engine engine, const TableDescription& table,
                                        const ColumnDescription& column);
[[nodiscard]] std::string render_index(const TableDescription& table, const Index& index);

// All declared tables with their indexes, as one script.
[[nodiscard]] std::string render_model(db::Engine engine);

}  // namespace tertulia::schema
