// Does the program work on this database, and not only its schema? One step of a shipped flow is
// performed in it by rehearsal, which costs nothing. For copies: the session stays in the database.
#pragma once

#include <string>

#include "cli/context.h"

namespace tertulia::cli {

struct RehearsedStep {
  std::string flow;
  model::Id session_id = 0;
  std::int64_t log_rows = 0;
};

// The database must be at this program's version, and nobody else's.
[[nodiscard]] base::Result<RehearsedStep> rehearse_step(const Context& context,
                                                        const db::Location& copy);

}  // namespace tertulia::cli
