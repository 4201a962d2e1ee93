#include "db/sqlite_error.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>

namespace tertulia::db {
namespace {

bool is_schema_error(std::string_view words) {
  return words.starts_with("no such table") || words.starts_with("no such column") ||
         words.find("has no column named") != std::string_view::npos;
}

}  // namespace

base::Error sqlite_error(sqlite3* handle, int status, std::string_view name,
                         const std::string& path) {
  using base::Code;
  const std::string words = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(status);
  const std::string detail =
      fmt::format("SQLite error {} ({}) in {}: {}", status, sqlite3_errstr(status), name, words);
  const auto error = [&](Code code, std::string message, std::string remedy = {}) {
    return base::Error{code, std::move(message), detail, std::move(remedy)};
  };
  const auto no_space = [&] {
    return error(Code::storage_full, fmt::format("no space left on the disk of {}", path),
                 "free some space, then go on: nothing that was reported as done is lost");
  };
  switch (status & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return error(Code::timeout, fmt::format("{} is locked by another program", path),
                   "end the program that holds it, then try again");
    case SQLITE_CONSTRAINT:
      return error(Code::conflict, fmt::format("{}: {}", name, words));
    case SQLITE_INTERRUPT:
      return error(Code::cancelled, fmt::format("{} was stopped", name));
    case SQLITE_FULL:
      return no_space();
    case SQLITE_IOERR:
      // Where the index of its log finds no room.
      if (handle != nullptr && sqlite3_system_errno(handle) == ENOSPC) return no_space();
      return error(Code::storage, fmt::format("the disk of {} failed: {}", path, words),
                   "see the system's log for the disk's errors");
    case SQLITE_READONLY:
      return error(Code::storage, fmt::format("{} cannot be written: {}", path, words),
                   "see the permissions of the file and its folder");
    case SQLITE_CANTOPEN:
      return error(Code::storage, fmt::format("{} cannot be opened: {}", path, words),
                   "see that its folder exists and may be written");
    case SQLITE_NOTADB:
      return error(Code::storage, fmt::format("{}: this is not a SQLite database", path),
                   "name another file with --db; this one was not touched");
    case SQLITE_CORRUPT:
      return error(Code::storage, fmt::format("{} is damaged: {}", path, words),
                   "restore a backup");
    case SQLITE_ERROR:
      if (is_schema_error(words))
        return error(Code::drift, fmt::format("the database lacks what {} needs: {}", name, words),
                     "tertulia db status");
      [[fallthrough]];
    default:
      return error(Code::storage, fmt::format("{}: {}", name, words));
  }
}

}  // namespace tertulia::db
