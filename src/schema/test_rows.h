// Rows for tests that move a database with something in it, and what stands in its tables.
#pragma once

#include <fmt/format.h>

#include <map>

#include "schema/shape.h"
#include "schema/sql_text.h"
#include "schema/test_database.h"

namespace tertulia::schema {

// For a database at the head: a row in every table, and a value in every column that a migration
// added.
inline constexpr std::string_view kRows = R"(
INSERT INTO roles (name, prompt, created_at, updated_at, settings)
VALUES ('作家（一）', 'You write.', '2026-01-02T03:04:05.000001Z', '2026-01-02T03:04:05Z', '{}');
INSERT INTO flow_templates (name, is_active, created_at, updated_at, topic)
VALUES ('debate', TRUE, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z', 'tea');
INSERT INTO flow_versions (flow_template_id, number, source_format, source, source_sha256, created_at)
VALUES (1, 1, 'yaml', 'name: debate', 'aa', '2026-01-02T03:04:05Z');
INSERT INTO flow_steps
    (flow_template_id, "order", _knowledge_base_config, flow_version_id, kind, name, spec)
VALUES (1, 1, '{}', 1, 'speak', 'open', '{}');
INSERT INTO flow_steps (flow_template_id, "order", next_step_id) VALUES (1, 2, 1);
INSERT INTO sessions (topic, flow_template_id, status, current_step_id, current_round,
                      executed_steps_count, created_at, updated_at, flow_version_id, seed,
                      stop_reason, result)
VALUES ('tea', 1, 'paused', 1, 1, 1, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z', 1, 7, 'asked',
        '{}');
INSERT INTO session_roles (session_id, role_ref, role_id, created_at)
VALUES (1, 'writer', 1, '2026-01-02T03:04:05Z');
INSERT INTO messages (session_id, speaker_session_role_id, target_session_role_id, content,
                      round_index, created_at, position, document, document_version)
VALUES (1, 1, 1, 'Tea.', 1, '2026-01-02T03:04:05Z', 1, 'draft', 1);
INSERT INTO messages (session_id, speaker_session_role_id, reply_to_message_id, content, round_index,
                      created_at, position)
VALUES (1, 1, 1, 'More tea.', 1, '2026-01-02T03:04:06Z', 2);
INSERT INTO step_execution_logs (session_id, step_id, execution_order) VALUES (1, 1, 1);
INSERT INTO step_execution_logs (session_id, step_id, execution_order, parent_log_id)
VALUES (1, 1, 2, 1);
INSERT INTO machine_states (session_id, state, updated_at) VALUES (1, '{}', '2026-01-02T03:04:05Z');
INSERT INTO model_calls (log_id, attempt, outcome, profile, provider, model, started_at)
VALUES (1, 1, 'ok', 'p', 'rehearsal', 'm', '2026-01-02T03:04:05Z');
INSERT INTO leases (session_id, token, node) VALUES (1, 1, '');
INSERT INTO batches (identity, name, flow_version_id, created_at)
VALUES ('bb', 'debate over inputs.jsonl', 1, '2026-01-02T03:04:05Z');
INSERT INTO batch_inputs (batch_id, input_id, input_sha256, session_id, line, created_at)
VALUES (1, '第一', 'cc', 1, 1, '2026-01-02T03:04:05Z');
INSERT INTO batch_inputs (batch_id, input_id, input_sha256, created_at)
VALUES (1, 'second', 'dd', '2026-01-02T03:04:05Z');
INSERT INTO session_events (session_id, last_number, events, created_at)
VALUES (1, 2, '[{"type":"session.started"},{"type":"step.started"}]', '2026-01-02T03:04:05Z');
INSERT INTO api_tokens (name, sha256, scopes, created_at)
VALUES ('dashboard', 'ee', 'read', '2026-01-02T03:04:05Z');
INSERT INTO idempotency_keys (caller, key, request_sha256, status, body, created_at)
VALUES ('local', 'k-1', 'ff', 201, '{}', '2026-01-02T03:04:05Z');
INSERT INTO adopted_leftovers (table_name, row_id, column_name, value)
VALUES ('flow_steps', 1, 'loop_config', '{}');
INSERT INTO adopted_notes (kind, table_name, row_id, words, created_at)
VALUES ('orphan', 'messages', 1, 'its speaker is not there', '2026-01-02T03:04:05Z');
)";

// The shape of the declared tables that are there.
inline SchemaShape shape_of(TestDatabase& database) {
  auto read = introspect(database.connection(), declared_names());
  EXPECT_TRUE(read) << read.error().message;
  return read ? *read : SchemaShape();
}

// The rows of each of the shape's tables, by its columns.
inline std::map<std::string, std::vector<std::string>> contents(TestDatabase& database,
                                                                const SchemaShape& shape) {
  std::map<std::string, std::vector<std::string>> all;
  for (const auto& [name, table] : shape.tables) {
    std::string columns;
    for (const auto& [column, unused] : table.columns)
      columns += (columns.empty() ? "" : ", ") + sql_name(column);
    all[name] = database.rows(
        fmt::format("SELECT {} FROM {} ORDER BY {}", columns, name, table.primary_key.front()));
  }
  return all;
}

}  // namespace tertulia::schema
