#include "schema/scratch.h"

#include <fmt/format.h>

#include "db/sqlite_connection.h"
#include "schema/render.h"

namespace tertulia::schema {
namespace {

base::Result<SchemaShape> perform_and_read(db::Connection& connection, std::string_view script) {
  if (auto done = connection.run_script(script); !done) return done.error();
  return introspect(connection, declared_names());
}

base::Result<SchemaShape> in_memory(std::string_view script) {
  auto memory = db::open_sqlite_in_memory();
  if (!memory) return memory.error();
  return perform_and_read(**memory, script);
}

base::Result<SchemaShape> in_temporary_tables(db::Connection& connection, std::string_view script) {
  const bool nested = connection.in_transaction();
  auto begun = connection.run_script(nested ? "SAVEPOINT scratch" : "BEGIN READ WRITE");
  if (!begun) return begun.error();
  auto shape =
      perform_and_read(connection, fmt::format("SET LOCAL search_path = pg_temp;\n{}", script));
  auto undone = connection.run_script(nested ? "ROLLBACK TO SAVEPOINT scratch" : "ROLLBACK");
  if (shape && !undone) return undone.error();
  return shape;
}

}  // namespace

base::Result<SchemaShape> shape_of_script(db::Connection& connection, std::string_view script) {
  return connection.engine() == db::Engine::sqlite ? in_memory(script)
                                                   : in_temporary_tables(connection, script);
}

base::Result<SchemaShape> declared_shape(db::Connection& connection) {
  return shape_of_script(connection, render_model(connection.engine()));
}

}  // namespace tertulia::schema
