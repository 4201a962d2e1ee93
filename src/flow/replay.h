// Replay performs a session again from its log, without calling a model: every event is read back
// from the rows and messages, every effect is held against the rows, and the state reached is held
// against the stored one.
#pragma once

#include <functional>
#include <map>
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
  std::vector<Said> messages;                                 // by position
  std::string topic;
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

// `at_step` (optional) is called with the state at each model step before it is answered, in order:
// what is needed to rebuild that step's request.
[[nodiscard]] ReplayReport replay(const ReplayInput& input,
                                  const std::function<void(const State&)>& at_step = {});

}  // namespace tertulia::flow
