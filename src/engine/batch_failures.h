// The file of a batch's failures: a line for each input whose session ended without a result.
//
//   {"id": "rest", "session": 7, "status": "paused", "reason": "step_failed: ..."}
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engine/batch_place.h"

namespace tertulia::engine {

// OUT.failures.jsonl.
[[nodiscard]] std::string failures_file(const std::string& out);

// Why a session has no result, in words.
[[nodiscard]] std::string failure_reason(model::SessionStatus status,
                                         const std::optional<model::StopReason>& stop_reason,
                                         const std::string& words);

// Writes the file anew, whole or not at all, and takes it away where nothing has failed; how many
// lines it has. `not_begun` says why sessions could not be performed that left no trace of it.
[[nodiscard]] base::Result<std::int64_t> write_failures(const std::string& path, BatchPlace& place,
                                                        const std::map<Id, std::string>& not_begun);

}  // namespace tertulia::engine
