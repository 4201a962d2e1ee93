#include "engine/commit_builder.h"

#include <algorithm>

namespace tertulia::engine {
namespace {

namespace json = base::json;
using model::StepStatus;

// Room in an event's object for what it has at most, so that it does not grow again and again.
constexpr std::size_t kMostMembers = 10;

std::optional<std::string> text_or_nothing(const std::string& text) {
  if (text.empty()) return {};
  return text;
}

bool is_over(model::SessionStatus status) {
  return status == model::SessionStatus::finished || status == model::SessionStatus::terminated ||
         status == model::SessionStatus::failed;
}

class Builder final {
 public:
  Builder(const SessionData& session, const flow::State& state, const CommitFacts& facts)
      : session_(session), state_(state), facts_(facts) {
    built_.commit.session_id = session.id;
    built_.commit.lease_token = facts.lease_token;
    built_.commit.now = facts.now;
  }

  void add(const flow::OpenRow& row) {
    store::RowOpened opened;
    const auto index = static_cast<size_t>(row.instruction);
    opened.step_id = session_.flow->step_ids[index];
    opened.parent_order = row.parent_order;
    opened.order = row.order;
    opened.round = row.round;
    opened.iteration = row.iteration;
    opened.status = row.status;
    opened.created_at = facts_.now;
    if (row.status != StepStatus::pending) opened.started_at = facts_.now;
    opened.step_snapshot = session_.flow->step_snapshots[index];
    if (const json::object* snapshot = snapshot_of(row.order))
      opened.context_snapshot = base::to_text(*snapshot);
    if (row.status == StepStatus::waiting) waiting_.push_back(row.order);
    announce_start(row);
    if (row.closed) {
      const flow::Closing& closing = *row.closed;
      opened.status = closing.status;
      opened.result_type = closing.result_type;
      if (!closing.data.empty()) opened.result_data = base::to_text(closing.data);
      opened.condition_evaluation = closing.condition_evaluation;
      opened.loop_check_result = closing.loop_check_result;
      opened.error_message = text_or_nothing(closing.error_message);
      opened.duration_ms = closing.duration_ms;
      opened.memory_mb = facts_.memory_mb;
      opened.completed_at = facts_.now;
      announce_end(row.order, 1, closing);
    }
    built_.commit.opened.push_back(std::move(opened));
  }

  void add(const flow::CloseRow& row) {
    const flow::Closing& closing = row.closing;
    store::RowClosed closed;
    closed.order = row.order;
    closed.attempt = row.attempt;
    closed.status = closing.status;
    closed.result_type = closing.result_type;
    closed.result_data = base::to_text(closing.data);
    closed.condition_evaluation = closing.condition_evaluation;
    closed.loop_check_result = closing.loop_check_result;
    closed.error_message = text_or_nothing(closing.error_message);
    closed.duration_ms = closing.duration_ms;
    closed.memory_mb = facts_.memory_mb;
    closed.completed_at = facts_.now;
    closed.started_at = facts_.now;
    built_.commit.closed.push_back(std::move(closed));
    announce_end(row.order, row.attempt, closing);
  }

  void add(const flow::ChangeRow& row) {
    // A row that this commit opens is opened as it now is.
    for (auto& opened : built_.commit.opened) {
      if (opened.order != row.order) continue;
      opened.status = row.status;
      if (row.status == StepStatus::pending) opened.started_at.reset();
      return;
    }
    store::RowChanged changed;
    changed.order = row.order;
    changed.status = row.status;
    changed.attempt = row.attempt;
    if (row.status == StepStatus::running || row.status == StepStatus::waiting)
      changed.started_at = facts_.now;
    built_.commit.changed.push_back(std::move(changed));
    if (row.status == StepStatus::waiting) waiting_.push_back(row.order);
  }

  void add(const flow::Say& say) {
    model::Message message;
    message.speaker_session_role_id = role_id(say.role);
    if (!say.to.empty()) message.target_session_role_id = role_id(say.to);
    message.content = say.text;
    message.round_index = say.round;
    message.created_at = facts_.now;
    const std::int64_t stands_at = say.position != 0 ? say.position : -say.order;
    message.position = stands_at;
    if (!say.document.empty()) {
      message.document = say.document;
      message.document_version = say.document_version;
    }
    built_.commit.said.push_back(std::move(message));
    for (auto& closed : built_.commit.closed)
      if (closed.order == say.order) closed.said_position = stands_at;
    announce_message(say);
  }

  void add(const flow::PlaceSaid& placed) {
    built_.commit.placed.push_back({.order = placed.order, .position = placed.position});
    if (!facts_.announce) return;
    json::object& data = announce(Event::Type::message_placed).data;
    data["order"] = placed.order;
    data["position"] = placed.position;
  }

  void add(const flow::Ask&) {}
  void add(const flow::Stop&) {}

  BuiltCommit finish(std::vector<store::CallMade> calls) {
    store::Commit& commit = built_.commit;
    announce_failures(calls);
    commit.calls = std::move(calls);
    store::Advance& advance = commit.advance;
    advance.status = state_.status;
    advance.stop_reason = state_.stop_reason;
    advance.round = state_.round;
    advance.executed_steps = state_.last_order;
    advance.error_reason = text_or_nothing(state_.stop_text);
    // Of several open steps, the first branch's.
    if (const auto open = state_.open_strands(); !open.empty())
      advance.current_step_id =
          session_.flow->step_ids[static_cast<size_t>(open.front()->open->instruction)];
    if (is_over(state_.status)) {
      advance.ended_at = facts_.now;
      advance.result = facts_.session_result;
    }
    commit.state = state_.to_text();
    for (const std::int64_t order : waiting_) announce_wait(order);
    announce_stop();
    return std::move(built_);
  }

 private:
  std::optional<Id> role_id(const std::string& ref) const {
    const auto found = session_.role_ids.find(ref);
    if (found == session_.role_ids.end()) return {};
    return found->second;
  }

  Event& announce(Event::Type type) {
    built_.announcements.push_back(
        {.id = 0, .type = type, .session_id = session_.id, .time = facts_.now, .data = {}});
    Event& event = built_.announcements.back();
    event.data.reserve(kMostMembers);
    return event;
  }

  const flow::Instruction& instruction(int index) const {
    return session_.program().steps[static_cast<size_t>(index)];
  }

  void announce_start(const flow::OpenRow& row) {
    if (!facts_.announce) return;
    const flow::Instruction& step = instruction(row.instruction);
    json::object& data = announce(Event::Type::step_started).data;
    data["order"] = row.order;
    data["step"] = step.label();
    data["kind"] = step.kind();
    const flow::Strand* strand = state_.strand_of(row.order);
    if (strand != nullptr) {
      data["role"] = flow::speaker_of(session_.program(), *strand);
    } else if (!step.role().empty()) {
      data["role"] = step.role();
    }
    if (strand != nullptr && strand->number != 0) data["branch"] = strand->number;
    if (const auto* speak = std::get_if<flow::Speak>(&step.step); speak && speak->output)
      data["structured"] = true;
    if (row.parent_order) data["parent"] = *row.parent_order;
    data["round"] = row.round;
    data["iteration"] = row.iteration;
  }

  void announce_end(std::int64_t order, std::int64_t attempt, const flow::Closing& closing) {
    if (!facts_.announce) return;
    json::object& data = announce(Event::Type::step_completed).data;
    data["order"] = order;
    data["status"] = model::to_text(closing.status);
    if (closing.result_type) data["result_type"] = model::to_text(*closing.result_type);
    data["attempt_count"] = attempt;
    data["duration_ms"] = closing.duration_ms;
    if (closing.condition_evaluation) data["condition_evaluation"] = *closing.condition_evaluation;
    if (closing.loop_check_result) data["loop_check_result"] = *closing.loop_check_result;
    if (!closing.error_message.empty()) data["error_message"] = closing.error_message;
    data["result_data"] = closing.data;
  }

  void announce_message(const flow::Say& say) {
    if (!facts_.announce) return;
    json::object message;
    message.reserve(kMostMembers);
    // Inside a parallel it has none yet: message.placed tells it.
    if (say.position != 0) message["position"] = say.position;
    message["order"] = say.order;
    message["role"] = say.role;
    const flow::CastRole* role = session_.cast.find(say.role);
    message["speaker"] = role != nullptr ? role->name : say.role;
    if (!say.to.empty()) message["to"] = say.to;
    message["round"] = say.round;
    message["text"] = say.text;
    if (!say.document.empty()) {
      message["document"] = say.document;
      message["document_version"] = say.document_version;
    }
    announce(Event::Type::message).data["message"] = std::move(message);
  }

  void announce_failures(const std::vector<store::CallMade>& calls) {
    if (!facts_.announce) return;
    for (const auto& made : calls) {
      if (made.call.outcome == "ok") continue;
      json::object& data = announce(Event::Type::attempt_failed).data;
      data["order"] = made.order;
      data["attempt"] = made.call.attempt;
      data["outcome"] = made.call.outcome;
      data["error"] = made.call.error_message.value_or("");
    }
  }

  void announce_wait(std::int64_t order) {
    const flow::Strand* strand = state_.strand_of(order);
    if (!facts_.announce || strand == nullptr) return;
    json::object& data = announce(Event::Type::session_waiting).data;
    data["order"] = order;
    data["role"] = flow::speaker_of(session_.program(), *strand);
    if (const json::object* snapshot = snapshot_of(order))
      if (const auto* question = snapshot->if_contains("question")) data["question"] = *question;
    const auto& step = instruction(strand->open->instruction).step;
    if (const auto* speak = std::get_if<flow::Speak>(&step); speak != nullptr && speak->output)
      data["schema"] = *speak->output;
    const auto* ask = std::get_if<flow::AskPerson>(&step);
    if (ask == nullptr) return;
    if (!ask->choices.empty()) {
      json::array choices;
      for (const std::string& choice : ask->choices) choices.emplace_back(choice);
      data["choices"] = std::move(choices);
    }
    if (ask->timeout_ms)
      data["until"] = base::to_iso8601(facts_.now + std::chrono::milliseconds(*ask->timeout_ms));
  }

  [[nodiscard]] const json::object* snapshot_of(std::int64_t order) const {
    if (facts_.context_snapshots == nullptr) return nullptr;
    const auto found = facts_.context_snapshots->find(order);
    return found == facts_.context_snapshots->end() ? nullptr : found->second;
  }

  void announce_stop() {
    if (!facts_.announce || state_.status == model::SessionStatus::running ||
        state_.status == model::SessionStatus::waiting)
      return;
    json::object& data = announce(is_over(state_.status) ? Event::Type::session_finished
                                                         : Event::Type::session_paused)
                             .data;
    data["status"] = model::to_text(state_.status);
    if (state_.stop_reason) data["stop_reason"] = model::to_text(*state_.stop_reason);
    if (!state_.stop_text.empty()) data["text"] = state_.stop_text;
    if (facts_.session_result)
      if (auto result = base::parse_json(*facts_.session_result)) data["result"] = *result;
  }

  const SessionData& session_;
  const flow::State& state_;
  const CommitFacts& facts_;
  std::vector<std::int64_t> waiting_;  // rows that began to wait for a person
  BuiltCommit built_;
};

}  // namespace

BuiltCommit build_commit(const SessionData& session, const flow::State& state,
                         const std::vector<flow::Effect>& effects,
                         std::vector<store::CallMade> calls, const CommitFacts& facts) {
  Builder builder(session, state, facts);
  for (const flow::Effect& effect : effects)
    std::visit([&](const auto& each) { builder.add(each); }, effect);
  return builder.finish(std::move(calls));
}

}  // namespace tertulia::engine
