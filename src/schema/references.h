// References that lead nowhere: rows whose foreign key names a row that is not there. Only
// Tertulia's tables are looked into; what others keep in the database is their affair.
#pragma once

#include <string>
#include <vector>

#include "schema/shape.h"

namespace tertulia::schema {

// Those that an adoption found and noted (adoption.h) are known: are they told all the same?
enum class Known { left_out, told };

// A line for each such row of the tables of `shape`, from SQLite, which enforces its keys only for
// those who ask for it.
[[nodiscard]] base::Result<std::vector<std::string>> broken_references_sqlite(
    db::Connection& connection, const SchemaShape& shape, Known known = Known::left_out);

// The same of all declared tables, from PostgreSQL, where rows that were loaded with triggers off
// can have passed its checks. Each key is looked up.
[[nodiscard]] base::Result<std::vector<std::string>> broken_references_postgres(
    db::Connection& connection);

}  // namespace tertulia::schema
