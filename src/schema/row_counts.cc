#include "schema/row_counts.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "db/value.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

// The tables whose number of rows the script means to change: INSERT INTO t, REPLACE INTO t,
// DELETE FROM t, TRUNCATE [TABLE] t, wherever in a statement they stand.
base::Result<std::set<std::string>> tables_meant(const Script& script) {
  std::set<std::string> tables;
  for (const Statement& statement : script.statements) {
    const auto tokens = tokens_of(statement.sql);
    if (!tokens) return tokens.error();
    for (std::size_t i = 1; i < tokens->size(); ++i) {
      const Token& before = (*tokens)[i - 1];
      const Token& token = (*tokens)[i];
      const bool is_row_change =
          token.is("into") || (before.is("delete") && token.is("from")) || before.is("truncate");
      if (!is_row_change) continue;
      const bool names_it = before.is("truncate") && !token.is("table");
      const std::size_t at = names_it ? i : i + 1;
      if (at < tokens->size()) tables.insert((*tokens)[at].text);
    }
  }
  return tables;
}

base::Result<RowCounts> count_rows_of(db::Connection& connection,
                                      const std::vector<std::string>& tables) {
  RowCounts counts;
  for (const std::string& table : tables) {
    auto rows =
        db::read_integer(connection, fmt::format("SELECT count(*) FROM {}", quoted_name(table)));
    if (!rows) return rows.error();
    counts[table] = *rows;
  }
  return counts;
}

}  // namespace

base::Result<RowCounts> count_rows(db::Connection& connection) {
  std::vector<std::string> tables;
  auto listed = connection.each_text(
      connection.engine() == db::Engine::sqlite
          ? "SELECT name FROM pragma_table_list WHERE schema = 'main' "
            "AND type IN ('table', 'shadow') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
          : "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())",
      {}, [&](const db::Row& row) -> base::Result<void> {
        tables.emplace_back(row.text(0));
        return {};
      });
  if (!listed) return listed.error();
  return count_rows_of(connection, tables);
}

base::Result<RowCounts> count_rows(db::Connection& connection, const SchemaShape& shape) {
  std::vector<std::string> tables;
  for (const auto& [name, table] : shape.tables) tables.push_back(name);
  return count_rows_of(connection, tables);
}

base::Result<void> rows_are_kept(const RowCounts& before, const RowCounts& after,
                                 const Script& script) {
  auto meant = tables_meant(script);
  if (!meant) return meant.error();
  for (const auto& [table, rows] : before) {
    const auto now = after.find(table);
    if (now == after.end() || now->second == rows || meant->contains(table)) continue;
    return base::Error{.code = base::Code::conflict,
                       .message = fmt::format("{} had {} rows and would have {}, which no "
                                              "statement of the migration asks for",
                                              table, rows, now->second)};
  }
  return {};
}

}  // namespace tertulia::schema
