#include "store/whole_session.h"

#include <boost/json/object.hpp>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/json.h"
#include "db/read_transaction.h"
#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sessions.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

// A batch is held in memory and, on PostgreSQL, in the pipeline.
constexpr std::size_t kBatch = 200;

base::Error dangling(std::string_view from, std::int64_t which, std::string_view to, Id id) {
  return {.code = base::Code::invalid,
          .message = fmt::format("{} {} refers to {} {}, which is not there", from, which, to, id)};
}

// Puts the parts of one session into the database, each after what it refers to.
class Insertion final {
 public:
  Insertion(db::Connection& connection, const WholeSession& whole)
      : connection_(connection), whole_(whole) {}

  base::Result<Id> run() {
    if (auto done = insert_session(); !done) return done.error();
    if (auto done = insert_roles(); !done) return done.error();
    if (auto done = insert_messages(); !done) return done.error();
    if (auto done = insert_log(); !done) return done.error();
    if (auto done = insert_calls(); !done) return done.error();
    auto done = connection_.run(
        sql::store_machine_state,
        std::vector{param(id_), param(whole_.state), times_.param(whole_.row.updated_at)});
    if (!done) return done.error();
    return id_;
  }

 private:
  base::Result<void> insert_session() {
    const model::Session& row = whole_.row;
    auto id = db::read_integer(
        connection_, sql::insert_recorded_session,
        std::vector{param(row.topic), param(row.flow_template_id), param(row.flow_version_id),
                    param(row.flow_snapshot), param(row.roles_snapshot), param(row.seed),
                    param(row.status), param(row.current_step_id), param(row.current_round),
                    param(row.executed_steps_count), param(row.error_reason),
                    param(row.stop_reason), param(row.result), times_.param(row.created_at),
                    times_.param(row.updated_at), times_.param(row.ended_at)});
    if (!id) return id.error();
    id_ = *id;
    return {};
  }

  base::Result<void> insert_roles() {
    for (const auto& role : whole_.roles)
      if (auto done = add({&sql::insert_session_role,
                           {param(id_), param(role.role_ref), param(role.role_id),
                            times_.param(role.created_at)},
                           1});
          !done)
        return done;
    if (auto done = flush(); !done) return done;
    auto rows = load_session_roles(connection_, id_);
    if (!rows) return rows.error();
    std::map<std::string_view, Id> by_ref;
    for (const auto& role : *rows) by_ref.emplace(role.role_ref, role.id);
    for (const auto& role : whole_.roles) roles_.emplace(role.id, by_ref.at(role.role_ref));
    return {};
  }

  base::Result<void> insert_messages() {
    std::map<Id, std::int64_t> positions;
    for (const auto& message : whole_.messages) {
      const std::int64_t position = message.position.value_or(0);
      const auto speaker = role_of(message.speaker_session_role_id);
      const auto target = role_of(message.target_session_role_id);
      if (message.speaker_session_role_id && !speaker)
        return dangling("message", position, "role", *message.speaker_session_role_id);
      if (message.target_session_role_id && !target)
        return dangling("message", position, "role", *message.target_session_role_id);
      std::optional<std::int64_t> answered;
      if (message.reply_to_message_id) {
        const auto found = positions.find(*message.reply_to_message_id);
        if (found == positions.end())
          return dangling("message", position, "message", *message.reply_to_message_id);
        answered = found->second;
      }
      positions.emplace(message.id, position);
      auto done =
          add({&sql::insert_recorded_message,
               {param(id_), param(speaker), param(target), param(message.content),
                param(message.content_summary), param(message.section), param(answered),
                param(message.round_index), times_.param(message.created_at),
                param(message.position), param(message.document), param(message.document_version)},
               1});
      if (!done) return done;
    }
    if (auto done = flush(); !done) return done;
    std::map<std::int64_t, Id> places;
    auto read = connection_.each(sql::select_message_places, std::vector{param(id_)},
                                 [&](const db::Row& row) -> base::Result<void> {
                                   places.emplace(row.integer(0), row.integer(1));
                                   return {};
                                 });
    if (!read) return read.error();
    for (const auto& [old_id, position] : positions) messages_.emplace(old_id, places.at(position));
    return {};
  }

  base::Result<void> insert_log() {
    std::map<Id, std::int64_t> orders;
    for (const auto& row : whole_.log) {
      const std::int64_t order = row.execution_order;
      std::optional<std::int64_t> parent;
      if (row.parent_log_id) {
        const auto found = orders.find(*row.parent_log_id);
        if (found == orders.end()) return dangling("step", order, "parent row", *row.parent_log_id);
        parent = found->second;
      }
      orders.emplace(row.id, order);
      auto data = with_message(row);
      if (!data) return data.error();
      auto done = add({&sql::open_step,
                       {param(id_),
                        param(row.step_id),
                        param(parent),
                        param(order),
                        param(row.round_index),
                        param(row.loop_iteration),
                        param(row.attempt_count),
                        param(row.status),
                        param(row.result_type),
                        *data ? param(keep(**std::move(data))) : db::Param(nullptr),
                        param(row.condition_evaluation),
                        param(row.loop_check_result),
                        param(row.error_message),
                        param(row.duration_ms),
                        param(row.memory_usage_mb),
                        times_.param(row.created_at),
                        times_.param(row.started_at),
                        times_.param(row.completed_at),
                        param(row.step_snapshot),
                        param(row.context_snapshot)},
                       1});
      if (!done) return done;
    }
    return flush();
  }

  base::Result<void> insert_calls() {
    std::set<std::int64_t> orders;
    for (const auto& row : whole_.log) orders.insert(row.execution_order);
    for (const auto& [order, call] : whole_.calls) {
      if (!orders.contains(order)) return dangling("call", call.id, "step", order);
      auto done =
          add({&sql::record_model_call,
               {param(id_), param(order), param(call.attempt), param(call.outcome),
                param(call.profile), param(call.provider), param(call.model),
                param(call.error_message), param(call.http_status), param(call.request_id),
                param(call.finish_reason), param(call.prompt_tokens), param(call.completion_tokens),
                param(call.cached_tokens), param(call.reasoning_tokens), param(call.cost_usd),
                param(call.first_token_ms), param(call.duration_ms), times_.param(call.started_at)},
               1});
      if (!done) return done;
    }
    return flush();
  }

  [[nodiscard]] std::optional<Id> role_of(const std::optional<Id>& old_id) const {
    const auto found = old_id ? roles_.find(*old_id) : roles_.end();
    if (found == roles_.end()) return {};
    return found->second;
  }

  // The row's result_data, its message_id being that of the inserted message.
  [[nodiscard]] base::Result<std::optional<std::string>> with_message(
      const model::StepExecutionLog& row) const {
    constexpr const char* kMessage = "message_id";
    if (!row.result_data || row.result_data->find(kMessage) == std::string::npos)
      return row.result_data;
    auto data = base::parse_json(*row.result_data);
    if (!data) return data.error().in(fmt::format("step {}: result_data", row.execution_order));
    boost::json::object* object = data->if_object();
    boost::json::value* message = object != nullptr ? object->if_contains(kMessage) : nullptr;
    if (message == nullptr || !message->is_int64()) return row.result_data;
    const auto found = messages_.find(message->get_int64());
    if (found == messages_.end())
      return dangling("step", row.execution_order, "message", message->get_int64());
    *message = found->second;
    return std::optional(base::to_text(*data));
  }

  // Parameters are views: a text made here lives until its batch is done.
  const std::string& keep(std::string text) { return kept_.emplace_back(std::move(text)); }

  base::Result<void> add(db::Work work) {
    works_.push_back(std::move(work));
    return works_.size() < kBatch ? base::Result<void>() : flush();
  }
  base::Result<void> flush() {
    auto done = connection_.run_batch(works_);
    works_.clear();
    kept_.clear();
    return done;
  }

  db::Connection& connection_;
  const WholeSession& whole_;
  Times times_;
  std::vector<db::Work> works_;
  std::deque<std::string> kept_;
  Id id_ = 0;
  std::map<Id, Id> roles_;     // from the ids in `whole_` to those of the database
  std::map<Id, Id> messages_;  // likewise
};

}  // namespace

base::Result<WholeSession> load_whole_session(db::Connection& connection, Id id) {
  auto moment = db::ReadTransaction::begin(connection);
  if (!moment) return moment.error();
  WholeSession whole;
  const auto take = [](auto result, auto& into) -> base::Result<void> {
    if (!result) return result.error();
    into = *std::move(result);
    return {};
  };
  model::MachineState state;
  base::Result<void> read = take(load_session(connection, id), whole.row);
  if (read) read = take(load_session_roles(connection, id), whole.roles);
  if (read) read = take(load_messages(connection, id), whole.messages);
  if (read) {
    auto unplaced = load_unplaced_messages(connection, id);
    if (!unplaced) return unplaced.error();
    whole.messages.insert(whole.messages.end(), unplaced->begin(), unplaced->end());
  }
  if (read) read = take(load_log(connection, id), whole.log);
  if (read) read = take(load_model_calls(connection, id), whole.calls);
  if (read) read = take(load_machine_state(connection, id), state);
  if (!read) return read.error();
  whole.state = std::move(state.state);
  return whole;
}

base::Result<Id> insert_whole_session(db::Connection& connection, const WholeSession& whole) {
  return Insertion(connection, whole).run();
}

}  // namespace tertulia::store
