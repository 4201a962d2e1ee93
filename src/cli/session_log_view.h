// The step log for people: a table, or the tree of parents and children.
#pragma once

#include <vector>

#include "engine/session_data.h"
#include "model/rows.h"
#include "store/step_log.h"

namespace tertulia::cli {

struct LogViewOptions {
  bool tree = false;
  bool full = false;  // with snapshots, result data and every call to a model
};

void print_log(const engine::SessionData& session, const std::vector<model::StepExecutionLog>& log,
               const std::vector<store::CallOfStep>& calls, const LogViewOptions& options);

}  // namespace tertulia::cli
