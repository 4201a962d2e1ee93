// Copying moves all rows of Tertulia's tables from one database to another, of either engine, with
// their ids. `from` is read in one snapshot, so it may be in use; `to` must be empty: absent, a
// file of no bytes, a database without tables, or one with Tertulia's tables (also of an earlier
// version) and no row in them. It is brought to this program's head by the migrations, and keeps a
// history of its own. Whatever else stands in it is named and refused, and then nothing is changed.
//
// All rows come in one transaction of `to`: whatever goes wrong, and whenever the program is
// killed, `to` has the tables and not one row, and copying again works. It is committed only when
// every table of it, read back, has the rows and the SHA-256 that were read from `from`, and the
// caller's own examination is content. Memory is bounded by a page of rows, and by the number of
// orphans.
//
// Values go by their declared types: a time is the same moment in the program's own spelling, text
// (JSON is text) is the same bytes. What the other engine cannot hold (SQLite lets any column hold
// anything: text where an integer belongs, bytes that are not UTF-8) is an error that names table,
// row and column.
//
// References: PostgreSQL enforces keys. A reference that leads nowhere and was noted by an adoption
// becomes NULL there, and its value goes to adopted_leftovers; where NULL is not allowed, a row
// that says that it stands for a deleted one is made under the missing id. Both leave a note. To
// SQLite such references go as they are. One that is not noted is an error, on the way to any
// engine. Tables refer to each other in one direction only (declared.h), and rows of one table to
// each other in both: PostgreSQL gets references to later rows when all rows are there.
//
// Errors: drift (`from` is not at this program's head, or `to` has a schema that no migration leads
// from), conflict (`to` is not empty), invalid (it is `from`), storage (values that cannot be
// copied, unknown orphans, a copy that is not equal; and as ever), not_found.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "db/connection.h"

namespace tertulia::schema {

struct CopiedTable {
  std::string table;
  std::int64_t rows = 0;   // of `from`; all of them are in `to`
  std::int64_t added = 0;  // rows of `to` besides: for orphans, and notes about them
  std::string sha256;      // of the rows, as they stand in `to` without those added
};

// A reference that led nowhere.
struct CopiedOrphan {
  std::string table;
  std::int64_t row = 0;
  std::string column;
  std::string parent;
  std::int64_t value = 0;
  bool is_null_now = false;  // else a row was made under that id in the parent

  [[nodiscard]] std::string words() const;
};

struct Copy {
  std::vector<CopiedTable> tables;  // as declared
  std::vector<CopiedOrphan> orphans;
  std::vector<std::string> left;  // tables of `from` that are not Tertulia's and were not copied
};

// "copying messages", rows done and in all; from the calling thread.
using CopyProgress =
    std::function<void(const std::string& doing, std::int64_t done, std::int64_t total)>;

struct CopyOptions {
  CopyProgress progress = {};
  // Asked last, when everything is in `to` and equal, on connections that see the snapshot and the
  // rows that are yet to be committed. An error ends the copy with nothing in `to`.
  std::function<base::Result<void>(db::Connection& from, db::Connection& to)> examine = {};
  const base::Clock* clock = &base::Clock::system();
};

// No other connection of this process may be open for writing on `to`.
[[nodiscard]] base::Result<Copy> copy_database(const db::Location& from, const db::Location& to,
                                               const CopyOptions& options = {});

}  // namespace tertulia::schema
