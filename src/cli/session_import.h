// tertulia session import FILE.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_session_import(CLI::App& session, Context& context);

}  // namespace tertulia::cli
