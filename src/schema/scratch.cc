#include "schema/scratch.h"

#include <functional>

#include "db/sqlite_connection.h"
#include "schema/rebuild.h"
#include "schema/render.h"

namespace tertulia::schema {
namespace {

using Making = std::function<base::Result<void>(db::Connection&)>;

base::Result<SchemaShape> make_and_read(db::Connection& connection, const Making& make) {
  if (auto made = make(connection); !made) return made.error();
  return introspect(connection, declared_names());
}

base::Result<SchemaShape> in_memory(const Making& make) {
  auto memory = db::open_sqlite_in_memory();
  if (!memory) return memory.error();
  // As migrations are performed.
  auto off = ForeignKeysOff::begin(**memory);
  if (!off) return off.error();
  auto transaction = db::Transaction::begin(**memory);
  if (!transaction) return transaction.error();
  return make_and_read(**memory, make);
}

base::Result<SchemaShape> in_temporary_tables(db::Connection& connection, const Making& make) {
  const bool nested = connection.in_transaction();
  auto begun = connection.run_script(nested ? "SAVEPOINT scratch" : "BEGIN READ WRITE");
  if (!begun) return begun.error();
  auto shape = make_and_read(connection, [&](db::Connection& scratch) -> base::Result<void> {
    auto set = scratch.run_script("SET LOCAL search_path = pg_temp");
    return set ? make(scratch) : set;
  });
  auto undone = connection.run_script(nested ? "ROLLBACK TO SAVEPOINT scratch" : "ROLLBACK");
  if (shape && !undone) return undone.error();
  return shape;
}

base::Result<SchemaShape> shape_of(db::Connection& connection, const Making& make) {
  return connection.engine() == db::Engine::sqlite ? in_memory(make)
                                                   : in_temporary_tables(connection, make);
}

}  // namespace

base::Result<SchemaShape> shape_of_script(db::Connection& connection, std::string_view script) {
  return shape_of(connection, [&](db::Connection& scratch) { return scratch.run_script(script); });
}

base::Result<SchemaShape> shape_of_version(db::Connection& connection,
                                           std::span<const Migration> migrations, int version) {
  return shape_of(connection, [&](db::Connection& scratch) -> base::Result<void> {
    for (const Migration& each : migrations.first(static_cast<std::size_t>(version)))
      if (auto done = perform(scratch, each.up); !done) return done.error().in(each.full_name());
    return {};
  });
}

base::Result<SchemaShape> declared_shape(db::Connection& connection) {
  return shape_of_script(connection, render_model(connection.engine()));
}

}  // namespace tertulia::schema
