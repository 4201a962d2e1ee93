#include "engine/reporter.h"

namespace tertulia::engine {
namespace {

bool has_failed(model::StepStatus status) {
  return status == model::StepStatus::failed || status == model::StepStatus::timeout;
}

}  // namespace

Reporter::Reporter(Observer& observer, const SessionData& session, const flow::State& state,
                   std::int64_t token, base::Timestamp now)
    : observer_(observer),
      session_(session),
      wants_content_(observer.wants_content()),
      observed_{.id = session.id,
                .seed = session.seed,
                .flow = session.flow_name,
                .flow_version = session.flow_version,
                .token = token,
                .began = now} {
  state.each_strand([&](const flow::Strand& strand) {
    std::optional<std::int64_t> parent;
    if (strand.number != 0) parent = strand.block_order;
    for (const flow::Strand::Frame& frame : strand.frames) {
      open_.insert_or_assign(frame.order,
                             OpenRow{.instruction = frame.block, .parent_order = parent});
      parent = frame.order;
    }
    if (strand.open)
      open_.insert_or_assign(strand.open->order,
                             OpenRow{.instruction = strand.open->instruction,
                                     .parent_order = parent,
                                     .role = flow::speaker_of(session.program(), strand),
                                     .has_failed = has_failed(strand.open->status)});
  });
  observer_.session_begun(observed_);
}

void Reporter::keep_content(std::int64_t order, const llm::Request& request,
                            const std::string& answer) {
  if (!wants_content_) return;
  contents_[order] = std::make_shared<const CallContent>(
      CallContent{.system = request.system, .turns = request.turns, .answer = answer});
}

std::shared_ptr<const Reporter::Report> Reporter::note(const std::vector<flow::Effect>& effects,
                                                       const std::vector<store::CallMade>& calls,
                                                       const flow::State& state,
                                                       base::Timestamp now) {
  auto report = std::make_shared<Report>();
  // Whose a call was is known before its row closes.
  for (const flow::Effect& effect : effects)
    if (const auto* row = std::get_if<flow::OpenRow>(&effect)) open(*row, state, now);
  for (const store::CallMade& made : calls) {
    const auto row = open_.find(made.order);
    const std::string role = row == open_.end() ? std::string() : row->second.role;
    report->calls.push_back({.order = made.order,
                             .role = role,
                             .requested_model = requested_model(made.call, role),
                             .call = made.call});
    if (auto kept = contents_.extract(made.order)) report->calls.back().content = kept.mapped();
  }
  for (const flow::Effect& effect : effects) {
    const auto* opened = std::get_if<flow::OpenRow>(&effect);
    if (opened != nullptr && opened->closed)
      report->steps.push_back(close(opened->order, 1, *opened->closed, now));
    if (const auto* row = std::get_if<flow::CloseRow>(&effect))
      report->steps.push_back(close(row->order, row->attempt, row->closing, now));
    const auto* changed = std::get_if<flow::ChangeRow>(&effect);
    if (changed == nullptr || changed->status != model::StepStatus::running) continue;
    // Tried again: its time begins anew.
    const auto row = open_.find(changed->order);
    if (row != open_.end() && row->second.has_failed && !row->second.opened_at)
      row->second.opened_at = now;
  }
  return report;
}

void Reporter::open(const flow::OpenRow& row, const flow::State& state, base::Timestamp now) {
  const flow::Strand* strand = state.strand_of(row.order);
  std::string role =
      strand != nullptr
          ? flow::speaker_of(session_.program(), *strand)
          : session_.program().steps[static_cast<std::size_t>(row.instruction)].role();
  open_.insert_or_assign(row.order, OpenRow{.instruction = row.instruction,
                                            .parent_order = row.parent_order,
                                            .role = std::move(role),
                                            .opened_at = now,
                                            .has_failed = false});
}

ObservedStep Reporter::close(std::int64_t order, std::int64_t attempt, const flow::Closing& closing,
                             base::Timestamp now) {
  ObservedStep step;
  step.order = order;
  step.status = closing.status;
  step.attempt = attempt;
  step.duration_ms = closing.duration_ms;
  step.completed_at = now;
  step.started_at = now - std::chrono::milliseconds(closing.duration_ms);
  const auto found = open_.find(order);
  if (found == open_.end()) return step;
  OpenRow& row = found->second;
  const flow::Instruction& instruction =
      session_.program().steps[static_cast<std::size_t>(row.instruction)];
  step.parent_order = row.parent_order;
  step.kind = instruction.kind();
  step.step = instruction.label();
  step.role = row.role;
  step.again = row.has_failed;
  if (row.opened_at) step.started_at = *row.opened_at;
  if (has_failed(closing.status)) {
    row.has_failed = true;
    row.opened_at.reset();
  } else {
    open_.erase(found);
  }
  return step;
}

std::string Reporter::requested_model(const model::ModelCall& call, const std::string& role) const {
  const base::json::object* profile = nullptr;
  if (const auto found = session_.snapshot.models.find(call.profile);
      found != session_.snapshot.models.end()) {
    profile = &found->second;
  } else if (const flow::CastRole* cast = session_.cast.find(role);
             cast != nullptr && cast->profile == call.profile) {
    profile = &cast->model;
  }
  if (profile != nullptr)
    if (const auto* name = profile->if_contains("model"); name != nullptr && name->is_string())
      return std::string(name->get_string());
  return call.model;
}

void Reporter::tell(const Report& report) const {
  for (const ObservedCall& call : report.calls) observer_.call_ended(observed_, call);
  for (const ObservedStep& step : report.steps) observer_.step_closed(observed_, step);
}

void Reporter::end(model::SessionStatus status, std::optional<model::StopReason> reason,
                   bool given_up, base::Timestamp now) const {
  observer_.session_ended(
      observed_, {.status = status, .stop_reason = reason, .given_up = given_up, .time = now});
}

}  // namespace tertulia::engine
