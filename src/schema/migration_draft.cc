#include "schema/migration_draft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "schema/declared.h"
#include "schema/render.h"
#include "schema/scratch.h"
#include "schema/shape_words.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

constexpr std::size_t kLineLength = 100;

base::Error invalid(std::string message, std::string remedy = {}) {
  return {.code = base::Code::invalid, .message = std::move(message), .remedy = std::move(remedy)};
}

struct Side {
  const SchemaShape& shape;
  std::span<const TableDescription> tables;  // those of the shape that are to be written, at least

  // A table of the shape is among them: a defect otherwise.
  [[nodiscard]] const TableDescription& table(std::string_view name) const {
    return *std::find_if(tables.begin(), tables.end(),
                         [&](const TableDescription& each) { return each.name == name; });
  }
};

// The statements from one schema to another, or what stands in their way.
class Crossing final {
 public:
  Crossing(db::Engine engine, const Side& from, const Side& to)
      : engine_(engine), from_(from), to_(to) {}

  void cross() {
    for_each_kept([&](const auto& name, const auto& was, const auto& is) {
      find_obstacles(name, was, is);
      drop_indexes(was, is);
    });
    for (const auto& table : to_.tables)
      if (is_new(table.name)) create_table(table);
    for_each_kept([&](const auto& name, const auto& was, const auto& is) {
      add_columns(to_.table(name), was, is);
      create_indexes(to_.table(name), was, is);
      drop_columns(name, was, is);
    });
    // Those that refer to others stand after them.
    for (auto table = from_.tables.rbegin(); table != from_.tables.rend(); ++table)
      if (!to_.shape.tables.contains(std::string(table->name)))
        perform(fmt::format("drops table {}", table->name),
                fmt::format("DROP TABLE {}", sql_name(table->name)));
  }

  std::vector<std::string> statements;
  std::vector<std::string> changes;
  std::vector<std::string> obstacles;

 private:
  void perform(std::string change, std::string statement) {
    changes.push_back(std::move(change));
    statements.push_back(std::move(statement));
  }

  bool is_new(std::string_view name) const {
    return to_.shape.tables.contains(std::string(name)) &&
           !from_.shape.tables.contains(std::string(name));
  }

  // Of tables that are on both sides and differ.
  template <class Fn>
  void for_each_kept(Fn fn) const {
    for (const auto& [name, is] : to_.shape.tables)
      if (const auto was = from_.shape.tables.find(name);
          was != from_.shape.tables.end() && was->second != is)
        fn(name, was->second, is);
  }

  void find_obstacles(const std::string& name, const TableShape& was, const TableShape& is) {
    constexpr std::string_view kRebuild = "for which the table must be rebuilt";
    for (const auto& [column, shape] : is.columns)
      if (const auto old = was.columns.find(column);
          old != was.columns.end() && old->second != shape)
        obstacles.push_back(fmt::format("{}.{} becomes {} from {}, {}", name, column, shape.words(),
                                        old->second.words(), kRebuild));
    if (was.primary_key != is.primary_key)
      obstacles.push_back(fmt::format("{} gets another primary key, {}", name, kRebuild));
    const auto differ = [&](std::string_view what, const std::set<std::string>& old,
                            const std::set<std::string>& now) {
      for (const auto& words : now)
        if (!old.contains(words))
          obstacles.push_back(fmt::format("{} gets {} {}, {}", name, what, words, kRebuild));
      for (const auto& words : old)
        if (!now.contains(words))
          obstacles.push_back(fmt::format("{} loses {} {}, {}", name, what, words, kRebuild));
    };
    differ("check", was.checks, is.checks);
    differ("constraint", was.uniques, is.uniques);
    differ("option", was.options, is.options);
    differ("foreign key", of_kept_columns(was, is), of_kept_columns(is, was));
    if (was.triggers != is.triggers)
      obstacles.push_back(fmt::format("{} gets other triggers, which no model declares", name));
  }

  // The foreign keys of `table` but for those that come or go with their column.
  static std::set<std::string> of_kept_columns(const TableShape& table, const TableShape& other) {
    std::set<std::string> kept = table.foreign_keys;
    for (const auto& [column, unused] : table.columns)
      if (!other.columns.contains(column))
        std::erase_if(kept, [start = fmt::format("({}) ", column)](const std::string& words) {
          return words.starts_with(start);
        });
    return kept;
  }

  void create_table(const TableDescription& table) {
    perform(fmt::format("creates table {}", table.name), render_table(engine_, table));
    for (const Index& index : table.indexes) statements.push_back(render_index(table, index));
  }

  void add_columns(const TableDescription& table, const TableShape& was, const TableShape& is) {
    for (const auto& column : table.columns) {
      const std::string name(column.name);
      if (was.columns.contains(name) || !is.columns.contains(name)) continue;
      const bool has_default = !column.default_sql.empty();
      if (column.is_key) {
        obstacles.push_back(fmt::format("{}.{} would be a new key", table.name, name));
      } else if (!column.nullable && !has_default) {
        obstacles.push_back(
            fmt::format("{}.{} may not be NULL and has no default, so rows that are there have no "
                        "value for it",
                        table.name, name));
      } else if (!column.parent.empty() && has_default && engine_ == db::Engine::sqlite) {
        obstacles.push_back(
            fmt::format("{}.{} refers to {} and has a default, which SQLite cannot add", table.name,
                        name, column.parent));
      } else {
        perform(fmt::format("adds column {}.{}", table.name, name),
                fmt::format("ALTER TABLE {} ADD COLUMN {}", sql_name(table.name),
                            render_column(engine_, table, column)));
      }
    }
  }

  void create_indexes(const TableDescription& table, const TableShape& was, const TableShape& is) {
    for (const Index& index : table.indexes) {
      const std::string name(index.name);
      if (differs(name, is, was))
        perform(fmt::format("creates index {}", name), render_index(table, index));
    }
  }

  void drop_indexes(const TableShape& was, const TableShape& is) {
    for (const auto& [name, unused] : was.indexes)
      if (differs(name, was, is))
        perform(fmt::format("drops index {}", name), fmt::format("DROP INDEX {}", sql_name(name)));
  }

  // Is this index of `table` another one in `other`, or none?
  static bool differs(const std::string& name, const TableShape& table, const TableShape& other) {
    const auto there = other.indexes.find(name);
    return there == other.indexes.end() || there->second != table.indexes.at(name);
  }

  void drop_columns(const std::string& table, const TableShape& was, const TableShape& is) {
    for (const auto& [column, unused] : was.columns)
      if (!is.columns.contains(column))
        perform(fmt::format("drops column {}.{}", table, column),
                fmt::format("ALTER TABLE {} DROP COLUMN {}", sql_name(table), sql_name(column)));
  }

  db::Engine engine_;
  Side from_;
  Side to_;
};

// Those of its tables that `other` has otherwise, or has not.
SchemaShape different(const SchemaShape& shape, const SchemaShape& other) {
  SchemaShape some;
  for (const auto& [name, table] : shape.tables)
    if (const auto there = other.tables.find(name);
        there == other.tables.end() || there->second != table)
      some.tables.emplace(name, table);
  return some;
}

std::string script_of(const std::vector<std::string>& statements) {
  std::string script;
  for (const auto& statement : statements) script += statement + ";\n";
  return script;
}

// Fingerprints cover the tables that the program knows of. One that left the model must still be
// known, or the fingerprints of all versions that had it would change.
base::Result<void> all_are_known(std::span<const Migration> history) {
  for (const auto& migration : history)
    for (const Statement& statement : migration.up.statements) {
      const auto tokens = tokens_of(statement.sql);
      if (!tokens) return tokens.error();
      if (tokens->size() < 3 || !(*tokens)[0].is("create") || !(*tokens)[1].is("table")) continue;
      const std::size_t at = (*tokens)[2].is("if") ? 5 : 2;  // IF NOT EXISTS
      if (at >= tokens->size()) continue;
      const std::string& name = (*tokens)[at].text;
      const auto& known = declared_names();
      if (std::find(known.begin(), known.end(), name) == known.end())
        return invalid(fmt::format("{} makes the table {}, which the model has no more",
                                   migration.full_name(), name),
                       fmt::format("put \"{}\" into kFormerTables in src/schema/declared.h", name));
    }
  return {};
}

// Performs `script` as one more migration after `history`: that is then its last.
base::Result<void> leads_to(db::Connection& connection, std::vector<Migration>& history,
                            const std::string& script, std::string_view where,
                            const std::string& expected) {
  auto parsed = parse_script(connection.engine(), script);
  if (!parsed) return parsed.error();
  history.emplace_back().name = where;
  history.back().up = *std::move(parsed);
  auto shape = shape_of_version(connection, history, static_cast<int>(history.size()));
  if (!shape) return shape.error().in(fmt::format("trying the draft's {}", where));
  if (fingerprint(*shape) == expected) return {};
  return base::Error{
      .code = base::Code::internal,
      .message = fmt::format("the draft's {} does not lead where it should: {}", where, script)};
}

// Long statements over several lines, as people write them.
std::string laid_out(std::string statement) {
  for (const std::string_view before : {" ON ", " WHERE "}) {
    const std::size_t line = statement.rfind('\n') == std::string::npos ? 0 : statement.rfind('\n');
    const std::size_t at = statement.find(before);
    const bool is_index = statement.find(" INDEX ") < statement.find('(');
    if (is_index && statement.size() - line >= kLineLength && at != std::string::npos)
      statement.replace(at, 1, "\n    ");
  }
  return statement;
}

std::string laid_out(const std::vector<std::string>& statements) {
  std::string text;
  for (const auto& statement : statements) {
    // A table stands apart from what is before it.
    if (!text.empty() && statement.starts_with("CREATE TABLE")) text += '\n';
    text += laid_out(statement) + ";\n";
  }
  return text;
}

// As a comment of lines that are not too long.
std::string comment(std::string_view words) {
  std::string text = "--";
  std::size_t line = 0;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (text.size() - line + 1 + end > kLineLength) {
      line = text.size() + 1;
      text += "\n--";
    }
    text += fmt::format(" {}", words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return text + '\n';
}

std::string down_text(const MigrationDraft& draft) {
  return draft.irreversible.empty() ? laid_out(draft.down)
                                    : fmt::format("-- irreversible: {}\n", draft.irreversible);
}

}  // namespace

base::Result<MigrationDraft> draft_migration(db::Engine engine, const SchemaShape& head,
                                             const SchemaShape& wanted,
                                             std::span<const TableDescription> declared) {
  auto words = ShapeWords::of(different(head, wanted));
  if (!words) return words.error();
  const Side here{.shape = head, .tables = words->tables()};
  const Side there{.shape = wanted, .tables = declared};
  Crossing up(engine, here, there);
  up.cross();
  if (!up.obstacles.empty())
    return invalid(fmt::format("{}; that cannot be drafted", fmt::join(up.obstacles, "; ")),
                   "write this migration by hand: docs/migrations.md");
  Crossing down(engine, there, here);
  down.cross();
  MigrationDraft draft{.changes = std::move(up.changes),
                       .up = std::move(up.statements),
                       .down = std::move(down.statements),
                       .irreversible = fmt::format("{}", fmt::join(down.obstacles, "; ")),
                       .fingerprint = {}};
  if (!draft.irreversible.empty()) draft.down.clear();
  return draft;
}

base::Result<MigrationDraft> draft_from_model(db::Connection& connection,
                                              std::span<const Migration> history) {
  if (auto known = all_are_known(history); !known) return known.error();
  auto head = shape_of_version(connection, history, static_cast<int>(history.size()));
  if (!head) return head.error();
  auto wanted = declared_shape(connection);
  if (!wanted) return wanted.error();
  auto draft = draft_migration(connection.engine(), *head, *wanted, declared_tables());
  if (!draft || draft->up.empty()) return draft;
  draft->fingerprint = fingerprint(*wanted);
  std::vector<Migration> tried(history.begin(), history.end());
  const std::string up = script_of(draft->up);
  if (auto right = leads_to(connection, tried, up, "up", draft->fingerprint); !right)
    return right.error();
  if (!draft->irreversible.empty()) return draft;
  const std::string down = script_of(draft->down);
  if (auto right = leads_to(connection, tried, down, "down", fingerprint(*head)); !right)
    return right.error();
  return draft;
}

std::vector<DraftedFile> migration_files(const MigrationDraft& sqlite,
                                         const MigrationDraft& postgres, std::string_view why) {
  const std::string about =
      comment(why.empty() ? fmt::format("This {}.", fmt::join(sqlite.changes, ", ")) : why);
  const std::string sqlite_line = fmt::format("-- fingerprint sqlite: {}\n", sqlite.fingerprint);
  const std::string postgres_line =
      fmt::format("-- fingerprint postgres: {}\n", postgres.fingerprint);
  // Whether a program of the version before may go on is the author's to say.
  constexpr std::string_view kCompatible = "-- compatible: no\n\n";
  std::vector<DraftedFile> files;
  if (sqlite.up == postgres.up) {
    files.push_back({.name = "up.sql",
                     .text = fmt::format("{}{}{}{}{}", about, sqlite_line, postgres_line,
                                         kCompatible, laid_out(sqlite.up))});
  } else {
    files.push_back(
        {.name = "up.sqlite.sql",
         .text = fmt::format("{}{}{}{}", about, sqlite_line, kCompatible, laid_out(sqlite.up))});
    files.push_back({.name = "up.postgres.sql",
                     .text = fmt::format("{}{}{}{}", about, postgres_line, kCompatible,
                                         laid_out(postgres.up))});
  }
  if (down_text(sqlite) == down_text(postgres)) {
    files.push_back({.name = "down.sql", .text = down_text(sqlite)});
  } else {
    files.push_back({.name = "down.sqlite.sql", .text = down_text(sqlite)});
    files.push_back({.name = "down.postgres.sql", .text = down_text(postgres)});
  }
  return files;
}

}  // namespace tertulia::schema
