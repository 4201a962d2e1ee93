// A backup is one file that holds a whole database: of SQLite a database file, copied page by page
// through SQLite's backup API (never by reading the file, which misses what stands in the WAL); of
// PostgreSQL what pg_dump writes in its custom format, where it is installed.
//
// A backup counts only when it is on the disk and was looked at: file and folder are synced, the
// file is opened again, its pages are examined, and it has as many rows in every table as the
// database had. Until then it has the ending ".partial"; a call that fails leaves no file behind
// and has changed nothing. An existing file is never written over.
//
// The database may be in use, also by a writer: what is saved is its state at one moment.
// Legacy and foreign databases are saved as any other (as version 0).
// Errors: conflict (the file is there), storage (disk full, unwritable, the copy is not equal),
// unavailable (PostgreSQL's programs are not installed), not_found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "db/connection.h"
#include "schema/row_counts.h"

namespace tertulia::schema {

// Is told how far a long piece of work is, in a unit of its own (pages, rows); from the calling
// thread. `total` may grow. Empty: nobody wants to know.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

struct Backup {
  std::string file;
  int version = 0;  // of Tertulia's schema in it; 0: it has none, or is not ours
  std::int64_t bytes = 0;
  RowCounts rows;
};

// Saves the database in `to`. Without it, beside a SQLite file or in the present folder under the
// PostgreSQL database's name, as NAME.v<version>-<UTC time>.backup.
[[nodiscard]] base::Result<Backup> back_up(const db::Location& from,
                                           const std::optional<std::filesystem::path>& to = {},
                                           const Progress& progress = {},
                                           const base::Clock& clock = base::Clock::system());

// What a program does before it replaces a database: saves one that holds rows, under the name
// above. Nothing where it holds none, or is not there.
[[nodiscard]] base::Result<std::optional<Backup>> back_up_if_rows(const db::Location& from,
                                                                  const Progress& progress = {});

// Puts a backup's content into the database in place of its own.
//
// SQLite: page by page into the live file, as one transaction under its write lock, so that other
// programs that have it open go on with it; the file is made where it is absent. Verified
// afterwards: the same tables with the same counts. No other connection of this process may be open
// for writing on it.
// PostgreSQL: only into a database without tables (conflict otherwise); all or nothing.
[[nodiscard]] base::Result<Backup> restore(const std::filesystem::path& backup,
                                           const db::Location& to, const Progress& progress = {});

}  // namespace tertulia::schema
