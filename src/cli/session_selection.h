// Which sessions a command is for: the ids and filters that list, export, delete, prune and stats
// have in common.
#pragma once

#include <CLI/CLI.hpp>

#include "service/session_selection.h"

namespace tertulia::cli {

// The options on the command; they are bound to `selection`, which must outlive it.
void add_selection(CLI::App& command, service::SessionSelection& selection);

}  // namespace tertulia::cli
