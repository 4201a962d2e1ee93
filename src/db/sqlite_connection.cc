#include "db/sqlite_connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <set>
#include <unordered_map>

#include "base/failpoint.h"
#include "db/file_lock.h"
#include "db/sqlite_error.h"

namespace tertulia::db {
namespace {

constexpr int kBusyTimeoutMs = 5000;
constexpr std::chrono::seconds kLockPatience{30};

// A prepared statement with where each $N stands in it: SQLite numbers $1, $2 by first appearance,
// because to it they are names.
struct Prepared {
  sqlite3_stmt* statement = nullptr;
  std::vector<int> parameter;  // SQLite's index -> N

  Prepared() = default;
  Prepared(Prepared&& other) noexcept
      : statement(std::exchange(other.statement, nullptr)), parameter(std::move(other.parameter)) {}
  Prepared& operator=(Prepared&&) = delete;
  ~Prepared() { sqlite3_finalize(statement); }
};

// Resets the statement when the scope ends, so that it never holds a transaction open.
class Reset final {
 public:
  explicit Reset(sqlite3_stmt* statement) : statement_(statement) {}
  Reset(const Reset&) = delete;
  Reset& operator=(const Reset&) = delete;
  ~Reset() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

 private:
  sqlite3_stmt* statement_;
};

class SqliteRow final : public Row {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}
  int size() const override { return sqlite3_column_count(statement_); }
  std::string_view name(int column) const override {
    return sqlite3_column_name(statement_, column);
  }
  bool is_null(int column) const override {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }
  std::int64_t integer(int column) const override {
    return sqlite3_column_int64(statement_, column);
  }
  double real(int column) const override { return sqlite3_column_double(statement_, column); }
  bool boolean(int column) const override { return sqlite3_column_int64(statement_, column) != 0; }
  std::string_view text(int column) const override {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (bytes == nullptr) return {};
    return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_;
};

// The files that this process has open for writing, by device and inode.
class Writers final {
 public:
  using File = std::pair<dev_t, ino_t>;
  static Writers& instance() {
    static Writers writers;
    return writers;
  }
  bool enter(File file) {
    const std::lock_guard lock(mutex_);
    return files_.insert(file).second;
  }
  void leave(File file) {
    const std::lock_guard lock(mutex_);
    files_.erase(file);
  }

 private:
  std::mutex mutex_;
  std::set<File> files_;
};

class SqliteConnection final : public Connection {
 public:
  SqliteConnection(sqlite3* handle, std::string path, std::optional<FileLock> lock,
                   std::optional<Writers::File> entered)
      : handle_(handle), path_(std::move(path)), lock_(std::move(lock)), entered_(entered) {}

  ~SqliteConnection() override {
    rollback();
    statements_.clear();
    if (lock_) {
      // Closing checkpoints: it takes its turn like any other writer. Where the turn does not come,
      // the WAL is left for the next program, which is safe.
      if (!lock_->lock(kLockPatience, stop_))
        sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    }
    sqlite3_close(handle_);
    if (lock_) lock_->unlock();
    if (entered_) Writers::instance().leave(*entered_);
  }

  Engine engine() const override { return Engine::sqlite; }

  base::Result<std::int64_t> run(const Sql& sql, Params params) override {
    const auto before = sqlite3_total_changes64(handle_);
    auto done = perform(sql, params, nullptr);
    if (!done) return done.error();
    // The total counts what triggers and cascades changed too; the other keeps its value where a
    // statement changes nothing.
    return sqlite3_total_changes64(handle_) == before ? 0 : sqlite3_changes64(handle_);
  }

  base::Result<std::int64_t> each(const Sql& sql, Params params, const RowFn& row) override {
    return perform(sql, params, &row);
  }

  base::Result<void> run_batch(std::span<const Work> works) override {
    for (const Work& work : works) {
      auto affected = run(*work.sql, work.params);
      if (!affected) return affected.error();
      if (work.must_affect && *affected != *work.must_affect)
        return unexpected_count(work, *affected);
    }
    return {};
  }

  base::Result<void> run_script(std::string_view text) override {
    Turn turn(*this);
    if (auto got = turn.take_if(true); !got) return got;
    if (auto open = check_transaction(); !open) return open;
    while (!text.empty()) {
      if (auto passed = base::failpoint("db.script.statement"); !passed) return passed;
      Prepared prepared;
      const char* rest = nullptr;
      const int status = sqlite3_prepare_v2(handle_, text.data(), static_cast<int>(text.size()),
                                            &prepared.statement, &rest);
      if (status != SQLITE_OK) return sqlite_error(handle_, status, "script", path_);
      text.remove_prefix(static_cast<size_t>(rest - text.data()));
      if (prepared.statement == nullptr) continue;  // blanks and comments
      int stepped = SQLITE_ROW;
      while (stepped == SQLITE_ROW) stepped = sqlite3_step(prepared.statement);
      if (stepped != SQLITE_DONE) return sqlite_error(handle_, stepped, "script", path_);
    }
    return {};
  }

  base::Result<std::int64_t> each_text(std::string_view text, Params params,
                                       const RowFn& row) override {
    auto prepared = prepare_text("text", text, 0);
    if (!prepared) return prepared.error();
    return step_all(*prepared, "text", params, &row);
  }

  base::Result<void> check(const Sql& sql) override {
    auto prepared = prepare(sql);
    if (!prepared) return prepared.error();
    return {};
  }

  base::Result<void> begin() override {
    if (in_transaction())
      return base::Error{.code = base::Code::internal, .message = "a transaction is open already"};
    if (auto passed = base::failpoint("db.begin"); !passed) return passed;
    if (lock_) {
      stop_ = false;  // an interrupt from before, when there was nothing to stop
      if (auto got = lock_->lock(kLockPatience, stop_); !got) return got;
    }
    const int status = sqlite3_exec(handle_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) {
      auto error = sqlite_error(handle_, status, "begin", path_);
      end_turn();
      return error;
    }
    in_transaction_ = true;
    return {};
  }

  base::Result<void> commit() override {
    if (auto passed = base::failpoint("db.commit.before"); !passed) {
      rollback();
      return passed;
    }
    if (auto open = check_transaction(); !open) {
      end_transaction();
      return open;
    }
    const int status = sqlite3_exec(handle_, "COMMIT", nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) {
      auto error = sqlite_error(handle_, status, "commit", path_);
      rollback();
      return error;
    }
    end_transaction();
    return base::failpoint("db.commit.after");
  }

  void rollback() override {
    if (!in_transaction()) return;
    // SQLite has rolled back by itself after some errors (disk full, I/O): then this is refused,
    // and that is as good.
    sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
    end_transaction();
  }

  // Also one that a script has begun.
  bool in_transaction() const override {
    return in_transaction_ || sqlite3_get_autocommit(handle_) == 0;
  }

  void interrupt() override {
    stop_ = true;
    sqlite3_interrupt(handle_);
  }

  base::Result<void> with_handle(const HandleFn& job) {
    Turn turn(*this);
    if (auto got = turn.take_if(true); !got) return got;
    return job(handle_);
  }

  // Opening a file takes a turn, because it may recover the WAL; configured, it gives it back.
  void release_opening_turn() {
    if (lock_) lock_->unlock();
  }

  base::Result<void> configure(Access access) {
    sqlite3_extended_result_codes(handle_, 1);
    sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    if (access == Access::read) {
      sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
      return run_script(
          "PRAGMA mmap_size = 0; PRAGMA wal_autocheckpoint = 0;"
          "PRAGMA query_only = ON;");
    }
    return run_script(
        "PRAGMA mmap_size = 0; PRAGMA journal_mode = WAL;"
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
  }

 private:
  // The right to write, for a statement; statements may be performed within the rows of others.
  class Turn final {
   public:
    explicit Turn(SqliteConnection& connection) : connection_(connection) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      // Within a transaction, also one that a script has begun, the turn is kept until its end.
      if (taken_ && --connection_.turns_ == 0 && !connection_.in_transaction())
        connection_.lock_->unlock();
    }
    base::Result<void> take_if(bool wanted) {
      if (!wanted || !connection_.lock_) return {};
      if (!connection_.lock_->held()) {
        connection_.stop_ = false;  // an interrupt from before, when there was nothing to stop
        auto got = connection_.lock_->lock(kLockPatience, connection_.stop_);
        if (!got) return got;
      }
      ++connection_.turns_;
      taken_ = true;
      return {};
    }

   private:
    SqliteConnection& connection_;
    bool taken_ = false;
  };

  // After some errors (disk full, I/O, an interrupted write) SQLite rolls back by itself. What
  // follows would then commit statement by statement, outside of what the caller holds for a
  // transaction.
  base::Result<void> check_transaction() const {
    if (!in_transaction_ || sqlite3_get_autocommit(handle_) == 0) return {};
    return base::Error{.code = base::Code::storage,
                       .message = "the transaction had failed and was rolled back"};
  }

  void end_transaction() {
    in_transaction_ = false;
    end_turn();
  }

  // Unless the transaction was a part of a longer turn.
  void end_turn() {
    if (lock_ && turns_ == 0) lock_->unlock();
  }

  base::Result<std::int64_t> perform(const Sql& sql, Params params, const RowFn* row) {
    auto prepared = prepare(sql);
    if (!prepared) return prepared.error();
    if (sqlite3_stmt_busy((*prepared)->statement) == 0)
      return step_all(**prepared, sql.name, params, row);
    // Performed within its own rows: the one that is under way must not be reset.
    auto another = prepare_text(sql.name, sql.sqlite, 0);
    if (!another) return another.error();
    return step_all(*another, sql.name, params, row);
  }

  base::Result<Prepared*> prepare(const Sql& sql) {
    const auto known = statements_.find(&sql);
    if (known != statements_.end()) return &known->second;
    auto prepared = prepare_text(sql.name, sql.sqlite, SQLITE_PREPARE_PERSISTENT);
    if (!prepared) return prepared.error();
    return &statements_.emplace(&sql, *std::move(prepared)).first->second;
  }

  // Is there nothing but blanks and comments?
  bool is_blank(std::string_view text) {
    if (text.empty()) return true;
    Prepared rest;
    return sqlite3_prepare_v3(handle_, text.data(), static_cast<int>(text.size()), 0,
                              &rest.statement, nullptr) == SQLITE_OK &&
           rest.statement == nullptr;
  }

  base::Result<Prepared> prepare_text(std::string_view name, std::string_view text,
                                      unsigned flags) {
    Prepared prepared;
    const char* rest = nullptr;
    const int status = sqlite3_prepare_v3(handle_, text.data(), static_cast<int>(text.size()),
                                          flags, &prepared.statement, &rest);
    if (status != SQLITE_OK) return sqlite_error(handle_, status, name, path_);
    if (prepared.statement == nullptr || !is_blank({rest, text.data() + text.size()}))
      return base::Error{.code = base::Code::internal,
                         .message = fmt::format("{}: the text is not one statement", name)};
    const int count = sqlite3_bind_parameter_count(prepared.statement);
    for (int i = 1; i <= count; ++i) {
      const char* parameter = sqlite3_bind_parameter_name(prepared.statement, i);
      int number = 0;
      if (parameter == nullptr || parameter[0] != '$' ||
          std::from_chars(parameter + 1, parameter + std::strlen(parameter), number).ec !=
              std::errc() ||
          number < 1)
        return base::Error{.code = base::Code::internal,
                           .message = fmt::format("{}: parameters are written $1, $2 ...", name)};
      prepared.parameter.push_back(number);
    }
    return prepared;
  }

  base::Result<void> bind_all(const Prepared& prepared, std::string_view name, Params params) {
    for (size_t i = 0; i < prepared.parameter.size(); ++i) {
      const auto number = static_cast<size_t>(prepared.parameter[i]);
      if (number > params.size())
        return base::Error{.code = base::Code::internal,
                           .message = fmt::format("{}: parameter ${} is missing", name, number)};
      const int at = static_cast<int>(i) + 1;
      const Param& param = params[number - 1];
      int status = SQLITE_OK;
      switch (param.index()) {
        case 0:
          status = sqlite3_bind_null(prepared.statement, at);
          break;
        case 1:
          status = sqlite3_bind_int64(prepared.statement, at, std::get<1>(param));
          break;
        case 2:
          status = sqlite3_bind_double(prepared.statement, at, std::get<2>(param));
          break;
        case 3:
          status = sqlite3_bind_int(prepared.statement, at, std::get<3>(param));
          break;
        case 4: {
          const std::string_view text = std::get<4>(param);
          status = sqlite3_bind_text64(prepared.statement, at, text.data() ? text.data() : "",
                                       text.size(), SQLITE_STATIC, SQLITE_UTF8);
          break;
        }
      }
      if (status != SQLITE_OK) return sqlite_error(handle_, status, name, path_);
    }
    return {};
  }

  base::Result<std::int64_t> step_all(const Prepared& prepared, std::string_view name,
                                      Params params, const RowFn* row) {
    Turn turn(*this);
    if (auto got = turn.take_if(sqlite3_stmt_readonly(prepared.statement) == 0); !got)
      return got.error();
    if (auto open = check_transaction(); !open) return open.error();
    const Reset reset(prepared.statement);
    if (auto bound = bind_all(prepared, name, params); !bound) return bound.error();
    std::int64_t rows = 0;
    for (;;) {
      const int status = sqlite3_step(prepared.statement);
      if (status == SQLITE_DONE) return rows;
      if (status != SQLITE_ROW) return sqlite_error(handle_, status, name, path_);
      ++rows;
      if (row == nullptr) continue;
      if (auto taken = (*row)(SqliteRow(prepared.statement)); !taken) return taken.error();
    }
  }

  sqlite3* handle_;
  std::string path_;
  std::optional<FileLock> lock_;  // of write connections to files
  std::optional<Writers::File> entered_;
  std::unordered_map<const Sql*, Prepared> statements_;
  bool in_transaction_ = false;
  int turns_ = 0;  // of statements under way
  std::atomic<bool> stop_ = false;
};

base::Error refuse(const std::string& path, std::string_view why, std::string remedy) {
  return {.code = base::Code::storage,
          .message = fmt::format("{}: {}", path, why),
          .remedy = std::move(remedy)};
}

// Network file systems by the magic numbers of statfs(2): their locks do not reach other hosts, or
// not reliably, and WAL needs shared memory.
bool is_network_file_system(const std::string& path) {
  struct statfs system;
  const std::string folder =
      path.find('/') == std::string::npos ? std::string(".") : path.substr(0, path.rfind('/') + 1);
  if (::statfs(folder.c_str(), &system) != 0) return false;
  switch (static_cast<unsigned>(system.f_type)) {
    case 0x6969:      // NFS
    case 0x517B:      // SMB
    case 0xFF534D42:  // CIFS
    case 0xFE534D42:  // SMB2
    case 0x5346414F:  // AFS
    case 0x01021997:  // 9P
    case 0x00C36400:  // Ceph
    case 0x0BD00BD0:  // Lustre
      return true;
    default:
      return false;
  }
}

// What can be said of a file before SQLite opens it. The file is never opened here: closing a
// descriptor of it, any descriptor, drops the POSIX locks that SQLite's connections in this process
// hold on it, and another process that closes would then take itself for the last one and delete
// the WAL that we still use (https://sqlite.org/howtocorrupt.html, 2.2).
base::Result<void> examine(const std::string& path, const OpenOptions& options) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) {
    if (errno == ENOENT && options.create) return {};
    if (errno == ENOENT)
      return base::Error{.code = base::Code::not_found,
                         .message = fmt::format("there is no database at {}", path),
                         .remedy = fmt::format("tertulia db init --db {}", path)};
    return refuse(path, std::strerror(errno), "see that the path can be read");
  }
  if (S_ISDIR(file.st_mode)) return refuse(path, "this is a folder", "name a file");
  if (!S_ISREG(file.st_mode)) return refuse(path, "this is not a regular file", "name a file");
  // SQLite takes what is shorter than its smallest page for an empty database.
  constexpr off_t kSmallestPage = 512;
  if (file.st_size > 0 && file.st_size < kSmallestPage)
    return refuse(path, "this is not a SQLite database",
                  "name another file with --db; this one was not touched");
  const bool write = options.access == Access::write;
  if (::access(path.c_str(), write ? R_OK | W_OK : R_OK) != 0)
    return refuse(path,
                  fmt::format("cannot be {}: {}", write ? "written" : "read", std::strerror(errno)),
                  write ? "see its permissions, and that its file system is not mounted read-only"
                        : "see its permissions");
  return {};
}

// Is it a database at all? Asked by SQLite itself, read-only, before a writer makes its lock file
// beside what may be somebody's notes.
base::Result<void> probe(const std::string& path) {
  struct stat file;
  if (::stat(path.c_str(), &file) != 0 || file.st_size == 0) return {};
  auto opened = open_sqlite(path, {.access = Access::read});
  if (!opened) return opened.error();
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Connection>> open_sqlite(const std::string& path,
                                                      const OpenOptions& options) {
  if (auto examined = examine(path, options); !examined) return examined.error();
  if (is_network_file_system(path))
    return refuse(path, "this is on a network file system, whose locks cannot be relied on",
                  "put the database on a local disk, or use PostgreSQL");
  const bool write = options.access == Access::write;
  std::optional<FileLock> lock;
  if (write) {
    if (auto probed = probe(path); !probed) return probed.error();
    auto opened = FileLock::open(path + ".lock");
    if (!opened) return opened.error();
    lock = *std::move(opened);
    const std::atomic<bool> never = false;
    if (auto got = lock->lock(kLockPatience, never); !got) return got.error();
  }
  sqlite3* handle = nullptr;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  flags |= write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  if (write && options.create) flags |= SQLITE_OPEN_CREATE;
  const int status = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (status != SQLITE_OK) {
    auto error = sqlite_error(handle, status, "open", path);
    sqlite3_close(handle);
    return error;
  }
  std::optional<Writers::File> entered;
  if (write) {
    struct stat file;
    if (::stat(path.c_str(), &file) == 0) {
      entered = Writers::File{file.st_dev, file.st_ino};
      if (!Writers::instance().enter(*entered)) {
        sqlite3_close(handle);
        return base::Error{
            .code = base::Code::internal,
            .message = fmt::format("{} is open for writing in this process already", path)};
      }
    }
  }
  auto connection = std::make_unique<SqliteConnection>(handle, path, std::move(lock), entered);
  if (auto done = connection->configure(options.access); !done) return done.error();
  connection->release_opening_turn();
  return std::unique_ptr<Connection>(std::move(connection));
}

base::Result<std::unique_ptr<Connection>> open_sqlite_in_memory() {
  sqlite3* handle = nullptr;
  const int status =
      sqlite3_open_v2(":memory:", &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (status != SQLITE_OK) {
    auto error = sqlite_error(handle, status, "open", ":memory:");
    sqlite3_close(handle);
    return error;
  }
  auto connection =
      std::make_unique<SqliteConnection>(handle, ":memory:", std::nullopt, std::nullopt);
  if (auto done = connection->configure(Access::write); !done) return done.error();
  return std::unique_ptr<Connection>(std::move(connection));
}

base::Result<void> with_sqlite_handle(Connection& connection, const HandleFn& job) {
  auto* sqlite = dynamic_cast<SqliteConnection*>(&connection);
  if (sqlite == nullptr)
    return base::Error{.code = base::Code::internal, .message = "this is no SQLite connection"};
  return sqlite->with_handle(job);
}

std::string_view sqlite_version() {
  return sqlite3_libversion();
}

}  // namespace tertulia::db
