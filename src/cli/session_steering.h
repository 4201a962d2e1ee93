// The session commands that move a session: resume, step, retry, skip, pause, cancel, delete.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_session_steering(CLI::App& session, Context& context);

}  // namespace tertulia::cli
