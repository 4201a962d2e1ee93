// The events of the machine. What follows from them until the strands rest again is walk.cc's.
// machine_test.cc walks every pair of status and event, walk_test.cc the loops, gotos and limits,
// strands_test.cc what happens at the same time, and machine_property_test.cc holds random programs
// against a naive interpreter.
#include "flow/machine.h"

#include <fmt/format.h>

#include <algorithm>
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
    "start", "answer", "failed attempt", "timeout", "interruption", "skip",
    "retry", "pause",  "resume",         "cancel",  "part",         "limit"};

// Which events a status takes. What a row lacks is a conflict. What the event asks of an open row
// beside that: see `kRows`.
constexpr std::array<std::array<bool, kEvents>, kStatuses> kTakes = {{
    // start answer failed timeout interrupted skip retry pause resume cancel part limit
    {true, false, false, false, false, false, false, false, false, true, false, false},
    {false, true, true, true, true, true, false, true, false, true, true, true},      // running
    {false, true, false, true, false, true, false, false, false, true, false, true},  // waiting
    {false, true, false, true, false, true, true, false, true, true, false, true},    // paused
    {false, false, false, false, false, false, false, false, false, false, false, false},
    {false, false, false, false, false, false, false, false, false, false, false, false},
    {false, false, false, false, false, false, false, false, false, false, false, false},
}};

bool is_failed(const Strand::Open& open) {
  return open.status == StepStatus::failed || open.status == StepStatus::timeout;
}
bool is_running(const Strand::Open& open) {
  return open.status == StepStatus::running;
}
bool is_answerable(const Strand::Open& open) {
  return is_running(open) || open.status == StepStatus::waiting;
}
bool is_any(const Strand::Open&) {
  return true;
}

// Which open rows an event of one row can be of; null for events of the whole session.
using RowTest = bool (*)(const Strand::Open&);
constexpr std::array<RowTest, kEvents> kRows = {
    nullptr, is_answerable, is_running, is_answerable, is_running, is_any,
    nullptr, nullptr,       nullptr,    nullptr,       is_running, is_answerable};

base::Error conflict(std::string message, std::string remedy = {}) {
  return {.code = base::Code::conflict, .message = std::move(message), .remedy = std::move(remedy)};
}

std::int64_t order_of(const Event& event) {
  return std::visit(
      [](const auto& each) -> std::int64_t {
        if constexpr (requires { each.order; })
          return each.order;
        else
          return 0;
      },
      event);
}

std::string listed(const std::vector<Strand*>& strands) {
  std::string orders;
  for (const Strand* strand : strands)
    orders += (orders.empty() ? "" : ", ") + std::to_string(strand->open->order);
  return orders;
}

// The strand whose open row the event is of.
base::Result<Strand*> row_of(State& state, const Event& event) {
  const RowTest fits = kRows[event.index()];
  const std::int64_t order = order_of(event);
  std::vector<Strand*> found;
  state.each_strand([&](Strand& strand) {
    if (strand.open && fits(*strand.open) && (order == 0 || strand.open->order == order))
      found.push_back(&strand);
  });
  const bool skips = std::holds_alternative<Skip>(event);
  // Without a number, what failed is meant before what is under way.
  if (skips && found.size() > 1) {
    std::vector<Strand*> failed;
    for (Strand* strand : found)
      if (is_failed(*strand->open)) failed.push_back(strand);
    if (!failed.empty()) found = std::move(failed);
  }
  if (found.size() == 1) return found.front();
  if (!found.empty())
    return conflict(fmt::format("several steps are open (orders {}): the {} must say which",
                                listed(found), kEventNames[event.index()]));
  if (order != 0)
    return conflict(fmt::format("the step {} takes no {} now", order, kEventNames[event.index()]));
  return conflict(skips
                      ? std::string("no step is open that could be skipped")
                      : fmt::format("no step is open that takes a {}", kEventNames[event.index()]));
}

// Why the event cannot be taken; nothing where it can.
std::optional<base::Error> misfit(const State& state, const Event& event) {
  if (!kTakes[static_cast<std::size_t>(state.status)][event.index()])
    return conflict(fmt::format("a session that is {} takes no {}", model::to_text(state.status),
                                kEventNames[event.index()]));
  if (const auto* retry = std::get_if<RetryStep>(&event)) {
    bool any = false;
    for (const Strand* strand : state.open_strands())
      any = any || (is_failed(*strand->open) &&
                    (retry->order == 0 || retry->order == strand->open->order));
    if (!any) return conflict("no step has failed that could be tried again");
  }
  return std::nullopt;
}

// A state of another flow version would lead outside the program.
bool belongs_to(const Strand& strand, const Program& program) {
  const auto is = [&](int index, auto&& test) {
    return index >= 0 && static_cast<std::size_t>(index) < program.steps.size() &&
           test(program.steps[static_cast<std::size_t>(index)]);
  };
  constexpr std::array<std::string_view, 4> kBlocks = {"loop", "discuss", "parallel", "call"};
  for (const Strand::Frame& frame : strand.frames) {
    const auto kind = kBlocks[static_cast<std::size_t>(frame.kind)];
    if (!is(frame.block, [&](const Instruction& step) { return step.kind() == kind; }))
      return false;
    if (frame.kind == Strand::Frame::Kind::call && frame.caller.size() != 1) return false;
    if (frame.kind != Strand::Frame::Kind::discuss) continue;
    const auto& among =
        std::get<Discuss>(program.steps[static_cast<std::size_t>(frame.block)].step).among;
    if (frame.chosen >= static_cast<int>(among.size())) return false;
  }
  const auto stays_open = [](const Instruction& step) {
    return step.says() || std::holds_alternative<Choice>(step.step) ||
           (step.condition() != nullptr && step.condition()->asks_judge());
  };
  if (strand.open && !is(strand.open->instruction, stays_open)) return false;
  const bool forked =
      !strand.frames.empty() && strand.frames.back().kind == Strand::Frame::Kind::parallel;
  if (forked == strand.branches.empty()) return false;
  return std::all_of(strand.branches.begin(), strand.branches.end(),
                     [&](const Strand& branch) { return belongs_to(branch, program); });
}

bool belongs_to(const State& state, const Program& program) {
  if (!belongs_to(static_cast<const Strand&>(state), program)) return false;
  if (state.resume_at &&
      (*state.resume_at < 0 || static_cast<std::size_t>(*state.resume_at) >= program.steps.size()))
    return false;
  // A session under way has something to do; a paused one knows where to go on.
  const bool under_way = state.status == SessionStatus::running ||
                         state.status == SessionStatus::waiting ||
                         state.status == SessionStatus::paused;
  return !under_way || state.resume_at || !state.open_strands().empty();
}

// Performs an event that fits; `strand_` is its row's, where it is of one.
class Performer final {
 public:
  Performer(const Program& program, State& state, Walk& walk, Strand* strand)
      : program_(program), state_(state), walk_(walk), strand_(strand) {}

  void operator()(const Start& event) {
    state_.status = SessionStatus::running;
    state_.variables = event.variables;
    state_.limits = event.limits.value_or(program_.limits);
    state_.played = event.played;
    walk_.go_on(state_, program_.entry);
  }

  void operator()(const Answered& event) { walk_.answered(*strand_, event); }

  void operator()(const AttemptFailed& event) {
    Strand::Open& open = *strand_->open;
    open.spent += event.spent;
    ++open.failures;
    open.wrong = event.wrong;
    open.wrong_why = event.wrong.empty() ? std::string() : event.message;
    if (event.again && open.failures < attempts()) return walk_.reopen(*strand_, 1);
    // The next profile begins anew.
    const auto* speak = std::get_if<Speak>(&step().step);
    if (speak != nullptr && open.profile < static_cast<std::int64_t>(speak->fallback.size())) {
      ++open.profile;
      open.failures = 0;
      open.wrong.clear();
      open.wrong_why.clear();
      return walk_.reopen(*strand_, 1);
    }
    walk_.fail_row(*strand_, StepStatus::failed, event.reason, event.message, event.duration_ms);
  }

  void operator()(const Continued& event) {
    Strand::Open& open = *strand_->open;
    open.spent += event.spent;
    open.part += event.text;
    ++open.parts;
    open.failures = 0;
    walk_.reopen(*strand_, 1);
  }

  void operator()(const LimitReached& event) {
    walk_.reach_limit(*strand_, event.reason, event.text, event.finish);
  }

  void operator()(const StepTimedOut& event) {
    strand_->open->spent += event.spent;
    std::string message;
    const std::string& role = speaker_of(program_, *strand_);
    const auto* ask = std::get_if<AskPerson>(&step().step);
    if (ask != nullptr && !ask->otherwise.empty()) {
      Answered answer;
      answer.text = ask->otherwise;
      answer.duration_ms = event.duration_ms;
      answer.data = {{"by_default", true}};
      return walk_.answered(*strand_, answer);
    }
    if (ask != nullptr) {
      message = fmt::format("nobody has answered for '{}' in {} s", role,
                            static_cast<double>(ask->timeout_ms.value_or(0)) / 1000.0);
    } else {
      message = fmt::format("the step's time is used up ({} s, attempts and back-off included)",
                            static_cast<double>(timeout_ms()) / 1000.0);
    }
    walk_.fail_row(*strand_, StepStatus::timeout, StopReason::step_timeout, std::move(message),
                   event.duration_ms);
  }

  void operator()(const Interrupted&) { walk_.reopen(*strand_, 1); }

  void operator()(const Skip&) { walk_.skip(*strand_); }

  void operator()(const RetryStep& event) { go_on_with_all(event.order); }

  void operator()(const Pause& event) {
    walk_.set_reason(event.reason, event.text);
    state_.each_strand([&](Strand& strand) {
      if (strand.open && is_running(*strand.open) &&
          (event.order == 0 || event.order == strand.open->order))
        walk_.pause(strand);
    });
  }

  void operator()(const Resume& event) {
    if (event.limits) state_.limits = *event.limits;
    go_on_with_all(0);
    if (state_.resume_at) walk_.go_on(state_, *std::exchange(state_.resume_at, std::nullopt));
  }

  void operator()(const Cancel&) { walk_.cancel(); }

 private:
  [[nodiscard]] const Instruction& step() const {
    return program_.steps[static_cast<std::size_t>(strand_->open->instruction)];
  }
  [[nodiscard]] std::int64_t attempts() const {
    const auto* speak = std::get_if<Speak>(&step().step);
    return speak != nullptr ? speak->retry.attempts : Retry().attempts;
  }
  [[nodiscard]] std::int64_t timeout_ms() const {
    const auto* speak = std::get_if<Speak>(&step().step);
    return speak != nullptr ? speak->timeout_ms : Speak().timeout_ms;
  }

  // What failed is tried again (only the row `order`, if it is one), what is pending goes on, and
  // what a limit holds goes on if the limit lets it.
  void go_on_with_all(std::int64_t order) {
    std::vector<Strand*> open;
    state_.each_strand([&](Strand& strand) {
      if (strand.open) open.push_back(&strand);
    });
    for (Strand* strand : open) {
      Strand::Open& row = *strand->open;
      if (is_failed(row)) {
        if (order != 0 && order != row.order) continue;
        row.failures = 0;
        row.profile = 0;
        walk_.reopen(*strand, waits_for_person(program_, state_, *strand) ? 0 : 1);
      } else if (row.status == StepStatus::pending) {
        std::string text;
        if (const auto reason = walk_.reached_limit(*strand, text)) {
          walk_.reach_limit(*strand, *reason, std::move(text), state_.limits.finish);
          if (state_.limits.finish) return;
        } else {
          walk_.reopen(*strand, 0);
        }
      }
    }
  }

  const Program& program_;
  State& state_;
  Walk& walk_;
  Strand* strand_;
};

}  // namespace

base::Result<std::vector<Effect>> advance(const Program& program, State& state, const Event& event,
                                          const Record& record) {
  if (auto reason = misfit(state, event)) return std::move(*reason);
  Strand* strand = nullptr;
  if (kRows[event.index()] != nullptr) {
    auto row = row_of(state, event);
    if (!row) return row.error();
    strand = *row;
  }
  if (!belongs_to(state, program))
    return base::Error{.code = base::Code::internal,
                       .message = "the session's machine state is not one of its flow version"};
  Walk walk(program, state, record);
  std::visit(Performer(program, state, walk, strand), event);
  walk.settle();
  return walk.take_effects();
}

}  // namespace tertulia::flow
