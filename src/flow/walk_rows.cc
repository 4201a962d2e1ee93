// The rows that stay open: who is asked, what comes of it, and what limits say.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "flow/walk.h"

namespace tertulia::flow {

using model::ResultType;
using model::StepStatus;
using model::StopReason;

namespace {

std::vector<bool> answers_of(const json::array& judgements) {
  std::vector<bool> answers;
  for (const json::value& each : judgements) {
    const json::value* answer = base::at_pointer(each, "/answer");
    answers.push_back(answer != nullptr && answer->is_bool() && answer->get_bool());
  }
  return answers;
}

}  // namespace

const std::string& speaker_of(const Program& program, const Strand& strand) {
  static const std::string nobody;
  if (!strand.open) return nobody;
  if (!strand.open->role.empty()) return strand.open->role;
  return program.steps[static_cast<std::size_t>(strand.open->instruction)].role();
}

bool waits_for_person(const Program& program, const State& state, const Strand& strand) {
  if (!strand.open) return false;
  const Instruction& step = program.steps[static_cast<std::size_t>(strand.open->instruction)];
  if (std::holds_alternative<AskPerson>(step.step)) return true;
  return std::holds_alternative<Speak>(step.step) &&
         state.played.contains(speaker_of(program, strand));
}

const Condition* judge_of(const Program& program, const State& state, const Strand& strand,
                          const Record& record) {
  if (!strand.open) return nullptr;
  const Condition* condition =
      program.steps[static_cast<std::size_t>(strand.open->instruction)].condition();
  if (condition == nullptr) return nullptr;
  const SessionFacts facts(state, strand, record);
  return judged(*condition, facts, answers_of(strand.open->judgements)).judge;
}

// ---- opening -----------------------------------------------------------------------------------

int Walk::perform(int index, const Speak& speak) {
  if (speak.role == kEach) return open_row(index, strand_->each_role);
  if (!speak.role.empty()) return open_row(index, speak.role);
  const Strand::Frame& frame = strand_->frames.back();
  const auto& discuss = std::get<Discuss>(step(frame.block).step);
  return open_row(index, discuss.among[static_cast<std::size_t>(frame.chosen)]);
}

int Walk::perform(int index, const AskPerson& ask) {
  return open_row(index, ask.role);
}

int Walk::perform(int index, const Choice& choice) {
  return open_row(index, choice.role);
}

int Walk::open_row(int index, std::string role) {
  if (const auto reason = record_.stopped_before(state_.last_order + 1)) {
    if (state_.limits.finish) {
      finish(*reason, {}, "ended_by", json::string_view(model::to_text(*reason)));
    } else {
      state_.resume_at = index;
      set_reason(*reason, {});
    }
    return kRest;
  }
  OpenRow row = next_row(index);
  Strand::Open open;
  open.order = row.order;
  open.instruction = index;
  open.visit = ++strand_->visits[index];
  open.ordinal = ++state_.steps_used;
  if (role != step(index).role()) open.role = role;
  if (row.order >= state_.counts_from) ++state_.roles_spent[role].steps;
  strand_->open = std::move(open);
  strand_->open->status =
      waits_for_person(program_, state_, *strand_) ? StepStatus::waiting : StepStatus::running;
  row.status = strand_->open->status;
  std::string text;
  auto reason = reached_limit(*strand_, text);
  bool finishes = state_.limits.finish;
  if (auto finished = record_.finished_at(row.order)) {
    reason = finished->reason;
    text = std::move(finished->text);
    finishes = true;
  }
  if (reason) row.status = strand_->open->status = StepStatus::pending;
  emit(std::move(row));
  if (reason) {
    reach_limit(*strand_, *reason, std::move(text), finishes, true);
  } else if (strand_->open->status == StepStatus::running) {
    ask();
  }
  return kRest;
}

void Walk::ask() {
  const Strand::Open& open = *strand_->open;
  emit(Ask{.order = open.order,
           .instruction = open.instruction,
           .attempt = open.attempt,
           .failures = open.failures});
}

void Walk::reopen(Strand& strand, std::int64_t attempts_more) {
  strand_ = &strand;
  Strand::Open& open = *strand.open;
  const bool person = waits_for_person(program_, state_, strand);
  open.status = person ? StepStatus::waiting : StepStatus::running;
  open.attempt += attempts_more;
  open.reason.reset();
  open.error.clear();
  emit(ChangeRow{.order = open.order, .status = open.status, .attempt = open.attempt});
  if (!person) ask();
}

// ---- limits ------------------------------------------------------------------------------------

Spent Walk::all_spent() const {
  Spent spent = state_.spent;
  state_.each_strand([&](const Strand& strand) {
    if (strand.open) spent += strand.open->spent;
  });
  return spent;
}

std::optional<StopReason> Walk::reached_limit(const Strand& strand, std::string& text) const {
  const Limits& limits = state_.limits;
  const Strand::Open& open = *strand.open;
  if (open.ordinal > limits.steps) return StopReason::limit_steps;
  if (state_.round > limits.rounds) return StopReason::limit_rounds;
  if (limits.time_ms && strand.elapsed_ms >= *limits.time_ms) return StopReason::limit_time;
  const bool person = waits_for_person(program_, state_, strand);
  if (!person && (limits.tokens || limits.cost_nano)) {
    const Spent spent = all_spent();
    if (limits.tokens && spent.tokens() >= *limits.tokens) return StopReason::limit_tokens;
    if (limits.cost_nano && spent.cost_nano >= *limits.cost_nano) return StopReason::limit_cost;
  }
  const std::string& role = speaker_of(program_, strand);
  const auto own = limits.roles.find(role);
  if (own == limits.roles.end()) return {};
  const RoleLimits& most = own->second;
  const auto found = state_.roles_spent.find(role);
  const RoleSpent spent = found == state_.roles_spent.end() ? RoleSpent{} : found->second;
  text = fmt::format("of the role '{}'", role);
  if (most.steps && spent.steps > *most.steps) return StopReason::limit_steps;
  if (person) return {};
  if (most.tokens && spent.spent.tokens() >= *most.tokens) return StopReason::limit_tokens;
  if (most.cost_nano && spent.spent.cost_nano >= *most.cost_nano) return StopReason::limit_cost;
  return {};
}

void Walk::reach_limit(Strand& strand, StopReason reason, std::string text, bool finishes,
                       bool opens) {
  if (!finishes) return hold(strand, reason, std::move(text));
  strand_ = &strand;
  const json::string_view word(model::to_text(reason));
  Closing closing = skipped();
  closing.data["limit"] = word;
  if (opens) closing.data["not_begun"] = true;
  close_open(std::move(closing));
  strand.open.reset();
  finish(reason, std::move(text), "ended_by", word);
}

void Walk::hold(Strand& strand, StopReason reason, std::string text) {
  Strand::Open& open = *strand.open;
  if (open.status != StepStatus::pending)
    emit(ChangeRow{.order = open.order, .status = StepStatus::pending, .attempt = open.attempt});
  open.status = StepStatus::pending;
  open.reason = reason;
  if (strand.number != 0) {
    open.error = std::move(text);
  } else {
    set_reason(reason, std::move(text));
  }
}

void Walk::pause(Strand& strand) {
  Strand::Open& open = *strand.open;
  open.status = StepStatus::pending;
  emit(ChangeRow{.order = open.order, .status = open.status, .attempt = open.attempt});
}

// ---- what comes of it --------------------------------------------------------------------------

void Walk::answered(Strand& strand, const Answered& answer) {
  strand_ = &strand;
  if (answer.spent) {
    strand.open->spent += *answer.spent;
    has_usage_ = true;
  }
  const Instruction& asked = step(strand.open->instruction);
  if (!waits_for_person(program_, state_, strand)) strand.elapsed_ms += answer.duration_ms;
  int next = kRest;
  if (asked.condition() != nullptr) {
    next = answered_judge(answer);
  } else if (std::holds_alternative<Choice>(asked.step)) {
    next = answered_choice(answer);
  } else {
    next = answered_words(answer);
  }
  if (next != kRest) go_on(strand, next);
}

void Walk::say(const Instruction& asked, const Answered& answer) {
  const auto* person = std::get_if<AskPerson>(&asked.step);
  const auto* speak = std::get_if<Speak>(&asked.step);
  const std::string& document = person != nullptr ? person->document : speak->document;
  const std::string& to = person != nullptr ? person->to : speak->to;
  const Strand::Open& open = *strand_->open;

  Say said;
  said.order = open.order;
  said.role = speaker_of(program_, *strand_);
  said.to = to == kEach ? strand_->each_role : to;
  said.text = answer.text;
  said.round = state_.round;
  const std::int64_t position = ++strand_->last_position;
  if (strand_->number == 0) {
    said.position = position;
  } else {
    strand_->said.push_back(open.order);
  }
  strand_->last_said = position;
  Scope::Spoken& spoken = strand_->spoken[said.role];
  ++spoken.count;
  spoken.last = position;
  if (!document.empty()) {
    Scope::Version& version = strand_->documents[document];
    ++version.number;
    version.position = position;
    said.document = document;
    said.document_version = version.number;
  }
  record_.say(strand_->key_of(position), answer.text);
  said_ = std::move(said);
}

int Walk::answered_words(const Answered& answer) {
  const Strand::Open open = *strand_->open;
  const Instruction& asked = step(open.instruction);
  say(asked, answer);

  Closing closing = completed(ResultType::success);
  closing.duration_ms = answer.duration_ms;
  if (said_.position != 0) closing.data["position"] = said_.position;
  if (!open.role.empty()) closing.data["role"] = open.role;
  if (!strand_->frames.empty() && strand_->frames.back().kind == Strand::Frame::Kind::discuss)
    closing.data["turn"] = strand_->frames.back().iteration;
  if (answer.output) {
    closing.data["output"] = *answer.output;
    record_.put_out(open.order, *answer.output);
    if (!asked.name.empty()) strand_->outputs[asked.name] = open.order;
  }
  for (const auto& member : answer.data) closing.data[member.key()] = member.value();

  const int next = take_jump(open.instruction, asked.next, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  close_open(std::move(closing));
  strand_->open.reset();
  emit(std::move(said_));
  return landed(jumps, open.instruction, next, open.order);
}

int Walk::answered_choice(const Answered& answer) {
  const Instruction& asked = step(strand_->open->instruction);
  const auto& choice = std::get<Choice>(asked.step);
  const auto& discuss = std::get<Discuss>(step(choice.discuss).step);
  Strand::Frame& frame = strand_->frames.back();

  const json::value* named = answer.output ? base::at_pointer(*answer.output, "/next") : nullptr;
  const auto& among = discuss.among;
  auto chosen = among.end();
  if (named != nullptr && named->is_string())
    chosen = std::find(among.begin(), among.end(), std::string_view(named->get_string()));
  const bool valid = chosen != among.end();
  frame.chosen = valid ? static_cast<int>(chosen - among.begin()) : chosen_by_order(discuss, frame);

  Closing closing = completed(ResultType::success);
  closing.duration_ms = answer.duration_ms;
  if (answer.output) closing.data["output"] = *answer.output;
  closing.data["turn"] = frame.iteration;
  closing.data["chosen"] = among[static_cast<std::size_t>(frame.chosen)];
  if (!valid) closing.data["fell_to_next"] = true;
  for (const auto& member : answer.data) closing.data[member.key()] = member.value();
  close_open(std::move(closing));
  strand_->open.reset();
  return asked.next;
}

int Walk::answered_judge(const Answered& answer) {
  Strand::Open& open = *strand_->open;
  const Instruction& asked = step(open.instruction);
  json::object judgement;
  judgement["role"] = open.role;
  const json::value* said = answer.output ? base::at_pointer(*answer.output, "/answer") : nullptr;
  judgement["answer"] = said != nullptr && said->is_bool() && said->get_bool();
  const json::value* why = answer.output ? base::at_pointer(*answer.output, "/reason") : nullptr;
  if (why != nullptr && why->is_string()) judgement["reason"] = why->get_string();
  open.judgements.push_back(std::move(judgement));

  const Verdict verdict = judged(*asked.condition(), facts(), answers_of(open.judgements));
  if (!verdict.holds) {
    open.role = verdict.judge->subject;
    open.failures = 0;
    open.wrong.clear();
    open.wrong_why.clear();
    ++open.attempt;
    emit(ChangeRow{.order = open.order, .status = open.status, .attempt = open.attempt});
    ask();
    return kRest;
  }
  judged_ms_ = answer.duration_ms;
  const int index = open.instruction;
  if (const auto* choice = std::get_if<If>(&asked.step))
    return decided(index, *choice, *verdict.holds);
  return decided(index, std::get<LoopCheck>(asked.step), *verdict.holds);
}

void Walk::skip(Strand& strand) {
  strand_ = &strand;
  const int index = strand.open->instruction;
  int next = step(index).next;
  // A check that was skipped ends its block; a skipped choice falls to the next in order.
  if (const auto* choice = std::get_if<Choice>(&step(index).step)) {
    Strand::Frame& frame = strand.frames.back();
    frame.chosen = chosen_by_order(std::get<Discuss>(step(choice->discuss).step), frame);
  }
  close_open(skipped());
  strand.open.reset();
  if (const auto* check = std::get_if<LoopCheck>(&step(index).step)) {
    const bool is_loop = std::holds_alternative<Loop>(step(check->loop).step);
    next = leave_block(completed(is_loop ? ResultType::loop_entry : ResultType::success));
  }
  if (const auto* branch = std::get_if<If>(&step(index).step)) next = branch->otherwise;
  go_on(strand, next);
}

void Walk::close_open(Closing closing) {
  Strand::Open& open = *strand_->open;
  open.status = closing.status;
  mark_branch(*strand_, closing);
  if (!open.judgements.empty()) closing.data["judges"] = open.judgements;
  if (has_usage_ || !open.spent.empty()) put_spent(closing.data, open.spent);
  const bool over =
      closing.status == StepStatus::completed || closing.status == StepStatus::skipped;
  if (over && strand_->number != 0) closing.data["commit_seq"] = ++state_.commit_seq;
  if (over) count_spent(*strand_);
  emit(CloseRow{.order = open.order, .attempt = open.attempt, .closing = std::move(closing)});
}

void Walk::count_spent(const Strand& strand) {
  if (strand.open->order < state_.counts_from) return;
  state_.spent += strand.open->spent;
  state_.roles_spent[speaker_of(program_, strand)].spent += strand.open->spent;
}

void Walk::fail_row(Strand& strand, StepStatus status, StopReason reason, std::string message,
                    std::int64_t duration_ms) {
  strand_ = &strand;
  Closing closing;
  closing.status = status;
  closing.result_type = ResultType::error;
  closing.error_message = message;
  closing.duration_ms = duration_ms;
  close_open(std::move(closing));
  if (strand.number != 0) {
    strand.open->reason = reason;
    strand.open->error = std::move(message);
  } else {
    set_reason(reason, std::move(message));
  }
}

}  // namespace tertulia::flow
