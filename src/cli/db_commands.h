// tertulia db: the subcommands, one file a topic.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_db_status(CLI::App& db, Context& context);  // init, status, repair
void add_db_moves(CLI::App& db, Context& context);   // plan, migrate, rollback
void add_db_verify(CLI::App& db, Context& context);
void add_db_adopt(CLI::App& db, Context& context);
void add_db_backup(CLI::App& db, Context& context);  // backup, restore
void add_db_copy(CLI::App& db, Context& context);

}  // namespace tertulia::cli
