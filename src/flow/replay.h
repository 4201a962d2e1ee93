// Replay performs a session again from its log, without calling a model: every event is read back
// from the rows and messages, every effect is held against the rows, and the state reached is held
// against the stored one.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "flow/machine.h"
#include "flow/prompt.h"
#include "model/rows.h"

namespace tertulia::flow {

struct ReplayInput {
  const Program* program = nullptr;
  std::vector<model::Id> step_ids;                            // flow_steps.id of each instruction
  std::map<std::string, json::value, std::less<>> variables;  // as the session started
  std::vector<model::StepExecutionLog> log;                   // by execution_order
  // By position; behind them those that have none yet, whose position is minus their row's order.
  std::vector<Said> messages;
  std::string topic;
  std::uint64_t seed = 0;
  std::set<std::string, std::less<>> played;  // roles that a person plays
  State stored;
  // How far the older system wrote: rows up to this order without `reconstructed` in their
  // result_data, and messages up to this position. Replay takes the round, iteration and result
  // that they recorded as given.
  std::int64_t adopted_rows = 0;
  std::int64_t adopted_messages = 0;
  // The versions of the flow before `program`, oldest first. The row `until` was opened under the
  // version, and is closed under the next: version_change.h.
  struct Earlier {
    const Program* program = nullptr;
    std::vector<model::Id> step_ids;
    std::int64_t until = 0;
  };
  std::vector<Earlier> earlier;
};

struct Disagreement {
  std::int64_t order = 0;  // 0: the final state
  std::string what;        // "round_index: log has 2, replay gives 1"
};

struct ReplayReport {
  std::vector<Disagreement> disagreements;
  State state;  // as rebuilt
  std::int64_t rows = 0;
  std::int64_t messages = 0;
};

// What a replay shows on its way, of rows that ask a model or a person: the state, and the strand
// in which the row is open. Either may be empty.
struct ReplayWatch {
  using AtRow = std::function<void(const State&, const Strand&)>;
  // As each row was opened, in order: what is needed to rebuild its request.
  AtRow opened = {};
  // As each row is about to be closed, in the order in which that happened: before its attempts,
  // and under the flow version in which it was opened.
  AtRow closes = {};
};
[[nodiscard]] ReplayReport replay(const ReplayInput& input, const ReplayWatch& watch = {});

}  // namespace tertulia::flow
