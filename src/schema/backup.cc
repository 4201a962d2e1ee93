#include "schema/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/failpoint.h"
#include "db/postgres_tools.h"
#include "db/sqlite_backup.h"
#include "db/sqlite_connection.h"
#include "db/value.h"
#include "schema/history.h"

namespace tertulia::schema {
namespace {

namespace fs = std::filesystem;

base::Error failed(const fs::path& path, std::string_view doing, int reason) {
  return {.code = base::Code::storage,
          .message = fmt::format("cannot {} {}: {}", doing, path.string(), std::strerror(reason)),
          .remedy =
              "see that the folder exists, may be written and has room, or name another "
              "file"};
}

base::Error exists_already(const fs::path& path) {
  return {.code = base::Code::conflict,
          .message = fmt::format("{} is there already, and is not written over", path.string()),
          .remedy = "name another file"};
}

base::Result<void> sync(const fs::path& path, int flags) {
  if (auto passed = base::failpoint("backup.sync"); !passed)
    return passed.error().in(path.string());
  const int file = ::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed(path, "open", errno);
  const int status = ::fsync(file);
  const int reason = errno;
  ::close(file);
  if (status != 0) return failed(path, "sync", reason);
  return {};
}

// A backup while it is not yet one: removed unless it is published.
class PartialFile final {
 public:
  // Made at once and alone, so that an unwritable folder is found out before any work. May be read
  // by whoever may read `original`.
  static base::Result<PartialFile> make(const fs::path& final_path, const std::string& original) {
    std::error_code unreadable;  // then making the file fails, and says why
    if (fs::exists(final_path, unreadable)) return exists_already(final_path);
    struct stat pattern {};
    const bool known = !original.empty() && ::stat(original.c_str(), &pattern) == 0;
    PartialFile partial(final_path);
    const int file = ::open(partial.path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                            known ? pattern.st_mode & 0666 : 0600);
    if (file < 0) {
      const int reason = errno;
      const fs::path path = std::exchange(partial.path_, {});
      if (reason != EEXIST) return failed(path, "make", reason);
      auto error = exists_already(path);
      error.remedy = "another backup is being made, or broke off: then remove that file";
      return error;
    }
    ::close(file);
    return partial;
  }
  PartialFile(PartialFile&& other) noexcept
      : final_path_(std::move(other.final_path_)), path_(std::exchange(other.path_, {})) {}
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile() {
    if (path_.empty()) return;
    for (const char* ending : {"", "-journal", "-wal", "-shm"})
      ::unlink((path_.string() + ending).c_str());
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

  base::Result<void> publish() {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, final_path_.c_str(), RENAME_NOREPLACE) !=
        0) {
      // Some file systems do not know the flag: it was looked for a moment ago.
      if (errno == EEXIST) return exists_already(final_path_);
      if (errno != EINVAL || ::rename(path_.c_str(), final_path_.c_str()) != 0)
        return failed(final_path_, "make", errno);
    }
    path_.clear();
    const fs::path folder = final_path_.parent_path();
    return sync(folder.empty() ? fs::path(".") : folder, O_DIRECTORY);
  }

 private:
  explicit PartialFile(const fs::path& final_path)
      : final_path_(final_path), path_(final_path.string() + ".partial") {}
  fs::path final_path_;
  fs::path path_;  // empty: not there, or published
};

// The name that nobody gave.
fs::path default_path(const std::string& stem, int version, const base::Clock& clock) {
  std::string time;  // 20261124T153000Z
  for (const char c : base::to_iso8601(clock.now()).substr(0, 19))
    if (c != '-' && c != ':') time += c;
  const std::string name = fmt::format("{}.v{}-{}Z", stem, version, time);
  fs::path path = name + ".backup";
  std::error_code unreadable;  // then making the file fails, and says why
  for (int n = 2; fs::exists(path, unreadable); ++n) path = fmt::format("{}-{}.backup", name, n);
  return path;
}

// What SQLite says against the file itself, not against what rows hold: a NULL where none should
// be is as true of a faithful copy as of the original, and older programs have left some.
constexpr std::string_view kDamage =
    "SELECT integrity_check FROM pragma_integrity_check(1000000) "
    "WHERE integrity_check <> 'ok' AND integrity_check NOT LIKE '%NULL value in %' "
    "AND integrity_check NOT LIKE 'CHECK constraint failed in %' LIMIT 1";

base::Result<void> is_sound(db::Connection& connection, const std::string& path) {
  auto damage = db::read_text(connection, kDamage);
  if (!damage) return damage.error();
  if (damage->empty()) return {};
  return base::Error{.code = base::Code::storage,
                     .message = fmt::format("{} is damaged: {}", path, *damage)};
}

base::Result<void> same_counts(const RowCounts& expected, const RowCounts& found,
                               const std::string& path) {
  if (expected == found) return {};
  for (const auto& [table, rows] : expected) {
    const auto there = found.find(table);
    if (there == found.end())
      return base::Error{.code = base::Code::storage,
                         .message = fmt::format("{} lacks the table {}", path, table)};
    if (there->second != rows)
      return base::Error{
          .code = base::Code::storage,
          .message = fmt::format("{} has {} rows of {}, not {}", path, there->second, table, rows)};
  }
  return base::Error{.code = base::Code::storage,
                     .message = fmt::format("{} has tables that the original lacks", path)};
}

base::Result<Backup> describe(db::Connection& connection, std::string file) {
  auto situation = read_situation(connection);
  if (!situation) return situation.error();
  auto rows = count_rows(connection);
  if (!rows) return rows.error();
  return Backup{.file = std::move(file), .version = situation->version(), .rows = *std::move(rows)};
}

base::Result<void> finish(PartialFile& partial, Backup& backup) {
  std::error_code unreadable;
  const auto bytes = fs::file_size(partial.path(), unreadable);
  if (unreadable) return failed(partial.path(), "look at", unreadable.value());
  backup.bytes = static_cast<std::int64_t>(bytes);
  return partial.publish();
}

base::Result<Backup> back_up_sqlite(const db::Location& from, const std::optional<fs::path>& to,
                                    const Progress& progress, const base::Clock& clock) {
  auto source = db::open(from, {.access = db::Access::read});
  if (!source) return source.error();
  // One moment for what is counted and what is copied; ends with the connection.
  if (auto begun = (*source)->run_script("BEGIN"); !begun) return begun.error();
  auto backup = describe(**source, {});
  if (!backup) return backup.error();
  const fs::path path = to ? *to : default_path(from.target, backup->version, clock);
  backup->file = path.string();
  auto partial = PartialFile::make(path, from.target);
  if (!partial) return partial.error();
  const std::string copy = partial->path().string();
  if (auto copied = db::copy_sqlite(**source, copy, progress); !copied) return copied.error();
  if (auto synced = sync(copy, 0); !synced) return synced.error();
  {
    auto opened = db::open({db::Engine::sqlite, copy}, {.access = db::Access::read});
    if (!opened) return opened.error();
    if (auto sound = is_sound(**opened, copy); !sound) {
      auto before = is_sound(**source, from.target);
      return before ? sound.error() : before.error();
    }
    auto rows = count_rows(**opened);
    if (!rows) return rows.error();
    if (auto same = same_counts(backup->rows, *rows, copy); !same) return same.error();
  }
  if (auto finished = finish(*partial, *backup); !finished) return finished.error();
  return backup;
}

base::Result<Backup> back_up_postgres(const db::Location& from, const std::optional<fs::path>& to,
                                      const base::Clock& clock) {
  if (!db::has_pg_dump())
    return base::Error{.code = base::Code::unavailable,
                       .message = "pg_dump is not installed, so no backup can be made here",
                       .remedy =
                           "install PostgreSQL's client programs, or make a backup yourself "
                           "and then say: tertulia db migrate --backup-done"};
  auto source = db::open(from, {.access = db::Access::read});
  if (!source) return source.error();
  // One moment for what is counted and what is dumped. It may take longer than a forgotten
  // transaction is let live.
  if (auto set = (*source)->run_script("SET idle_in_transaction_session_timeout = 0"); !set)
    return set.error();
  auto transaction = db::Transaction::begin(**source);
  if (!transaction) return transaction.error();
  if (auto set = (*source)->run_script("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); !set)
    return set.error();
  auto snapshot = db::read_text(**source, "SELECT pg_export_snapshot()");
  if (!snapshot) return snapshot.error();
  auto name = db::read_text(**source, "SELECT current_database()");
  if (!name) return name.error();
  auto backup = describe(**source, {});
  if (!backup) return backup.error();
  const fs::path path = to ? *to : default_path(*name, backup->version, clock);
  backup->file = path.string();
  auto partial = PartialFile::make(path, {});
  if (!partial) return partial.error();
  const std::string dump = partial->path().string();
  if (auto dumped = db::pg_dump(from, *snapshot, dump); !dumped) return dumped.error();
  if (auto synced = sync(dump, 0); !synced) return synced.error();
  if (auto readable = db::pg_dump_is_readable(dump); !readable) return readable.error();
  if (auto finished = finish(*partial, *backup); !finished) return finished.error();
  return backup;
}

base::Result<Backup> restore_sqlite(const fs::path& file, const db::Location& to,
                                    const Progress& progress) {
  std::error_code unreadable;  // then opening says why
  if (fs::equivalent(file, to.target, unreadable))
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} is the database itself", file.string())};
  auto source = db::open({db::Engine::sqlite, file.string()}, {.access = db::Access::read});
  if (!source) return source.error();
  if (auto begun = (*source)->run_script("BEGIN"); !begun) return begun.error();
  if (auto sound = is_sound(**source, file.string()); !sound) return sound.error();
  auto backup = describe(**source, file.string());
  if (!backup) return backup.error();
  auto live = db::open(to, {.access = db::Access::write, .create = true});
  if (!live) return live.error();
  // In one turn, so that nobody writes between what is put there and what is then found.
  auto restored = db::with_sqlite_handle(**live, [&](sqlite3*) -> base::Result<void> {
    if (auto done = db::overwrite_sqlite(**live, file.string(), progress); !done) return done;
    if (auto sound = is_sound(**live, to.target); !sound) return sound;
    auto rows = count_rows(**live);
    if (!rows) return rows.error();
    return same_counts(backup->rows, *rows, to.target);
  });
  if (!restored) return restored.error();
  return backup;
}

base::Result<Backup> restore_postgres(const fs::path& file, const db::Location& to) {
  {
    auto target = db::open(to, {.access = db::Access::read});
    if (!target) return target.error();
    auto there = count_rows(**target);
    if (!there) return there.error();
    if (!there->empty())
      return base::Error{
          .code = base::Code::conflict,
          .message = fmt::format("{} has tables ({} ...); a backup is restored into an empty "
                                 "database",
                                 to.shown(), there->begin()->first),
          .remedy = fmt::format("make one with createdb, then: tertulia db restore {} --db "
                                "postgresql://.../NEW",
                                file.string())};
  }
  if (auto restored = db::pg_restore(file.string(), to); !restored) return restored.error();
  auto target = db::open(to, {.access = db::Access::read});
  if (!target) return target.error();
  return describe(**target, file.string());
}

}  // namespace

base::Result<Backup> back_up(const db::Location& from, const std::optional<fs::path>& to,
                             const Progress& progress, const base::Clock& clock) {
  return from.engine == db::Engine::sqlite ? back_up_sqlite(from, to, progress, clock)
                                           : back_up_postgres(from, to, clock);
}

base::Result<std::optional<Backup>> back_up_if_rows(const db::Location& from,
                                                    const Progress& progress) {
  {
    auto connection = db::open(from, {.access = db::Access::read});
    if (!connection) {
      if (connection.error().code == base::Code::not_found) return std::optional<Backup>();
      return connection.error();
    }
    auto rows = count_rows(**connection);
    if (!rows) return rows.error();
    rows->erase("schema_migrations");
    const bool has_rows =
        std::any_of(rows->begin(), rows->end(), [](const auto& each) { return each.second > 0; });
    if (!has_rows) return std::optional<Backup>();
  }
  auto backup = back_up(from, {}, progress);
  if (!backup) return backup.error();
  return std::optional<Backup>(*std::move(backup));
}

base::Result<Backup> restore(const fs::path& backup, const db::Location& to,
                             const Progress& progress) {
  std::error_code unreadable;
  const auto bytes = fs::file_size(backup, unreadable);
  if (unreadable)
    return base::Error{
        .code = base::Code::not_found,
        .message = fmt::format("cannot read {}: {}", backup.string(), unreadable.message()),
        .remedy = "name the file that db backup made"};
  auto restored = to.engine == db::Engine::sqlite ? restore_sqlite(backup, to, progress)
                                                  : restore_postgres(backup, to);
  if (restored) restored->bytes = static_cast<std::int64_t>(bytes);
  return restored;
}

}  // namespace tertulia::schema
