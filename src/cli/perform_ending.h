// How a session stands when nobody performs it any more, in words and as an exit code.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "cli/context.h"
#include "model/rows.h"

namespace tertulia::cli {

struct Ending {
  model::Id session = 0;
  model::SessionStatus status = model::SessionStatus::paused;
  std::optional<model::StopReason> stop_reason = {};
  std::string text = {};  // why, for people
  std::string flow = {};
  std::string model_hint = {};  // which profile could not be used, and its URL
};
// From the document of a session (service::session_json).
[[nodiscard]] Ending ending_of(const base::json::object& session);

// Says it on standard error, how to go on last; the exit code.
int say_ending(const Context& context, const Ending& ending);

}  // namespace tertulia::cli
