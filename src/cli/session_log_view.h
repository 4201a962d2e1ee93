// The step log for people: a table, or the tree of parents and children.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
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

// What a row says of its step (its label, and who speaks), and of how it ended. Not made safe for
// the terminal.
[[nodiscard]] std::string log_step_words(const engine::SessionData& session,
                                         const model::StepExecutionLog& row);
[[nodiscard]] std::string log_outcome_words(const model::StepExecutionLog& row);

// A row as JSON: the 21 columns, those that hold JSON as JSON.
[[nodiscard]] base::json::object log_row_json(const model::StepExecutionLog& row);
[[nodiscard]] base::json::object model_call_json(const store::CallOfStep& call);
[[nodiscard]] base::json::object message_json(const model::Message& message,
                                              const engine::SessionData& session);

}  // namespace tertulia::cli
