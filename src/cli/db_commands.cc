#include "cli/db_commands.h"

namespace tertulia::cli {

void add_db(CLI::App& app, Context& context) {
  auto* db = app.add_subcommand("db", "The database: its schema, history and soundness");
  db->require_subcommand(1);
  db->footer("Example: tertulia db status --db postgresql://me@localhost/tertulia");
  add_db_status(*db, context);
  add_db_moves(*db, context);
  add_db_verify(*db, context);
  add_db_adopt(*db, context);
  add_db_backup(*db, context);
  add_db_copy(*db, context);
}

}  // namespace tertulia::cli
