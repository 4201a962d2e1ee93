// What a copy to PostgreSQL does about references that lead nowhere (copy.h): NULL where that is
// allowed, else a row in the parent that says that it stands for one that is gone.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "schema/copy.h"
#include "schema/copy_rows.h"

namespace tertulia::schema::internal {

// The rows of `table` that can stand for a deleted one: the statement that makes the row `id`.
// Empty where no required column of any table refers to it. `parents` are the ids of rows to refer
// to, by table.
[[nodiscard]] std::string tombstone_sql(std::string_view table, std::int64_t id,
                                        const std::map<std::string, std::int64_t>& parents,
                                        base::Timestamp now);

class OrphanKeeper final {
 public:
  OrphanKeeper(db::Connection& to, base::Timestamp now) : to_(to), now_(now) {}

  // Makes the row fit to be inserted, and remembers what was done. The parents' tables are in `to`
  // already.
  [[nodiscard]] base::Result<void> mend(const TableDescription& table, CopyRow& row);

  // Notes and leftovers, when the tables of both are in `to`.
  [[nodiscard]] base::Result<void> write_notes();

  [[nodiscard]] const std::vector<CopiedOrphan>& orphans() const { return orphans_; }
  // The ids of the rows made in that table.
  [[nodiscard]] const std::set<std::int64_t>& made_in(std::string_view table) const;

 private:
  base::Result<void> make(const std::string& table, std::int64_t id);
  // A row of `table` for tombstones to refer to, made at the first call.
  base::Result<std::int64_t> stand_in(const std::string& table);

  db::Connection& to_;
  const base::Timestamp now_;
  std::vector<CopiedOrphan> orphans_;
  std::map<std::string, std::set<std::int64_t>, std::less<>> made_;
  std::map<std::string, std::int64_t> stand_ins_;
};

}  // namespace tertulia::schema::internal
