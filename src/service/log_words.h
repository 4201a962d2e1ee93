// What a row of the step log says, in words for people. They hold what models and people said:
// whoever shows them makes them safe for where they are shown.
#pragma once

#include <string>

#include "engine/session_data.h"
#include "model/rows.h"

namespace tertulia::service {

// Its step (its label, and who speaks), and how it ended.
[[nodiscard]] std::string log_step_words(const engine::SessionData& session,
                                         const model::StepExecutionLog& row);
[[nodiscard]] std::string log_outcome_words(const model::StepExecutionLog& row);

}  // namespace tertulia::service
