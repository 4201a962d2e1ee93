#include "schema/adoption_copy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "model/status.h"
#include "schema/adoption.h"
#include "schema/declared.h"
#include "schema/introspect.h"
#include "schema/sql_text.h"

namespace tertulia::schema::internal {
namespace {

// "YYYY-MM-DD HH:MM:SS.ffffff", as the older system's ORM wrote every time.
constexpr std::string_view kOlderTime =
    "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] "
    "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]'";
constexpr std::string_view kOurTime =
    "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T"
    "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'";

std::string aside(std::string_view table) {
  return fmt::format("older_{}", table);
}

// What stands where the older system left NULL and there must be something.
std::string_view filling(std::string_view table, const ColumnDescription& column) {
  if (column.name == "status") return "'not_started'";
  if (column.name == "current_round" || column.name == "round_index" || column.name == "is_active")
    return "1";
  if (column.type == ColumnType::time) return "'1970-01-01T00:00:00.000000Z'";
  if (column.type == ColumnType::text) return table == "messages" ? "''" : "'?'";
  return "0";
}

template <class E>
std::string known_values() {
  std::vector<std::string> values;
  for (const auto& [value, text] : model::Names<E>::all) values.push_back(sql_literal(text));
  return fmt::format("{}", fmt::join(values, ", "));
}

}  // namespace

base::Result<void> AdoptionCopy::run(const std::string& sql) {
  return connection_.run_script(sql);
}

bool AdoptionCopy::had(std::string_view column) const {
  return std::find(old_columns_.begin(), old_columns_.end(), column) != old_columns_.end();
}

base::Result<void> AdoptionCopy::move_aside(const std::vector<std::string>& tables) {
  struct Object {
    std::string type;
    std::string name;
    std::string table;
    std::string sql;
  };
  std::vector<Object> objects;
  auto done = connection_.each_text(
      fmt::format("SELECT type, name, tbl_name, sql FROM sqlite_schema "
                  "WHERE type IN ('trigger', 'index') AND sql IS NOT NULL AND tbl_name IN ({})",
                  literal_list(tables)),
      {}, [&](const db::Row& row) -> base::Result<void> {
        objects.push_back({.type = std::string(row.text(0)),
                           .name = std::string(row.text(1)),
                           .table = std::string(row.text(2)),
                           .sql = std::string(row.text(3))});
        return {};
      });
  if (!done) return done.error();
  for (const Object& object : objects) {
    if (auto gone = run(fmt::format("DROP {} {}", object.type, sql_name(object.name))); !gone)
      return gone;
    const TableDescription* declared = find_declared(object.table);
    const bool is_ours = std::any_of(declared->indexes.begin(), declared->indexes.end(),
                                     [&](const Index& each) { return each.name == object.name; });
    if (!is_ours)
      dropped_.push_back({object.table, fmt::format("the {} {} was taken off: {}", object.type,
                                                    object.name, object.sql)});
  }
  for (const std::string& table : tables)
    if (auto renamed = run(fmt::format("ALTER TABLE {} RENAME TO {}", table, aside(table)));
        !renamed)
      return renamed;
  return {};
}

base::Result<void> AdoptionCopy::note_what_was_dropped() {
  for (const Dropped& each : dropped_)
    if (auto noted = write_note(connection_,
                                {.kind = note::kDropped,
                                 .table = each.table,
                                 .row = {},
                                 .column = {},
                                 .words = each.words},
                                now_);
        !noted)
      return noted;
  return {};
}

std::string AdoptionCopy::value_of(const TableDescription& table,
                                   const ColumnDescription& column) const {
  // A template's name is for people; flows are called by names that a command line can hold.
  if (table.name == "flow_templates" && column.name == "name") return "'adopted-' || id";
  if (table.name == "flow_templates" && column.name == "description") return "name";
  if (!had(column.name)) {
    if (!column.nullable) return std::string(filling(table.name, column));
    return column.default_sql.empty() ? "NULL" : std::string(column.default_sql);
  }
  const std::string name = sql_name(column.name);
  std::string value = name;
  if (column.type == ColumnType::time)
    value = fmt::format(
        "CASE WHEN {0} GLOB {1} THEN substr({0}, 1, 10) || 'T' || substr({0}, 12) || 'Z' "
        "ELSE {0} END",
        name, kOlderTime);
  if (column.nullable || column.is_key) return value;
  return fmt::format("coalesce({}, {})", value, filling(table.name, column));
}

base::Result<void> AdoptionCopy::note_filled(const TableDescription& table,
                                             const ColumnDescription& column) {
  if (column.nullable || column.is_key || !had(column.name)) return {};
  return run(fmt::format(
      "INSERT INTO adopted_notes (kind, table_name, row_id, column_name, words, created_at) "
      "SELECT '{0}', '{1}', id, {2}, {3}, '{4}' FROM {5} WHERE {6} IS NULL",
      note::kFilled, table.name, sql_literal(column.name),
      sql_literal(fmt::format("it was NULL, and is {} now", filling(table.name, column))),
      base::to_iso8601(now_), aside(table.name), sql_name(column.name)));
}

base::Result<void> AdoptionCopy::keep_other_columns(const TableDescription& table) {
  std::vector<std::string> columns;
  for (const std::string& old : old_columns_) {
    const bool has_place =
        std::any_of(table.columns.begin(), table.columns.end(),
                    [&](const ColumnDescription& column) { return column.name == old; });
    // The two whose values give way to others: see value_of.
    const bool is_replaced =
        table.name == "flow_templates" && (old == "name" || old == "description");
    if (has_place && !is_replaced) continue;
    if (auto kept = run(
            fmt::format("INSERT INTO adopted_leftovers (table_name, row_id, column_name, value) "
                        "SELECT '{0}', id, {1}, CASE typeof({2}) WHEN 'blob' THEN hex({2}) "
                        "ELSE CAST({2} AS TEXT) END FROM {3} WHERE {2} IS NOT NULL",
                        table.name, sql_literal(old), sql_name(old), aside(table.name)));
        !kept)
      return kept;
  }
  return {};
}

// Before the rows meet the head's unique indexes.
base::Result<void> AdoptionCopy::make_unique(const TableDescription& table) {
  struct Rule {
    std::string_view table;
    std::string_view key;        // what must be unique together with `column`
    std::string_view column;     // what a later row of the same value changes
    std::string_view new_value;  // over the old table, `n` counting the later rows from 1
    std::string_view kind;
  };
  constexpr Rule kRules[] = {
      {"roles", "1", "name", "o.name || ' (' || o.id || ')'", note::kRenamed},
      {"session_roles", "session_id", "role_ref", "o.role_ref || ' (' || o.id || ')'",
       note::kRenamed},
      {"step_execution_logs", "session_id", "execution_order",
       "(SELECT coalesce(max(m.execution_order), 0) FROM older_step_execution_logs m "
       "WHERE m.session_id IS o.session_id) + t.n",
       note::kRenumbered}};
  for (const Rule& rule : kRules) {
    if (rule.table != table.name) continue;
    const std::string old = aside(table.name);
    const std::string script = fmt::format(
        "CREATE TEMP TABLE twice AS SELECT t.id, o.{1} AS old_value, {2} AS new_value FROM "
        "(SELECT id, row_number() OVER (PARTITION BY {3} ORDER BY id) AS n FROM "
        "(SELECT id, session_id, row_number() OVER (PARTITION BY {3}, {1} ORDER BY id) AS nth "
        "FROM (SELECT id, {1}, {4} AS session_id FROM {0})) WHERE nth > 1) t "
        "JOIN {0} o ON o.id = t.id;"
        "INSERT INTO adopted_leftovers (table_name, row_id, column_name, value) "
        "SELECT '{5}', id, '{1}', old_value FROM twice WHERE old_value IS NOT NULL;"
        "INSERT INTO adopted_notes (kind, table_name, row_id, column_name, words, created_at) "
        "SELECT '{6}', '{5}', id, '{1}', coalesce(old_value, 'NULL') || "
        "' was there already: it is ' || new_value || ' now', '{7}' FROM twice ORDER BY id;"
        "UPDATE {0} SET {1} = (SELECT new_value FROM twice WHERE twice.id = {0}.id) "
        "WHERE id IN (SELECT id FROM twice);"
        "DROP TABLE twice",
        old, rule.column, rule.new_value, rule.key == "1" ? "1" : "session_id",
        rule.key == "1" ? "1" : "session_id", table.name, rule.kind, base::to_iso8601(now_));
    if (auto done = run(script); !done) return done;
  }
  return {};
}

// Times in other forms: what can be read is written as ours, what cannot is taken for unknown.
base::Result<void> AdoptionCopy::read_times(const TableDescription& table,
                                            const ColumnDescription& column) {
  struct Change {
    std::int64_t row = 0;
    std::string old_text;
    std::optional<base::Timestamp> time;
  };
  std::vector<Change> changes;
  const std::string name = sql_name(column.name);
  auto done = connection_.each_text(
      fmt::format("SELECT id, {0} FROM {1} WHERE {0} IS NOT NULL AND {0} NOT GLOB {2}", name,
                  table.name, kOurTime),
      {}, [&](const db::Row& row) -> base::Result<void> {
        const std::string text(row.text(1));
        changes.push_back({row.integer(0), text, base::parse_iso8601(text)});
        return {};
      });
  if (!done) return done.error();
  for (const Change& change : changes) {
    if (auto kept =
            keep_leftover(connection_, table.name, change.row, column.name, change.old_text);
        !kept)
      return kept;
    const std::string value = change.time       ? sql_literal(base::to_iso8601(*change.time))
                              : column.nullable ? std::string("NULL")
                                                : std::string(filling(table.name, column));
    if (auto set = run(fmt::format("UPDATE {} SET {} = {} WHERE id = {}", table.name, name, value,
                                   change.row));
        !set)
      return set;
    if (change.time) continue;
    if (auto noted = write_note(
            connection_,
            {.kind = note::kUnreadable,
             .table = table.name,
             .row = change.row,
             .column = column.name,
             .words = fmt::format("'{}' is no time: it is {} now", change.old_text, value)},
            now_);
        !noted)
      return noted;
  }
  return {};
}

// Words of the closed lists that are not in them would make every list of sessions unreadable.
base::Result<void> AdoptionCopy::read_words(const TableDescription& table) {
  struct Rule {
    std::string_view table;
    std::string_view column;
    std::string known;
    std::string_view instead;
  };
  const Rule rules[] = {
      {"sessions", "status", known_values<model::SessionStatus>(), "'failed'"},
      {"step_execution_logs", "status", known_values<model::StepStatus>(), "'failed'"},
      {"step_execution_logs", "result_type", known_values<model::ResultType>(), "NULL"}};
  for (const Rule& rule : rules) {
    if (rule.table != table.name) continue;
    const std::string script = fmt::format(
        "INSERT INTO adopted_leftovers (table_name, row_id, column_name, value) "
        "SELECT '{0}', id, '{1}', {1} FROM {0} WHERE {1} NOT IN ({2});"
        "INSERT INTO adopted_notes (kind, table_name, row_id, column_name, words, created_at) "
        "SELECT '{3}', '{0}', id, '{1}', '''' || {1} || ''' is no {1} of a row: it is ' || {4} || "
        "' now', '{5}' FROM {0} WHERE {1} NOT IN ({2});"
        "UPDATE {0} SET {1} = {6} WHERE {1} NOT IN ({2})",
        table.name, rule.column, rule.known, note::kUnreadable,
        rule.instead == "NULL" ? "'NULL'" : rule.instead, base::to_iso8601(now_), rule.instead);
    if (auto done = run(script); !done) return done;
  }
  return {};
}

base::Result<std::int64_t> AdoptionCopy::bring_back(std::string_view table_name) {
  const TableDescription& table = *find_declared(table_name);
  const std::string old = aside(table_name);
  old_columns_.clear();
  auto read = connection_.each_text(
      fmt::format("SELECT name FROM pragma_table_xinfo({})", sql_literal(old)), {},
      [&](const db::Row& row) -> base::Result<void> {
        old_columns_.emplace_back(row.text(0));
        return {};
      });
  if (!read) return read.error();

  std::vector<std::string> columns, values;
  for (const ColumnDescription& column : table.columns) {
    if (auto noted = note_filled(table, column); !noted) return noted.error();
    columns.push_back(sql_name(column.name));
    values.push_back(value_of(table, column));
  }
  if (auto kept = keep_other_columns(table); !kept) return kept.error();
  if (auto unique = make_unique(table); !unique) return unique.error();
  if (auto copied = run(fmt::format("INSERT INTO {} ({}) SELECT {} FROM {} ORDER BY id", table.name,
                                    fmt::join(columns, ", "), fmt::join(values, ", "), old));
      !copied)
    return copied.error();
  for (const ColumnDescription& column : table.columns)
    if (column.type == ColumnType::time)
      if (auto times = read_times(table, column); !times) return times.error();
  if (auto words = read_words(table); !words) return words.error();

  std::int64_t before = 0, after = 0;
  auto counted = connection_.each_text(
      fmt::format("SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM {})", old, table.name),
      {}, [&](const db::Row& row) -> base::Result<void> {
        before = row.integer(0);
        after = row.integer(1);
        return {};
      });
  if (!counted) return counted.error();
  if (before != after)
    return base::Error{.code = base::Code::internal,
                       .message = fmt::format("{} of {} rows arrived", after, before)};
  if (auto gone = run(fmt::format("DROP TABLE {}", old)); !gone) return gone.error();
  return after;
}

}  // namespace tertulia::schema::internal
