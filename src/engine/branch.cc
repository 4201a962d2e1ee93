#include "engine/branch.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/branch_cast.h"
#include "engine/branch_events.h"
#include "engine/branch_point.h"
#include "engine/commit_builder.h"
#include "engine/explain.h"
#include "engine/session_record.h"
#include "flow/asked.h"
#include "flow/version_change.h"
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
    if (auto done = find_flow(); !done) return done.error();
    auto events =
        events_of_branch(point_, wish_, flow_->program, variables_, changes_version_, state_);
    if (!events) return events.error();
    events_ = *std::move(events);
    if (auto done = insert(); !done) return done.error();
    if (auto done = go_on(); !done) return done.error();
    if (auto done = prove(); !done) return done.error();
    return branched_;
  }

 private:
  // The version under which the branch goes on: the one that is wanted, else the parent's.
  base::Result<void> find_flow() {
    flow_ = parent_.flow;
    variables_ = parent_.snapshot.variables;
    if (wish_.version) {
      auto flow =
          flows_.load(connection_, wish_.version->row->id, wish_.version->program->header_json());
      if (!flow) return flow.error();
      flow_ = *std::move(flow);
    }
    state_.limits = limits_of_branch(point_, wish_);
    if (flow_->version_id == point_.flow().version_id) return {};
    if (cut_ == nullptr) {
      auto variables = flow::variables_of_version(flow_->program, variables_);
      if (!variables) return does_not_fit(variables.error());
      variables_ = *std::move(variables);
      return {};
    }
    auto moved = flow::move_to_version(point_.flow().program, flow_->program, state_);
    if (!moved) return does_not_fit(moved.error());
    state_ = *std::move(moved);
    changes_version_ = true;
    return {};
  }

  [[nodiscard]] std::int64_t version_number() const {
    return wish_.version ? wish_.version->row->number : parent_.flow_version;
  }

  [[nodiscard]] base::Error does_not_fit(const base::Error& error) const {
    const std::string there =
        cut_ == nullptr ? fmt::format("session {}", wish_.parent) : point_.words_of(*cut_);
    return {.code = base::Code::invalid,
            .message = fmt::format("version {} of the flow '{}' cannot take over at {}: {}",
                                   version_number(), parent_.flow_name, there, error.message),
            .remedy =
                "branch at another step (tertulia session log shows them), or change the flow "
                "so that it has what is missing"};
  }

  // ---- the copy
  // -----------------------------------------------------------------------------------

  base::Result<void> insert() {
    auto cast = cast_of_branch(connection_, point_, wish_);
    if (!cast) return cast.error();
    store::WholeSession copy;
    copy.row = whole_.row;
    copy.row.status = state_.status;
    copy.row.flow_version_id = flow_->version_id;
    copy.row.current_step_id = cut_ != nullptr ? std::optional(cut_->step_id) : std::nullopt;
    copy.row.current_round = state_.round;
    copy.row.executed_steps_count = state_.last_order;
    copy.row.created_at = copy.row.updated_at = now_;
    copy.row.error_reason.reset();
    copy.row.stop_reason.reset();
    copy.row.result.reset();
    copy.row.ended_at.reset();
    if (wish_.topic) copy.row.topic = *wish_.topic;
    copy.roles = cast->roles;
    copy.row.roles_snapshot = cast->cast.to_text();
    asks_otherwise_ = copy.row.roles_snapshot != parent_.cast.to_text() ||
                      copy.row.topic.value_or("") != parent_.topic || changes_version_;
    const FlowSnapshot snapshot = snapshot_of_branch(*cast);
    copy.row.flow_snapshot = snapshot.to_text();
    copy.messages = messages_of_branch();
    if (asks_otherwise_) {
      SessionData asking = parent_;
      asking.topic = copy.row.topic.value_or("");
      asking.flow = flow_;
      asking.snapshot = snapshot;
      asking.cast = cast->cast;
      auto shown = shown_to(asking, record_of(asking), opened_before());
      if (!shown) return shown.error();
      copy.log = rows_of_branch(*shown);
    } else {
      copy.log = rows_of_branch({});
    }
    copy.state = state_.to_text();
    auto id = store::insert_whole_session(connection_, copy);
    if (!id) return id.error();
    branched_.id = *id;
    return {};
  }

  FlowSnapshot snapshot_of_branch(const BranchCast& cast) const {
    const std::int64_t last = state_.last_order;
    FlowSnapshot snapshot = parent_.snapshot;
    snapshot.version = version_number();
    if (wish_.version) {
      snapshot.source_sha256 = wish_.version->row->source_sha256;
      snapshot.header = wish_.version->program->header_json();
    }
    snapshot.limits = state_.limits;
    snapshot.variables = variables_;
    snapshot.models = cast.models;
    // Those before the one in force at the step, and that one, if it is not gone on with.
    snapshot.earlier.resize(point_.versions_before());
    if (changes_version_) {
      FlowSnapshot::EarlierVersion before{.version = parent_.snapshot.version,
                                          .source_sha256 = parent_.snapshot.source_sha256,
                                          .header = parent_.snapshot.header};
      if (point_.versions_before() < parent_.snapshot.earlier.size())
        before = parent_.snapshot.earlier[point_.versions_before()];
      before.until = cut_->execution_order;
      before.rows = last;
      snapshot.earlier.push_back(std::move(before));
    }
    snapshot.branched_from = {.session = wish_.parent, .order = wish_.at};
    snapshot.inherited_rows = asks_otherwise_ ? last : std::min(snapshot.inherited_rows, last);
    snapshot.inherited_rehearsal = cut_ != nullptr && parent_.is_rehearsed();
    snapshot.adopted_rows = std::min(snapshot.adopted_rows, last);
    snapshot.adopted_messages = std::min(snapshot.adopted_messages, state_.last_position);
    return snapshot;
  }

  // Those that have their place by then, and what branches have said that are under way.
  std::vector<model::Message> messages_of_branch() const {
    std::vector<model::Message> copied(whole_.messages.begin(),
                                       whole_.messages.begin() + state_.last_position);
    std::set<std::int64_t> said;
    state_.each_strand(
        [&](const flow::Strand& strand) { said.insert(strand.said.begin(), strand.said.end()); });
    for (const std::int64_t order : said)
      if (const auto* message = point_.message_of(*point_.row(order))) {
        copied.push_back(*message);
        copied.back().position = -order;
      }
    return copied;
  }

  // The rows that are open: steps that ask somebody, and the blocks around them.
  [[nodiscard]] std::set<std::int64_t> opened_before() const {
    std::set<std::int64_t> open;
    state_.each_strand([&](const flow::Strand& strand) {
      if (strand.open) open.insert(strand.open->order);
      for (const flow::Strand::Frame& frame : strand.frames) open.insert(frame.order);
    });
    return open;
  }

  // The rows up to there. What is open and will be asked otherwise than it was is shown `shown`.
  std::vector<model::StepExecutionLog> rows_of_branch(
      const std::map<std::int64_t, json::object>& shown) const {
    std::vector<model::StepExecutionLog> copied;
    if (cut_ == nullptr) return copied;
    const std::set<std::int64_t> open = opened_before();
    for (const auto& row : whole_.log) {
      if (row.execution_order > state_.last_order) break;
      copied.push_back(row);
      if (!open.contains(row.execution_order)) continue;
      auto& opened = copied.back();
      const flow::Strand* strand = state_.strand_of(row.execution_order);
      opened.status = strand != nullptr ? strand->open->status : StepStatus::running;
      if (strand != nullptr) opened.attempt_count = strand->open->attempt;
      opened.result_type.reset();
      opened.result_data.reset();
      opened.condition_evaluation.reset();
      opened.loop_check_result.reset();
      opened.error_message.reset();
      opened.duration_ms.reset();
      opened.memory_usage_mb.reset();
      opened.completed_at.reset();
      const auto other = shown.find(row.execution_order);
      if (&row != cut_ && other != shown.end())
        opened.context_snapshot = base::to_text(other->second);
    }
    return copied;
  }

  // ---- going on
  // -----------------------------------------------------------------------------------

  // As the engine would: the machine's effects become one commit, under a lease.
  base::Result<void> go_on() {
    auto session = load_session_data(connection_, flows_, branched_.id);
    if (!session) return session.error();
    SessionRecord record = record_of(*session);
    auto effects = advance(*session, record);
    if (!effects) return effects.error();

    std::set<std::int64_t> opened;
    for (const flow::Effect& effect : *effects)
      if (const auto* row = std::get_if<flow::OpenRow>(&effect)) opened.insert(row->order);
    auto shown = shown_to(*session, record, opened);
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
    branched_.flow_version = version_number();
    branched_.status = state_.status;
    return store::release_lease(connection_, branched_.id, **token);
  }

  // What was said and put out up to there.
  SessionRecord record_of(const SessionData& session) const {
    SessionRecord record(
        session.topic, session.seed,
        [this](std::int64_t first, std::int64_t last) { return messages_between(first, last); });
    for (const auto& message : messages_of_branch()) record.add(to_said(message, parent_));
    for (const std::int64_t order : flow::outputs_in_use(state_))
      if (auto output = output_of(order)) record.put_out(order, *std::move(output));
    return record;
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

  // The context snapshots of those of these rows that are open.
  base::Result<std::map<std::int64_t, json::object>> shown_to(
      const SessionData& session, const SessionRecord& record,
      const std::set<std::int64_t>& rows) const {
    std::map<std::int64_t, json::object> shown;
    for (const flow::Strand* strand : state_.open_strands()) {
      const std::int64_t order = strand->open->order;
      if (!rows.contains(order)) continue;
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

  // What happened in the parent happened when it happened there. Under another version that is the
  // answer alone.
  void keep_times(store::Commit& commit) const {
    if (cut_ == nullptr && flow_->version_id != point_.flow().version_id) return;
    for (auto& closed : commit.closed) {
      const auto* row = point_.row(closed.order);
      if (row == nullptr || !row->completed_at || (changes_version_ && row != cut_)) continue;
      closed.completed_at = *row->completed_at;
      closed.memory_mb = row->memory_usage_mb.value_or(0);
    }
    if (const auto* said = point_.said())
      for (auto& message : commit.said) message.created_at = said->created_at;
    if (changes_version_) return;
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
  std::shared_ptr<const PerformableFlow> flow_;  // under which it goes on
  bool changes_version_ = false;                 // ... other than the one before the cut
  bool asks_otherwise_ = false;  // with another topic, cast or version than the parent
  std::map<std::string, json::value, std::less<>> variables_;  // as it starts
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
