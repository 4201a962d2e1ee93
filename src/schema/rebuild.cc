#include "schema/rebuild.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/log.h"
#include "db/value.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

// SQLite's names do not distinguish the case of ASCII letters.
std::string folded(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

base::Error error(base::Code code, std::string message) {
  return {.code = code, .message = std::move(message)};
}

struct Object {
  std::string type;
  std::string name;
  std::string table;  // that it belongs to
  std::string sql;
};

// A reference that leads nowhere: table, rowid, parent.
using Broken = std::tuple<std::string, std::int64_t, std::string>;

class Rebuilding final {
 public:
  Rebuilding(db::Connection& connection, std::string_view table, std::string_view create_sql,
             const RebuildOptions& options)
      : connection_(connection),
        table_(table),
        new_table_("rebuilt_" + table_),
        create_sql_(create_sql),
        options_(options) {}

  base::Result<void> rebuild() {
    if (auto read = read_old(); !read) return read;
    if (auto made = make_new(); !made) return made;
    if (auto copied = copy_rows(); !copied) return copied;
    if (auto swapped = swap(); !swapped) return swapped;
    if (auto kept = keep_counter(); !kept) return kept;
    if (auto made = make_objects(); !made) return made;
    if (auto held = references_hold(); !held) return held;
    return dependents_work();
  }

 private:
  base::Result<void> run(std::string_view sql) {
    if (auto passed = base::failpoint("rebuild.step"); !passed) return passed;
    return connection_.run_script(sql);
  }

  base::Result<void> each(std::string_view sql, const db::RowFn& row) {
    const db::Param table = std::string_view(table_);
    auto done = connection_.each_text(sql, {&table, 1}, row);
    if (!done) return done.error();
    return {};
  }

  base::Result<void> read_old() {
    auto read = each(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL "
        "AND tbl_name = $1 COLLATE NOCASE ORDER BY rowid",
        [&](const db::Row& row) -> base::Result<void> {
          objects_.push_back({.type = std::string(row.text(0)),
                              .name = std::string(row.text(1)),
                              .table = std::string(row.text(2)),
                              .sql = std::string(row.text(3))});
          return {};
        });
    if (!read) return read;
    const auto old = std::find_if(objects_.begin(), objects_.end(),
                                  [](const Object& each) { return each.type == "table"; });
    if (old == objects_.end())
      return error(base::Code::invalid, fmt::format("there is no table {}", table_));
    table_ = old->name;  // as it is spelt
    objects_.erase(old);
    auto rows = count(table_);
    if (!rows) return rows.error();
    rows_ = *rows;
    if (auto counter = read_counter(); !counter) return counter;
    auto broken = broken_references();
    if (!broken) return broken.error();
    broken_ = *std::move(broken);
    auto failing = failing_dependents();
    if (!failing) return failing.error();
    failing_ = *std::move(failing);
    return {};
  }

  base::Result<std::int64_t> count(std::string_view table) {
    return db::read_integer(connection_,
                            fmt::format("SELECT count(*) FROM {}", quoted_name(table)));
  }

  base::Result<void> read_counter() {
    auto has = db::read_integer(
        connection_, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'");
    if (!has) return has.error();
    if (*has == 0) return {};
    return each("SELECT seq FROM sqlite_sequence WHERE name = $1 COLLATE NOCASE",
                [&](const db::Row& row) -> base::Result<void> {
                  counter_ = row.integer(0);
                  return {};
                });
  }

  // The wanted table under a name of its own; its text speaks of itself by the name it will have.
  base::Result<void> make_new() {
    const auto tokens = tokens_of(create_sql_);
    if (!tokens) return tokens.error();
    const bool is_this_table = tokens->size() > 3 && (*tokens)[0].is("create") &&
                               (*tokens)[1].is("table") && (*tokens)[2].is_name() &&
                               folded((*tokens)[2].text) == folded(table_) && (*tokens)[3].is("(");
    if (!is_this_table)
      return error(base::Code::invalid,
                   fmt::format("this does not create the table {}: {:.60}", table_, create_sql_));
    const Token& name = (*tokens)[2];
    return run(fmt::format("{}{}{}", create_sql_.substr(0, name.begin), quoted_name(new_table_),
                           create_sql_.substr(name.end)));
  }

  struct Column {
    std::string name;
    bool is_generated = false;
  };

  base::Result<std::vector<Column>> columns_of(std::string_view table) {
    std::vector<Column> columns;
    const db::Param name = table;
    auto read = connection_.each_text("SELECT name, hidden FROM pragma_table_xinfo($1)", {&name, 1},
                                      [&](const db::Row& row) -> base::Result<void> {
                                        columns.push_back({.name = std::string(row.text(0)),
                                                           .is_generated = row.integer(1) != 0});
                                        return {};
                                      });
    if (!read) return read.error();
    return columns;
  }

  base::Result<void> copy_rows() {
    auto old_columns = columns_of(table_);
    if (!old_columns) return old_columns.error();
    auto new_columns = columns_of(new_table_);
    if (!new_columns) return new_columns.error();
    std::map<std::string, std::string> values;
    for (const auto& [name, is_generated] : *old_columns) values[folded(name)] = quoted_name(name);
    for (const auto& given : options_.values) {
      const bool is_new =
          std::any_of(new_columns->begin(), new_columns->end(), [&](const Column& column) {
            return !column.is_generated && folded(column.name) == folded(given.first);
          });
      if (!is_new)
        return error(base::Code::invalid,
                     fmt::format("a value is given for {}.{}, which is no column that holds values",
                                 table_, given.first));
      values[folded(given.first)] = fmt::format("({})", given.second);
    }
    std::vector<std::string> into;
    std::vector<std::string> from;
    for (const auto& [name, is_generated] : *new_columns) {
      const auto value = values.find(folded(name));
      if (is_generated || value == values.end()) continue;
      into.push_back(quoted_name(name));
      from.push_back(value->second);
    }
    if (into.empty() && rows_ == 0) return {};
    if (into.empty())
      return error(base::Code::invalid,
                   fmt::format("the new shape of {} has none of its columns", table_));
    auto copied =
        run(fmt::format("INSERT INTO {} ({}) SELECT {} FROM {}", quoted_name(new_table_),
                        fmt::join(into, ", "), fmt::join(from, ", "), quoted_name(table_)));
    if (!copied) return copied.error().in(fmt::format("copying the rows of {}", table_));
    auto rows = count(new_table_);
    if (!rows) return rows.error();
    // A key with ON CONFLICT IGNORE or REPLACE lets rows go without a word.
    if (*rows != rows_)
      return error(base::Code::conflict, fmt::format("{} has {} rows, its new shape takes only {}",
                                                     table_, rows_, *rows));
    return {};
  }

  // In SQLite's older way of renaming, which changes the table's name and nothing else: the other
  // way reads the whole schema, and stops at a view on the table that is not there at this moment.
  base::Result<void> swap() {
    if (auto dropped = run(fmt::format("DROP TABLE {}", quoted_name(table_))); !dropped)
      return dropped;
    if (auto set = run("PRAGMA legacy_alter_table = ON"); !set) return set;
    auto renamed = run(
        fmt::format("ALTER TABLE {} RENAME TO {}", quoted_name(new_table_), quoted_name(table_)));
    auto reset = connection_.run_script("PRAGMA legacy_alter_table = OFF");
    return renamed ? reset : renamed;
  }

  // The copy's counter stands at its greatest key; keys of rows deleted since are not used again.
  base::Result<void> keep_counter() {
    if (!counter_) return {};
    const auto tokens = tokens_of(create_sql_);
    if (!tokens) return tokens.error();
    if (std::none_of(tokens->begin(), tokens->end(),
                     [](const Token& token) { return token.is("autoincrement"); }))
      return {};
    const std::string name = fmt::format("'{}'", fmt::join(halves_of_quotes(table_), "''"));
    if (auto done = run(fmt::format("DELETE FROM sqlite_sequence WHERE name = {}", name)); !done)
      return done;
    return run(
        fmt::format("INSERT INTO sqlite_sequence (name, seq) VALUES ({}, {})", name, *counter_));
  }

  // The parts of a text between its single quotes.
  static std::vector<std::string> halves_of_quotes(std::string_view text) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
      if (c == '\'')
        parts.emplace_back();
      else
        parts.back() += c;
    }
    return parts;
  }

  base::Result<void> make_objects() {
    for (const auto& object : objects_) {
      if (options_.without.contains(object.name)) continue;
      if (auto made = run(object.sql); !made)
        return made.error().in(fmt::format("{} {} of {}", object.type, object.name, table_));
    }
    return {};
  }

  // Of the table and those that refer to it; sorted. What SQLite cannot check (a key that refers to
  // no unique columns) is not ours to judge here, but `references_hold` sees it become so.
  base::Result<std::vector<Broken>> broken_references() {
    std::vector<std::string> tables = {table_};
    auto read = each(
        "SELECT DISTINCT m.name FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f "
        "WHERE m.type = 'table' AND f.\"table\" = $1 COLLATE NOCASE "
        "AND m.name <> $1 COLLATE NOCASE",
        [&](const db::Row& row) -> base::Result<void> {
          tables.emplace_back(row.text(0));
          return {};
        });
    if (!read) return read.error();
    std::vector<Broken> broken;
    for (const auto& table : tables) {
      const db::Param name = std::string_view(table);
      auto checked =
          connection_.each_text("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check($1)",
                                {&name, 1}, [&](const db::Row& row) -> base::Result<void> {
                                  broken.emplace_back(row.text(0), row.integer(1), row.text(2));
                                  return {};
                                });
      if (!checked) broken.emplace_back(table, kCannotBeChecked, table_);
    }
    std::sort(broken.begin(), broken.end());
    return broken;
  }

  base::Result<void> references_hold() {
    auto now = broken_references();
    if (!now) return now.error();
    std::vector<Broken> more;
    std::set_difference(now->begin(), now->end(), broken_.begin(), broken_.end(),
                        std::back_inserter(more));
    if (more.empty()) return {};
    const auto& [table, row, parent] = more.front();
    if (row == kCannotBeChecked)
      return error(
          base::Code::conflict,
          fmt::format("{} refers to columns of {} that would no longer be unique", table, parent));
    return error(base::Code::conflict,
                 fmt::format("row {} of {} refers to a row of {} that is not there ({} such rows)",
                             row, table, parent, more.size()));
  }

  // Views and triggers that SQLite cannot compile, with its words. It looks at them only when they
  // are used; EXPLAIN compiles without performing.
  base::Result<std::map<std::string, std::string>> failing_dependents() {
    std::vector<std::pair<std::string, std::string>> probes;
    std::vector<std::string> triggered;
    auto read = connection_.each_text(
        "SELECT type, name, tbl_name FROM sqlite_schema WHERE type IN ('view', 'trigger')", {},
        [&](const db::Row& row) -> base::Result<void> {
          if (row.text(0) == "view")
            probes.emplace_back(fmt::format("the view {}", row.text(1)),
                                fmt::format("SELECT * FROM {}", quoted_name(row.text(1))));
          else
            triggered.emplace_back(row.text(2));
          return {};
        });
    if (!read) return read.error();
    for (const auto& table : triggered) {
      auto columns = columns_of(table);
      if (!columns) continue;  // a view that does not work: told as such
      std::vector<std::string> same;
      for (const auto& [name, is_generated] : *columns)
        if (!is_generated) same.push_back(fmt::format("{0} = {0}", quoted_name(name)));
      const std::string name = quoted_name(table);
      const auto words = [&](std::string_view what) {
        return fmt::format("a trigger of {} on {}", table, what);
      };
      probes.emplace_back(words("insert"), fmt::format("INSERT INTO {} DEFAULT VALUES", name));
      probes.emplace_back(words("update"),
                          fmt::format("UPDATE {} SET {}", name, fmt::join(same, ", ")));
      probes.emplace_back(words("delete"), fmt::format("DELETE FROM {}", name));
    }
    std::map<std::string, std::string> failing;
    for (const auto& [words, sql] : probes) {
      auto compiled = connection_.each_text(
          "EXPLAIN " + sql, {}, [](const db::Row&) -> base::Result<void> { return {}; });
      if (!compiled) failing.emplace(words, compiled.error().message);
    }
    return failing;
  }

  base::Result<void> dependents_work() {
    auto failing = failing_dependents();
    if (!failing) return failing.error();
    for (const auto& [words, why] : *failing)
      if (!failing_.contains(words))
        return base::Error{.code = base::Code::drift,
                           .message = fmt::format("{} would no longer work: {}", words, why),
                           .remedy = "drop it first, if it is not needed"};
    return {};
  }

  static constexpr std::int64_t kCannotBeChecked = -1;

  db::Connection& connection_;
  std::string table_;
  std::string new_table_;
  std::string_view create_sql_;
  const RebuildOptions& options_;
  std::vector<Object> objects_;  // indexes and triggers
  std::int64_t rows_ = 0;
  std::optional<std::int64_t> counter_;
  std::vector<Broken> broken_;                  // before
  std::map<std::string, std::string> failing_;  // before
};

}  // namespace

base::Result<ForeignKeysOff> ForeignKeysOff::begin(db::Connection& connection) {
  if (connection.engine() != db::Engine::sqlite) return ForeignKeysOff(nullptr);
  if (connection.in_transaction())
    return error(base::Code::internal,
                 "foreign keys can be turned off only before a transaction begins");
  auto enforced = db::read_integer(connection, "PRAGMA foreign_keys");
  if (!enforced) return enforced.error();
  if (*enforced == 0) return ForeignKeysOff(nullptr);
  if (auto off = connection.run_script("PRAGMA foreign_keys = OFF"); !off) return off.error();
  return ForeignKeysOff(&connection);
}

ForeignKeysOff::ForeignKeysOff(ForeignKeysOff&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

ForeignKeysOff::~ForeignKeysOff() {
  if (auto ended = end(); !ended)
    spdlog::error("foreign keys stay unenforced: {}", ended.error().message);
}

base::Result<void> ForeignKeysOff::end() {
  if (connection_ == nullptr) return {};
  if (connection_->in_transaction())
    return error(base::Code::internal,
                 "foreign keys can be turned on only after the transaction has ended");
  return std::exchange(connection_, nullptr)->run_script("PRAGMA foreign_keys = ON");
}

base::Result<void> rebuild_table(db::Connection& connection, std::string_view table,
                                 std::string_view create_sql, const RebuildOptions& options) {
  if (connection.engine() != db::Engine::sqlite)
    return error(base::Code::internal, "only SQLite's tables are rebuilt");
  if (!connection.in_transaction())
    return error(base::Code::internal, "a table is rebuilt within a transaction");
  auto enforced = db::read_integer(connection, "PRAGMA foreign_keys");
  if (!enforced) return enforced.error();
  if (*enforced != 0)
    return error(
        base::Code::internal,
        fmt::format("with foreign keys on, rebuilding {} would delete what refers to it", table));
  if (auto begun = connection.run_script("SAVEPOINT rebuild"); !begun) return begun;
  auto rebuilt = Rebuilding(connection, table, create_sql, options).rebuild();
  if (rebuilt) return connection.run_script("RELEASE rebuild");
  // After some errors (disk full) SQLite has rolled back the whole transaction, savepoint and all:
  // then there is nothing left to undo, and the caller's commit will say so.
  if (auto undone = connection.run_script("ROLLBACK TO rebuild; RELEASE rebuild"); !undone)
    spdlog::debug("after a failed rebuild: {}", undone.error().message);
  return rebuilt;
}

}  // namespace tertulia::schema
