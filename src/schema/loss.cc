#include "schema/loss.h"

#include <fmt/format.h>

#include <algorithm>

#include "db/value.h"
#include "schema/scratch.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

// The columns of a rebuilt table that its new shape does not have, unless a new column is made of
// them.
base::Result<void> add_columns_left_out(db::Connection& connection, const Statement& statement,
                                        const SchemaShape& shape, std::vector<Dropped>& dropped) {
  const Rebuild& rebuild = *statement.rebuild;
  const auto old = shape.tables.find(rebuild.table);
  if (old == shape.tables.end()) return {};
  auto made = shape_of_script(connection, statement.sql);
  if (!made) return made.error();
  const auto is_used = [&](const std::string& column) {
    return std::any_of(
        rebuild.options.values.begin(), rebuild.options.values.end(), [&](const auto& value) {
          const auto tokens = tokens_of(value.second);
          return tokens && std::any_of(tokens->begin(), tokens->end(), [&](const Token& token) {
                   return token.is_name() && token.text == column;
                 });
        });
  };
  for (const auto& [column, unused] : old->second.columns)
    if (!made->tables[rebuild.table].columns.contains(column) && !is_used(column))
      dropped.push_back({.table = rebuild.table, .column = column});
  return {};
}

}  // namespace

std::string Loss::words() const {
  return column.empty() ? fmt::format("{} rows of {}", rows, table)
                        : fmt::format("{} values of {}.{}", rows, table, column);
}

namespace internal {

base::Result<std::vector<Loss>> losses_of(db::Connection& connection, const Script& script,
                                          const SchemaShape& shape) {
  std::vector<Dropped> dropped = script.dropped;
  for (const Statement& statement : script.statements)
    if (statement.rebuild)
      if (auto found = add_columns_left_out(connection, statement, shape, dropped); !found)
        return found.error();
  std::vector<Loss> losses;
  for (const auto& [table, column] : dropped) {
    const auto there = shape.tables.find(table);
    if (there == shape.tables.end()) continue;
    if (!column.empty() && !there->second.columns.contains(column)) continue;
    std::string sql = fmt::format("SELECT count(*) FROM {}", sql_name(table));
    if (!column.empty()) sql += fmt::format(" WHERE {} IS NOT NULL", sql_name(column));
    auto rows = db::read_integer(connection, sql);
    if (!rows) return rows.error();
    if (*rows > 0) losses.push_back({.table = table, .column = column, .rows = *rows});
  }
  return losses;
}

}  // namespace internal
}  // namespace tertulia::schema
