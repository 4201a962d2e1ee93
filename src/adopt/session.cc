#include "adopt/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "adopt/translate.h"
#include "db/value.h"
#include "flow/replay.h"
#include "schema/adoption.h"
#include "store/param.h"
#include "store/sessions.h"
#include "store/sql.h"
#include "store/step_log.h"

namespace tertulia::adopt {
namespace {

namespace json = base::json;
namespace note = schema::note;
namespace sql = store::sql;
using model::SessionStatus;
using model::StepStatus;
using model::StopReason;

base::Result<void> run(db::Connection& connection, const db::Sql& sql, db::Params params) {
  auto done = connection.run(sql, params);
  if (!done) return done.error();
  return {};
}

const model::Role* role_by_id(const std::vector<model::Role>& roles, std::optional<model::Id> id) {
  for (const auto& role : roles)
    if (id && role.id == *id) return &role;
  return nullptr;
}

}  // namespace

base::Result<void> AdoptedSession::tell(std::string_view kind, std::string_view table,
                                        model::Id row, std::string_view column, std::string words) {
  return schema::write_note(
      connection_,
      {.kind = kind, .table = table, .row = row, .column = column, .words = std::move(words)},
      settings_.now);
}

base::Result<void> AdoptedSession::keep(std::string_view column,
                                        const std::optional<std::string>& value) {
  if (!value) return {};
  return schema::keep_leftover(connection_, "sessions", session_.id, column, *value);
}

base::Result<void> AdoptedSession::adopt(Flows& flows, model::Id id, SessionCounts& counts) {
  auto session = store::load_session(connection_, id);
  if (!session) return session.error();
  session_ = *std::move(session);
  auto flow = flows.of_template(connection_, session_.flow_template_id, settings_.now);
  if (!flow) return flow.error();
  flow_ = *flow;
  auto cast = store::load_session_roles(connection_, id);
  if (!cast) return cast.error();
  cast_ = *std::move(cast);
  auto messages = store::load_messages(connection_, id);
  if (!messages) return messages.error();
  messages_ = *std::move(messages);
  auto log = store::load_log(connection_, id, INT64_MIN);
  if (!log) return log.error();
  log_ = *std::move(log);

  if (auto bound = bind_cast(); !bound) return bound;
  if (auto found = find_speakers(); !found) return found;
  if (auto told = tell_of_lost_step(); !told) return told;
  std::string why;
  if (!flow_->why_not.empty())
    why = fmt::format("its template could not be made a flow: {}", flow_->why_not);
  WalkResult walk;
  if (why.empty()) {
    walk = walk_along({.program = &program_,
                       .step_ids = flow_->step_ids,
                       .messages = heard_,
                       .log = log_,
                       .topic = session_.topic.value_or("")});
    why = walk.misfit;
    const bool goes_on = walk.state.status == SessionStatus::running;
    if (why.empty() && goes_on && session_.status == SessionStatus::finished)
      why = "the older system finished it before the end of its flow";
    if (why.empty() && walk.state.status == SessionStatus::failed) why = walk.state.stop_text;
  }
  if (auto frozen = freeze(walk.rows.size()); !frozen) {
    if (!why.empty()) return frozen;
    why = frozen.error().message;
  }
  if (!why.empty()) {
    ++counts.only_read;
    return keep_for_reading(std::move(why));
  }
  if (auto closed = close_last_row(walk); !closed) return closed;
  if (auto written = write_log(walk); !written) return written;
  auto state = rebuild_state();
  if (!state) {
    if (state.error().code != base::Code::conflict) return state.error();
    ++counts.only_read;
    return keep_for_reading(state.error().message);
  }
  const bool is_over =
      state->status == SessionStatus::finished || state->status == SessionStatus::terminated;
  ++(is_over ? counts.over : counts.can_go_on);
  counts.rows_made += rows_made_;
  return store(*state);
}

base::Result<void> AdoptedSession::tell_of_lost_step() {
  if (!session_.current_step_id) return {};
  const std::array<db::Param, 1> params = {*session_.current_step_id};
  auto steps = db::read_integer(connection_, sql::count_flow_steps_of_id, params);
  if (!steps) return steps.error();
  if (*steps > 0) return {};
  return tell(note::kMissing, "sessions", session_.id, "current_step_id",
              fmt::format("it named the step {}, which is not there: where the session stands is "
                          "told by its messages",
                          *session_.current_step_id));
}

base::Result<void> AdoptedSession::bind_cast() {
  program_ = flow_->program;
  if (!flow_->why_not.empty()) {
    for (const auto& member : cast_) {
      const model::Role* role = role_by_id(roles_, member.role_id);
      program_.roles.push_back({.ref = member.role_ref,
                                .use = role != nullptr ? role->name : std::string(),
                                .name = {},
                                .prompt = {},
                                .model = {},
                                .parameters = {},
                                .scope = {},
                                .as = {}});
    }
    return {};
  }
  for (const auto& declared : program_.roles)
    if (auto bound = bind_role(declared); !bound) return bound;
  return {};
}

base::Result<void> AdoptedSession::bind_role(const flow::RoleDeclaration& declared) {
  const auto by = [&](auto holds) -> model::SessionRole* {
    const auto found = std::find_if(cast_.begin(), cast_.end(), holds);
    return found == cast_.end() ? nullptr : &*found;
  };
  if (by([&](const auto& each) { return each.role_ref == declared.ref; }) != nullptr) return {};
  const auto stored = std::find_if(roles_.begin(), roles_.end(),
                                   [&](const auto& role) { return role.name == declared.use; });
  const std::optional<model::Id> role_id =
      stored == roles_.end() ? std::nullopt : std::optional(stored->id);
  // A row that another reference of the flow binds is not this one's.
  auto* same_role = by([&](const auto& each) {
    return role_id && each.role_id == role_id && program_.role(each.role_ref) == nullptr;
  });
  if (same_role != nullptr) {
    const std::string old = same_role->role_ref;
    if (auto kept =
            schema::keep_leftover(connection_, "session_roles", same_role->id, "role_ref", old);
        !kept)
      return kept;
    same_role->role_ref = declared.ref;
    const std::array<db::Param, 2> params = {same_role->id, std::string_view(declared.ref)};
    if (auto renamed = run(connection_, sql::rename_session_role, params); !renamed) return renamed;
    return tell(note::kRenamed, "session_roles", same_role->id, "role_ref",
                fmt::format("'{}' is called '{}' now, as its flow has it", old, declared.ref));
  }
  store::Times times;
  model::SessionRole row{.id = 0,
                         .session_id = session_.id,
                         .role_ref = declared.ref,
                         .role_id = role_id,
                         .created_at = session_.created_at};
  const std::array<db::Param, 4> params = {session_.id, std::string_view(declared.ref),
                                           store::param(role_id), times.param(row.created_at)};
  auto made = db::read_integer(connection_, sql::insert_adopted_session_role, params);
  if (!made) return made.error();
  row.id = *made;
  cast_.push_back(std::move(row));
  return {};
}

base::Result<void> AdoptedSession::find_speakers() {
  const auto in_cast = [&](auto holds) { return std::find_if(cast_.begin(), cast_.end(), holds); };
  for (auto& message : messages_) {
    Heard heard{.id = message.id, .role = {}, .text = message.content, .at = message.created_at};
    if (message.speaker_session_role_id) {
      const model::Id speaker = *message.speaker_session_role_id;
      auto own = in_cast([&](const auto& each) { return each.id == speaker; });
      if (own == cast_.end()) {
        const std::array<db::Param, 1> of_speaker = {speaker};
        auto ref = db::read_text(connection_, sql::select_role_ref, of_speaker);
        if (!ref) return ref.error();
        if (!ref->empty()) own = in_cast([&](const auto& each) { return each.role_ref == *ref; });
        if (own != cast_.end()) {
          if (auto kept = schema::keep_leftover(connection_, "messages", message.id,
                                                "speaker_session_role_id", std::to_string(speaker));
              !kept)
            return kept;
          const std::array<db::Param, 2> params = {message.id, own->id};
          if (auto set = run(connection_, sql::set_message_speaker, params); !set) return set;
          message.speaker_session_role_id = own->id;
        }
        if (auto told = tell(
                note::kSpeaker, "messages", message.id, "speaker_session_role_id",
                own != cast_.end()
                    ? fmt::format("its speaker {} was another session's '{}': it is this "
                                  "session's now",
                                  speaker, own->role_ref)
                    : fmt::format("its speaker {} is none of session {}", speaker, session_.id));
            !told)
          return told;
      }
      if (own != cast_.end()) heard.role = own->role_ref;
    }
    heard_.push_back(std::move(heard));
  }
  return {};
}

base::Result<void> AdoptedSession::freeze(std::size_t rows) {
  engine::CastingCall call;
  call.program = &program_;
  call.flow_template_id = flow_->template_id;
  call.version = &flow_->version;
  call.profile = settings_.profile;
  call.topic = session_.topic;
  call.seed = session_.id;
  call.now = settings_.now;
  // Who played a role goes on playing it, whatever the flow would take today.
  for (const auto& declared : program_.roles) {
    const auto member = std::find_if(cast_.begin(), cast_.end(), [&](const auto& each) {
      return each.role_ref == declared.ref;
    });
    const model::Role* role = member == cast_.end() ? nullptr : role_by_id(roles_, member->role_id);
    if (role != nullptr && role->name != declared.use) call.roles[declared.ref] = role->name;
  }
  auto made =
      engine::cast(call, settings_.profiles,
                   [&](const std::string& name) -> base::Result<std::optional<model::Role>> {
                     for (const auto& role : roles_)
                       if (role.name == name) return std::optional(role);
                     return std::optional<model::Role>();
                   });
  if (!made) return made.error();
  auto snapshot = engine::FlowSnapshot::from_text(made->flow_snapshot);
  if (!snapshot) return snapshot.error();
  snapshot_ = *std::move(snapshot);
  snapshot_.adopted_rows = static_cast<std::int64_t>(rows);
  snapshot_.adopted_messages = static_cast<std::int64_t>(messages_.size());
  roles_snapshot_ = std::move(made->roles_snapshot);
  return {};
}

// Where the flow goes on, the last row is the step that is to come: how it stands says how the
// session does.
base::Result<void> AdoptedSession::close_last_row(WalkResult& walk) {
  wanted_ = {};
  wanted_.limits = snapshot_.limits;
  if (walk.state.status != SessionStatus::running) {
    wanted_.status = walk.state.status;
    wanted_.stop_reason = walk.state.stop_reason;
    wanted_.stop_text = walk.state.stop_text;
    return {};
  }
  const auto stop = [&](SessionStatus status, StopReason reason, std::string text) {
    wanted_.status = status;
    wanted_.stop_reason = reason;
    wanted_.stop_text = std::move(text);
  };
  LogRow& last = walk.rows.back();
  if (last.older) {
    const auto& row = log_[*last.older];
    if (row.status == StepStatus::running || row.status == StepStatus::waiting) {
      wanted_.status = SessionStatus::running;
    } else if (row.status == StepStatus::timeout) {
      stop(SessionStatus::paused, StopReason::step_timeout, row.error_message.value_or(""));
    } else if (row.status == StepStatus::failed) {
      stop(SessionStatus::paused, StopReason::step_failed, row.error_message.value_or(""));
    } else {
      stop(SessionStatus::paused, StopReason::asked, {});
    }
    return {};
  }
  const auto text = session_.error_reason.value_or("");
  switch (session_.status) {
    case SessionStatus::terminated:
      last.closing.emplace().status = StepStatus::skipped;
      stop(SessionStatus::terminated, StopReason::cancelled, {});
      break;
    case SessionStatus::failed:
      last.closing.emplace();
      last.closing->status = StepStatus::failed;
      last.closing->result_type = model::ResultType::error;
      last.closing->error_message = text.empty() ? "it failed in the older system" : text;
      stop(SessionStatus::paused, StopReason::step_failed, last.closing->error_message);
      break;
    case SessionStatus::not_started:
      if (messages_.empty()) {
        walk.rows.clear();
        snapshot_.adopted_rows = 0;
        wanted_.status = SessionStatus::not_started;
        break;
      }
      [[fallthrough]];
    default:
      last.opened.status = StepStatus::pending;
      stop(SessionStatus::paused, StopReason::asked,
           fmt::format("the older system left it {}", model::to_text(session_.status)));
      break;
  }
  return {};
}

base::Result<void> AdoptedSession::write_log(const WalkResult& walk) {
  const auto moves = [&](const LogRow& row) {
    return row.older && log_[*row.older].execution_order != row.order;
  };
  // Out of each other's way first: an order is used once in a session.
  for (const LogRow& row : walk.rows) {
    if (!moves(row)) continue;
    const std::array<db::Param, 2> params = {log_[*row.older].id, -log_[*row.older].id};
    if (auto done = run(connection_, sql::renumber_log_row, params); !done) return done;
  }
  for (const LogRow& row : walk.rows) {
    if (!row.older) {
      if (auto written = write_row(row); !written) return written;
      continue;
    }
    const auto& older = log_[*row.older];
    if (moves(row)) {
      const std::array<db::Param, 2> params = {older.id, row.order};
      if (auto done = run(connection_, sql::renumber_log_row, params); !done) return done;
      const std::string was = std::to_string(older.execution_order);
      if (auto kept = schema::keep_leftover(connection_, "step_execution_logs", older.id,
                                            "execution_order", was);
          !kept)
        return kept;
      if (auto told = tell(note::kRenumbered, "step_execution_logs", older.id, "execution_order",
                           fmt::format("it was {}, and is {} now that rows before it are there",
                                       was, row.order));
          !told)
        return told;
    }
    if (row.message && older.status != StepStatus::completed) {
      const std::string was(older.status ? model::to_text(*older.status) : "NULL");
      const std::array<db::Param, 1> params = {older.id};
      if (auto done = run(connection_, sql::complete_log_row, params); !done) return done;
      if (auto kept =
              schema::keep_leftover(connection_, "step_execution_logs", older.id, "status", was);
          !kept)
        return kept;
      if (auto told = tell(note::kUnreadable, "step_execution_logs", older.id, "status",
                           fmt::format("it was {}, though its message is there", was));
          !told)
        return told;
    }
  }
  return {};
}

base::Result<void> AdoptedSession::write_row(const LogRow& row) {
  base::Timestamp at = settings_.now;
  json::object data;
  if (row.message) {
    data["message_id"] = heard_[*row.message].id;
    at = heard_[*row.message].at;
  } else if (row.closing && row.closing->status == StepStatus::completed && !heard_.empty()) {
    at = heard_.back().at;
  }
  flow::Closing closing;
  closing.status = row.opened.status;
  if (row.closing) closing = *row.closing;
  std::string result_data;
  if (row.closing) {
    data["reconstructed"] = true;
    for (const auto& member : closing.data) data[member.key()] = member.value();
    result_data = base::to_text(data);
  }
  store::Times times;
  const std::string snapshot = base::to_text(program_.spec_json(row.instruction));
  const std::optional<base::Timestamp> when =
      row.closing ? std::optional(at) : std::optional<base::Timestamp>();
  const std::array<db::Param, 15> params = {
      session_.id,
      flow_->step_ids[static_cast<std::size_t>(row.instruction)],
      row.order,
      row.opened.round,
      row.opened.iteration,
      store::param(closing.status),
      store::param(closing.result_type),
      result_data.empty() ? db::Param(nullptr) : db::Param(std::string_view(result_data)),
      store::param(closing.condition_evaluation),
      store::param(closing.loop_check_result),
      closing.error_message.empty() ? db::Param(nullptr)
                                    : db::Param(std::string_view(closing.error_message)),
      times.param(at),
      times.param(when),
      times.param(when),
      std::string_view(snapshot)};
  ++rows_made_;
  return run(connection_, sql::insert_reconstructed_log_row, params);
}

base::Result<flow::State> AdoptedSession::rebuild_state() {
  auto log = store::load_log(connection_, session_.id);
  if (!log) return log.error();
  flow::ReplayInput input;
  input.program = &program_;
  input.step_ids = flow_->step_ids;
  input.log = *std::move(log);
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    flow::Said said;
    said.position = messages_[i].position.value_or(0);
    said.role = heard_[i].role;
    said.text = messages_[i].content;
    said.round = messages_[i].round_index;
    input.messages.push_back(std::move(said));
  }
  input.topic = session_.topic.value_or("");
  input.adopted_rows = snapshot_.adopted_rows;
  input.adopted_messages = snapshot_.adopted_messages;
  input.stored = wanted_;
  // Once to reach the state, and once to see that nothing disagrees with it.
  input.stored = flow::replay(input).state;
  if (wanted_.status == SessionStatus::not_started) input.stored = wanted_;
  const auto report = flow::replay(input);
  if (!report.disagreements.empty() || input.stored.status != wanted_.status)
    return base::Error{
        .code = base::Code::conflict,
        .message = report.disagreements.empty()
                       ? fmt::format("its log leads to {}", model::to_text(input.stored.status))
                       : fmt::format("row {} of its log: {}", report.disagreements.front().order,
                                     report.disagreements.front().what)};
  return input.stored;
}

base::Result<void> AdoptedSession::keep_for_reading(std::string why) {
  flow::State state;
  state.limits = snapshot_.limits;
  const bool is_over =
      session_.status == SessionStatus::finished || session_.status == SessionStatus::terminated;
  state.status = is_over ? session_.status : SessionStatus::failed;
  state.stop_reason = StopReason::does_not_fit;
  state.stop_text = std::move(why);
  state.round = session_.current_round;
  state.last_order = session_.executed_steps_count;
  if (auto told = tell(note::kUnfit, "sessions", session_.id, {}, state.stop_text); !told)
    return told;
  return store(state);
}

base::Result<void> AdoptedSession::store(const flow::State& state) {
  std::optional<model::Id> step;
  if (state.open) step = flow_->step_ids[static_cast<std::size_t>(state.open->instruction)];
  const std::optional<std::string> reason =
      state.stop_text.empty() ? std::nullopt : std::optional(state.stop_text);
  const bool is_over = state.status == SessionStatus::finished ||
                       state.status == SessionStatus::terminated ||
                       state.status == SessionStatus::failed;
  auto ended = session_.ended_at;
  if (is_over && !ended) ended = messages_.empty() ? session_.updated_at : heard_.back().at;

  // Everything that gives way to what this program writes there.
  struct Change {
    std::string_view column;
    std::optional<std::string> was;
    std::optional<std::string> is;
  };
  const auto number = [](std::optional<std::int64_t> value) {
    return value ? std::optional(std::to_string(*value)) : std::nullopt;
  };
  const std::string flow_snapshot = snapshot_.to_text();
  const Change changes[] = {
      {"status", std::string(model::to_text(session_.status)),
       std::string(model::to_text(state.status))},
      {"current_step_id", number(session_.current_step_id), number(step)},
      {"current_round", number(session_.current_round), number(state.round)},
      {"executed_steps_count", number(session_.executed_steps_count), number(state.last_order)},
      {"error_reason", session_.error_reason, reason},
      {"flow_snapshot", session_.flow_snapshot, flow_snapshot},
      {"roles_snapshot", session_.roles_snapshot, roles_snapshot_}};
  for (const Change& change : changes)
    if (change.was && change.was != change.is)
      if (auto kept = keep(change.column, change.was); !kept) return kept;

  store::Times times;
  const std::array<db::Param, 11> params = {session_.id,
                                            store::param(state.status),
                                            store::param(step),
                                            state.round,
                                            state.last_order,
                                            store::param(reason),
                                            store::param(state.stop_reason),
                                            times.param(ended),
                                            flow_->version.id,
                                            std::string_view(flow_snapshot),
                                            std::string_view(roles_snapshot_)};
  if (auto updated = run(connection_, sql::adopt_session, params); !updated) return updated;
  const std::string text = state.to_text();
  const std::array<db::Param, 3> stored = {session_.id, std::string_view(text),
                                           times.param(settings_.now)};
  return run(connection_, sql::store_machine_state, stored);
}

}  // namespace tertulia::adopt
