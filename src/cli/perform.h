// Performing a session at the terminal: shows it, passes Ctrl-C on as a pause, says how it ended
// and how to go on.
#pragma once

#include "cli/context.h"
#include "engine/engine.h"

namespace tertulia::cli {

// The exit code. Where another process performs the session, it is watched until it stops. Where it
// waits for a person and there is one at the terminal, they are asked, and it goes on.
[[nodiscard]] base::Result<int> perform_shown(Context& context, model::Id session,
                                              engine::Wish wish);

}  // namespace tertulia::cli
