// Parts of a session as JSON, each in one form wherever it is shown: a list of sessions, what was
// said, the step log, calls to models, whom it waits for.
#pragma once

#include "base/json.h"
#include "engine/session_data.h"
#include "engine/waiting.h"
#include "model/rows.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::service {

[[nodiscard]] base::json::object session_item_json(const store::SessionSummary& session);
[[nodiscard]] base::json::object message_json(const model::Message& message,
                                              const engine::SessionData& session);
// The 21 columns, those that hold JSON as JSON.
[[nodiscard]] base::json::object log_row_json(const model::StepExecutionLog& row);
// The same without step_snapshot and context_snapshot, which are most of a row.
[[nodiscard]] base::json::object log_row_brief_json(const model::StepExecutionLog& row);
[[nodiscard]] base::json::object model_call_json(const store::CallOfStep& call);
[[nodiscard]] base::json::object found_message_json(const store::FoundMessage& message);
// {order, role, name, question, choices, schema, since, until, otherwise}; the schema only where
// the answer is JSON, the last two only where there is such a time.
[[nodiscard]] base::json::object waiting_json(const engine::Waiting& waiting);
// And back. Invalid where it is not that.
[[nodiscard]] base::Result<engine::Waiting> waiting_from_json(const base::json::value& value);

}  // namespace tertulia::service
