#include "engine/branch.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/branch_point.h"
#include "engine/casting.h"
#include "engine/commit_builder.h"
#include "engine/explain.h"
#include "engine/session_record.h"
#include "flow/asked.h"
#include "flow/output_schema.h"
#include "store/flows.h"
#include "store/leases.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;
using model::SessionStatus;
using model::StepStatus;

constexpr const char* kLeaseHolder = "branch";

class Branching final {
 public:
  Branching(db::Connection& connection, FlowCache& flows, const BranchWish& wish,
            const ProviderSource& providers, base::Timestamp now, const BranchPoint& point)
      : connection_(connection),
        flows_(flows),
        wish_(wish),
        providers_(providers),
        now_(now),
        point_(point),
        parent_(point.session()),
        whole_(point.whole()),
        cut_(point.step()),
        state_(point.state()) {}

  base::Result<BranchedSession> run() {
    if (auto done = find_event(); !done) return done.error();
    if (auto done = insert(); !done) return done.error();
    if (auto done = go_on(); !done) return done.error();
    if (auto done = prove(); !done) return done.error();
    return branched_;
  }

 private:
  // What happens first in the branch: what happened there, or what is said instead.
  base::Result<void> find_event() {
    if (wish_.edit && (cut_ == nullptr || cut_->execution_order != wish_.at))
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("step {} of session {} says nothing that could be edited",
                                 wish_.at, wish_.parent),
          .remedy = fmt::format("tertulia session log {} shows who speaks where", wish_.parent)};
    if (cut_ == nullptr) {
      events_.emplace_back(flow::Start{.variables = parent_.snapshot.variables,
                                       .limits = state_.limits,
                                       .played = parent_.snapshot.played});
      return {};
    }
    if (cut_->status == StepStatus::skipped) {
      if (wish_.edit)
        return base::Error{.code = base::Code::invalid,
                           .message = point_.words_of(*cut_) + " was skipped: it said nothing"};
      events_.emplace_back(flow::Skip{});
      return {};
    }
    return wish_.edit ? edit() : answer_again();
  }

  base::Result<void> answer_again() {
    auto data = base::parse_json(cut_->result_data.value_or("{}"));
    if (!data) return data.error().in(point_.words_of(*cut_));
    static const json::object kNothing;
    const json::object& recorded = data->is_object() ? data->get_object() : kNothing;
    flow::Answered answered;
    answered.duration_ms = cut_->duration_ms.value_or(0);
    if (const json::value* judges = recorded.if_contains("judges");
        judges != nullptr && judges->is_array()) {
      // Each judge was asked once, the last at the row's last attempt.
      const auto& all = judges->get_array();
      state_.open->attempt -= std::min<std::int64_t>(state_.open->attempt - 1,
                                                     static_cast<std::int64_t>(all.size()) - 1);
      for (const json::value& judgement : all) {
        flow::Answered judged = answered;
        judged.output = judgement;
        if (&judgement == &all.back()) judged.spent = flow::spent_in(recorded);
        events_.emplace_back(std::move(judged));
      }
      return {};
    }
    const flow::Instruction& step = *point_.instruction_of(*cut_);
    if (step.says()) {
      const auto position = static_cast<std::size_t>(state_.last_position);
      if (position >= whole_.messages.size())
        return base::Error{.code = base::Code::conflict,
                           .message = point_.words_of(*cut_) + " has lost its message",
                           .remedy = fmt::format("tertulia session replay {}", wish_.parent)};
      answered.text = whole_.messages[position].content;
    }
    static const std::set<std::string_view> kOwn = {"output", "message_id", "position",
                                                    "tokens", "cost_usd",   "role",
                                                    "turn",   "chosen",     "fell_to_next"};
    for (const auto& member : recorded) {
      if (member.key() == "output") answered.output = member.value();
      if (!kOwn.contains(std::string_view(member.key())))
        answered.data[member.key()] = member.value();
    }
    // Its limits count what the row had used, though the branch did not pay it.
    answered.spent = flow::spent_in(recorded);
    events_.emplace_back(std::move(answered));
    return {};
  }

  base::Result<void> edit() {
    const flow::Instruction& step = *point_.instruction_of(*cut_);
    flow::Answered answered;
    answered.text = *wish_.edit;
    answered.duration_ms = cut_->duration_ms.value_or(0);
    answered.data["edited"] = true;
    if (!step.says())
      return base::Error{.code = base::Code::invalid,
                         .message = point_.words_of(*cut_) + " says nothing that could be edited"};
    if (const auto* person = std::get_if<flow::AskPerson>(&step.step)) {
      auto accepted = person->accept(answered.text);
      if (!accepted) return accepted.error();
      answered.text = *std::move(accepted);
    } else if (answered.text.find_first_not_of(" \t\r\n") == std::string::npos) {
      return base::Error{.code = base::Code::invalid,
                         .message = "the edited words of " + point_.words_of(*cut_) + " are empty"};
    }
    if (const auto* speak = std::get_if<flow::Speak>(&step.step); speak && speak->output) {
      auto schema = flow::OutputSchema::compile(*speak->output);
      if (!schema) return schema.error();
      auto output = schema->parse_output(answered.text);
      if (!output)
        return base::Error{
            .code = base::Code::invalid,
            .message = fmt::format("the edited words do not fit the output of {}: {}",
                                   point_.words_of(*cut_), output.error().message)};
      answered.output = *std::move(output);
    }
    events_.emplace_back(std::move(answered));
    return {};
  }

  // ---- the copy
  // -----------------------------------------------------------------------------------

  base::Result<void> insert() {
    store::WholeSession copy;
    copy.row = whole_.row;
    copy.row.status = state_.status;
    copy.row.current_step_id = cut_ != nullptr ? std::optional(cut_->step_id) : std::nullopt;
    copy.row.current_round = state_.round;
    copy.row.executed_steps_count = state_.last_order;
    copy.row.created_at = copy.row.updated_at = now_;
    copy.row.error_reason.reset();
    copy.row.stop_reason.reset();
    copy.row.result.reset();
    copy.row.ended_at.reset();
    if (wish_.topic) copy.row.topic = *wish_.topic;
    copy.roles = whole_.roles;
    auto cast = cast_of_branch(copy.roles);
    if (!cast) return cast.error();
    copy.row.roles_snapshot = cast->to_text();
    const bool asks_otherwise = copy.row.roles_snapshot != parent_.cast.to_text() ||
                                copy.row.topic.value_or("") != parent_.topic;
    copy.row.flow_snapshot = snapshot_of_branch(asks_otherwise).to_text();
    copy.messages.assign(whole_.messages.begin(), whole_.messages.begin() + state_.last_position);
    copy.log = rows_of_branch();
    copy.state = state_.to_text();
    auto id = store::insert_whole_session(connection_, copy);
    if (!id) return id.error();
    branched_.id = *id;
    return {};
  }

  base::Result<flow::Cast> cast_of_branch(const std::vector<model::SessionRole>& roles) {
    flow::Cast cast = parent_.cast;
    if (!wish_.model) return cast;
    auto library = store::list_roles(connection_);
    if (!library) return library.error();
    for (flow::CastRole& role : cast.roles) {
      const flow::RoleDeclaration* declared = parent_.program().role(role.ref);
      if (declared == nullptr) continue;
      std::optional<std::string> settings;  // the stored role's
      for (const auto& bound : roles)
        for (const auto& stored : *library)
          if (bound.role_ref == role.ref && bound.role_id == stored.id) settings = stored.settings;
      if (auto done = recast(role, *declared, settings, *wish_.model); !done) return done.error();
    }
    return cast;
  }

  FlowSnapshot snapshot_of_branch(bool asks_otherwise) const {
    const std::int64_t last = cut_ != nullptr ? cut_->execution_order : 0;
    FlowSnapshot snapshot = parent_.snapshot;
    snapshot.branched_from = {.session = wish_.parent, .order = wish_.at};
    snapshot.inherited_rows = asks_otherwise ? last : std::min(snapshot.inherited_rows, last);
    snapshot.inherited_rehearsal = cut_ != nullptr && parent_.is_rehearsed();
    snapshot.adopted_rows = std::min(snapshot.adopted_rows, last);
    snapshot.adopted_messages = std::min(snapshot.adopted_messages, state_.last_position);
    return snapshot;
  }

  // The rows up to the cut, which and the blocks around it are open again.
  std::vector<model::StepExecutionLog> rows_of_branch() const {
    std::vector<model::StepExecutionLog> copied;
    if (cut_ == nullptr) return copied;
    std::set<std::int64_t> open = {cut_->execution_order};
    for (const auto* block : point_.around(*cut_)) open.insert(block->execution_order);
    for (const auto& row : whole_.log) {
      if (row.execution_order > cut_->execution_order) break;
      copied.push_back(row);
      if (!open.contains(row.execution_order)) continue;
      auto& opened = copied.back();
      opened.status = &row == cut_ ? state_.open->status : StepStatus::running;
      opened.result_type.reset();
      opened.result_data.reset();
      opened.condition_evaluation.reset();
      opened.loop_check_result.reset();
      opened.error_message.reset();
      opened.duration_ms.reset();
      opened.memory_usage_mb.reset();
      opened.completed_at.reset();
    }
    return copied;
  }

  // ---- going on
  // -----------------------------------------------------------------------------------

  // As the engine would: the machine's effects become one commit, under a lease.
  base::Result<void> go_on() {
    auto session = load_session_data(connection_, flows_, branched_.id);
    if (!session) return session.error();
    SessionRecord record(
        session->topic, session->seed,
        [this](std::int64_t first, std::int64_t last) { return messages_between(first, last); });
    for (std::int64_t i = 1; i <= state_.last_position; ++i)
      record.add(to_said(whole_.messages[static_cast<std::size_t>(i - 1)], parent_));
    for (const std::int64_t order : flow::outputs_in_use(state_))
      if (auto output = output_of(order)) record.put_out(order, *std::move(output));
    auto effects = advance(*session, record);
    if (!effects) return effects.error();

    auto shown = shown_to_next(*session, record, *effects);
    if (!shown) return shown.error();
    std::map<std::int64_t, const json::object*> snapshots;
    for (const auto& [order, snapshot] : *shown) snapshots[order] = &snapshot;
    auto token = store::claim_lease(connection_, branched_.id, kLeaseHolder, std::nullopt, now_);
    if (!token) return token.error();
    if (!*token)
      return base::Error{.code = base::Code::internal,
                         .message = "a session that was just made is held by another node"};
    const CommitFacts facts{.now = now_,
                            .lease_token = **token,
                            .memory_mb = 0,
                            .session_result = result_of(*session, record),
                            .context_snapshots = &snapshots,
                            .announce = false};
    BuiltCommit built = build_commit(*session, state_, *effects, {}, facts);
    if (!wish_.edit) keep_times(built.commit);
    if (auto done = store::apply(connection_, built.commit); !done) return done;
    branched_.rows = state_.last_order;
    branched_.messages = state_.last_position;
    branched_.status = state_.status;
    return store::release_lease(connection_, branched_.id, **token);
  }

  base::Result<std::vector<flow::Effect>> advance(const SessionData& session,
                                                  SessionRecord& record) {
    std::vector<flow::Effect> effects;
    const auto take = [&](const flow::Event& event) -> base::Result<void> {
      auto advanced = flow::advance(session.program(), state_, event, record);
      if (!advanced) return advanced.error();
      for (flow::Effect& effect : *advanced) {
        record.keep(effect);
        effects.push_back(std::move(effect));
      }
      return {};
    };
    for (const flow::Event& event : events_)
      if (auto done = take(event); !done) return done.error();
    // A session that waits for a person, or has stopped by itself, takes no pause.
    if (state_.status == SessionStatus::running)
      if (auto done = take(flow::Pause{}); !done) return done.error();
    if (auto error = record.take_error()) return *std::move(error);
    return effects;
  }

  // The context snapshots of the rows that are opened.
  base::Result<std::map<std::int64_t, json::object>> shown_to_next(
      const SessionData& session, const SessionRecord& record,
      const std::vector<flow::Effect>& effects) const {
    std::map<std::int64_t, json::object> shown;
    for (const flow::Strand* strand : state_.open_strands()) {
      const std::int64_t order = strand->open->order;
      const bool opens = std::any_of(effects.begin(), effects.end(), [&](const auto& effect) {
        const auto* row = std::get_if<flow::OpenRow>(&effect);
        return row != nullptr && row->order == order;
      });
      if (!opens) continue;
      if (flow::waits_for_person(session.program(), state_, *strand)) {
        shown.emplace(order, question_snapshot(session, state_, *strand, record));
        continue;
      }
      const flow::Asked asked(session.program(), state_, *strand, session.cast, record);
      const flow::CastRole* role = session.cast.find(asked.speak().role);
      if (role == nullptr)
        return base::Error{.code = base::Code::internal,
                           .message = "the cast lacks the role '" + asked.speak().role + "'"};
      auto provider = providers_(*model_in_force(session, asked.speak(), *role).model);
      if (!provider) return provider.error();
      auto prepared = prepare_request(session, state_, *strand, record, record, **provider);
      if (!prepared) return prepared.error();
      shown.emplace(order, std::move(prepared->context_snapshot));
    }
    return shown;
  }

  std::optional<std::string> result_of(const SessionData& session,
                                       const SessionRecord& record) const {
    const std::string& step = session.program().result;
    if (step.empty() || state_.status != SessionStatus::finished) return {};
    const auto found = state_.outputs.find(step);
    const json::value* output =
        found == state_.outputs.end() ? nullptr : record.output(found->second);
    return output != nullptr ? base::to_text(*output) : std::string("null");
  }

  base::Result<std::vector<flow::Said>> messages_between(std::int64_t first,
                                                         std::int64_t last) const {
    std::vector<flow::Said> said;
    for (std::int64_t i = first; i <= std::min(last, state_.last_position); ++i)
      said.push_back(to_said(whole_.messages[static_cast<std::size_t>(i - 1)], parent_));
    return said;
  }

  [[nodiscard]] std::optional<json::value> output_of(std::int64_t order) const {
    const auto* row = point_.row(order);
    if (row == nullptr) return {};
    const auto data = base::parse_json(row->result_data.value_or("null"));
    const json::value* output = data ? base::at_pointer(*data, "/output") : nullptr;
    if (output == nullptr) return {};
    return *output;
  }

  // What happened in the parent happened when it happened there.
  void keep_times(store::Commit& commit) const {
    for (auto& closed : commit.closed)
      if (const auto* row = point_.row(closed.order); row != nullptr && row->completed_at) {
        closed.completed_at = *row->completed_at;
        closed.memory_mb = row->memory_usage_mb.value_or(0);
      }
    for (auto& message : commit.said)
      message.created_at =
          whole_.messages[static_cast<std::size_t>(message.position.value_or(1) - 1)].created_at;
    for (auto& opened : commit.opened) {
      const auto* row = point_.row(opened.order);
      if (row == nullptr || row->step_id != opened.step_id || !row->created_at) continue;
      if (opened.status == StepStatus::pending || opened.status == StepStatus::waiting) continue;
      opened.created_at = *row->created_at;
      opened.started_at = row->started_at;
      if (!opened.completed_at || !row->completed_at) continue;
      opened.completed_at = row->completed_at;
      opened.memory_mb = row->memory_usage_mb;
    }
  }

  base::Result<void> prove() {
    auto explained = explain(connection_, flows_, branched_.id, providers_);
    if (!explained) return explained.error();
    if (explained->agrees()) return {};
    const auto& first = explained->replay.disagreements.empty()
                            ? explained->request_disagreements.front()
                            : explained->replay.disagreements.front();
    return base::Error{
        .code = base::Code::conflict,
        .message = fmt::format(
            "the log of session {} up to step {} does not explain it: {}: {}", wish_.parent,
            wish_.at,
            first.order == 0 ? std::string("the state") : fmt::format("step {}", first.order),
            first.what),
        .remedy = fmt::format("tertulia session replay {}", wish_.parent)};
  }

  db::Connection& connection_;
  FlowCache& flows_;
  const BranchWish& wish_;
  const ProviderSource& providers_;
  const base::Timestamp now_;

  const BranchPoint& point_;
  const SessionData& parent_;
  const store::WholeSession& whole_;          // the parent's
  const model::StepExecutionLog* const cut_;  // null: the branch begins at the beginning
  flow::State state_;  // the parent's before the cut was answered, then the branch's
  std::vector<flow::Event> events_;
  BranchedSession branched_;
};

}  // namespace

base::Result<BranchedSession> branch(db::Connection& connection, FlowCache& flows,
                                     const BranchWish& wish, const ProviderSource& providers,
                                     base::Timestamp now) {
  auto point = BranchPoint::find(connection, flows, wish.parent, wish.at);
  if (!point) return point.error();
  return Branching(connection, flows, wish, providers, now, *point).run();
}

}  // namespace tertulia::engine
