// The flow machine is pure: `advance(program, state, event, record)` changes the state and returns
// effects, with no clock, I/O or randomness of its own. Whoever performs the effects puts the rows,
// the messages and the state after them into one commit. The state can be rebuilt from the log by
// the same function (replay.h), which is the proof that the log explains the session.
//
// Every step that calls a model is one row: opened (pending or running), then closed; so is one
// that asks a person, opened as waiting. Steps without effects (if, set, end, loop checks without a
// judge) are opened and closed on the way, in the same commit as what led to them; blocks (loop,
// discuss, parallel, call) are rows that are open as long as something in them is. After each event
// every strand of the session (state.h) has come to rest: at an open row, or at the end of its
// branch. Once the session is over, no row is left pending, running or waiting.
//
// machine.cc holds the events, walk.h the way from one open row to the next.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "flow/program.h"
#include "flow/state.h"
#include "model/status.h"

namespace tertulia::flow {

// What the session has recorded, for conditions and texts. What it returns is determined by the log
// and by what the session was made with.
class Record {
 public:
  virtual ~Record() = default;
  // A message by its position (1, 2 ...), or by minus the order of the row that said it, where it
  // has no position yet (Strand::key_of); nothing where there is none.
  [[nodiscard]] virtual std::optional<std::string_view> message(std::int64_t key) const = 0;
  // The structured output of the execution with this order; null where there is none.
  [[nodiscard]] virtual const json::value* output(std::int64_t order) const = 0;
  // The session's topic.
  [[nodiscard]] virtual std::string_view topic() const { return {}; }
  // The session's seed, from which the turns of a random discuss are drawn.
  [[nodiscard]] virtual std::uint64_t seed() const { return 0; }
  // For replay, which knows the limits of the end, not those of the way. A limit that finished the
  // session as the row with this order was opened.
  struct Limit {
    model::StopReason reason = model::StopReason::limit_steps;
    std::string text;
  };
  [[nodiscard]] virtual std::optional<Limit> finished_at(std::int64_t) const { return {}; }
  // In sessions of 0.1.0-pre.1: one that kept the row from being opened.
  [[nodiscard]] virtual std::optional<model::StopReason> stopped_before(std::int64_t) const {
    return {};
  }
};

// ---- events ------------------------------------------------------------------------------------
// An event of one row names it by its order; 0 means the only row that it can be of.

struct Start {
  std::map<std::string, json::value, std::less<>> variables;  // all of them, with their values
  std::optional<Limits> limits;                               // instead of the flow's
  std::set<std::string, std::less<>> played = {};             // roles that a person plays
};
// The open row's model has answered in full, or its person (whose time does not count).
struct Answered {
  std::string text;  // as it is kept: see tidy_answer in prompt.h
  std::optional<json::value> output;
  std::int64_t duration_ms = 0;
  json::object data;  // further members of result_data (flags)
  std::optional<Spent> spent = {};
  std::int64_t order = 0;
};
// One attempt failed. `again`: this kind of failure may be tried again.
struct AttemptFailed {
  std::string message;
  bool again = true;
  model::StopReason reason = model::StopReason::step_failed;
  std::int64_t duration_ms = 0;  // of the step so far, all its attempts
  Spent spent = {};
  std::string wrong = {};  // what was said, where it did not fit the output's schema
  std::int64_t order = 0;
};
// A model stopped for length and is to go on: what it said by then.
struct Continued {
  std::string text;
  Spent spent = {};
  std::int64_t order = 0;
};
// The call that the open row is about to make could exceed a limit.
struct LimitReached {
  model::StopReason reason = model::StopReason::limit_tokens;
  std::string text;
  bool finish = false;  // finishes the session, instead of pausing it
  std::int64_t order = 0;
};
// Of a person's step too: its default is said for them, or it stays open as timed out.
struct StepTimedOut {
  std::int64_t duration_ms = 0;
  Spent spent = {};
  std::int64_t order = 0;
};
// The process that performed the row died: found on resume.
struct Interrupted {
  std::int64_t order = 0;
};
// A person's wishes.
struct Skip {  // an open row, whatever its status; a skipped step's goto is not taken
  std::int64_t order = 0;
};
struct RetryStep {  // rows that failed or timed out (0: all of them) are opened again
  std::int64_t order = 0;
};
struct Pause {  // every row that asks a model (0), or one
  model::StopReason reason = model::StopReason::asked;
  std::string text;
  std::int64_t order = 0;
};
// Goes on where the session stopped: with what is pending, (as RetryStep) with what failed, or at
// the limit, if it is raised: else the session stops there again.
struct Resume {
  std::optional<Limits> limits;
};
struct Cancel {};  // all open rows and the blocks around them become skipped

using Event = std::variant<Start, Answered, AttemptFailed, StepTimedOut, Interrupted, Skip,
                           RetryStep, Pause, Resume, Cancel, Continued, LimitReached>;

// ---- effects -----------------------------------------------------------------------------------

// A row begins. Rows of steps without effects are opened as completed: then `closed` is set.
struct Closing {
  model::StepStatus status = model::StepStatus::completed;
  std::optional<model::ResultType> result_type;
  std::optional<bool> condition_evaluation;
  std::optional<bool> loop_check_result;
  std::string error_message;
  json::object data;  // result_data
  std::int64_t duration_ms = 0;
};
struct OpenRow {
  std::int64_t order = 0;
  int instruction = 0;
  std::optional<std::int64_t> parent_order;
  std::int64_t round = 1;
  std::int64_t iteration = 0;
  model::StepStatus status = model::StepStatus::running;
  std::optional<Closing> closed;
};
struct CloseRow {
  std::int64_t order = 0;
  std::int64_t attempt = 1;
  Closing closing;
};
// The open row's status or attempt count changed, and it stays open.
struct ChangeRow {
  std::int64_t order = 0;
  model::StepStatus status = model::StepStatus::running;
  std::int64_t attempt = 1;
};
struct Say {
  std::int64_t order = 0;
  std::int64_t position = 0;  // 0 inside a parallel: PlaceSaid gives it
  std::string role;
  std::string to;
  std::string text;
  std::int64_t round = 1;
  std::string document;  // empty: none
  std::int64_t document_version = 0;
};
// What this row said inside a parallel has its position.
struct PlaceSaid {
  std::int64_t order = 0;
  std::int64_t position = 0;
};
// Ask the model of the open row, now or (again) after the retry policy's back-off. A person is
// waited for without one.
struct Ask {
  std::int64_t order = 0;
  int instruction = 0;
  std::int64_t attempt = 1;
  std::int64_t failures = 0;
};
// The session has stopped, or waits for a person: state.status and state.stop_reason say how and
// why.
struct Stop {};

using Effect = std::variant<OpenRow, CloseRow, ChangeRow, Say, Ask, Stop, PlaceSaid>;

// The effects stand in the order in which they happen: what closes a step, what it said, the rows
// on the way to the next, the next step's row, Ask or Stop.
//
// An event that does not fit the state (an answer without an open step, a resume of a finished
// session) gives an error of code conflict, and leaves the state as it was. docs/state-machines.md
// has the table; machine_test walks every pair of status and event.
//
// A flow that goes round without asking a model would not come to rest: more than kMaxQuietRows
// rows in one event end the session as failed, engine_failure, with a text that names the step.
inline constexpr std::int64_t kMaxQuietRows = 10'000;
[[nodiscard]] base::Result<std::vector<Effect>> advance(const Program& program, State& state,
                                                        const Event& event, const Record& record);

// The path of an open row's execution: instruction path with the iterations, turns and branches
// around it and its visit, e.g. "2.loop.1#3/4" for the fourth visit of that step, in its loop's
// third iteration, or "1.parallel.2.1#b2/1": what seeds depend on. The same for every attempt, and
// in whatever order branches run. Empty where no row is open.
[[nodiscard]] std::string execution_path(const Program& program, const Strand& strand);

// Who speaks in the strand's open row, or judges, or chooses.
[[nodiscard]] const std::string& speaker_of(const Program& program, const Strand& strand);
// Does the strand's open row wait for a person rather than a model?
[[nodiscard]] bool waits_for_person(const Program& program, const State& state,
                                    const Strand& strand);
// The judge that the strand's open row has to ask next; null where it is no row of that kind.
[[nodiscard]] const Condition* judge_of(const Program& program, const State& state,
                                        const Strand& strand, const Record& record);

}  // namespace tertulia::flow
