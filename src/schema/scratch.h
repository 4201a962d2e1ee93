// What a script's tables look like to the engine: the script is performed where it leaves nothing
// behind, and its tables are read back by the same introspection as the database's. So both sides
// of every comparison are in the engine's own words.
//
// SQLite: a database in memory. PostgreSQL: temporary tables of `connection`, inside a transaction
// (or a savepoint of the one that is open) that is rolled back; the database's own tables are not
// touched, and a connection that is read-only by default may do it.
#pragma once

#include "db/connection.h"
#include "schema/migration.h"
#include "schema/shape.h"

namespace tertulia::schema {

[[nodiscard]] base::Result<SchemaShape> shape_of_script(db::Connection& connection,
                                                        std::string_view script);

// What the first `version` migrations lead to.
[[nodiscard]] base::Result<SchemaShape> shape_of_version(db::Connection& connection,
                                                         std::span<const Migration> migrations,
                                                         int version);

// The declared model, as the engine of `connection` sees it.
[[nodiscard]] base::Result<SchemaShape> declared_shape(db::Connection& connection);

}  // namespace tertulia::schema
