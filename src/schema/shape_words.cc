#include "schema/shape_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

base::Error undescribed(std::string_view what, std::string_view is) {
  return {.code = base::Code::invalid,
          .message = fmt::format("{} is {}, which no declared table has", what, is)};
}

struct NamedType {
  std::string_view name;
  ColumnType type;
};
constexpr NamedType kTypes[] = {{"integer", ColumnType::integer},
                                {"real", ColumnType::real},
                                {"boolean", ColumnType::boolean},
                                {"time", ColumnType::time},
                                {"text", ColumnType::text}};

bool read_type(std::string_view words, ColumnDescription& column) {
  for (const auto& [name, type] : kTypes)
    if (words == name) {
      column.type = type;
      return true;
    }
  constexpr std::string_view kVarchar = "varchar(";
  column.type = ColumnType::text;
  if (!words.starts_with(kVarchar)) return false;
  const auto digits = words.substr(kVarchar.size());
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), column.length);
  return read.ec == std::errc() && std::string_view(read.ptr) == ")";
}

// The table whose id a column holds, of "(column) references table (id)"; empty: none.
std::string parent_of(const std::string& column, const TableShape& shape) {
  const std::string start = fmt::format("({}) references ", column);
  constexpr std::string_view kEnd = " (id)";
  for (const std::string& words : shape.foreign_keys)
    if (words.starts_with(start) && words.ends_with(kEnd))
      return words.substr(start.size(), words.size() - start.size() - kEnd.size());
  return {};
}

// "order desc" -> "\"order\" desc"; an expression stays as it is.
std::string index_column(const std::string& words, const TableShape& table) {
  const std::size_t end = std::min(words.find(' '), words.size());
  const std::string name = words.substr(0, end);
  return table.columns.contains(name) ? sql_name(name) + words.substr(end) : words;
}

}  // namespace

base::Result<ShapeWords> ShapeWords::of(const SchemaShape& shape) {
  ShapeWords words;
  for (const auto& [name, table] : shape.tables)
    if (auto added = words.add(name, table); !added) return added.error();
  // Parents first. A circle of references, which no single CREATE TABLE could make, stays as it is.
  std::vector<TableDescription> ordered;
  std::vector<TableDescription> rest = std::move(words.tables_);
  const auto waits = [&](const TableDescription& table) {
    return std::any_of(table.columns.begin(), table.columns.end(), [&](const auto& column) {
      return column.parent != table.name &&
             std::any_of(rest.begin(), rest.end(),
                         [&](const auto& other) { return other.name == column.parent; });
    });
  };
  while (!rest.empty()) {
    auto next = std::find_if_not(rest.begin(), rest.end(), waits);
    if (next == rest.end()) next = rest.begin();
    ordered.push_back(std::move(*next));
    rest.erase(next);
  }
  words.tables_ = std::move(ordered);
  return words;
}

base::Result<void> ShapeWords::add(const std::string& name, const TableShape& shape) {
  TableDescription table{.name = keep(name), .columns = {}, .indexes = {}, .checks = {}};
  if (shape.primary_key.size() != 1) return undescribed(name, "without a key of one column");
  if (!shape.uniques.empty()) return undescribed(name, *shape.uniques.begin());
  if (!shape.triggers.empty())
    return undescribed(name, fmt::format("with trigger {}", shape.triggers.begin()->first));
  for (const auto& option : shape.options) {
    if (option != "autoincrement") return undescribed(name, option);
    table.ids_never_reused = true;
  }
  std::vector<std::string> order = {shape.primary_key.front()};
  for (const auto& [column_name, unused] : shape.columns)
    if (column_name != order.front()) order.push_back(column_name);
  std::size_t references = 0;
  for (const auto& column_name : order) {
    auto described = column(name, column_name, shape);
    if (!described) return described.error();
    if (!described->parent.empty()) ++references;
    table.columns.push_back(*described);
  }
  if (references != shape.foreign_keys.size())
    return undescribed(name, "with a foreign key to other than one id");
  for (const auto& [index_name, is] : shape.indexes) {
    auto described = index(index_name, shape, is);
    if (!described) return described.error();
    table.indexes.push_back(*described);
  }
  for (const auto& check : shape.checks) table.checks.push_back(keep(check));
  tables_.push_back(std::move(table));
  return {};
}

base::Result<ColumnDescription> ShapeWords::column(const std::string& table,
                                                   const std::string& name,
                                                   const TableShape& shape) {
  const ColumnShape& is = shape.columns.at(name);
  const bool is_key = name == shape.primary_key.front();
  ColumnDescription column{.name = keep(name),
                           .nullable = is.nullable,
                           .default_sql = keep(is.default_value),
                           .parent = keep(parent_of(name, shape)),
                           .is_key = is_key,
                           .is_generated = is.note == "identity"};
  const bool is_known = is.note.empty() || (is_key && is.note == "identity");
  if (!read_type(is.type, column) || !is_known)
    return undescribed(fmt::format("{}.{}", table, name), is.words());
  return column;
}

base::Result<Index> ShapeWords::index(const std::string& name, const TableShape& table,
                                      const IndexShape& shape) {
  if (!shape.note.empty()) return undescribed(fmt::format("index {}", name), shape.note);
  std::string columns;
  for (const auto& each : shape.columns)
    columns += (columns.empty() ? "" : ", ") + index_column(each, table);
  return Index{.name = keep(name),
               .columns = keep(std::move(columns)),
               .where = keep(shape.where),
               .unique = shape.unique};
}

}  // namespace tertulia::schema
