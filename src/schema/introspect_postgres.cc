#include <fmt/format.h>

#include "schema/introspect.h"
#include "schema/sql_text.h"

namespace tertulia::schema::internal {
namespace {

// The tables meant, as the last part of each query's FROM and WHERE.
constexpr std::string_view kOurs =
    "c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') "
    "AND c.relname IN ({})";

// "( id )" -> "(id)"
std::string tight(std::string text) {
  for (const auto& [from, to] : {std::pair<std::string_view, std::string_view>("( ", "("),
                                 std::pair<std::string_view, std::string_view>(" )", ")"),
                                 std::pair<std::string_view, std::string_view>(" ,", ",")})
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at))
      text.replace(at, from.size(), to);
  return text;
}

class Introspection final {
 public:
  Introspection(db::Connection& connection, std::span<const std::string> tables)
      : connection_(connection), ours_(fmt::format(kOurs, literal_list(tables))) {}

  base::Result<SchemaShape> read() {
    if (auto done = read_columns(); !done) return done.error();
    if (auto done = read_constraints(); !done) return done.error();
    if (auto done = read_indexes(); !done) return done.error();
    if (auto done = read_triggers(); !done) return done.error();
    return std::move(shape_);
  }

 private:
  base::Result<void> each(std::string_view select, std::string_view order, const db::RowFn& row) {
    auto done = connection_.each_text(fmt::format("{} WHERE {} {}", select, ours_, order), {}, row);
    if (!done) return done.error();
    return {};
  }

  TableShape& table(const db::Row& row) { return shape_.tables[std::string(row.text(0))]; }

  base::Result<void> read_columns() {
    return each(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text "
        "FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum",
        "", [&](const db::Row& row) -> base::Result<void> {
          ColumnShape column{.type = canonical_type(db::Engine::postgres, row.text(2)),
                             .nullable = !row.boolean(3),
                             .default_value = canonical_expression(row.text(4)),
                             .note = {}};
          if (row.text(5) == "d") column.note = "identity";
          if (row.text(5) == "a") column.note = "identity always";
          if (!row.text(6).empty()) column.note = "generated";
          table(row).columns.emplace(row.text(1), std::move(column));
          return {};
        });
  }

  base::Result<void> read_constraints() {
    return each(
        "SELECT c.relname, k.contype::text, pg_get_constraintdef(k.oid) "
        "FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('c', 'f')",
        "", [&](const db::Row& row) -> base::Result<void> {
          constexpr std::string_view kForeignKey = "foreign key ";
          constexpr std::string_view kCheck = "CHECK";
          // Dropped while we read.
          if (row.is_null(2)) return {};
          if (row.text(1) == "f") {
            table(row).foreign_keys.insert(
                tight(normalised(row.text(2))).substr(kForeignKey.size()));
          } else {
            table(row).checks.insert(canonical_expression(row.text(2).substr(kCheck.size())));
          }
          return {};
        });
  }

  base::Result<void> read_indexes() {
    struct Made {
      bool is_primary = false;
      bool is_constraint = false;
      IndexShape shape;
    };
    std::map<std::pair<std::string, std::string>, Made> all;
    auto done = each(
        "SELECT c.relname, x.relname, i.indisprimary, i.indisunique, i.indisvalid, m.amname, "
        "pg_get_expr(i.indpred, i.indrelid), pg_get_indexdef(i.indexrelid, n.k, true), "
        "i.indoption[n.k - 1]::int, "
        "EXISTS (SELECT 1 FROM pg_constraint u WHERE u.conindid = i.indexrelid AND u.contype = 'u')"
        " FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid "
        "JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam "
        "CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS n (k)",
        "ORDER BY c.relname, x.relname, n.k", [&](const db::Row& row) -> base::Result<void> {
          Made& made = all[{std::string(row.text(0)), std::string(row.text(1))}];
          made.is_primary = row.boolean(2);
          made.is_constraint = row.boolean(9);
          made.shape.unique = row.boolean(3);
          made.shape.where = canonical_expression(row.text(6));
          if (row.text(5) != "btree") made.shape.note = row.text(5);
          if (!row.boolean(4)) made.shape.note = "invalid";
          // Bit 1: descending; bit 2: nulls first, which a descending order has by default.
          constexpr std::string_view kOrders[] = {"", " desc nulls last", " nulls first", " desc"};
          made.shape.columns.push_back(normalised(row.text(7)) +
                                       std::string(kOrders[row.integer(8) & 3]));
          return {};
        });
    if (!done) return done;
    for (auto& [key, made] : all) {
      TableShape& table = shape_.tables[key.first];
      if (made.is_primary) {
        table.primary_key = std::move(made.shape.columns);
      } else if (made.is_constraint) {
        table.uniques.insert(made.shape.words());
      } else {
        table.indexes.emplace(key.second, std::move(made.shape));
      }
    }
    return {};
  }

  base::Result<void> read_triggers() {
    return each(
        "SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid) "
        "FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal",
        "", [&](const db::Row& row) -> base::Result<void> {
          table(row).triggers.emplace(row.text(1), normalised(row.text(2)));
          return {};
        });
  }

  db::Connection& connection_;
  std::string ours_;
  SchemaShape shape_;
};

}  // namespace

base::Result<SchemaShape> introspect_postgres(db::Connection& connection,
                                              std::span<const std::string> tables) {
  return Introspection(connection, tables).read();
}

}  // namespace tertulia::schema::internal
