#include "schema/copy_orphans.h"

#include <fmt/format.h>

#include "db/value.h"
#include "schema/adoption.h"
#include "schema/declared.h"
#include "schema/sql_text.h"

namespace tertulia::schema::internal {

std::string tombstone_sql(std::string_view table, std::int64_t id,
                          const std::map<std::string, std::int64_t>& parents, base::Timestamp now) {
  const std::string time = sql_literal(base::to_iso8601(now));
  const auto parent = [&](const char* name) {
    const auto found = parents.find(name);
    return found == parents.end() ? 0 : found->second;
  };
  if (table == "flow_templates")
    return fmt::format(
        "INSERT INTO flow_templates (id, name, description, is_active, created_at, updated_at) "
        "VALUES ({0}, '(deleted flow {0})', 'Stands for a flow that was not there any more when "
        "the database was copied.', FALSE, {1}, {1})",
        id, time);
  // Nothing explains such a session, and `does_not_fit` is what says so: it is for reading only.
  if (table == "sessions")
    return fmt::format(
        "INSERT INTO sessions (id, topic, status, current_round, executed_steps_count, "
        "error_reason, created_at, updated_at, ended_at, stop_reason) VALUES ({0}, "
        "'(deleted session {0})', 'failed', 1, 0, 'Stands for a session that was not there any "
        "more when the database was copied.', {1}, {1}, {1}, '{2}')",
        id, time, model::to_text(model::StopReason::does_not_fit));
  if (table == "flow_steps")
    return fmt::format(
        "INSERT INTO flow_steps (id, flow_template_id, \"order\", description) "
        "VALUES ({0}, {1}, {0}, '(deleted step {0})')",
        id, parent("flow_templates"));
  if (table == "flow_versions")
    return fmt::format(
        "INSERT INTO flow_versions (id, flow_template_id, number, source_format, source, "
        "source_sha256, created_at) VALUES ({0}, {1}, {0}, 'yaml', '# deleted version {0}', '', "
        "{2})",
        id, parent("flow_templates"), time);
  if (table == "batches")
    return fmt::format(
        "INSERT INTO batches (id, identity, name, flow_version_id, created_at) "
        "VALUES ({0}, 'deleted batch {0}', '(deleted batch {0})', {1}, {2})",
        id, parent("flow_versions"), time);
  if (table == "step_execution_logs")
    return fmt::format(
        "INSERT INTO step_execution_logs (id, session_id, step_id, execution_order, status, "
        "error_message, created_at) VALUES ({0}, {1}, {2}, {0}, 'failed', "
        "'(deleted log row {0})', {3})",
        id, parent("sessions"), parent("flow_steps"), time);
  return {};
}

const std::set<std::int64_t>& OrphanKeeper::made_in(std::string_view table) const {
  static const std::set<std::int64_t> kNone;
  const auto found = made_.find(table);
  return found == made_.end() ? kNone : found->second;
}

base::Result<std::int64_t> OrphanKeeper::stand_in(const std::string& table) {
  if (const auto known = stand_ins_.find(table); known != stand_ins_.end()) return known->second;
  auto id = db::read_integer(
      to_, fmt::format("SELECT coalesce(max(id), 0) + 1 FROM {}", sql_name(table)));
  if (!id) return id.error();
  if (auto made = make(table, *id); !made) return made.error();
  return stand_ins_[table] = *id;
}

base::Result<void> OrphanKeeper::make(const std::string& table, std::int64_t id) {
  if (!made_[table].insert(id).second) return {};
  for (const ColumnDescription& column : find_declared(table)->columns) {
    if (column.parent.empty() || column.nullable) continue;
    if (auto parent = stand_in(std::string(column.parent)); !parent) return parent.error();
  }
  const std::string sql = tombstone_sql(table, id, stand_ins_, now_);
  if (sql.empty())
    return base::Error{.code = base::Code::internal,
                       .message = fmt::format("no row of {} can stand for a deleted one", table)};
  if (auto done = to_.run_script(sql); !done)
    return done.error().in(fmt::format("a row for the deleted row {} of {}", id, table));
  return {};
}

base::Result<void> OrphanKeeper::mend(const TableDescription& table, CopyRow& row) {
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (!row.leads_nowhere[i]) continue;
    const ColumnDescription& column = table.columns[i];
    const std::int64_t value = std::get<std::int64_t>(row.values[i]);
    orphans_.push_back({.table = std::string(table.name),
                        .row = row.key,
                        .column = std::string(column.name),
                        .parent = std::string(column.parent),
                        .value = value,
                        .is_null_now = column.nullable});
    if (column.nullable) {
      row.values[i] = nullptr;
    } else if (auto made = make(std::string(column.parent), value); !made) {
      return made;
    }
  }
  return {};
}

base::Result<void> OrphanKeeper::write_notes() {
  for (const CopiedOrphan& orphan : orphans_) {
    if (auto noted = write_note(to_,
                                {.kind = note::kCopied,
                                 .table = orphan.table,
                                 .row = orphan.row,
                                 .column = orphan.column,
                                 .words = orphan.words()},
                                now_);
        !noted)
      return noted;
    if (!orphan.is_null_now) continue;
    if (auto kept = keep_leftover(to_, orphan.table, orphan.row, orphan.column,
                                  std::to_string(orphan.value));
        !kept)
      return kept;
  }
  return {};
}

}  // namespace tertulia::schema::internal
