// Observer is how an engine tells what it does, so that a server can count and trace it while the
// engine knows nothing of either. Only what is durable is told: who adds up what an observer heard
// has what the log says.
//
// Threads: sessions, steps and calls are told on the engine's loop, in the order in which they came
// about; groups and commits on the writer's thread. Nothing may block or throw, and nothing may
// call the engine. What is passed lives for the call only. The observer outlives the engine.
//
// Without an observer none of this is made: no clock is read and nothing is allocated.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "llm/provider.h"
#include "model/rows.h"

namespace tertulia::engine {

// A session as one engine performs it, from taking its lease to giving it back. A session that is
// paused and resumed has several, and a larger token each time.
struct ObservedSession {
  model::Id id = 0;
  std::uint64_t seed = 0;
  std::string flow;
  std::int64_t flow_version = 0;
  std::int64_t token = 0;  // the lease's
  base::Timestamp began;
};

struct ObservedEnd {
  model::SessionStatus status = model::SessionStatus::running;
  std::optional<model::StopReason> stop_reason;
  bool given_up = false;  // the lease was lost, the database failed, or the engine closed
  base::Timestamp time;
};

// A row of the step log that was closed.
struct ObservedStep {
  std::int64_t order = 0;
  std::optional<std::int64_t> parent_order;
  std::string_view kind;  // of the closed list of flow::Instruction::kind; lives for ever
  std::string step;       // its label
  std::string role;       // who spoke or was asked; empty: nobody
  model::StepStatus status = model::StepStatus::completed;
  std::int64_t attempt = 1;
  std::int64_t duration_ms = 0;
  base::Timestamp started_at;  // by this engine; of a row that another one opened, by its duration
  base::Timestamp completed_at;
  bool again = false;  // it had been closed before, as failed, and was tried again
};

// What a call was about: words of people and models, and of the flow.
struct CallContent {
  std::string system;
  std::vector<llm::Turn> turns;
  std::string answer;  // as far as it came
};

// An attempt at a call to a model, as it is recorded.
struct ObservedCall {
  std::int64_t order = 0;
  std::string role;
  std::string requested_model;  // as the profile names it; `call.model` is as the server does
  model::ModelCall call;        // id and log_id are not set
  // Null unless the observer wants it, and of calls whose process died.
  std::shared_ptr<const CallContent> content = nullptr;
};

class Observer {
 public:
  virtual ~Observer() = default;

  // Whether calls are told with their content; always the same.
  [[nodiscard]] virtual bool wants_content() const { return false; }

  virtual void session_begun(const ObservedSession&) {}
  virtual void session_ended(const ObservedSession&, const ObservedEnd&) {}
  virtual void step_closed(const ObservedSession&, const ObservedStep&) {}
  virtual void call_ended(const ObservedSession&, const ObservedCall&) {}

  // A transaction of the writer has ended; `members` are the commits and other work in it.
  virtual void group_ended(std::size_t /*members*/) {}
  // One session's commit is durable, or has failed and left nothing; so long after it was
  // submitted.
  virtual void commit_ended(std::chrono::nanoseconds /*time*/, bool /*durable*/) {}
};

}  // namespace tertulia::engine
