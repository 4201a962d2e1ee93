// What the replay of a session proves (engine/explain.h), as data.
#pragma once

#include <vector>

#include "base/json.h"
#include "engine/explain.h"

namespace tertulia::service {

// Where log, state and requests disagree, those of the log first; order 0 is the final state.
[[nodiscard]] std::vector<flow::Disagreement> disagreements_of(
    const engine::Explanation& explanation);
// {session_id, agrees, rows, messages, requests_rebuilt, disagreements: [{order, what}]}.
[[nodiscard]] base::json::object proof_json(model::Id session,
                                            const engine::Explanation& explanation);

}  // namespace tertulia::service
