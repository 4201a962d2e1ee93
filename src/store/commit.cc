#include "store/commit.h"

#include "store/bind.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

using db::Work;

Work advance(const Commit& commit, Times& times) {
  const Advance& to = commit.advance;
  return {&sql::advance_session,
          {bind(commit.session_id), bind(commit.lease_token), bind(to.status),
           bind(to.current_step_id), bind(to.round), bind(to.executed_steps), bind(to.error_reason),
           bind(to.stop_reason), bind(to.result), times.bind(to.ended_at), times.bind(commit.now)},
          1};
}

Work say(const Commit& commit, const model::Message& message, Times& times) {
  return {&sql::insert_message,
          {bind(commit.session_id), bind(message.speaker_session_role_id),
           bind(message.target_session_role_id), bind(message.content), bind(message.round_index),
           times.bind(message.created_at), bind(message.position), bind(message.document),
           bind(message.document_version)},
          1};
}

Work record_call(const Commit& commit, const CallMade& made, Times& times) {
  const model::ModelCall& call = made.call;
  return {&sql::record_model_call,
          {bind(commit.session_id), bind(made.order), bind(call.attempt), bind(call.outcome),
           bind(call.profile), bind(call.provider), bind(call.model), bind(call.error_message),
           bind(call.http_status), bind(call.request_id), bind(call.finish_reason),
           bind(call.prompt_tokens), bind(call.completion_tokens), bind(call.cached_tokens),
           bind(call.reasoning_tokens), bind(call.cost_usd), bind(call.first_token_ms),
           bind(call.duration_ms), times.bind(call.started_at)},
          1};
}

Work close(const Commit& commit, const RowClosed& row, Times& times) {
  return {&sql::close_step,
          {bind(commit.session_id), bind(row.order), bind(row.attempt), bind(row.status),
           bind(row.result_type), bind(row.result_data), bind(row.condition_evaluation),
           bind(row.loop_check_result), bind(row.error_message), bind(row.duration_ms),
           bind(row.memory_mb), times.bind(row.completed_at), times.bind(row.started_at),
           bind(row.said_position)},
          1};
}

Work change(const Commit& commit, const RowChanged& row, Times& times) {
  return {&sql::change_step,
          {bind(commit.session_id), bind(row.order), bind(row.status), bind(row.attempt),
           times.bind(row.started_at)},
          1};
}

Work open(const Commit& commit, const RowOpened& row, Times& times) {
  return {&sql::open_step,
          {bind(commit.session_id),
           bind(row.step_id),
           bind(row.parent_order),
           bind(row.order),
           bind(row.round),
           bind(row.iteration),
           bind(std::int64_t{1}),
           bind(row.status),
           bind(row.result_type),
           bind(row.result_data),
           bind(row.condition_evaluation),
           bind(row.loop_check_result),
           bind(row.error_message),
           bind(row.duration_ms),
           bind(row.memory_mb),
           times.bind(row.created_at),
           times.bind(row.started_at),
           times.bind(row.completed_at),
           bind(row.step_snapshot),
           bind(row.context_snapshot)},
          1};
}

}  // namespace

base::Result<void> apply(db::Connection& connection, const Commit& commit) {
  Times times;
  std::vector<Work> works;
  works.reserve(2 + commit.said.size() + commit.calls.size() + commit.closed.size() +
                commit.changed.size() + commit.opened.size());
  // The fence stands first: a node that lost the session writes nothing.
  works.push_back(advance(commit, times));
  for (const auto& message : commit.said) works.push_back(say(commit, message, times));
  // Rows before what refers to them; a loop's row may be opened and closed in one commit.
  for (const auto& row : commit.opened) works.push_back(open(commit, row, times));
  for (const auto& made : commit.calls) works.push_back(record_call(commit, made, times));
  for (const auto& row : commit.changed) works.push_back(change(commit, row, times));
  for (const auto& row : commit.closed) works.push_back(close(commit, row, times));
  works.push_back({&sql::store_machine_state,
                   {bind(commit.session_id), bind(commit.state), times.bind(commit.now)},
                   1});
  return connection.run_batch(works);
}

}  // namespace tertulia::store
