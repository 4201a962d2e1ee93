#include "schema/adoption.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "schema/adoption_copy.h"
#include "schema/declared.h"
#include "schema/history.h"
#include "schema/introspect.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

struct OlderTable {
  std::string_view name;
  std::vector<std::string_view> marks;  // columns by which it is recognised
};

// The tables that the two systems share, with the columns without which they are something else.
const std::vector<OlderTable>& older_tables() {
  static const std::vector<OlderTable> tables = {
      {"roles", {"id", "name", "prompt"}},
      {"flow_templates", {"id", "name"}},
      {"flow_steps", {"id", "flow_template_id", "order", "speaker_role_ref"}},
      {"sessions", {"id", "flow_template_id", "status"}},
      {"session_roles", {"id", "session_id", "role_ref"}},
      {"messages", {"id", "session_id", "speaker_session_role_id", "content"}},
      {"step_execution_logs", {"id", "session_id", "step_id", "execution_order"}}};
  return tables;
}

// A file that has fewer of the six first tables than this is not recognised by them.
constexpr std::size_t kFewestTables = 3;

constexpr std::string_view kNoteText =
    "INSERT INTO adopted_notes (kind, table_name, row_id, column_name, words, created_at) "
    "VALUES ($1, $2, $3, $4, $5, $6)";
constexpr db::Sql kNote{.name = "write_note", .sqlite = kNoteText, .postgres = kNoteText};
constexpr std::string_view kLeftoverText =
    "INSERT INTO adopted_leftovers (table_name, row_id, column_name, value) VALUES ($1, $2, $3, "
    "$4)";
constexpr db::Sql kLeftover{
    .name = "keep_leftover", .sqlite = kLeftoverText, .postgres = kLeftoverText};

base::Result<std::vector<std::string>> tables_of(db::Connection& connection) {
  std::vector<std::string> names;
  auto done = connection.each_text(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
      "ESCAPE '\\' ORDER BY name",
      {}, [&](const db::Row& row) -> base::Result<void> {
        names.emplace_back(row.text(0));
        return {};
      });
  if (!done) return done.error();
  return names;
}

// What the versions 2, 3 and 4 brought.
int satisfied_by(const SchemaShape& shape, std::vector<Difference>& missing) {
  int satisfied = 4;
  const auto lacks = [&](int version, std::string_view table, std::string object,
                         std::string expected) {
    satisfied = std::min(satisfied, version - 1);
    missing.push_back({.table = std::string(table),
                       .object = std::move(object),
                       .kind = Difference::Kind::missing,
                       .expected = std::move(expected),
                       .found = {},
                       .can_be_added = false,
                       .remedy = "tertulia db adopt"});
  };
  for (const OlderTable& each : older_tables())
    if (!shape.tables.contains(std::string(each.name)))
      lacks(each.name == "step_execution_logs" ? 4 : 1, each.name, "table",
            fmt::format("{} columns", find_declared(each.name)->columns.size()));
  const auto lacks_column = [&](const char* table, const char* column) {
    const auto found = shape.tables.find(table);
    return found != shape.tables.end() && !found->second.columns.contains(column);
  };
  if (lacks_column("flow_templates", "topic")) lacks(2, "flow_templates", "column topic", "text");
  if (lacks_column("flow_steps", "_knowledge_base_config"))
    lacks(3, "flow_steps", "column _knowledge_base_config", "text");
  const auto log = shape.tables.find("step_execution_logs");
  const auto* declared = find_declared("step_execution_logs");
  if (log == shape.tables.end()) return satisfied;
  for (const auto& column : declared->columns)
    if (!log->second.columns.contains(std::string(column.name)))
      lacks(4, declared->name, fmt::format("column {}", column.name), {});
  for (const Index& index : declared->indexes)
    if (!log->second.indexes.contains(std::string(index.name)))
      lacks(4, declared->name, fmt::format("index {}", index.name),
            fmt::format("({})", index.columns));
  return satisfied;
}

base::Result<void> run_migrations(db::Connection& connection, base::Timestamp now) {
  if (auto created = create_history(connection); !created) return created;
  for (const Migration& migration : migrations(connection.engine())) {
    if (auto done = perform(connection, migration.up); !done)
      return done.error().in(migration.full_name());
    if (auto recorded = record(connection, migration, now, now); !recorded) return recorded;
  }
  return {};
}

}  // namespace

base::Result<void> write_note(db::Connection& connection, const AdoptionNote& note,
                              base::Timestamp now) {
  const std::string time = base::to_iso8601(now);
  const std::array<db::Param, 6> params = {
      note.kind,
      note.table,
      note.row ? db::Param(*note.row) : db::Param(nullptr),
      note.column.empty() ? db::Param(nullptr) : db::Param(note.column),
      std::string_view(note.words),
      std::string_view(time)};
  auto done = connection.run(kNote, params);
  if (!done) return done.error();
  return {};
}

base::Result<void> keep_leftover(db::Connection& connection, std::string_view table,
                                 std::int64_t row, std::string_view column,
                                 std::string_view value) {
  const std::array<db::Param, 4> params = {table, row, column, value};
  auto done = connection.run(kLeftover, params);
  if (!done) return done.error();
  return {};
}

base::Result<Recognition> recognise(db::Connection& connection) {
  Recognition found;
  auto situation = read_situation(connection);
  if (!situation) return situation.error();
  if (situation->history_is_ours && !situation->rows.empty()) {
    found.origin = Origin::ours;
    return found;
  }
  auto tables = tables_of(connection);
  if (!tables) return tables.error();
  if (tables->empty()) return found;
  found.origin = Origin::foreign;
  if (situation->has_history) {
    found.why = "its table schema_migrations is another program's";
    return found;
  }
  for (const std::string& name : *tables)
    if (!situation->shape.tables.contains(name)) found.unknown.push_back(name);
  for (const auto& table : situation->shape.tables) {
    const std::string& name = table.first;
    const auto& known = older_tables();
    const auto older = std::find_if(known.begin(), known.end(),
                                    [&](const OlderTable& each) { return each.name == name; });
    if (older == known.end()) {
      found.why = fmt::format(
          "it has Tertulia's table {} without the history of migrations: restore a backup", name);
      return found;
    }
    for (const auto mark : older->marks)
      if (!table.second.columns.contains(std::string(mark))) {
        found.why =
            fmt::format("its table {} has no column {}, which the older system's has", name, mark);
        return found;
      }
  }
  std::size_t count = 0;
  for (const OlderTable& each : older_tables()) {
    if (!situation->shape.tables.contains(std::string(each.name))) continue;
    found.tables.emplace_back(each.name);
    if (each.name != "step_execution_logs") ++count;
  }
  if (count < kFewestTables) {
    found.why = fmt::format("it has {} of the older system's six tables (it has {})", count,
                            fmt::join(*tables, ", "));
    return found;
  }
  found.origin = Origin::older;
  found.satisfied = satisfied_by(situation->shape, found.missing);
  return found;
}

base::Result<std::vector<AdoptedTable>> adopt_structure(db::Connection& connection,
                                                        const Recognition& recognition,
                                                        base::Timestamp now) {
  internal::AdoptionCopy copy(connection, now);
  if (auto aside = copy.move_aside(recognition.tables); !aside) return aside.error();
  if (auto migrated = run_migrations(connection, now); !migrated) return migrated.error();
  if (auto noted = copy.note_what_was_dropped(); !noted) return noted.error();
  for (const Difference& each : recognition.missing)
    if (auto noted = write_note(connection,
                                {.kind = note::kMissing,
                                 .table = each.table,
                                 .row = {},
                                 .column = {},
                                 .words = fmt::format("the {} was not there", each.object)},
                                now);
        !noted)
      return noted.error();
  std::vector<AdoptedTable> tables;
  for (const OlderTable& each : older_tables()) {
    AdoptedTable table{.table = std::string(each.name), .rows = 0, .was_there = false};
    table.was_there = std::find(recognition.tables.begin(), recognition.tables.end(), each.name) !=
                      recognition.tables.end();
    if (table.was_there) {
      auto rows = copy.bring_back(each.name);
      if (!rows) return rows.error().in(each.name);
      table.rows = *rows;
    }
    tables.push_back(std::move(table));
  }
  auto shape = introspect(connection, declared_names());
  if (!shape) return shape.error();
  if (fingerprint(*shape) != migrations(connection.engine()).back().fingerprint)
    return base::Error{.code = base::Code::internal,
                       .message =
                           "the adopted schema is not this program's: the file was not "
                           "changed"};
  return tables;
}

base::Result<void> note_orphans(db::Connection& connection, base::Timestamp now) {
  struct Orphan {
    std::string table;
    std::int64_t row = 0;
    std::string column;
    std::string parent;
  };
  std::vector<Orphan> orphans;
  auto done = connection.each_text(
      fmt::format("SELECT m.name, f.rowid, l.\"from\", f.parent FROM sqlite_schema m "
                  "JOIN pragma_foreign_key_check(m.name) f "
                  "JOIN pragma_foreign_key_list(m.name) l ON l.id = f.fkid "
                  "WHERE m.type = 'table' AND m.name IN ({0}) "
                  "AND NOT EXISTS (SELECT 1 FROM adopted_notes n WHERE n.kind = '{1}' AND "
                  "n.table_name = m.name AND n.row_id = f.rowid AND n.column_name = l.\"from\") "
                  "ORDER BY m.name, f.rowid",
                  internal::literal_list(declared_names()), note::kOrphan),
      {}, [&](const db::Row& row) -> base::Result<void> {
        orphans.push_back({.table = std::string(row.text(0)),
                           .row = row.integer(1),
                           .column = std::string(row.text(2)),
                           .parent = std::string(row.text(3))});
        return {};
      });
  if (!done) return done.error();
  for (const Orphan& orphan : orphans)
    if (auto noted = write_note(
            connection,
            {.kind = note::kOrphan,
             .table = orphan.table,
             .row = orphan.row,
             .column = orphan.column,
             .words = fmt::format("it names a row of {} that is not there", orphan.parent)},
            now);
        !noted)
      return noted;
  return {};
}

}  // namespace tertulia::schema
