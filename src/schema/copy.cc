#include "schema/copy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "base/failpoint.h"
#include "db/value.h"
#include "schema/copy_orphans.h"
#include "schema/copy_rows.h"
#include "schema/declared.h"
#include "schema/proof.h"
#include "schema/rebuild.h"
#include "schema/references.h"
#include "schema/row_counts.h"
#include "schema/runner.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

using internal::CopyRow;
using internal::OrphanKeeper;
using internal::PageReader;

constexpr std::string_view kHistory = "schema_migrations";
// Orphans that an error names at most.
constexpr std::size_t kMostNamed = 5;

base::Error not_empty(const db::Location& to, const std::vector<std::string>& found) {
  return {.code = base::Code::conflict,
          .message = fmt::format("{} is not empty: it has {}", to.shown(), fmt::join(found, ", ")),
          .remedy = "name an empty database; this one was not changed"};
}

// The commands that mend a database work on the default one unless they are told.
base::Error unfit(const Proof& proof, const db::Location& location) {
  base::Error error = proof.error().in(location.shown());
  if (error.remedy.starts_with("tertulia db ") && proof.state != State::older &&
      proof.state != State::ahead)
    error.remedy += fmt::format(" --db {}", location.shown());
  return error;
}

// Rows, and tables that are not Tertulia's.
base::Result<std::vector<std::string>> found_in(db::Connection& connection) {
  auto counts = count_rows(connection);
  if (!counts) return counts.error();
  std::vector<std::string> found;
  for (const auto& [table, rows] : *counts) {
    if (table == kHistory) continue;
    if (find_declared(table) == nullptr) {
      found.push_back(fmt::format("the table {}", table));
    } else if (rows > 0) {
      found.push_back(fmt::format("{} row{} in {}", rows, rows == 1 ? "" : "s", table));
    }
  }
  return found;
}

bool same_file(const db::Location& from, const db::Location& to) {
  std::error_code absent;
  return from.engine == db::Engine::sqlite && to.engine == db::Engine::sqlite &&
         std::filesystem::equivalent(from.target, to.target, absent);
}

class Copying final {
 public:
  Copying(const db::Location& from, const db::Location& to, const CopyOptions& options)
      : from_location_(from), to_location_(to), options_(options) {}

  base::Result<Copy> run() {
    if (same_file(from_location_, to_location_))
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("{} cannot be copied to itself", from_location_.shown()),
          .remedy = "name another database to copy to"};
    if (auto ready = open_source(); !ready) return ready.error();
    if (auto ready = open_target(); !ready) return ready.error();
    std::optional<ForeignKeysOff> off;
    if (!enforces_keys()) {
      auto begun = ForeignKeysOff::begin(*to_);
      if (!begun) return begun.error();
      off.emplace(*std::move(begun));
    }
    if (auto moved = move_rows(); !moved) return moved.error();
    if (off)
      if (auto on = off->end(); !on) return on.error();
    return std::move(copy_);
  }

 private:
  [[nodiscard]] bool enforces_keys() const { return to_location_.engine == db::Engine::postgres; }

  base::Result<void> open_source() {
    auto opened = db::open(from_location_, {.access = db::Access::read});
    if (!opened) {
      base::Error error = opened.error();
      if (error.code == base::Code::not_found) error.remedy = "name the database to copy";
      return error;
    }
    from_ = *std::move(opened);
    if (auto fit = prove_source(); !fit) return fit;
    if (auto begun = begin_snapshot(); !begun) return begun;
    // A migrator may have come between.
    if (auto fit = prove_source(); !fit) return fit;
    auto counts = count_rows(*from_);
    if (!counts) return counts.error();
    rows_ = *std::move(counts);
    for (const auto& [table, rows] : rows_)
      if (table != kHistory && find_declared(table) == nullptr) copy_.left.push_back(table);
    return no_unknown_orphans(*from_, from_location_);
  }

  base::Result<void> prove_source() {
    auto proof = prove(*from_);
    if (!proof) return proof.error();
    if (proof->state != State::ready) return unfit(*proof, from_location_);
    return {};
  }

  // Ends with the connection.
  base::Result<void> begin_snapshot() {
    if (from_->engine() == db::Engine::sqlite) return from_->run_script("BEGIN");
    // It may take longer than a forgotten transaction is let live.
    if (auto set = from_->run_script("SET idle_in_transaction_session_timeout = 0"); !set)
      return set;
    if (auto begun = from_->begin(); !begun) return begun;
    return from_->run_script("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
  }

  static base::Result<void> no_unknown_orphans(db::Connection& connection,
                                               const db::Location& location) {
    auto broken = [&]() -> base::Result<std::vector<std::string>> {
      if (connection.engine() == db::Engine::postgres)
        return broken_references_postgres(connection);
      auto shape = introspect(connection, declared_names());
      if (!shape) return shape.error();
      return broken_references_sqlite(connection, *shape, Known::left_out);
    }();
    if (!broken) return broken.error();
    if (broken->empty()) return {};
    const auto named = std::min(broken->size(), kMostNamed);
    return base::Error{
        .code = base::Code::storage,
        .message = fmt::format(
            "{}: {}{}", location.shown(),
            fmt::join(broken->begin(), broken->begin() + static_cast<std::ptrdiff_t>(named), "; "),
            named < broken->size() ? fmt::format("; and {} more", broken->size() - named)
                                   : std::string()),
        .remedy = fmt::format("tertulia db verify --db {}", location.shown())};
  }

  base::Result<void> open_target() {
    auto proof = prove_at(to_location_);
    if (!proof) return proof.error();
    const bool leads_to_head = proof->state == State::fresh || proof->state == State::ready ||
                               proof->state == State::behind || proof->state == State::unfinished;
    std::error_code unreadable;  // then opening it says why
    if (enforces_keys() || std::filesystem::exists(to_location_.target, unreadable)) {
      auto reader = db::open(to_location_, {.access = db::Access::read});
      if (!reader) return reader.error();
      auto found = found_in(**reader);
      if (!found) return found.error();
      if (!found->empty()) return not_empty(to_location_, *found);
    }
    if (!leads_to_head) return unfit(*proof, to_location_);
    auto opened = db::open(to_location_, {.access = db::Access::write, .create = true});
    if (!opened) return opened.error();
    to_ = *std::move(opened);
    const auto all = migrations(to_->engine());
    RunOptions running;
    running.clock = options_.clock;
    auto migrated = migrate(*to_, static_cast<int>(all.size()), all, running);
    if (!migrated) return migrated.error().in(to_location_.shown());
    return {};
  }

  base::Result<void> move_rows() {
    auto transaction = db::Transaction::begin(*to_);
    if (!transaction) return transaction.error();
    if (auto alone = keep_others_out(); !alone) return alone;
    OrphanKeeper orphans(*to_, options_.clock->now());
    for (const TableDescription& table : declared_tables()) {
      if (auto passed = base::failpoint("copy.table"); !passed) return passed;
      if (auto copied = copy_table(table, orphans); !copied) return copied;
    }
    for (const TableDescription& table : declared_tables())
      if (auto set = go_on_counting(table); !set) return set;
    if (auto noted = orphans.write_notes(); !noted) return noted;
    for (CopiedTable& table : copy_.tables)
      if (auto equal = compare(table, orphans); !equal) return equal;
    if (!enforces_keys())
      if (auto whole = no_unknown_orphans(*to_, to_location_); !whole) return whole;
    copy_.orphans = orphans.orphans();
    if (options_.examine)
      if (auto content = options_.examine(*from_, *to_); !content) return content;
    if (auto passed = base::failpoint("copy.commit"); !passed) return passed;
    return transaction->commit();
  }

  // From here to the commit nobody else writes, and nobody has since we looked.
  base::Result<void> keep_others_out() {
    if (enforces_keys())
      for (const TableDescription& table : declared_tables())
        if (auto locked = to_->run_script(
                fmt::format("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", sql_name(table.name)));
            !locked)
          return locked;
    auto found = found_in(*to_);
    if (!found) return found.error();
    if (!found->empty()) return not_empty(to_location_, *found);
    return {};
  }

  void tell(std::string_view doing, std::string_view table, std::int64_t done,
            std::int64_t total) const {
    if (options_.progress) options_.progress(fmt::format("{} {}", doing, table), done, total);
  }

  base::Result<void> copy_table(const TableDescription& table, OrphanKeeper& orphans) {
    CopiedTable copied{.table = std::string(table.name), .rows = 0, .added = 0, .sha256 = {}};
    base::Sha256 digest;
    PageReader reader(*from_, table, to_->engine());
    std::vector<bool> has_later(table.columns.size(), false);
    const std::int64_t total = rows_[copied.table];
    for (;;) {
      if (auto passed = base::failpoint("copy.page"); !passed) return passed;
      auto page = reader.next();
      if (!page) return page.error();
      if (page->empty()) break;
      for (CopyRow& row : *page) {
        if (enforces_keys())
          if (auto mended = orphans.mend(table, row); !mended) return mended;
        internal::add_to(digest, row);
        if (enforces_keys()) put_off_later(table, row, has_later);
      }
      if (auto inserted = internal::insert_rows(*to_, table, *page); !inserted) return inserted;
      copied.rows += static_cast<std::int64_t>(page->size());
      last_keys_[copied.table] = page->back().key;
      tell("copying", table.name, copied.rows, total);
    }
    for (std::size_t i = 0; i < table.columns.size(); ++i)
      if (has_later[i])
        if (auto set = set_later(table, table.columns[i]); !set) return set;
    copied.sha256 = digest.hex();
    copy_.tables.push_back(std::move(copied));
    return {};
  }

  // A reference to a later row of the same table waits until that is there.
  static void put_off_later(const TableDescription& table, CopyRow& row,
                            std::vector<bool>& has_later) {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if (table.columns[i].parent != table.name) continue;
      const auto* id = std::get_if<std::int64_t>(&row.values[i]);
      if (id == nullptr || *id <= row.key) continue;
      row.values[i] = nullptr;
      has_later[i] = true;
    }
  }

  base::Result<void> set_later(const TableDescription& table, const ColumnDescription& column) {
    constexpr std::size_t kAtOnce = 1000;
    const std::string key(table.columns[internal::key_column(table)].name);
    const std::string query = fmt::format(
        "SELECT t.{0}, t.{1} FROM {2} t JOIN {2} p ON p.{0} = t.{1} "
        "WHERE t.{1} > t.{0} AND t.{0} > $1 ORDER BY t.{0} LIMIT {3}",
        sql_name(key), sql_name(column.name), sql_name(table.name), kAtOnce);
    // No row refers to a later one and has the least of all keys.
    std::int64_t after = std::numeric_limits<std::int64_t>::min();
    for (;;) {
      std::string pairs;
      const std::array<db::Param, 1> params = {after};
      auto read = from_->each_text(query, params, [&](const db::Row& row) -> base::Result<void> {
        after = row.integer(0);
        pairs += fmt::format("{}({}, {})", pairs.empty() ? "" : ", ", after, row.integer(1));
        return {};
      });
      if (!read) return read.error();
      if (pairs.empty()) return {};
      auto set = to_->run_script(
          fmt::format("UPDATE {0} AS t SET {1} = v.column2 FROM (VALUES {2}) AS v "
                      "WHERE t.{3} = v.column1",
                      sql_name(table.name), sql_name(column.name), pairs, sql_name(key)));
      if (!set) return set;
    }
  }

  // Ids that `from` has given, also to rows that it has no more, are not given again.
  base::Result<void> go_on_counting(const TableDescription& table) {
    const ColumnDescription& key = table.columns[internal::key_column(table)];
    if (!key.is_generated) return {};
    std::int64_t mark = 0;
    if (from_->engine() == db::Engine::postgres) {
      auto given = db::read_integer(
          *from_, fmt::format("SELECT pg_sequence_last_value(pg_get_serial_sequence({}, {}))",
                              sql_literal(sql_name(table.name)), sql_literal(key.name)));
      if (!given) return given.error();
      mark = *given;
    } else if (table.ids_never_reused) {
      auto given = db::read_integer(
          *from_, fmt::format("SELECT max(seq) FROM sqlite_sequence WHERE name = {}",
                              sql_literal(table.name)));
      if (!given) return given.error();
      mark = *given;
    }
    auto highest = db::read_integer(
        *to_, fmt::format("SELECT max({}) FROM {}", sql_name(key.name), sql_name(table.name)));
    if (!highest) return highest.error();
    mark = std::max(mark, *highest);
    if (mark < 1) return {};
    if (to_->engine() == db::Engine::postgres)
      return to_->run_script(fmt::format("SELECT setval(pg_get_serial_sequence({}, {}), {})",
                                         sql_literal(sql_name(table.name)), sql_literal(key.name),
                                         mark));
    if (!table.ids_never_reused) return {};
    return to_->run_script(
        fmt::format("DELETE FROM sqlite_sequence WHERE name = {0}; "
                    "INSERT INTO sqlite_sequence (name, seq) VALUES ({0}, {1})",
                    sql_literal(table.name), mark));
  }

  // Reads the table back: the rows of `from`, and exactly those that were added on purpose.
  base::Result<void> compare(CopiedTable& copied, const OrphanKeeper& orphans) {
    const TableDescription& table = *find_declared(copied.table);
    const bool takes_notes = table.name == "adopted_notes" || table.name == "adopted_leftovers";
    const auto& made = orphans.made_in(table.name);
    const auto last = last_keys_.find(copied.table);
    const auto was_added = [&](const CopyRow& row) {
      if (made.contains(row.key)) return true;
      return takes_notes && (last == last_keys_.end() || row.key > last->second);
    };
    base::Sha256 digest;
    std::int64_t rows = 0;
    PageReader reader(*to_, table, to_->engine());
    for (;;) {
      auto page = reader.next();
      if (!page) return page.error();
      if (page->empty()) break;
      for (const CopyRow& row : *page) {
        if (was_added(row)) {
          ++copied.added;
          continue;
        }
        ++rows;
        internal::add_to(digest, row);
      }
      tell("verifying", table.name, rows, copied.rows);
    }
    const auto of = [&](bool null_only) {
      return std::count_if(
          orphans.orphans().begin(), orphans.orphans().end(),
          [&](const CopiedOrphan& orphan) { return orphan.is_null_now || !null_only; });
    };
    const std::int64_t meant = !takes_notes ? static_cast<std::int64_t>(made.size())
                                            : of(table.name == "adopted_leftovers");
    if (rows == copied.rows && copied.added == meant && digest.hex() == copied.sha256) return {};
    return base::Error{
        .code = base::Code::storage,
        .message = fmt::format("the copy of {} is not equal: {} rows of {}, {} added of {}; "
                               "nothing was copied",
                               table.name, rows, copied.rows, copied.added, meant),
        .remedy = fmt::format("tertulia db verify --db {}", from_location_.shown())};
  }

  const db::Location& from_location_;
  const db::Location& to_location_;
  const CopyOptions& options_;
  std::unique_ptr<db::Connection> from_;
  std::unique_ptr<db::Connection> to_;
  RowCounts rows_;                                 // of `from`
  std::map<std::string, std::int64_t> last_keys_;  // copied, by table
  Copy copy_;
};

}  // namespace

std::string CopiedOrphan::words() const {
  return fmt::format("{} named row {} of {}, which was not there: {}", column, value, parent,
                     is_null_now ? "it is NULL since the copy to PostgreSQL"
                                 : "a row that says so stands there since the copy to PostgreSQL");
}

base::Result<Copy> copy_database(const db::Location& from, const db::Location& to,
                                 const CopyOptions& options) {
  return Copying(from, to, options).run();
}

}  // namespace tertulia::schema
