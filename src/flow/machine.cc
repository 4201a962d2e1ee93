// The events of the machine. What follows from them until the next model step is walk.cc's.
// machine_test.cc walks every pair of status and event, walk_test.cc the loops, gotos and limits,
// and machine_property_test.cc holds random programs against a naive interpreter.
#include "flow/machine.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "flow/walk.h"

namespace tertulia::flow {

using model::SessionStatus;
using model::StepStatus;
using model::StopReason;

namespace {

constexpr std::size_t kStatuses = std::tuple_size_v<decltype(model::Names<SessionStatus>::all)>;
constexpr std::size_t kEvents = std::variant_size_v<Event>;

constexpr std::array<std::string_view, kEvents> kEventNames = {
    "start", "answer", "failed attempt", "timeout", "interruption",
    "skip",  "retry",  "pause",          "resume",  "cancel"};

// Which events a status takes. What a row lacks is a conflict. Skip and retry also ask something of
// the open row: see `misfit`.
constexpr std::array<std::array<bool, kEvents>, kStatuses> kTakes = {{
    // start answer failed timeout interrupted skip retry pause resume cancel
    {true, false, false, false, false, false, false, false, false, true},    // not_started
    {false, true, true, true, true, true, false, true, false, true},         // running
    {false, true, false, true, false, true, false, false, false, true},      // waiting
    {false, false, false, false, false, true, true, false, true, true},      // paused
    {false, false, false, false, false, false, false, false, false, false},  // finished
    {false, false, false, false, false, false, false, false, false, false},  // failed
    {false, false, false, false, false, false, false, false, false, false},  // terminated
}};

bool is_failed(const State& state) {
  return state.open &&
         (state.open->status == StepStatus::failed || state.open->status == StepStatus::timeout);
}

base::Error conflict(std::string message) {
  return {.code = base::Code::conflict, .message = std::move(message)};
}

// Why the event cannot be taken; nothing where it can.
std::optional<base::Error> misfit(const State& state, const Event& event) {
  if (!kTakes[static_cast<std::size_t>(state.status)][event.index()])
    return conflict(fmt::format("a session that is {} takes no {}", model::to_text(state.status),
                                kEventNames[event.index()]));
  if (std::holds_alternative<Skip>(event) && !state.open)
    return conflict("no step is open that could be skipped");
  if (std::holds_alternative<RetryStep>(event) && !is_failed(state))
    return conflict("no step has failed that could be tried again");
  return std::nullopt;
}

// A state of another flow version would lead outside the program.
bool belongs_to(const State& state, const Program& program) {
  const auto is = [&](int index, std::string_view kind) {
    return index >= 0 && static_cast<std::size_t>(index) < program.steps.size() &&
           program.steps[static_cast<std::size_t>(index)].kind() == kind;
  };
  for (const State::Frame& frame : state.frames)
    if (!is(frame.loop, "loop")) return false;
  const auto says = [&](int index) { return is(index, "speak") || is(index, "ask"); };
  if (state.resume_at && !says(*state.resume_at)) return false;
  if (state.open && !says(state.open->instruction)) return false;
  // A session under way asks a model; a paused one knows where to go on.
  if (state.status == SessionStatus::running)
    return state.open && is(state.open->instruction, "speak");
  if (state.status == SessionStatus::waiting)
    return state.open && is(state.open->instruction, "ask");
  if (state.status == SessionStatus::paused) return state.open || state.resume_at;
  return true;
}

const Instruction& open_step(const Program& program, const State& state) {
  return program.steps[static_cast<std::size_t>(state.open->instruction)];
}

// Performs an event that fits.
class Performer final {
 public:
  Performer(const Program& program, State& state, Walk& walk)
      : program_(program), state_(state), walk_(walk) {}

  void operator()(const Start& event) {
    state_.variables = event.variables;
    state_.limits = event.limits.value_or(program_.limits);
    run();
    walk_.go(program_.entry);
  }

  void operator()(const Answered& event) { walk_.answered(event); }

  void operator()(const AttemptFailed& event) {
    ++state_.open->failures;
    if (event.again &&
        state_.open->failures < std::get<Speak>(open_step(program_, state_).step).retry.attempts) {
      next_attempt();
      return;
    }
    fail_open(StepStatus::failed, event.message, event.duration_ms);
    walk_.stop(SessionStatus::paused, event.reason, event.message);
  }

  void operator()(const StepTimedOut& event) {
    std::string message;
    if (const auto* ask = std::get_if<AskPerson>(&open_step(program_, state_).step)) {
      if (!ask->otherwise.empty()) {
        walk_.answered({.text = ask->otherwise,
                        .output = {},
                        .duration_ms = event.duration_ms,
                        .data = {{"by_default", true}}});
        return;
      }
      message = fmt::format("nobody has answered for '{}' in {} s", ask->role,
                            static_cast<double>(ask->timeout_ms.value_or(0)) / 1000.0);
    } else {
      message = fmt::format(
          "the step's time is used up ({} s, attempts and back-off included)",
          static_cast<double>(std::get<Speak>(open_step(program_, state_).step).timeout_ms) /
              1000.0);
    }
    fail_open(StepStatus::timeout, message, event.duration_ms);
    walk_.stop(SessionStatus::paused, StopReason::step_timeout, std::move(message));
  }

  void operator()(const Interrupted&) { next_attempt(); }

  void operator()(const Skip&) { walk_.skip(); }

  void operator()(const RetryStep&) {
    run();
    state_.open->failures = 0;
    if (std::holds_alternative<AskPerson>(open_step(program_, state_).step)) {
      state_.open->status = StepStatus::waiting;
      change_row();
      walk_.wait();
    } else {
      next_attempt();
    }
  }

  void operator()(const Pause& event) {
    state_.open->status = StepStatus::pending;
    change_row();
    walk_.stop(SessionStatus::paused, event.reason, event.text);
  }

  void operator()(const Resume& event) {
    if (event.limits) state_.limits = *event.limits;
    if (is_failed(state_)) {
      (*this)(RetryStep{});
      return;
    }
    run();
    if (state_.open) {
      state_.open->status = StepStatus::running;  // without a commit of its own
      walk_.ask();
    } else {
      walk_.go(*std::exchange(state_.resume_at, std::nullopt));
    }
  }

  void operator()(const Cancel&) { walk_.cancel(); }

 private:
  void run() {
    state_.status = SessionStatus::running;
    state_.stop_reason.reset();
    state_.stop_text.clear();
  }

  void next_attempt() {
    ++state_.open->attempt;
    state_.open->status = StepStatus::running;
    change_row();
    walk_.ask();
  }

  void change_row() {
    walk_.emit(ChangeRow{.order = state_.open->order,
                         .status = state_.open->status,
                         .attempt = state_.open->attempt});
  }

  void fail_open(StepStatus status, std::string message, std::int64_t duration_ms) {
    Closing closing;
    closing.status = status;
    closing.result_type = model::ResultType::error;
    closing.error_message = std::move(message);
    closing.duration_ms = duration_ms;
    walk_.close_open(std::move(closing));
  }

  const Program& program_;
  State& state_;
  Walk& walk_;
};

}  // namespace

base::Result<std::vector<Effect>> advance(const Program& program, State& state, const Event& event,
                                          const Record& record) {
  if (auto reason = misfit(state, event)) return std::move(*reason);
  if (!belongs_to(state, program))
    return base::Error{.code = base::Code::internal,
                       .message = "the session's machine state is not one of its flow version"};
  Walk walk(program, state, record);
  std::visit(Performer(program, state, walk), event);
  return walk.take_effects();
}

std::string execution_path(const Program& program, const State& state) {
  if (!state.open) return {};
  std::string path = program.steps[static_cast<std::size_t>(state.open->instruction)].path;
  char before = '#';
  for (const State::Frame& frame : state.frames) {
    path += before + std::to_string(frame.iteration);
    before = '.';
  }
  return path + '/' + std::to_string(state.open->visit);
}

}  // namespace tertulia::flow
