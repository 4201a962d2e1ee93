// Reporter tells an observer of one session's performance: what a commit holds is noted when it is
// made, and told when it is durable. Used on the engine's loop by a Performance.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "engine/observer.h"
#include "engine/session_data.h"
#include "flow/machine.h"
#include "store/commit.h"

namespace tertulia::engine {

class Reporter final {
 public:
  // Borrows the observer and the session. Tells that it has begun.
  Reporter(Observer& observer, const SessionData& session, const flow::State& state,
           std::int64_t token, base::Timestamp now);

  // The call of this row that has come to an end, for the commit that is noted next. Costs nothing
  // where the observer does not want it.
  void keep_content(std::int64_t order, const llm::Request& request, const std::string& answer);

  // What one commit holds of steps and calls.
  struct Report {
    std::vector<ObservedStep> steps;
    std::vector<ObservedCall> calls;
  };
  // `state` is the machine's after the effects.
  [[nodiscard]] std::shared_ptr<const Report> note(const std::vector<flow::Effect>& effects,
                                                   const std::vector<store::CallMade>& calls,
                                                   const flow::State& state, base::Timestamp now);
  void tell(const Report& report) const;
  void end(model::SessionStatus status, std::optional<model::StopReason> reason, bool given_up,
           base::Timestamp now) const;

 private:
  // A row that is open, or has failed and may be tried again.
  struct OpenRow {
    int instruction = 0;
    std::optional<std::int64_t> parent_order = {};
    std::string role = {};
    std::optional<base::Timestamp> opened_at = {};  // absent: by another process
    bool has_failed = false;
  };
  void open(const flow::OpenRow& row, const flow::State& state, base::Timestamp now);
  [[nodiscard]] ObservedStep close(std::int64_t order, std::int64_t attempt,
                                   const flow::Closing& closing, base::Timestamp now);
  [[nodiscard]] std::string requested_model(const model::ModelCall& call,
                                            const std::string& role) const;

  Observer& observer_;
  const SessionData& session_;
  const bool wants_content_;
  const ObservedSession observed_;
  std::map<std::int64_t, OpenRow> open_;  // by order
  std::map<std::int64_t, std::shared_ptr<const CallContent>> contents_;
};

}  // namespace tertulia::engine
