// Asking is one open row that asks a model: its request, the call under way, and what an answer
// means to the flow machine. A session has one at a time, or one for each branch of a parallel.
// Made and used on the engine's loop by a Performance.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "engine/request.h"
#include "engine/session_data.h"
#include "engine/session_record.h"
#include "flow/asked.h"
#include "flow/output_schema.h"
#include "store/commit.h"

namespace tertulia::engine {

// What a call made of a row: the machine's event, the call's own row, and how long to wait before
// another attempt.
struct Meaning {
  std::optional<flow::Event> event;  // absent: the call was stopped, and says nothing
  store::CallMade made;
  std::chrono::milliseconds delay{0};
};

// The output schemas that a session's steps have asked for so far, by instruction: compiling one
// costs more than a step.
using SchemaCache = std::map<int, flow::OutputSchema>;

class Asking final {
 public:
  // Borrows both.
  Asking(const SessionData& session, SchemaCache& schemas)
      : session_(&session), schemas_(&schemas) {}

  // Makes the request of the strand's open row as it now stands, with what earlier attempts at it
  // left behind. `opens`: the step's time begins.
  [[nodiscard]] base::Result<void> prepare(const ProviderSource& providers,
                                           const flow::State& state, const flow::Strand& strand,
                                           const SessionRecord& record, bool opens);

  [[nodiscard]] const base::json::object& context_snapshot() const {
    return prepared_->context_snapshot;
  }
  [[nodiscard]] const llm::Request& request() const { return prepared_->request; }
  // The limit that the call could exceed, with what is spent and what the other calls under way may
  // take; and why, for people.
  struct Excess {
    model::StopReason reason = model::StopReason::limit_tokens;
    std::string text;
  };
  [[nodiscard]] std::optional<Excess> excess(const flow::State& state,
                                             const flow::Spent& others) const;
  // What the call may take: the prompt's tokens by estimate, and the answer's at most.
  [[nodiscard]] const flow::Spent& estimate() const { return estimate_; }
  [[nodiscard]] const std::string& role() const { return role_; }

  // Starts the call; `listener` is as Provider::start has it.
  void start(const flow::Strand& strand, base::Timestamp now, llm::Listener listener);
  void stop_call() {
    if (call_) call_->cancel();
  }
  void drop_call() { call_.reset(); }
  [[nodiscard]] bool is_calling() const { return call_ != nullptr; }
  // Tells answers and timers of older calls from those of this one.
  std::uint64_t number = 0;

  // What the answer to the last call means for the strand's open row.
  [[nodiscard]] Meaning take(llm::Answer answer, const flow::Strand& strand);
  // The call as it is recorded, whatever its row has become.
  [[nodiscard]] store::CallMade made(const llm::Answer& answer) const;

 private:
  [[nodiscard]] Meaning answered(llm::Answer answer, const flow::Strand& strand);
  [[nodiscard]] Meaning failed(const llm::Answer& answer, const flow::Strand& strand,
                               std::string wrong);
  // The answer's structured output, where one is asked for; an error says how it does not fit.
  [[nodiscard]] base::Result<std::optional<base::json::value>> output_of(std::string_view text);
  [[nodiscard]] flow::Spent spent_by(const llm::Answer& answer) const;
  [[nodiscard]] std::chrono::milliseconds step_time() const;
  [[nodiscard]] std::chrono::milliseconds step_time_left() const;
  [[nodiscard]] const flow::Speak& speak() const { return asked_->speak(); }

  const SessionData* session_;
  SchemaCache* schemas_;
  std::optional<flow::Asked> asked_;
  std::optional<PreparedRequest> prepared_;
  std::shared_ptr<llm::Provider> provider_;
  const flow::OutputSchema* schema_ = nullptr;
  std::unique_ptr<llm::Call> call_;
  std::string role_;
  ModelInForce force_;
  flow::Spent estimate_;
  std::int64_t order_ = 0;
  std::int64_t attempt_ = 1;
  base::Timestamp call_started_;
  std::chrono::steady_clock::time_point step_started_;
};

}  // namespace tertulia::engine
