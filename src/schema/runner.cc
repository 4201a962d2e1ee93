#include "schema/runner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/failpoint.h"
#include "base/log.h"
#include "db/value.h"
#include "schema/compare.h"
#include "schema/history.h"
#include "schema/references.h"
#include "schema/row_counts.h"
#include "schema/runner_lock.h"
#include "schema/scratch.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

// What of the script's drops holds something. Tables that an earlier move is yet to make or has
// yet to take away hold nothing of their own.
base::Result<std::vector<Loss>> losses_of(db::Connection& connection, const Script& script,
                                          const SchemaShape& shape) {
  std::vector<Loss> losses;
  for (const auto& [table, column] : script.dropped) {
    const auto there = shape.tables.find(table);
    if (there == shape.tables.end()) continue;
    if (!column.empty() && !there->second.columns.contains(column)) continue;
    std::string sql = fmt::format("SELECT count(*) FROM {}", sql_name(table));
    if (!column.empty()) sql += fmt::format(" WHERE {} IS NOT NULL", sql_name(column));
    auto rows = db::read_integer(connection, sql);
    if (!rows) return rows.error();
    if (*rows > 0) losses.push_back({.table = table, .column = column, .rows = *rows});
  }
  return losses;
}

// Only a database whose history this program knows is moved.
base::Result<void> may_be_moved(const Situation& situation, std::span<const Migration> migrations) {
  const auto [standing, why] = judge(situation, migrations);
  const auto refuse = [&](std::string message, std::string remedy) {
    return base::Error{
        .code = base::Code::drift, .message = std::move(message), .remedy = std::move(remedy)};
  };
  switch (standing) {
    case Standing::fresh:
    case Standing::current:
    case Standing::behind:
      return {};
    case Standing::foreign:
      return refuse(fmt::format("this database is the older system's or another program's: {}; "
                                "it was not touched",
                                why),
                    "tertulia db status");
    case Standing::ahead:
      return refuse(fmt::format("the database is at version {}, this program knows {}",
                                situation.version(), migrations.size()),
                    fmt::format("use Tertulia {} or newer", situation.rows.back().program_version));
    case Standing::unfinished:
    case Standing::gap:
    case Standing::edited:
      break;
  }
  return refuse(why, "tertulia db status");
}

base::Result<void> version_exists(int version, std::span<const Migration> migrations) {
  if (version >= 0 && static_cast<std::size_t>(version) <= migrations.size()) return {};
  return base::Error{.code = base::Code::invalid,
                     .message = fmt::format("there is no version {}: this program knows 0 to {}",
                                            version, migrations.size())};
}

base::Result<void> can_be_undone(const Migration& migration) {
  if (migration.irreversible.empty()) return {};
  return base::Error{.code = base::Code::denied,
                     .message = fmt::format("{} cannot be rolled back: {}", migration.full_name(),
                                            migration.irreversible)};
}

base::Error would_lose(const Move& move) {
  std::vector<std::string> words;
  for (const auto& loss : move.losses) words.push_back(loss.words());
  return {.code = base::Code::denied,
          .message = fmt::format("{} {} would destroy {}; nothing was changed",
                                 move.direction == Direction::up ? "applying" : "rolling back",
                                 move.migration->full_name(), fmt::join(words, ", ")),
          .remedy = "make a copy of the database, then say --allow-data-loss"};
}

class Run final {
 public:
  Run(db::Connection& connection, std::span<const Migration> migrations, int to,
      Direction direction, const RunOptions& options)
      : connection_(connection),
        migrations_(migrations),
        to_(to),
        direction_(direction),
        options_(options) {}

  base::Result<Plan> run() {
    auto lock = internal::RunnerLock::take(connection_, options_);
    if (!lock) return lock.error();
    if (auto ready = prepare(); !ready) return ready.error();
    bool more = true;
    while (more) {
      auto moved = move_patiently();
      if (!moved) return moved.error();
      more = *moved;
    }
    return std::move(done_);
  }

 private:
  // Gives the caller his moment before anything is changed.
  base::Result<void> prepare() {
    if (!options_.before_first_move) return {};
    auto situation = read_locked_situation();
    if (!situation) return situation.error();
    if (auto may = may_be_moved(*situation, migrations_); !may) return may;
    const int version = situation->version();
    if (direction_ == Direction::up ? version >= to_ : version <= to_) return {};
    auto counts = count_rows(connection_, situation->shape);
    if (!counts) return counts.error();
    const bool has_rows = std::any_of(counts->begin(), counts->end(),
                                      [](const auto& count) { return count.second > 0; });
    return has_rows ? options_.before_first_move(version) : base::Result<void>();
  }

  base::Result<db::Transaction> begin() {
    auto transaction = db::Transaction::begin(connection_);
    if (!transaction || connection_.engine() == db::Engine::sqlite) return transaction;
    // Rows are counted before and after, and what other programs write meanwhile must not count.
    // Nor must somebody's long transaction make everybody wait behind this one.
    auto set = connection_.run_script(
        fmt::format("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = {}",
                    options_.statement_patience.count()));
    if (!set) return set.error();
    return transaction;
  }

  // In a transaction, because we hold the lock that reading outside one would wait for.
  base::Result<Situation> read_locked_situation() {
    auto transaction = begin();
    if (!transaction) return transaction.error();
    return read_situation(connection_);
  }

  // Other sessions' locks on the tables are given time to go, in pauses in which nobody waits for
  // us.
  base::Result<bool> move_patiently() {
    for (int attempt = 1;; ++attempt) {
      auto moved = move_once();
      const bool again = !moved && moved.error().code == base::Code::timeout &&
                         connection_.engine() == db::Engine::postgres &&
                         attempt < options_.attempts;
      if (!again) return moved;
      spdlog::info("{}; attempt {} of {} follows", moved.error().message, attempt + 1,
                   options_.attempts);
      std::this_thread::sleep_for(options_.pause);
    }
  }

  // One migration in one transaction; whether there was one to do.
  base::Result<bool> move_once() {
    auto transaction = begin();
    if (!transaction) return transaction.error();
    auto situation = read_situation(connection_);
    if (!situation) return situation.error();
    if (auto may = may_be_moved(*situation, migrations_); !may) return may.error();
    const int version = situation->version();
    if (done_.moves.empty()) done_.from = version;
    done_.to = version;
    const bool is_up = direction_ == Direction::up;
    if (is_up ? version >= to_ : version <= to_) return false;
    // What stands there must be what the history says, or the migration would hide the drift.
    if (auto as_said = expect(situation->shape, version); !as_said)
      return as_said.error().in("before any change");

    Move move{.migration = &migrations_[static_cast<std::size_t>(is_up ? version : version - 1)],
              .direction = direction_,
              .losses = {}};
    if (auto allowed = allow(move, situation->shape); !allowed) return allowed.error();
    if (options_.on_move) options_.on_move(move);
    if (auto moved = perform(move, *situation); !moved)
      return moved.error().in(move.migration->full_name());
    if (auto committed = transaction->commit(); !committed) return committed.error();
    done_.to = is_up ? version + 1 : version - 1;
    done_.moves.push_back(std::move(move));
    return true;
  }

  base::Result<void> allow(Move& move, const SchemaShape& shape) {
    if (direction_ == Direction::down)
      if (auto can = can_be_undone(*move.migration); !can) return can;
    auto losses = losses_of(connection_, move.script(), shape);
    if (!losses) return losses.error();
    move.losses = *std::move(losses);
    if (!move.losses.empty() && !options_.allow_data_loss) return would_lose(move);
    return {};
  }

  base::Result<void> perform(const Move& move, const Situation& before) {
    const auto started = options_.clock->now();
    auto rows_before = count_rows(connection_, before.shape);
    if (!rows_before) return rows_before.error();
    auto broken_before = broken_references(before.shape);
    if (!broken_before) return broken_before.error();
    for (const auto statement : move.script().statements) {
      if (auto passed = base::failpoint("migrate.statement"); !passed) return passed;
      if (auto done = connection_.run_script(statement); !done) return done;
    }
    const bool is_up = direction_ == Direction::up;
    const int after = is_up ? move.migration->version : move.migration->version - 1;
    auto shape = introspect(connection_, declared_names());
    if (!shape) return shape.error();
    if (auto as_declared = expect(*shape, after); !as_declared) return as_declared;
    if (auto whole = breaks_no_reference(*broken_before, *shape); !whole) return whole;
    auto rows_after = count_rows(connection_, *shape);
    if (!rows_after) return rows_after.error();
    if (auto kept = rows_are_kept(*rows_before, *rows_after, move.script()); !kept) return kept;
    if (!is_up) return erase(connection_, *move.migration);
    if (!before.has_history)
      if (auto created = create_history(connection_); !created) return created;
    return record(connection_, *move.migration, started, options_.clock->now());
  }

  base::Result<std::set<std::string>> broken_references(const SchemaShape& shape) {
    // PostgreSQL never lets them be broken.
    if (connection_.engine() == db::Engine::postgres) return std::set<std::string>();
    auto broken = broken_references_sqlite(connection_, shape, Known::told);
    if (!broken) return broken.error();
    return std::set<std::string>(broken->begin(), broken->end());
  }

  // An adopted database has references that were broken already: they are no migration's doing.
  base::Result<void> breaks_no_reference(const std::set<std::string>& before,
                                         const SchemaShape& shape) {
    auto after = broken_references(shape);
    if (!after) return after.error();
    for (const std::string& each : *after)
      if (!before.contains(each)) return base::Error{.code = base::Code::conflict, .message = each};
    return {};
  }

  // The shape is that of this version: by fingerprint, or, where it has indexes that are not ours,
  // by comparison with the version made anew.
  base::Result<void> expect(const SchemaShape& shape, int version) {
    const std::string declared =
        version == 0 ? fingerprint(SchemaShape())
                     : migrations_[static_cast<std::size_t>(version) - 1].fingerprint;
    const std::string found = fingerprint(shape);
    if (found == declared) return {};
    auto expected = shape_of_script(connection_, script_up_to(migrations_, version));
    if (!expected) return expected.error();
    if (fingerprint(*expected) != declared)
      return base::Error{.code = base::Code::drift,
                         .message = fmt::format("the migration declares the fingerprint {}, but "
                                                "its statements lead to {}",
                                                declared, fingerprint(*expected))};
    const auto [differences, notices] = compare(*expected, shape);
    if (differences.empty()) return {};
    std::vector<std::string> words;
    for (const auto& difference : differences) words.push_back(difference.words());
    return base::Error{.code = base::Code::drift,
                       .message = fmt::format("the schema differs from that of version {}: {}",
                                              version, fmt::join(words, "; ")),
                       .remedy = "tertulia db status"};
  }

  db::Connection& connection_;
  std::span<const Migration> migrations_;
  int to_;
  Direction direction_;
  const RunOptions& options_;
  Plan done_;
};

}  // namespace

std::string Loss::words() const {
  return column.empty() ? fmt::format("{} rows of {}", rows, table)
                        : fmt::format("{} values of {}.{}", rows, table, column);
}

base::Result<Plan> plan(db::Connection& connection, int to, std::span<const Migration> migrations) {
  if (auto exists = version_exists(to, migrations); !exists) return exists.error();
  auto situation = read_situation(connection);
  if (!situation) return situation.error();
  if (auto may = may_be_moved(*situation, migrations); !may) return may.error();
  Plan planned{.from = situation->version(), .to = to, .moves = {}};
  const auto add = [&](const Migration& migration, Direction direction) -> base::Result<void> {
    Move move{.migration = &migration, .direction = direction, .losses = {}};
    auto losses = losses_of(connection, move.script(), situation->shape);
    if (!losses) return losses.error();
    move.losses = *std::move(losses);
    planned.moves.push_back(std::move(move));
    return {};
  };
  for (int version = planned.from; version < to; ++version)
    if (auto added = add(migrations[static_cast<std::size_t>(version)], Direction::up); !added)
      return added.error();
  for (int version = planned.from; version > to; --version) {
    const Migration& migration = migrations[static_cast<std::size_t>(version) - 1];
    if (auto can = can_be_undone(migration); !can) return can.error();
    if (auto added = add(migration, Direction::down); !added) return added.error();
  }
  return planned;
}

base::Result<Plan> migrate(db::Connection& connection, int to,
                           std::span<const Migration> migrations, const RunOptions& options) {
  if (auto exists = version_exists(to, migrations); !exists) return exists.error();
  return Run(connection, migrations, to, Direction::up, options).run();
}

base::Result<Plan> rollback(db::Connection& connection, int to,
                            std::span<const Migration> migrations, const RunOptions& options) {
  // A refusal must come before the first move, not between two.
  auto planned = plan(connection, to, migrations);
  if (!planned) return planned.error();
  for (const auto& move : planned->moves)
    if (!move.losses.empty() && !options.allow_data_loss) return would_lose(move);
  return Run(connection, migrations, to, Direction::down, options).run();
}

}  // namespace tertulia::schema
