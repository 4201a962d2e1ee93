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

// `at_step` (optional) is called with the state as each row was opened that asks a model or a
// person, in order, and the strand in which that row is open: what is needed to rebuild its
// request.
using AtStep = std::function<void(const State&, const Strand&)>;
[[nodiscard]] ReplayReport replay(const ReplayInput& input, const AtStep& at_step = {});

}  // namespace tertulia::flow
