// Connection is one connection to a SQLite file or a PostgreSQL database, with the same contract on
// both (db_conformance_test runs one suite on each). Statements are named (`Sql`): the name goes
// into every error, and each connection prepares a statement once.
//
// Threads: a connection belongs to one thread at a time; only `interrupt` may come from another.
// Rows are handed out one after another and the statement is always reset before `each` returns,
// so that no statement keeps a transaction open behind the caller's back.
// Errors: storage (with the engine's words in `detail`), conflict (a constraint is violated),
// drift (no such table or column: the object is named), timeout (locked by somebody else too long).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace tertulia::db {

enum class Engine { sqlite, postgres };
[[nodiscard]] std::string_view engine_name(Engine engine);

// A named statement with its text for each engine. Parameters are written $1, $2 ... on both.
// Instances are constants (they live for ever; connections know them by address).
struct Sql {
  std::string_view name;
  std::string_view sqlite;
  std::string_view postgres;
  [[nodiscard]] std::string_view text(Engine engine) const {
    return engine == Engine::sqlite ? sqlite : postgres;
  }
};

// A parameter. Text is not copied: it must live until the call returns. A Timestamp is bound as
// its ISO 8601 text.
using Param = std::variant<std::nullptr_t, std::int64_t, double, bool, std::string_view>;
using Params = std::span<const Param>;

// One row of a result, valid during the callback only. Columns count from 0.
class Row {
 public:
  virtual ~Row() = default;
  [[nodiscard]] virtual int size() const = 0;
  [[nodiscard]] virtual std::string_view name(int column) const = 0;
  [[nodiscard]] virtual bool is_null(int column) const = 0;
  // A null is 0, false or empty text.
  [[nodiscard]] virtual std::int64_t integer(int column) const = 0;
  [[nodiscard]] virtual double real(int column) const = 0;
  [[nodiscard]] virtual bool boolean(int column) const = 0;
  [[nodiscard]] virtual std::string_view text(int column) const = 0;
};
using RowFn = std::function<base::Result<void>(const Row&)>;

// One statement of a batch, with what it must affect.
struct Work {
  const Sql* sql = nullptr;
  std::vector<Param> params;
  std::optional<std::int64_t> must_affect;  // another count is a conflict that names the statement
};

// The error of a work that affected another count than it must.
[[nodiscard]] base::Error unexpected_count(const Work& work, std::int64_t affected);

class Connection {
 public:
  virtual ~Connection() = default;
  [[nodiscard]] virtual Engine engine() const = 0;

  // Performs a statement; the number of rows it changed.
  virtual base::Result<std::int64_t> run(const Sql& sql, Params params = {}) = 0;
  // Performs a statement and hands each row to `row`; an error of `row` ends it and is returned.
  // The number of rows handed out.
  virtual base::Result<std::int64_t> each(const Sql& sql, Params params, const RowFn& row) = 0;
  // Performs the statements in order, on PostgreSQL in one round trip (pipeline mode). Ends at the
  // first that fails; the caller's transaction is then to be rolled back.
  virtual base::Result<void> run_batch(std::span<const Work> works) = 0;
  // Performs a text of one or more statements without parameters (migrations, pragmas).
  virtual base::Result<void> run_script(std::string_view text) = 0;
  // As `each`, for a text that is not a named statement (introspection, tests); not cached.
  virtual base::Result<std::int64_t> each_text(std::string_view text, Params params,
                                               const RowFn& row) = 0;
  // Prepares the statement without performing it: is it right for this schema?
  virtual base::Result<void> check(const Sql& sql) = 0;

  // A transaction that writes: BEGIN IMMEDIATE on SQLite, under the file's write lock.
  virtual base::Result<void> begin() = 0;
  virtual base::Result<void> commit() = 0;
  virtual void rollback() = 0;
  [[nodiscard]] virtual bool in_transaction() const = 0;

  // Stops the statement under way; it fails with cancelled. Any thread.
  virtual void interrupt() = 0;
};

// A transaction as a scope: rolled back unless committed.
class Transaction final {
 public:
  [[nodiscard]] static base::Result<Transaction> begin(Connection& connection);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  [[nodiscard]] base::Result<void> commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// What a connection may do. On SQLite a process has exactly one `write` connection for a file, and
// any number of `read` ones (see sqlite_connection.h for why).
enum class Access { read, write };

// Where a database is: "sqlite:PATH", a bare path, or "postgresql://...".
struct Location {
  Engine engine = Engine::sqlite;
  std::string target;  // a path, or a libpq connection URI (may hold a password: never print it)

  [[nodiscard]] static base::Result<Location> parse(std::string_view text);
  // For people and logs: the path, or the URI without its password.
  [[nodiscard]] std::string shown() const;
};

struct OpenOptions {
  Access access = Access::read;
  bool create = false;  // SQLite: make the file if it is absent (write only)
};
[[nodiscard]] base::Result<std::unique_ptr<Connection>> open(const Location& location,
                                                             const OpenOptions& options);

}  // namespace tertulia::db
