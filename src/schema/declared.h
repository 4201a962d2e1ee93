// The declared model: every table of Tertulia, once, tied to its row type (src/model/rows.h).
// Migrations must arrive at exactly these tables (migrations_test), the store reads and writes rows
// by these columns, and the proof at start compares the database with them.
//
// To add a column: a member in rows.h, its line here, and a migration. Without the line the program
// does not compile (declared.cc); without the migration the tests fail and name the table.
#pragma once

#include <array>
#include <span>
#include <tuple>

#include "model/rows.h"
#include "schema/description.h"

namespace tertulia::schema {

template <>
struct Declared<model::Role> : TableDefaults {
  using Row = model::Role;
  static constexpr std::string_view table = "roles";
  static constexpr auto columns = std::tuple(column("id", &Row::id).generated_key(),  //
                                             column("name", &Row::name),              //
                                             column("prompt", &Row::prompt),          //
                                             column("created_at", &Row::created_at),  //
                                             column("updated_at", &Row::updated_at),  //
                                             column("settings", &Row::settings));
  static constexpr std::array indexes = {
      Index{.name = "idx_roles_name", .columns = "name", .unique = true}};
};

template <>
struct Declared<model::FlowTemplate> : TableDefaults {
  using Row = model::FlowTemplate;
  static constexpr std::string_view table = "flow_templates";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                  //
                 column("name", &Row::name),                              //
                 column("type", &Row::type),                              //
                 column("description", &Row::description),                //
                 column("version", &Row::version),                        //
                 column("is_active", &Row::is_active),                    //
                 column("termination_config", &Row::termination_config),  //
                 column("created_at", &Row::created_at),                  //
                 column("updated_at", &Row::updated_at),                  //
                 column("topic", &Row::topic));
  static constexpr std::array indexes = {
      Index{.name = "idx_flow_templates_name", .columns = "name", .unique = true}};
};

template <>
struct Declared<model::FlowVersion> : TableDefaults {
  using Row = model::FlowVersion;
  static constexpr std::string_view table = "flow_versions";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                                          //
                 column("flow_template_id", &Row::flow_template_id).refers_to("flow_templates"),  //
                 column("number", &Row::number),                                                  //
                 column("source_format", &Row::source_format).varchar(10),                        //
                 column("source", &Row::source),                                                  //
                 column("source_sha256", &Row::source_sha256).varchar(64),                        //
                 column("created_at", &Row::created_at));
  static constexpr std::array indexes = {Index{.name = "idx_flow_versions_template_number",
                                               .columns = "flow_template_id, number",
                                               .unique = true}};
  static constexpr std::array<std::string_view, 1> checks = {"number > 0"};
};

template <>
struct Declared<model::FlowStep> : TableDefaults {
  using Row = model::FlowStep;
  static constexpr std::string_view table = "flow_steps";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                                          //
                 column("flow_template_id", &Row::flow_template_id).refers_to("flow_templates"),  //
                 column("order", &Row::order),                                                    //
                 column("speaker_role_ref", &Row::speaker_role_ref),                              //
                 column("target_role_ref", &Row::target_role_ref),                                //
                 column("task_type", &Row::task_type),                                            //
                 column("context_scope", &Row::context_scope),                                    //
                 column("context_param", &Row::context_param),                                    //
                 column("logic_config", &Row::logic_config),                                      //
                 column("next_step_id", &Row::next_step_id).refers_to("flow_steps"),              //
                 column("description", &Row::description),                                        //
                 // The older system's name; the underscore was its ORM's private attribute.
                 column("_knowledge_base_config", &Row::knowledge_base_config),                //
                 column("flow_version_id", &Row::flow_version_id).refers_to("flow_versions"),  //
                 column("kind", &Row::kind).varchar(20),                                       //
                 column("name", &Row::name),                                                   //
                 column("spec", &Row::spec));
  static constexpr std::array indexes = {
      Index{.name = "idx_flow_steps_template", .columns = "flow_template_id"},
      Index{.name = "idx_flow_steps_next_step",
            .columns = "next_step_id",
            .where = "next_step_id IS NOT NULL"},
      Index{.name = "idx_flow_steps_version_order",
            .columns = "flow_version_id, \"order\"",
            .where = "flow_version_id IS NOT NULL",
            .unique = true}};
};

template <>
struct Declared<model::Session> : TableDefaults {
  using Row = model::Session;
  static constexpr std::string_view table = "sessions";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                                          //
                 column("user_id", &Row::user_id),                                                //
                 column("topic", &Row::topic),                                                    //
                 column("flow_template_id", &Row::flow_template_id).refers_to("flow_templates"),  //
                 column("flow_snapshot", &Row::flow_snapshot),                                    //
                 column("roles_snapshot", &Row::roles_snapshot),                                  //
                 column("status", &Row::status).varchar(20),                                      //
                 column("current_step_id", &Row::current_step_id).refers_to("flow_steps"),        //
                 column("current_round", &Row::current_round),                                    //
                 column("executed_steps_count", &Row::executed_steps_count),                      //
                 column("error_reason", &Row::error_reason),                                      //
                 column("created_at", &Row::created_at),                                          //
                 column("updated_at", &Row::updated_at),                                          //
                 column("ended_at", &Row::ended_at),                                              //
                 column("flow_version_id", &Row::flow_version_id).refers_to("flow_versions"),     //
                 column("seed", &Row::seed),                                                      //
                 column("stop_reason", &Row::stop_reason).varchar(50),                            //
                 column("result", &Row::result));
  static constexpr std::array indexes = {
      Index{.name = "idx_sessions_flow_template", .columns = "flow_template_id"},
      Index{.name = "idx_sessions_current_step",
            .columns = "current_step_id",
            .where = "current_step_id IS NOT NULL"},
      Index{.name = "idx_sessions_status", .columns = "status"},
      Index{.name = "idx_sessions_created_at", .columns = "created_at"},
      Index{.name = "idx_sessions_flow_version", .columns = "flow_version_id"}};
  // A deleted session's number must not come to mean another in somebody's notes.
  static constexpr bool ids_never_reused = true;
};

template <>
struct Declared<model::SessionRole> : TableDefaults {
  using Row = model::SessionRole;
  static constexpr std::string_view table = "session_roles";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                        //
                 column("session_id", &Row::session_id).refers_to("sessions"),  //
                 column("role_ref", &Row::role_ref),                            //
                 column("role_id", &Row::role_id).refers_to("roles"),           //
                 column("created_at", &Row::created_at));
  static constexpr std::array indexes = {
      Index{.name = "idx_session_roles_session_ref",
            .columns = "session_id, role_ref",
            .unique = true},
      Index{
          .name = "idx_session_roles_role", .columns = "role_id", .where = "role_id IS NOT NULL"}};
};

template <>
struct Declared<model::Message> : TableDefaults {
  using Row = model::Message;
  static constexpr std::string_view table = "messages";
  static constexpr auto columns = std::tuple(
      column("id", &Row::id).generated_key(),                        //
      column("session_id", &Row::session_id).refers_to("sessions"),  //
      column("speaker_session_role_id", &Row::speaker_session_role_id)
          .refers_to("session_roles"),                                                            //
      column("target_session_role_id", &Row::target_session_role_id).refers_to("session_roles"),  //
      column("reply_to_message_id", &Row::reply_to_message_id).refers_to("messages"),             //
      column("content", &Row::content),                                                           //
      column("content_summary", &Row::content_summary),                                           //
      column("round_index", &Row::round_index),                                                   //
      column("section", &Row::section),                                                           //
      column("created_at", &Row::created_at),                                                     //
      column("position", &Row::position),                                                         //
      column("document", &Row::document),                                                         //
      column("document_version", &Row::document_version));
  static constexpr std::array indexes = {
      // Not partial: the same index then serves the deletion of a session. Both engines take NULLs
      // (messages of the older system) for different from each other.
      Index{.name = "idx_messages_session_position",
            .columns = "session_id, position",
            .unique = true},
      Index{.name = "idx_messages_speaker", .columns = "speaker_session_role_id"},
      Index{.name = "idx_messages_target",
            .columns = "target_session_role_id",
            .where = "target_session_role_id IS NOT NULL"},
      Index{.name = "idx_messages_reply_to",
            .columns = "reply_to_message_id",
            .where = "reply_to_message_id IS NOT NULL"}};
};

// 21 columns and eleven indexes: see docs/decisions/0001-twenty-one-columns-eleven-indexes.md.
template <>
struct Declared<model::StepExecutionLog> : TableDefaults {
  using Row = model::StepExecutionLog;
  static constexpr std::string_view table = "step_execution_logs";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                                         //
                 column("session_id", &Row::session_id).refers_to("sessions"),                   //
                 column("step_id", &Row::step_id).refers_to("flow_steps"),                       //
                 column("parent_log_id", &Row::parent_log_id).refers_to("step_execution_logs"),  //
                 column("execution_order", &Row::execution_order),                               //
                 column("round_index", &Row::round_index).defaults_to("1"),                      //
                 column("loop_iteration", &Row::loop_iteration).defaults_to("0"),                //
                 column("attempt_count", &Row::attempt_count).defaults_to("1"),                  //
                 column("status", &Row::status).varchar(20).defaults_to("'pending'"),            //
                 column("result_type", &Row::result_type).varchar(50),                           //
                 column("result_data", &Row::result_data),                                       //
                 column("condition_evaluation", &Row::condition_evaluation),                     //
                 column("loop_check_result", &Row::loop_check_result),                           //
                 column("error_message", &Row::error_message),                                   //
                 column("duration_ms", &Row::duration_ms),                                       //
                 column("memory_usage_mb", &Row::memory_usage_mb),                               //
                 column("created_at", &Row::created_at),                                         //
                 column("started_at", &Row::started_at),                                         //
                 column("completed_at", &Row::completed_at),                                     //
                 column("step_snapshot", &Row::step_snapshot),                                   //
                 column("context_snapshot", &Row::context_snapshot));
  static constexpr std::array indexes = {
      Index{.name = "idx_step_logs_session_execution_order",
            .columns = "session_id, execution_order",
            .unique = true},
      Index{.name = "idx_step_logs_step_id", .columns = "step_id"},
      Index{.name = "idx_step_logs_status", .columns = "status"},
      Index{.name = "idx_step_logs_parent_log", .columns = "parent_log_id"},
      Index{.name = "idx_step_logs_round_loop", .columns = "round_index, loop_iteration"},
      Index{.name = "idx_step_logs_created_at", .columns = "created_at"},
      Index{.name = "idx_step_logs_duration", .columns = "duration_ms"},
      Index{.name = "idx_step_logs_result_type", .columns = "result_type"},
      Index{.name = "idx_step_logs_session_status_execution",
            .columns = "session_id, status, execution_order"},
      Index{.name = "idx_step_logs_session_step_count", .columns = "session_id, step_id"},
      Index{.name = "idx_step_logs_session_step_iteration",
            .columns = "session_id, step_id, loop_iteration"}};
};

template <>
struct Declared<model::MachineState> : TableDefaults {
  using Row = model::MachineState;
  static constexpr std::string_view table = "machine_states";
  static constexpr auto columns =
      std::tuple(column("session_id", &Row::session_id).key().refers_to("sessions"),  //
                 column("state", &Row::state),                                        //
                 column("updated_at", &Row::updated_at));
};

template <>
struct Declared<model::ModelCall> : TableDefaults {
  using Row = model::ModelCall;
  static constexpr std::string_view table = "model_calls";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                           //
                 column("log_id", &Row::log_id).refers_to("step_execution_logs"),  //
                 column("attempt", &Row::attempt),                                 //
                 column("outcome", &Row::outcome).varchar(50),                     //
                 column("profile", &Row::profile),                                 //
                 column("provider", &Row::provider),                               //
                 column("model", &Row::model),                                     //
                 column("error_message", &Row::error_message),                     //
                 column("http_status", &Row::http_status),                         //
                 column("request_id", &Row::request_id),                           //
                 column("finish_reason", &Row::finish_reason),                     //
                 column("prompt_tokens", &Row::prompt_tokens),                     //
                 column("completion_tokens", &Row::completion_tokens),             //
                 column("cached_tokens", &Row::cached_tokens),                     //
                 column("reasoning_tokens", &Row::reasoning_tokens),               //
                 column("cost_usd", &Row::cost_usd),                               //
                 column("first_token_ms", &Row::first_token_ms),                   //
                 column("duration_ms", &Row::duration_ms),                         //
                 column("started_at", &Row::started_at));
  static constexpr std::array indexes = {Index{.name = "idx_model_calls_log", .columns = "log_id"}};
};

template <>
struct Declared<model::Lease> : TableDefaults {
  using Row = model::Lease;
  static constexpr std::string_view table = "leases";
  static constexpr auto columns =
      std::tuple(column("session_id", &Row::session_id).key().refers_to("sessions"),  //
                 column("token", &Row::token),                                        //
                 column("node", &Row::node),                                          //
                 column("expires_at", &Row::expires_at),                              //
                 column("request", &Row::request));
  static constexpr std::array<std::string_view, 1> checks = {"token > 0"};
};

template <>
struct Declared<model::Batch> : TableDefaults {
  using Row = model::Batch;
  static constexpr std::string_view table = "batches";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                                       //
                 column("identity", &Row::identity).varchar(64),                               //
                 column("name", &Row::name),                                                   //
                 column("flow_version_id", &Row::flow_version_id).refers_to("flow_versions"),  //
                 column("created_at", &Row::created_at));
  static constexpr std::array indexes = {
      Index{.name = "idx_batches_identity", .columns = "identity", .unique = true},
      Index{.name = "idx_batches_flow_version", .columns = "flow_version_id"}};
};

template <>
struct Declared<model::BatchInput> : TableDefaults {
  using Row = model::BatchInput;
  static constexpr std::string_view table = "batch_inputs";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                        //
                 column("batch_id", &Row::batch_id).refers_to("batches"),       //
                 column("input_id", &Row::input_id),                            //
                 column("input_sha256", &Row::input_sha256).varchar(64),        //
                 column("session_id", &Row::session_id).refers_to("sessions"),  //
                 column("line", &Row::line),                                    //
                 column("created_at", &Row::created_at));
  static constexpr std::array indexes = {
      Index{.name = "idx_batch_inputs_input", .columns = "batch_id, input_id", .unique = true},
      Index{.name = "idx_batch_inputs_line",
            .columns = "batch_id, line",
            .where = "line IS NOT NULL",
            .unique = true},
      Index{.name = "idx_batch_inputs_session",
            .columns = "session_id",
            .where = "session_id IS NOT NULL",
            .unique = true}};
  static constexpr std::array<std::string_view, 1> checks = {"line > 0"};
};

template <>
struct Declared<model::SessionEvents> : TableDefaults {
  using Row = model::SessionEvents;
  static constexpr std::string_view table = "session_events";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                        //
                 column("session_id", &Row::session_id).refers_to("sessions"),  //
                 column("last_number", &Row::last_number),                      //
                 column("events", &Row::events),                                //
                 column("created_at", &Row::created_at));
  static constexpr std::array indexes = {Index{
      .name = "idx_session_events_number", .columns = "session_id, last_number", .unique = true}};
  static constexpr std::array<std::string_view, 1> checks = {"last_number > 0"};
};

template <>
struct Declared<model::ApiToken> : TableDefaults {
  using Row = model::ApiToken;
  static constexpr std::string_view table = "api_tokens";
  static constexpr auto columns = std::tuple(column("id", &Row::id).generated_key(),      //
                                             column("name", &Row::name),                  //
                                             column("sha256", &Row::sha256).varchar(64),  //
                                             column("scopes", &Row::scopes).varchar(50),  //
                                             column("created_at", &Row::created_at),      //
                                             column("expires_at", &Row::expires_at),      //
                                             column("revoked_at", &Row::revoked_at));
  static constexpr std::array indexes = {
      Index{.name = "idx_api_tokens_sha256", .columns = "sha256", .unique = true}};
};

template <>
struct Declared<model::IdempotencyKey> : TableDefaults {
  using Row = model::IdempotencyKey;
  static constexpr std::string_view table = "idempotency_keys";
  static constexpr auto columns =
      std::tuple(column("id", &Row::id).generated_key(),                      //
                 column("caller", &Row::caller),                              //
                 column("key", &Row::key),                                    //
                 column("request_sha256", &Row::request_sha256).varchar(64),  //
                 column("status", &Row::status),                              //
                 column("content_type", &Row::content_type),                  //
                 column("body", &Row::body),                                  //
                 column("created_at", &Row::created_at));
  static constexpr std::array indexes = {
      Index{.name = "idx_idempotency_keys_key", .columns = "caller, key", .unique = true},
      Index{.name = "idx_idempotency_keys_created_at", .columns = "created_at"}};
};

template <>
struct Declared<model::AdoptedLeftover> : TableDefaults {
  using Row = model::AdoptedLeftover;
  static constexpr std::string_view table = "adopted_leftovers";
  static constexpr auto columns = std::tuple(column("id", &Row::id).generated_key(),    //
                                             column("table_name", &Row::table_name),    //
                                             column("row_id", &Row::row_id),            //
                                             column("column_name", &Row::column_name),  //
                                             column("value", &Row::value));
  static constexpr std::array indexes = {
      Index{.name = "idx_adopted_leftovers_row", .columns = "table_name, row_id"}};
};

template <>
struct Declared<model::AdoptedNote> : TableDefaults {
  using Row = model::AdoptedNote;
  static constexpr std::string_view table = "adopted_notes";
  static constexpr auto columns = std::tuple(column("id", &Row::id).generated_key(),    //
                                             column("kind", &Row::kind).varchar(50),    //
                                             column("table_name", &Row::table_name),    //
                                             column("row_id", &Row::row_id),            //
                                             column("column_name", &Row::column_name),  //
                                             column("words", &Row::words),              //
                                             column("created_at", &Row::created_at));
  static constexpr std::array indexes = {
      Index{.name = "idx_adopted_notes_row", .columns = "table_name, row_id"}};
};

// Calls `fn` with each Column of the table of Row, in the order of its members.
template <class Row, class Fn>
constexpr void for_each_column(Fn&& fn) {
  std::apply([&](const auto&... columns) { (fn(columns), ...); }, Declared<Row>::columns);
}

// All declared tables, each after those it refers to. `schema_migrations` is not among them: it is
// the migration runner's own record, made before the first migration and never migrated itself.
[[nodiscard]] std::span<const TableDescription> declared_tables();

// Tables that migrations made and later ones dropped. Their names stay here for good: the
// fingerprints of the versions that had them cover them.
inline constexpr std::array<std::string_view, 0> kFormerTables = {};

// The declared table of that name, or null.
[[nodiscard]] const TableDescription* find_declared(std::string_view table);

}  // namespace tertulia::schema
