#include "schema/references.h"

#include <fmt/format.h>

#include "schema/declared.h"
#include "schema/introspect.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

std::string leads_nowhere(std::int64_t row, std::string_view table, std::string_view parent) {
  return fmt::format("row {} of {} refers to a row of {} that is not there", row, table, parent);
}

}  // namespace

base::Result<std::vector<std::string>> broken_references_sqlite(db::Connection& connection,
                                                                const SchemaShape& shape,
                                                                Known known) {
  std::vector<std::string> names;
  for (const auto& [name, table] : shape.tables) names.push_back(name);
  std::string unknown_only;
  if (known == Known::left_out && shape.tables.contains("adopted_notes"))
    unknown_only =
        "AND NOT EXISTS (SELECT 1 FROM adopted_notes n JOIN pragma_foreign_key_list(m.name) l "
        "ON l.\"from\" = n.column_name WHERE n.kind = 'orphan' AND n.table_name = m.name "
        "AND n.row_id = f.rowid AND l.id = f.fkid) ";
  std::vector<std::string> broken;
  auto checked = connection.each_text(
      fmt::format("SELECT f.rowid, m.name, f.parent FROM sqlite_schema m "
                  "JOIN pragma_foreign_key_check(m.name) f "
                  "WHERE m.type = 'table' AND m.name IN ({}) {}ORDER BY m.name, f.rowid",
                  internal::literal_list(names), unknown_only),
      {}, [&](const db::Row& row) -> base::Result<void> {
        broken.push_back(leads_nowhere(row.integer(0), row.text(1), row.text(2)));
        return {};
      });
  if (!checked) return checked.error();
  return broken;
}

base::Result<std::vector<std::string>> broken_references_postgres(db::Connection& connection) {
  std::vector<std::string> broken;
  for (const auto& table : declared_tables()) {
    for (const auto& column : table.columns) {
      if (column.parent.empty()) continue;
      const std::string sql = fmt::format(
          "SELECT t.{0} FROM {1} t WHERE t.{2} IS NOT NULL "
          "AND NOT EXISTS (SELECT 1 FROM {3} p WHERE p.id = t.{2}) ORDER BY t.{0}",
          sql_name(table.columns.front().name), sql_name(table.name), sql_name(column.name),
          sql_name(column.parent));
      auto checked = connection.each_text(sql, {}, [&](const db::Row& row) -> base::Result<void> {
        broken.push_back(leads_nowhere(row.integer(0), table.name, column.parent));
        return {};
      });
      if (!checked) return checked.error();
    }
  }
  return broken;
}

}  // namespace tertulia::schema
