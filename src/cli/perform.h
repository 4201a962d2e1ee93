// Performing a session at the terminal: shows it, passes Ctrl-C on as a pause, says how it ended
// and how to go on. By this process, or by the server through which commands work.
#pragma once

#include "cli/context.h"
#include "engine/engine.h"
#include "service/limit_wishes.h"

namespace tertulia::cli {

// What is done with a session.
struct Performing {
  engine::Action action = engine::Action::resume;
  service::LimitWishes limits = {};
  std::string words = {};  // of an answer
  std::int64_t order = 0;  // the step that is answered, retried or skipped; 0: the one that can be
};

// The exit code. Where another process performs the session, it is watched until it stops. Where it
// waits for a person and there is one at the terminal, they are asked, and it goes on.
[[nodiscard]] base::Result<int> perform_shown(Context& context, model::Id session,
                                              Performing performing);

}  // namespace tertulia::cli
