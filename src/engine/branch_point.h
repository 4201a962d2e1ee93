// BranchPoint is where a branch begins: the parent as it was read, the step whose answer led to the
// order that is branched at, and the machine's state as that step was about to be answered. Inside
// a parallel that is the state at that moment: steps of other branches that were answered by then
// are answered, those that were under way are open, and later ones are not there yet.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/session_data.h"
#include "store/whole_session.h"

namespace tertulia::engine {

class BranchPoint final {
 public:
  using Row = model::StepExecutionLog;

  // `at` is an execution order; 0: before the first step. Errors as `branch` has them.
  [[nodiscard]] static base::Result<BranchPoint> find(db::Connection& connection, FlowCache& flows,
                                                      Id parent, std::int64_t at);

  [[nodiscard]] const SessionData& session() const { return session_; }
  [[nodiscard]] const store::WholeSession& whole() const { return whole_; }
  // Null where the branch begins at the beginning.
  [[nodiscard]] const Row* step() const { return step_; }
  // Its limits are those in force in the parent.
  [[nodiscard]] const flow::State& state() const { return state_; }
  // The version of the flow that was in force then, and how many were before it.
  [[nodiscard]] const PerformableFlow& flow() const;
  [[nodiscard]] std::size_t versions_before() const { return versions_before_; }

  // The parent's row; null where there is none.
  [[nodiscard]] const Row* row(std::int64_t order) const;
  // What the step said; null where it said nothing.
  [[nodiscard]] const model::Message* said() const;
  // The message that a row says it said; null where there is none.
  [[nodiscard]] const model::Message* message_of(const Row& row) const;
  // "step 3 of session 7 (verdict)"
  [[nodiscard]] std::string words_of(const Row& row) const;

 private:
  BranchPoint() = default;
  [[nodiscard]] base::Result<void> read(db::Connection& connection, FlowCache& flows, Id parent);
  [[nodiscard]] base::Result<void> find_step(std::int64_t at);
  [[nodiscard]] base::Result<void> check_blocks(const Row& row) const;
  [[nodiscard]] base::Error not_done(const Row& row) const;
  void begin_attempts_anew();

  SessionData session_;
  store::WholeSession whole_;
  std::map<std::int64_t, const Row*> rows_;  // into whole_, whose rows stay where they are
  std::map<Id, const Row*> rows_by_id_;
  std::map<Id, const model::Message*> messages_;
  const Row* step_ = nullptr;
  std::size_t versions_before_ = 0;
  flow::State state_;
};

}  // namespace tertulia::engine
