// The row types: one aggregate a table, one member a column, in the order of the declared table
// (src/schema/declared.h ties them; a member without a column, or the reverse, does not compile).
// std::optional is a column that may be NULL. Members that hold JSON say so; they hold its text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "model/status.h"

namespace tertulia::model {

using base::Timestamp;
using Id = std::int64_t;

// A named character of the library, usable by any flow.
struct Role {
  Id id = 0;
  std::string name;
  std::string prompt;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<std::string> settings;  // JSON: model, temperature ... as in a flow's `roles`
};

// A flow by name; its content is in its versions.
struct FlowTemplate {
  Id id = 0;
  std::string name;
  std::optional<std::string> type;
  std::optional<std::string> description;
  std::optional<std::string> version;  // the older system's label; Tertulia counts FlowVersion
  bool is_active = true;
  std::optional<std::string> termination_config;  // JSON, of the older system
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<std::string> topic;
};

// A version of a flow, as it was written. Never changed once stored.
struct FlowVersion {
  Id id = 0;
  Id flow_template_id = 0;
  std::int64_t number = 0;    // 1, 2, 3 ... within the flow
  std::string source_format;  // yaml or json
  std::string source;
  std::string source_sha256;
  Timestamp created_at;
};

// One instruction of a flow version, in compiled order. Never changed once stored.
struct FlowStep {
  Id id = 0;
  Id flow_template_id = 0;
  std::int64_t order = 0;  // 1, 2, 3 ... within the version
  std::optional<std::string> speaker_role_ref;
  std::optional<std::string> target_role_ref;
  std::optional<std::string> task_type;      // of the older system
  std::optional<std::string> context_scope;  // a word, a role reference or JSON
  std::optional<std::string> context_param;  // JSON
  std::optional<std::string> logic_config;   // JSON
  std::optional<Id> next_step_id;
  std::optional<std::string> description;
  std::optional<std::string> knowledge_base_config;  // JSON
  std::optional<Id> flow_version_id;
  std::optional<std::string> kind;  // speak, loop, loop_check, if, set, end
  std::optional<std::string> name;  // the step's id in the flow's text
  std::optional<std::string> spec;  // JSON: the whole instruction; the other columns are its view
};

// One performance of a flow version on a topic.
struct Session {
  Id id = 0;
  std::optional<std::int64_t> user_id;
  std::optional<std::string> topic;
  std::optional<Id> flow_template_id;
  std::optional<std::string> flow_snapshot;   // JSON
  std::optional<std::string> roles_snapshot;  // JSON
  SessionStatus status = SessionStatus::not_started;
  std::optional<Id> current_step_id;
  std::int64_t current_round = 1;
  std::int64_t executed_steps_count = 0;
  std::optional<std::string> error_reason;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> ended_at;
  std::optional<Id> flow_version_id;
  std::optional<std::int64_t> seed;
  std::optional<StopReason> stop_reason;
  std::optional<std::string> result;  // JSON: what the flow's `result:` gives
};

// The binding of a flow's role reference in one session.
struct SessionRole {
  Id id = 0;
  Id session_id = 0;
  std::string role_ref;
  std::optional<Id> role_id;  // NULL where the role is written in the flow
  Timestamp created_at;
};

// What a role or a person said.
struct Message {
  Id id = 0;
  Id session_id = 0;
  std::optional<Id> speaker_session_role_id;
  std::optional<Id> target_session_role_id;
  std::optional<Id> reply_to_message_id;
  std::string content;
  std::optional<std::string> content_summary;
  std::int64_t round_index = 1;
  std::optional<std::string> section;
  Timestamp created_at;
  std::optional<std::int64_t> position;  // 1, 2, 3 ... as readers see the conversation
  std::optional<std::string> document;   // this message is a version of the document of that name
  std::optional<std::int64_t> document_version;
};

// One execution of a step: see docs/step-log.md.
struct StepExecutionLog {
  Id id = 0;
  Id session_id = 0;
  Id step_id = 0;
  std::optional<Id> parent_log_id;
  std::int64_t execution_order = 0;
  std::optional<std::int64_t> round_index;
  std::optional<std::int64_t> loop_iteration;
  std::optional<std::int64_t> attempt_count;
  std::optional<StepStatus> status;
  std::optional<ResultType> result_type;
  std::optional<std::string> result_data;  // JSON
  std::optional<bool> condition_evaluation;
  std::optional<bool> loop_check_result;
  std::optional<std::string> error_message;
  std::optional<std::int64_t> duration_ms;
  std::optional<double> memory_usage_mb;
  std::optional<Timestamp> created_at;
  std::optional<Timestamp> started_at;
  std::optional<Timestamp> completed_at;
  std::optional<std::string> step_snapshot;     // JSON
  std::optional<std::string> context_snapshot;  // JSON
};

// The flow machine's state after the session's last commit; rebuilt from the log by replay.
struct MachineState {
  Id session_id = 0;
  std::string state;  // JSON
  Timestamp updated_at;
};

// One attempt at a call to a model.
struct ModelCall {
  Id id = 0;
  Id log_id = 0;
  std::int64_t attempt = 1;
  std::string outcome;  // the closed list of llm::Outcome
  std::string profile;
  std::string provider;
  std::string model;
  std::optional<std::string> error_message;
  std::optional<std::int64_t> http_status;
  std::optional<std::string> request_id;
  std::optional<std::string> finish_reason;
  std::optional<std::int64_t> prompt_tokens;
  std::optional<std::int64_t> completion_tokens;
  std::optional<std::int64_t> cached_tokens;
  std::optional<std::int64_t> reasoning_tokens;
  std::optional<double> cost_usd;
  std::optional<std::int64_t> first_token_ms;
  std::optional<std::int64_t> duration_ms;
  Timestamp started_at;
};

// A node's claim on a session. The token only grows: a commit under an older one is refused.
struct Lease {
  Id session_id = 0;
  std::int64_t token = 0;
  std::string node;  // empty: nobody holds it
  std::optional<Timestamp> expires_at;
  std::optional<std::string> request;  // what another process asks of the holder: pause, cancel
};

// A run of one flow version over many inputs, each a session.
struct Batch {
  Id id = 0;
  std::string identity;  // SHA-256 of what makes it this batch: flow, model, inputs file, name
  std::string name;      // for people
  Id flow_version_id = 0;
  Timestamp created_at;
};

// An input of a batch, tied to its session by the transaction that made that.
struct BatchInput {
  Id id = 0;
  Id batch_id = 0;
  std::string input_id;
  std::string input_sha256;
  std::optional<Id> session_id;      // NULL once that session was deleted
  std::optional<std::int64_t> line;  // of its result, in the order of completion; NULL: none yet
  Timestamp created_at;
};

// What one commit of a session announced, in order: its durable events as a JSON array, less what
// the message or log row that an event speaks of has (engine/event_record.h). Events are numbered
// within their session from 1 on, without gaps.
struct SessionEvents {
  Id id = 0;
  std::optional<Id> session_id;  // NULL: of a session that was deleted (the newest row stays, so
                                 // that no id is given twice)
  std::int64_t last_number = 0;  // of the last event in it
  std::string events;            // JSON
  Timestamp created_at;
};

// A token that HTTP requests are made with; itself it is nowhere, only its hash.
struct ApiToken {
  Id id = 0;
  std::string name;    // for people
  std::string sha256;  // hexadecimal, of the token
  std::string scopes;  // of read, run and admin, with commas
  Timestamp created_at;
  std::optional<Timestamp> expires_at;
  std::optional<Timestamp> revoked_at;
};

// A request that is done once however often it is sent, and its answer.
struct IdempotencyKey {
  Id id = 0;
  std::string caller;  // whose key it is: "token 3", or "local"
  std::string key;
  std::string request_sha256;          // of method, path and body
  std::optional<std::int64_t> status;  // of the answer; NULL: not answered yet
  std::optional<std::string> content_type;
  std::optional<std::string> body;
  Timestamp created_at;
};

// A value of the older system that has no place in its row any more, as it was.
struct AdoptedLeftover {
  Id id = 0;
  std::string table_name;
  Id row_id = 0;
  std::string column_name;
  std::string value;
};

// What adopting a database found or did, by row: the words are for people, the kinds a closed list
// (src/schema/adoption.h). A broken reference that is noted here is no news to `db verify`.
struct AdoptedNote {
  Id id = 0;
  std::string kind;
  std::string table_name;
  std::optional<Id> row_id;
  std::optional<std::string> column_name;
  std::string words;
  Timestamp created_at;
};

}  // namespace tertulia::model
