#include "store/commit.h"

#include "store/param.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

using db::Work;

Work advance(const Commit& commit, Times& times) {
  const Advance& to = commit.advance;
  return {
      &sql::advance_session,
      {param(commit.session_id), param(commit.lease_token), param(to.status),
       param(to.current_step_id), param(to.round), param(to.executed_steps), param(to.error_reason),
       param(to.stop_reason), param(to.result), times.param(to.ended_at), times.param(commit.now)},
      1};
}

Work say(const Commit& commit, const model::Message& message, Times& times) {
  return {&sql::insert_message,
          {param(commit.session_id), param(message.speaker_session_role_id),
           param(message.target_session_role_id), param(message.content),
           param(message.round_index), times.param(message.created_at), param(message.position),
           param(message.document), param(message.document_version)},
          1};
}

Work record_call(const Commit& commit, const CallMade& made, Times& times) {
  const model::ModelCall& call = made.call;
  return {&sql::record_model_call,
          {param(commit.session_id), param(made.order), param(call.attempt), param(call.outcome),
           param(call.profile), param(call.provider), param(call.model), param(call.error_message),
           param(call.http_status), param(call.request_id), param(call.finish_reason),
           param(call.prompt_tokens), param(call.completion_tokens), param(call.cached_tokens),
           param(call.reasoning_tokens), param(call.cost_usd), param(call.first_token_ms),
           param(call.duration_ms), times.param(call.started_at)},
          1};
}

Work close(const Commit& commit, const RowClosed& row, Times& times) {
  return {&sql::close_step,
          {param(commit.session_id), param(row.order), param(row.attempt), param(row.status),
           param(row.result_type), param(row.result_data), param(row.condition_evaluation),
           param(row.loop_check_result), param(row.error_message), param(row.duration_ms),
           param(row.memory_mb), times.param(row.completed_at), times.param(row.started_at),
           param(row.said_position)},
          1};
}

Work change(const Commit& commit, const RowChanged& row, Times& times) {
  return {&sql::change_step,
          {param(commit.session_id), param(row.order), param(row.status), param(row.attempt),
           times.param(row.started_at)},
          1};
}

Work open(const Commit& commit, const RowOpened& row, Times& times) {
  return {&sql::open_step,
          {param(commit.session_id),
           param(row.step_id),
           param(row.parent_order),
           param(row.order),
           param(row.round),
           param(row.iteration),
           param(std::int64_t{1}),
           param(row.status),
           param(row.result_type),
           param(row.result_data),
           param(row.condition_evaluation),
           param(row.loop_check_result),
           param(row.error_message),
           param(row.duration_ms),
           param(row.memory_mb),
           times.param(row.created_at),
           times.param(row.started_at),
           times.param(row.completed_at),
           param(row.step_snapshot),
           param(row.context_snapshot)},
          1};
}

}  // namespace

base::Result<void> apply(db::Connection& connection, const Commit& commit) {
  Times times;
  std::vector<Work> works;
  works.reserve(3 + commit.said.size() + commit.calls.size() + commit.closed.size() +
                commit.changed.size() + commit.opened.size() + commit.placed.size());
  // The fence stands first: a node that lost the session writes nothing.
  works.push_back(advance(commit, times));
  for (const auto& message : commit.said) works.push_back(say(commit, message, times));
  // Rows before what refers to them; a loop's row may be opened and closed in one commit.
  for (const auto& row : commit.opened) works.push_back(open(commit, row, times));
  for (const auto& made : commit.calls) works.push_back(record_call(commit, made, times));
  for (const auto& row : commit.changed) works.push_back(change(commit, row, times));
  for (const auto& row : commit.closed) works.push_back(close(commit, row, times));
  // After what refers to messages by where they stood.
  for (const auto& placed : commit.placed)
    works.push_back({&sql::place_message,
                     {param(commit.session_id), param(-placed.order), param(placed.position)},
                     1});
  works.push_back({&sql::store_machine_state,
                   {param(commit.session_id), param(commit.state), times.param(commit.now)},
                   1});
  if (commit.events.last_number != 0)
    works.push_back({&sql::insert_session_events,
                     {param(commit.session_id), param(commit.events.last_number),
                      param(commit.events.record), times.param(commit.now)},
                     1});
  return connection.run_batch(works);
}

}  // namespace tertulia::store
