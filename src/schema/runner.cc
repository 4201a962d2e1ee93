#include "schema/runner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/log.h"
#include "db/sqlite_connection.h"
#include "schema/arrival.h"
#include "schema/free_space.h"
#include "schema/history.h"
#include "schema/loss.h"
#include "schema/online_index.h"
#include "schema/references.h"
#include "schema/row_counts.h"
#include "schema/runner_lock.h"

namespace tertulia::schema {
namespace {

// Only a database whose history this program knows is moved.
base::Result<void> may_be_moved(const Situation& situation, std::span<const Migration> migrations,
                                Direction direction) {
  if (can_go_on(situation, migrations, direction == Direction::up)) return {};
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
    if (connection_.engine() == db::Engine::postgres) return move_all();
    // The turn to write is kept from the first migration to the last, so that one program does them
    // all, and makes one backup.
    Plan done;
    auto moved = db::with_sqlite_handle(connection_, [&](sqlite3*) -> base::Result<void> {
      // Rebuilding needs foreign keys off, and that is done outside a transaction. That all
      // references hold is seen to before each commit.
      auto off = ForeignKeysOff::begin(connection_);
      if (!off) return off.error();
      auto all = move_all();
      if (!all) return all.error();
      done = *std::move(all);
      return off->end();
    });
    if (!moved) return moved.error();
    return done;
  }

 private:
  base::Result<Plan> move_all() {
    if (auto ready = prepare(); !ready) return ready.error();
    bool more = true;
    while (more) {
      auto moved = patiently([this] { return move_once(); });
      if (!moved) return moved.error();
      more = *moved;
    }
    return std::move(done_);
  }

  // What is to be seen to before anything is changed: that the rows permit it, that there is room,
  // and the caller's moment, which may take long and so has no transaction.
  base::Result<void> prepare() {
    auto situation = patiently([this] { return examine(); });
    if (!situation) return situation.error();
    if (!*situation) return {};
    const bool saves = options_.before_first_move != nullptr;
    if (auto room = room_to_move(connection_, saves ? 2 : 1); !room) return room;
    return saves ? options_.before_first_move((*situation)->whole_version()) : base::Result<void>();
  }

  // The situation, if rows are to be moved and none is in the way. In a transaction, because we
  // hold the lock that reading outside one would wait for.
  base::Result<std::optional<Situation>> examine() {
    auto transaction = begin();
    if (!transaction) return transaction.error();
    auto situation = read_situation(connection_);
    if (!situation) return situation.error();
    if (auto may = may_be_moved(*situation, migrations_, direction_); !may) return may.error();
    if (is_there(*situation)) return std::optional<Situation>();
    auto counts = count_rows(connection_, situation->shape);
    if (!counts) return counts.error();
    if (std::none_of(counts->begin(), counts->end(),
                     [](const auto& count) { return count.second > 0; }))
      return std::optional<Situation>();
    const Move move = next_move(*situation);
    if (auto checked = check_data(connection_, move.script()); !checked)
      return checked.error().in(move.migration->full_name());
    return std::optional<Situation>(*std::move(situation));
  }

  // The version to move from. One that broke off is still to be done on the way up, and to be
  // undone on the way down.
  [[nodiscard]] int version_of(const Situation& situation) const {
    return direction_ == Direction::up ? situation.whole_version() : situation.version();
  }

  [[nodiscard]] bool is_there(const Situation& situation) const {
    const int version = version_of(situation);
    return direction_ == Direction::up ? version >= to_ : version <= to_;
  }

  [[nodiscard]] Move next_move(const Situation& situation) const {
    const int version = version_of(situation);
    return {.migration = &migrations_[static_cast<std::size_t>(
                direction_ == Direction::up ? version : version - 1)],
            .direction = direction_,
            .losses = {}};
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

  // Other sessions' locks on the tables are given time to go, in pauses in which nobody waits for
  // us.
  template <typename Attempt>
  auto patiently(const Attempt& attempt) -> decltype(attempt()) {
    for (int number = 1;; ++number) {
      auto done = attempt();
      const bool again = !done && done.error().code == base::Code::timeout &&
                         connection_.engine() == db::Engine::postgres && number < options_.attempts;
      if (!again) return done;
      spdlog::info("{}; attempt {} of {} follows", done.error().message, number + 1,
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
    if (auto may = may_be_moved(*situation, migrations_, direction_); !may) return may.error();
    const int version = version_of(*situation);
    if (done_.moves.empty()) done_.from = version;
    done_.to = version;
    if (is_there(*situation)) {
      if (situation->is_broken_off()) return breaks_off_here(*situation);
      return false;
    }
    // What stands there must be what the history says, or the migration would hide the drift.
    auto as_said = situation->is_broken_off()
                       ? internal::expect_halfway(connection_, migrations_, *situation)
                       : expect(situation->shape, version);
    if (!as_said) return as_said.error().in("before any change");

    Move move = next_move(*situation);
    if (auto allowed = allow(move, situation->shape); !allowed) return allowed.error();
    if (options_.on_move) options_.on_move(move);
    auto moved = move.script().outside_transaction ? perform_outside(*transaction, move, *situation)
                                                   : perform_inside(*transaction, move, *situation);
    if (!moved) return moved.error().in(move.migration->full_name());
    done_.to = direction_ == Direction::up ? version + 1 : version - 1;
    done_.moves.push_back(std::move(move));
    return true;
  }

  base::Result<void> allow(Move& move, const SchemaShape& shape) {
    if (direction_ == Direction::down)
      if (auto can = can_be_undone(*move.migration); !can) return can;
    auto losses = internal::losses_of(connection_, move.script(), shape);
    if (!losses) return losses.error();
    move.losses = *std::move(losses);
    if (!move.losses.empty() && !options_.allow_data_loss) return would_lose(move);
    return {};
  }

  base::Result<void> perform_inside(db::Transaction& transaction, const Move& move,
                                    const Situation& before) {
    const auto started = options_.clock->now();
    if (auto checked = check_data(connection_, move.script()); !checked) return checked;
    auto rows_before = count_rows(connection_, before.shape);
    if (!rows_before) return rows_before.error();
    auto broken_before = broken_references(before.shape);
    if (!broken_before) return broken_before.error();
    if (auto done = perform(connection_, move.script()); !done) return done;
    auto shape = introspect(connection_, declared_names());
    if (!shape) return shape.error();
    if (auto as_declared = expect(*shape, version_after(move)); !as_declared) return as_declared;
    if (auto whole = breaks_no_reference(*broken_before, *shape); !whole) return whole;
    auto rows_after = count_rows(connection_, *shape);
    if (!rows_after) return rows_after.error();
    if (auto kept = rows_are_kept(*rows_before, *rows_after, move.script()); !kept) return kept;
    auto written = direction_ == Direction::up
                       ? write_history(before, *move.migration, started, options_.clock->now())
                       : erase(connection_, *move.migration);
    return written ? transaction.commit() : written;
  }

  // Before the first statement the history says that the migration was begun. So whatever breaks
  // off is recognised, and gone on with by the next run.
  base::Result<void> perform_outside(db::Transaction& transaction, const Move& move,
                                     const Situation& before) {
    const bool is_up = direction_ == Direction::up;
    const Migration& migration = *move.migration;
    if (!before.is_broken_off()) {
      if (auto checked = check_data(connection_, move.script()); !checked) return checked;
      auto begun = is_up ? write_history(before, migration, options_.clock->now(), {})
                         : set_finished(connection_, migration, {});
      if (!begun) return begun;
    }
    if (auto committed = transaction.commit(); !committed) return committed;
    if (auto done = internal::perform_online(connection_, move.script()); !done) {
      if (is_up) take_back(migration);
      return done;
    }
    auto end = begin();
    if (!end) return end.error();
    auto shape = introspect(connection_, declared_names());
    if (!shape) return shape.error();
    if (auto as_declared = expect(*shape, version_after(move)); !as_declared) return as_declared;
    auto written = is_up ? set_finished(connection_, migration, options_.clock->now())
                         : erase(connection_, migration);
    return written ? end->commit() : written;
  }

  // A statement failed (rows are in its way, the disk is full): the schema from before is better
  // than half of the new one. What cannot be taken back stays as what it is, a migration that broke
  // off.
  void take_back(const Migration& migration) {
    const auto taken = [&]() -> base::Result<void> {
      auto dropped = internal::take_back_online(connection_, migration.up);
      if (!dropped) return dropped.error();
      if (!*dropped) return {};
      auto transaction = begin();
      if (!transaction) return transaction.error();
      auto erased = erase(connection_, migration);
      return erased ? transaction->commit() : erased;
    }();
    if (!taken) spdlog::warn("{} is half done: {}", migration.full_name(), taken.error().message);
  }

  base::Result<void> write_history(const Situation& before, const Migration& migration,
                                   base::Timestamp started,
                                   std::optional<base::Timestamp> finished) {
    if (!before.has_history)
      if (auto created = create_history(connection_); !created) return created;
    return record(connection_, migration, started, finished);
  }

  [[nodiscard]] static int version_after(const Move& move) {
    return move.migration->version - (move.direction == Direction::up ? 0 : 1);
  }

  base::Error breaks_off_here(const Situation& situation) {
    return {.code = base::Code::drift,
            .message = judge(situation, migrations_).why,
            .remedy = fmt::format(
                "tertulia db {} --to {}", direction_ == Direction::up ? "migrate" : "rollback",
                direction_ == Direction::up ? situation.version() : situation.whole_version())};
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

  base::Result<void> expect(const SchemaShape& shape, int version) {
    return internal::expect_version(connection_, migrations_, shape, version);
  }

  db::Connection& connection_;
  std::span<const Migration> migrations_;
  int to_;
  Direction direction_;
  const RunOptions& options_;
  Plan done_;
};

}  // namespace

base::Result<Plan> plan(db::Connection& connection, int to, std::span<const Migration> migrations) {
  if (auto exists = version_exists(to, migrations); !exists) return exists.error();
  auto situation = read_situation(connection);
  if (!situation) return situation.error();
  const int whole = situation->whole_version();
  const Direction way = to > whole ? Direction::up : Direction::down;
  if (auto may = may_be_moved(*situation, migrations, way); !may) return may.error();
  Plan planned{.from = way == Direction::up ? whole : situation->version(), .to = to, .moves = {}};
  const auto add = [&](const Migration& migration, Direction direction) -> base::Result<void> {
    Move move{.migration = &migration, .direction = direction, .losses = {}};
    auto losses = internal::losses_of(connection, move.script(), situation->shape);
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
