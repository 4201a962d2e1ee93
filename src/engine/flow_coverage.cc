#include "engine/flow_coverage.h"

#include <deque>

#include "engine/dry_session.h"

namespace tertulia::engine {
namespace {

// Many more than any flow of 2,000 steps that people can read would want.
constexpr int kMostSessions = 1'000;

// Instructions whose conditions have a forced outcome; an `if`, check or goto's `when`. An
// instruction that decides has no goto with a condition of its own beside: both are forced alike.
using Forcing = std::map<int, bool>;

flow::Condition constant(bool holds) {
  flow::Condition always;
  always.kind = flow::Condition::Kind::all;  // of nothing
  if (holds) return always;
  flow::Condition never;
  never.kind = flow::Condition::Kind::not_;
  never.parts.push_back(std::move(always));
  return never;
}

bool has_condition(const flow::Instruction& step) {
  return step.condition() != nullptr || (step.jump && step.jump->max && step.jump->when);
}

flow::Program forced(const flow::Program& program, const Forcing& forcing) {
  flow::Program copy = program;
  for (const auto& [index, holds] : forcing) {
    flow::Instruction& step = copy.steps[static_cast<std::size_t>(index)];
    if (auto* choice = std::get_if<flow::If>(&step.step)) choice->condition = constant(holds);
    if (auto* check = std::get_if<flow::LoopCheck>(&step.step)) {
      if (check->until) check->until = constant(holds);
      if (check->while_) check->while_ = constant(holds);
    }
    if (step.jump && step.jump->when) step.jump->when = constant(holds);
  }
  return copy;
}

}  // namespace

std::vector<FlowWay> ways_of(const flow::Program& program) {
  std::vector<FlowWay> all;
  for (int i = 0; i < static_cast<int>(program.steps.size()); ++i) {
    const flow::Instruction& step = program.steps[static_cast<std::size_t>(i)];
    const auto add = [&](const char* way) { all.push_back({i, way}); };
    if (const auto* check = std::get_if<flow::LoopCheck>(&step.step)) {
      const auto& block = program.steps[static_cast<std::size_t>(check->loop)].step;
      const auto* loop = std::get_if<flow::Loop>(&block);
      const auto* discuss = std::get_if<flow::Discuss>(&block);
      const bool is_asked = check->until || check->while_;
      // Turns that nothing is asked about have no rows.
      if (discuss != nullptr && !is_asked) continue;
      const std::int64_t max = loop != nullptr ? loop->max : discuss->max;
      if (max > 1 || (loop != nullptr && loop->check_first)) add("again");
      if (is_asked && (max > 1 || (loop != nullptr && loop->check_first))) add("condition");
      add("at_max");
      continue;
    }
    if (std::holds_alternative<flow::If>(step.step)) {
      add("then");
      add("else");
    } else {
      add("");
    }
    if (step.jump && step.jump->max) {
      add("jumps");
      if (step.jump->when) add("goes_on");
    }
  }
  return all;
}

void WayNotes::note(const flow::Effect& effect) {
  if (const auto* row = std::get_if<flow::OpenRow>(&effect)) {
    open_[row->order] = row->instruction;
    const auto& step = program_.steps[static_cast<std::size_t>(row->instruction)].step;
    if (!std::holds_alternative<flow::If>(step) && !std::holds_alternative<flow::LoopCheck>(step))
      taken_.insert({row->instruction, ""});
    if (row->closed) note_closing(row->instruction, *row->closed);
  } else if (const auto* closed = std::get_if<flow::CloseRow>(&effect)) {
    note_closing(open_[closed->order], closed->closing);
  }
}

void WayNotes::note_closing(int instruction, const flow::Closing& closing) {
  const flow::Instruction& step = program_.steps[static_cast<std::size_t>(instruction)];
  const auto& goes = closing.loop_check_result;
  if (std::holds_alternative<flow::LoopCheck>(step.step)) {
    if (!goes) return;  // it was left early
    taken_.insert({instruction, *goes                             ? "again"
                                : closing.data.contains("at_max") ? "at_max"
                                                                  : "condition"});
    return;
  }
  if (closing.condition_evaluation)
    taken_.insert({instruction, *closing.condition_evaluation ? "then" : "else"});
  if (!step.jump || !step.jump->max) return;
  if (goes.value_or(false)) taken_.insert({instruction, "jumps"});
  if (!goes && closing.status == model::StepStatus::completed)
    taken_.insert({instruction, "goes_on"});
}

base::Result<FlowCoverage> cover_flow(const CastingCall& call, const ProfileSource& profiles,
                                      const RoleSource& roles, const ProviderSource& providers) {
  const flow::Program& program = *call.program;
  FlowCoverage coverage;
  std::set<FlowWay> taken;
  std::set<std::pair<int, bool>> tried;
  std::deque<Forcing> wanted = {{}};
  for (; !wanted.empty(); wanted.pop_front()) {
    if (++coverage.sessions > kMostSessions) {
      coverage.is_cut_short = true;
      break;
    }
    const Forcing& forcing = wanted.front();
    const flow::Program variant = forced(program, forcing);
    CastingCall cast = call;
    cast.program = &variant;
    WayNotes notes(program);
    std::set<int> met;
    auto ended =
        perform_dry(cast, profiles, roles, providers, {.note = [&](const flow::Effect& effect) {
                      notes.note(effect);
                      if (const auto* row = std::get_if<flow::OpenRow>(&effect))
                        met.insert(row->instruction);
                    }});
    if (!ended) return ended.error();
    coverage.is_cut_short =
        coverage.is_cut_short || ended->reason == model::StopReason::limit_steps;
    taken.insert(notes.taken().begin(), notes.taken().end());
    for (const int index : met)
      for (const bool holds : {true, false})
        if (has_condition(program.steps[static_cast<std::size_t>(index)]) &&
            tried.insert({index, holds}).second) {
          Forcing next = forcing;
          next[index] = holds;
          wanted.push_back(std::move(next));
        }
  }
  for (FlowWay& way : ways_of(program))
    (taken.count(way) > 0 ? coverage.reached : coverage.unreached).push_back(std::move(way));
  return coverage;
}

}  // namespace tertulia::engine
