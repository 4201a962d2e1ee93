#include "schema/repair.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/declared.h"
#include "schema/render.h"
#include "schema/runner_lock.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

constexpr std::string_view kColumn = "column ";
constexpr std::string_view kIndex = "index ";

class Repairing final {
 public:
  explicit Repairing(db::Connection& connection) : connection_(connection) {}

  // Tables first, each after those it refers to; then columns; then indexes, which may need them.
  base::Result<std::vector<std::string>> add(const std::vector<Difference>& differences) {
    for (const auto& table : declared_tables())
      for (const auto& difference : differences)
        if (difference.table == table.name && difference.object == "table")
          if (auto done = add_table(table); !done) return done.error();
    for (const auto& difference : differences)
      if (difference.can_be_added && difference.object.starts_with(kColumn))
        if (auto done = add_column(difference); !done) return done.error();
    for (const auto& difference : differences)
      if (difference.can_be_added && difference.object.starts_with(kIndex))
        if (auto done = add_index(difference); !done) return done.error();
    return std::move(added_);
  }

 private:
  base::Result<void> add_table(const TableDescription& table) {
    if (auto done = connection_.run_script(render_table(connection_.engine(), table)); !done)
      return done;
    for (const auto& index : table.indexes)
      if (auto done = connection_.run_script(render_index(table, index)); !done) return done;
    added_.push_back(fmt::format("table {}", table.name));
    return {};
  }

  base::Result<void> add_column(const Difference& difference) {
    const TableDescription* table = find_declared(difference.table);
    const auto name = std::string_view(difference.object).substr(kColumn.size());
    const auto column =
        std::find_if(table->columns.begin(), table->columns.end(),
                     [&](const ColumnDescription& each) { return each.name == name; });
    const std::string sql = fmt::format("ALTER TABLE {} ADD COLUMN {}", sql_name(table->name),
                                        render_column(connection_.engine(), *table, *column));
    if (auto done = connection_.run_script(sql); !done) return done;
    added_.push_back(fmt::format("{}: {}", table->name, difference.object));
    return {};
  }

  base::Result<void> add_index(const Difference& difference) {
    const TableDescription* table = find_declared(difference.table);
    const auto name = std::string_view(difference.object).substr(kIndex.size());
    const auto index = std::find_if(table->indexes.begin(), table->indexes.end(),
                                    [&](const Index& each) { return each.name == name; });
    if (auto done = connection_.run_script(render_index(*table, *index)); !done)
      return done.error().in(difference.words());
    added_.push_back(fmt::format("{}: {}", table->name, difference.object));
    return {};
  }

  db::Connection& connection_;
  std::vector<std::string> added_;
};

}  // namespace

base::Result<Repair> repair(db::Connection& connection) {
  // Not beside a migrator, nor another repair.
  auto lock = internal::RunnerLock::take(connection, RunOptions());
  if (!lock) return lock.error();
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  auto before = prove(connection);
  if (!before) return before.error();
  if (before->state == State::ready) return Repair{.added = {}, .proof = *std::move(before)};
  if (before->state != State::drifted || before->version != before->head) return before->error();
  auto added = Repairing(connection).add(before->differences);
  if (!added) return added.error();
  auto after = prove(connection);
  if (!after) return after.error();
  if (auto committed = transaction->commit(); !committed) return committed.error();
  return Repair{.added = *std::move(added), .proof = *std::move(after)};
}

}  // namespace tertulia::schema
