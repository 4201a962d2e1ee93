#include <fmt/format.h>

#include "schema/introspect.h"
#include "schema/sql_text.h"

namespace tertulia::schema::internal {
namespace {

class Introspection final {
 public:
  Introspection(db::Connection& connection, std::span<const std::string> tables)
      : connection_(connection), names_(literal_list(tables)) {}

  base::Result<SchemaShape> read() {
    if (auto done = read_columns(); !done) return done.error();
    if (auto done = read_foreign_keys(); !done) return done.error();
    if (auto done = read_texts(); !done) return done.error();
    if (auto done = read_indexes(); !done) return done.error();
    return std::move(shape_);
  }

 private:
  base::Result<void> each(std::string_view sql, const db::RowFn& row) {
    auto done = connection_.each_text(fmt::format(fmt::runtime(sql), names_), {}, row);
    if (!done) return done.error();
    return {};
  }

  base::Result<void> read_columns() {
    return each(
        "SELECT m.name, x.name, x.type, x.\"notnull\", x.dflt_value, x.pk, x.hidden "
        "FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) x "
        "WHERE m.type = 'table' AND m.name IN ({}) ORDER BY m.name, x.pk, x.cid",
        [&](const db::Row& row) -> base::Result<void> {
          TableShape& table = shape_.tables[std::string(row.text(0))];
          ColumnShape column{.type = canonical_type(db::Engine::sqlite, row.text(2)),
                             .nullable = !row.boolean(3),
                             .default_value = canonical_expression(row.text(4)),
                             .note = row.integer(6) > 1 ? "generated" : ""};
          std::string name(row.text(1));
          if (row.integer(5) > 0) {
            column.nullable = false;
            table.primary_key.push_back(name);
          }
          table.columns.emplace(std::move(name), std::move(column));
          return {};
        });
  }

  base::Result<void> read_foreign_keys() {
    struct Key {
      std::string table;
      std::int64_t id = -1;
      std::string parent;
      std::vector<std::string> columns;
      std::vector<std::string> parent_columns;
      std::string rest;
    };
    std::vector<Key> keys;
    auto done = each(
        "SELECT m.name, f.id, f.\"table\", f.\"from\", f.\"to\", f.on_update, f.on_delete "
        "FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f "
        "WHERE m.type = 'table' AND m.name IN ({}) ORDER BY m.name, f.id, f.seq",
        [&](const db::Row& row) -> base::Result<void> {
          if (keys.empty() || keys.back().table != row.text(0) ||
              keys.back().id != row.integer(1)) {
            keys.push_back({.table = std::string(row.text(0)),
                            .id = row.integer(1),
                            .parent = std::string(row.text(2)),
                            .columns = {},
                            .parent_columns = {},
                            .rest = {}});
            for (const auto& [at, when] : {std::pair(5, "update"), std::pair(6, "delete")})
              if (row.text(at) != "NO ACTION")
                keys.back().rest += fmt::format(" on {} {}", when, normalised(row.text(at)));
          }
          keys.back().columns.emplace_back(row.text(3));
          if (!row.is_null(4)) keys.back().parent_columns.emplace_back(row.text(4));
          return {};
        });
    if (!done) return done;
    for (Key& key : keys) {
      // REFERENCES without columns means the parent's primary key.
      if (key.parent_columns.empty()) {
        const auto parent = shape_.tables.find(key.parent);
        if (parent != shape_.tables.end()) key.parent_columns = parent->second.primary_key;
      }
      shape_.tables[key.table].foreign_keys.insert(
          foreign_key_words(key.columns, key.parent, key.parent_columns, key.rest));
    }
    return {};
  }

  base::Result<void> read_indexes() {
    auto done = each(
        "SELECT m.name, l.name, l.\"unique\", l.origin, x.name, x.\"desc\", x.coll, x.cid "
        "FROM sqlite_schema m JOIN pragma_index_list(m.name) l "
        "JOIN pragma_index_xinfo(l.name) x ON x.key = 1 "
        "WHERE m.type = 'table' AND m.name IN ({}) ORDER BY m.name, l.name, x.seqno",
        [&](const db::Row& row) -> base::Result<void> {
          Made& made = made_[{std::string(row.text(0)), std::string(row.text(1))}];
          made.origin = row.text(3);
          made.shape.unique = row.boolean(2);
          made.is_expression.push_back(row.integer(7) == kExpression);
          std::string column(row.text(4));
          if (row.text(6) != "BINARY")
            column += fmt::format(" collate {}", normalised(row.text(6)));
          if (row.boolean(5)) column += " desc";
          made.shape.columns.push_back(std::move(column));
          return {};
        });
    if (!done) return done;
    for (auto& [key, made] : made_) {
      TableShape& table = shape_.tables[key.first];
      if (made.origin == "pk") {
        // An INTEGER PRIMARY KEY is the rowid itself and has no index; here it is something else,
        // to which SQLite gives no values.
        table.options.insert("primary key with an index");
      } else if (made.origin == "u") {
        table.uniques.insert(made.shape.words());
      } else {
        read_index_text(index_texts_[key.second], made);
        table.indexes.emplace(key.second, std::move(made.shape));
      }
    }
    return {};
  }

  struct Made {
    std::string origin;
    std::vector<bool> is_expression;  // by column
    IndexShape shape;
  };

  // Expressions and the predicate stand in the statement alone.
  static void read_index_text(std::string_view sql, Made& made) {
    const auto tokens = tokens_of(sql);
    if (!tokens) return;
    std::size_t open = 0;
    while (open < tokens->size() && !(*tokens)[open].is("(")) ++open;
    const std::size_t close = closing(*tokens, open);
    std::size_t column = 0;
    std::size_t begin = open + 1;
    int depth = 0;
    for (std::size_t i = open + 1; i <= close && i < tokens->size(); ++i) {
      if ((*tokens)[i].is("(")) ++depth;
      if ((*tokens)[i].is(")") && i < close) --depth;
      if (i < close && !((*tokens)[i].is(",") && depth == 0)) continue;
      if (column < made.is_expression.size() && made.is_expression[column])
        made.shape.columns[column] = normalised(*tokens, begin, i);
      ++column;
      begin = i + 1;
    }
    if (close + 1 < tokens->size() && (*tokens)[close + 1].is("where")) {
      const std::size_t from = (*tokens)[close + 1].end;
      made.shape.where = canonical_expression(sql.substr(from));
    }
  }

  // What SQLite keeps as text only: checks, options of the table, triggers, predicates.
  base::Result<void> read_texts() {
    return each(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema "
        "WHERE tbl_name IN ({}) ORDER BY name",
        [&](const db::Row& row) -> base::Result<void> {
          const auto table = shape_.tables.find(std::string(row.text(2)));
          if (table == shape_.tables.end()) return {};
          if (row.text(0) == "trigger") {
            table->second.triggers.emplace(row.text(1), normalised(row.text(3)));
          } else if (row.text(0) == "index") {
            index_texts_.emplace(row.text(1), row.text(3));
          } else {
            read_table_text(row.text(3), table->second);
          }
          return {};
        });
  }

  static void read_table_text(std::string_view sql, TableShape& table) {
    const auto tokens = tokens_of(sql);
    if (!tokens) return;
    int depth = 0;
    for (std::size_t i = 0; i < tokens->size(); ++i) {
      const Token& token = (*tokens)[i];
      if (token.is("(")) ++depth;
      if (token.is(")")) --depth;
      const bool opens = i + 1 < tokens->size() && (*tokens)[i + 1].is("(");
      if (token.is("check") && opens) {
        const std::size_t begin = token.end;
        const std::size_t close = closing(*tokens, i + 1);
        if (close < tokens->size())
          table.checks.insert(
              canonical_expression(sql.substr(begin, (*tokens)[close].end - begin)));
      }
      if (token.is("autoincrement")) table.options.insert("autoincrement");
      if (depth == 0 && token.is("strict")) table.options.insert("strict");
      if (depth == 0 && token.is("rowid")) table.options.insert("without rowid");
    }
  }

  static constexpr int kExpression = -2;  // the cid of an index column that is none

  db::Connection& connection_;
  std::string names_;
  SchemaShape shape_;
  std::map<std::string, std::string> index_texts_;
  std::map<std::pair<std::string, std::string>, Made> made_;
};

}  // namespace

base::Result<SchemaShape> introspect_sqlite(db::Connection& connection,
                                            std::span<const std::string> tables) {
  return Introspection(connection, tables).read();
}

}  // namespace tertulia::schema::internal
