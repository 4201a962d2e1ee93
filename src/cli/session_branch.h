// tertulia session branch, tertulia session rerun: going another way from a step on.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_session_branch(CLI::App& session, Context& context);

}  // namespace tertulia::cli
