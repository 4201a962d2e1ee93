// The flow machine is pure: `advance(program, state, event, record)` changes the state and returns
// effects, with no clock, I/O or randomness of its own. Whoever performs the effects puts the rows,
// the message and the state after them into one commit. The state can be rebuilt from the log by
// the same function (replay.h), which is the proof that the log explains the session.
//
// Every step that calls a model is one row: opened (pending or running), then closed; so is one
// that asks a person, opened as waiting. Steps without effects (loop, loop_check, if, set, end) are
// opened and closed on the way, in the same commit as what led to them. After each event the
// machine has come to rest: a model is being asked or a person waited for (one open row), or the
// session is paused or over. Once it is over, no row is left pending or running.
//
// machine.cc holds the events, walk.h the way from one model step to the next, state.cc the text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flow/program.h"
#include "model/status.h"

namespace tertulia::flow {

// What the session has recorded, for conditions and texts: texts by position, outputs by order.
// What it returns is determined by the log alone.
class Record {
 public:
  virtual ~Record() = default;
  // The text of the message at this position (1, 2 ...); nothing where there is none.
  [[nodiscard]] virtual std::optional<std::string_view> message(std::int64_t position) const = 0;
  // The structured output of the execution with this order; null where there is none.
  [[nodiscard]] virtual const json::value* output(std::int64_t order) const = 0;
  // The session's topic, for the reason of an `end` step.
  [[nodiscard]] virtual std::string_view topic() const { return {}; }
};

struct State {
  model::SessionStatus status = model::SessionStatus::not_started;
  std::optional<model::StopReason> stop_reason;
  std::string stop_text;  // for people: the `end` step's reason, the failure

  // A loop that is under way.
  struct Frame {
    int loop = 0;
    std::int64_t iteration = 0;
    std::int64_t order = 0;  // of the loop's own row
  };
  // The row of the step that asks a model or a person.
  struct Open {
    std::int64_t order = 0;
    int instruction = 0;
    std::int64_t visit = 0;     // how many times this step has been opened, from 1
    std::int64_t attempt = 1;   // attempt_count of the row
    std::int64_t failures = 0;  // attempts that count against retry.attempts; since the last
                                // `Retry`; an input from outside that replay takes as given
    model::StepStatus status = model::StepStatus::running;
  };
  // Where a role has spoken; where a document's latest version stands.
  struct Spoken {
    std::int64_t count = 0;
    std::int64_t last = 0;  // position
  };
  struct Version {
    std::int64_t number = 0;
    std::int64_t position = 0;
  };

  std::vector<Frame> frames;  // outermost first
  std::optional<Open> open;
  std::optional<int> resume_at;  // paused by a limit: the step that was not begun
  std::int64_t round = 1;
  std::int64_t round_start = 1;           // the position of the round's first message
  std::int64_t previous_round_start = 1;  // ... of the round before
  std::int64_t last_order = 0;            // the rows opened so far
  std::int64_t last_position = 0;         // the messages said so far
  std::int64_t steps_used = 0;            // rows that called a model or a person
  std::int64_t elapsed_ms = 0;            // the duration_ms of those that were answered
  std::map<std::string, json::value, std::less<>> variables;
  std::map<std::string, std::int64_t, std::less<>> outputs;  // step name -> order of its latest
  std::map<std::string, Spoken, std::less<>> spoken;         // by role reference
  std::map<std::string, Version, std::less<>> documents;
  std::map<int, std::int64_t> visits;  // of steps that ask a model, by instruction
  std::map<int, std::int64_t> jumps;   // taken gotos, by instruction
  Limits limits;                       // the flow's, or as a person raised them: an input

  // JSON, its members always in the same order, so two states are equal if their texts are. Small:
  // its size depends on the flow, not on how long the session is.
  [[nodiscard]] std::string to_text() const;
  // Invalid where the text is not what to_text writes.
  [[nodiscard]] static base::Result<State> from_text(std::string_view text);
  // The innermost loop's iteration; 0 outside loops.
  [[nodiscard]] std::int64_t iteration() const {
    return frames.empty() ? 0 : frames.back().iteration;
  }
};

// ---- events ------------------------------------------------------------------------------------

struct Start {
  std::map<std::string, json::value, std::less<>> variables;  // all of them, with their values
  std::optional<Limits> limits;                               // instead of the flow's
};
// The open step's model has answered in full, or its person (whose time does not count).
struct Answered {
  std::string text;  // as it is kept: see tidy_answer in prompt.h
  std::optional<json::value> output;
  std::int64_t duration_ms = 0;
  json::object data;  // further members of result_data (usage, flags)
};
// One attempt failed. `again`: this kind of failure may be tried again.
struct AttemptFailed {
  std::string message;
  bool again = true;
  model::StopReason reason = model::StopReason::step_failed;
  std::int64_t duration_ms = 0;  // of the step so far, all its attempts
};
// Of a person's step too: its default is said for them, or it stays open as timed out.
struct StepTimedOut {
  std::int64_t duration_ms = 0;
};
// The process that performed the open step died: found on resume.
struct Interrupted {};
// A person's wishes.
struct Skip {};       // the open step, whatever its status; a skipped step's goto is not taken
struct RetryStep {};  // an open step that failed or timed out; its row is opened again
struct Pause {
  model::StopReason reason = model::StopReason::asked;
  std::string text;
};
// Goes on where the session stopped: with the pending step, or (as RetryStep) with the one that
// failed, or at the limit, if it is raised: else the session stops there again.
struct Resume {
  std::optional<Limits> limits;
};
struct Cancel {};  // the open row and the loops around it become skipped

using Event = std::variant<Start, Answered, AttemptFailed, StepTimedOut, Interrupted, Skip,
                           RetryStep, Pause, Resume, Cancel>;

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
  std::int64_t position = 0;
  std::string role;
  std::string to;
  std::string text;
  std::int64_t round = 1;
  std::string document;  // empty: none
  std::int64_t document_version = 0;
};
// Ask the model of the open row (a person is waited for: that is a Stop), now or (again) after the
// retry policy's back-off.
struct Ask {
  std::int64_t order = 0;
  int instruction = 0;
  std::int64_t attempt = 1;
  std::int64_t failures = 0;
};
// The session has stopped, or waits for a person: state.status and state.stop_reason say how and
// why.
struct Stop {};

using Effect = std::variant<OpenRow, CloseRow, ChangeRow, Say, Ask, Stop>;

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

// The path of an execution: instruction path with the iterations of its loops and its visit, e.g.
// "2.loop.1#3/4" for the fourth visit of that step, in its loop's third iteration: what seeds
// depend on. The same for every attempt. Of the open row; empty where there is none.
[[nodiscard]] std::string execution_path(const Program& program, const State& state);

}  // namespace tertulia::flow
