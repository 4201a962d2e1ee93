#include "db/sqlite_backup.h"

#include <sqlite3.h>

#include <memory>

#include "base/failpoint.h"
#include "db/sqlite_connection.h"
#include "db/sqlite_error.h"

namespace tertulia::db {
namespace {

// 4 MB of the usual pages: often enough to show progress, seldom enough to cost nothing.
constexpr int kPagesAStep = 1024;

using Handle = std::unique_ptr<sqlite3, decltype(&sqlite3_close)>;

base::Result<Handle> open_raw(const std::string& path, int flags) {
  sqlite3* opened = nullptr;
  const int status = sqlite3_open_v2(path.c_str(), &opened, flags | SQLITE_OPEN_EXRESCODE, nullptr);
  Handle handle(opened, &sqlite3_close);
  if (status != SQLITE_OK) return sqlite_error(opened, status, "open", path);
  return handle;
}

base::Result<void> perform(sqlite3* handle, const char* sql, const std::string& path) {
  const int status = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return sqlite_error(handle, status, sql, path);
  return {};
}

base::Result<int> page_size(sqlite3* handle, const std::string& path) {
  sqlite3_stmt* prepared = nullptr;
  int status = sqlite3_prepare_v2(handle, "PRAGMA page_size", -1, &prepared, nullptr);
  const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(prepared,
                                                                             &sqlite3_finalize);
  if (status == SQLITE_OK) status = sqlite3_step(prepared);
  if (status != SQLITE_ROW) return sqlite_error(handle, status, "page size", path);
  return sqlite3_column_int(prepared, 0);
}

// From database to database; `path` is the one that is written.
base::Result<void> copy_pages(sqlite3* from, sqlite3* to, const std::string& path,
                              const PageProgress& progress) {
  sqlite3_backup* backup = sqlite3_backup_init(to, "main", from, "main");
  if (backup == nullptr) return sqlite_error(to, sqlite3_extended_errcode(to), "backup", path);
  base::Result<void> passed;
  int status = SQLITE_OK;
  while (status == SQLITE_OK) {
    passed = base::failpoint("db.backup.step");
    if (!passed) break;
    status = sqlite3_backup_step(backup, kPagesAStep);
    const int total = sqlite3_backup_pagecount(backup);
    if (progress) progress(total - sqlite3_backup_remaining(backup), total);
  }
  const int finished = sqlite3_backup_finish(backup);
  if (!passed) return passed.error().in(path);
  if (status != SQLITE_DONE) return sqlite_error(to, status, "backup", path);
  if (finished != SQLITE_OK) return sqlite_error(to, finished, "backup", path);
  return {};
}

}  // namespace

base::Result<void> copy_sqlite(Connection& from, const std::string& to,
                               const PageProgress& progress) {
  auto copy = open_raw(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!copy) return copy.error();
  auto copied = with_sqlite_handle(
      from, [&](sqlite3* source) { return copy_pages(source, copy->get(), to, progress); });
  if (!copied) return copied;
  // The first page says WAL, as in the original. A file in WAL mode cannot be read from a folder
  // that cannot be written, where backups are often kept.
  return perform(copy->get(), "PRAGMA journal_mode = DELETE", to);
}

base::Result<void> overwrite_sqlite(Connection& live, const std::string& from,
                                    const PageProgress& progress) {
  auto source = open_raw(from, SQLITE_OPEN_READONLY);
  if (!source) return source.error();
  auto needed = page_size(source->get(), from);
  if (!needed) return needed.error();
  return with_sqlite_handle(live, [&](sqlite3* handle) -> base::Result<void> {
    const char* name = sqlite3_db_filename(handle, "main");
    const std::string path = name != nullptr ? name : "";
    auto found = page_size(handle, path);
    if (!found) return found.error();
    // A database in WAL mode cannot change the size of its pages.
    const bool resized = *found != *needed;
    if (resized)
      if (auto left = perform(handle, "PRAGMA journal_mode = DELETE", path); !left) return left;
    auto copied = copy_pages(source->get(), handle, path, progress);
    if (resized)
      if (auto back = perform(handle, "PRAGMA journal_mode = WAL", path); !back && copied)
        return back;
    return copied;
  });
}

}  // namespace tertulia::db
