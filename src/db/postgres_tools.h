// PostgreSQL's own programs for whole databases, pg_dump and pg_restore, run as child processes
// without a shell. What the URI says, a password above all, goes to them through their environment:
// the command line is everybody's to read.
// Errors: unavailable where they are not installed, storage with their words where they fail.
#pragma once

#include <string>

#include "db/connection.h"

namespace tertulia::db {

[[nodiscard]] bool has_pg_dump();

// Writes the database to `file` in the custom format. `snapshot` is what pg_export_snapshot gave
// for the moment to be dumped; its transaction must stay open.
[[nodiscard]] base::Result<void> pg_dump(const Location& from, const std::string& snapshot,
                                         const std::string& file);

// Is `file` a dump that can be read?
[[nodiscard]] base::Result<void> pg_dump_is_readable(const std::string& file);

// Makes what is in `file` in the database, as the URI's user: all or nothing.
[[nodiscard]] base::Result<void> pg_restore(const std::string& file, const Location& to);

}  // namespace tertulia::db
