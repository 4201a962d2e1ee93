// tertulia session: what is done with sessions as a whole. Each adds its commands; one file each.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_session_list(CLI::App& session, Context& context);
void add_session_export(CLI::App& session, Context& context);
void add_session_compare(CLI::App& session, Context& context);
void add_session_stats(CLI::App& session, Context& context);
void add_session_removal(CLI::App& session, Context& context);  // delete, prune

}  // namespace tertulia::cli
