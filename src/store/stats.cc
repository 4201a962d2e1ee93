#include "store/stats.h"

#include "store/session_filter.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

const db::Sql& statement(StatsBy by) {
  switch (by) {
    case StatsBy::flow:
      return sql::stats_by_flow;
    case StatsBy::role:
      return sql::stats_by_role;
    case StatsBy::model:
      return sql::stats_by_model;
    case StatsBy::status:
      break;
  }
  return sql::stats_by_status;
}

}  // namespace

base::Result<std::vector<StatsLine>> load_stats(db::Connection& connection, StatsBy by,
                                                const SessionFilter& filter) {
  std::vector<StatsLine> lines;
  const FilterParams params(filter, {});
  auto done =
      connection.each(statement(by), params.list(), [&](const db::Row& row) -> base::Result<void> {
        StatsLine line;
        line.name = row.text(0);
        line.sessions = row.integer(1);
        line.steps = row.integer(2);
        line.calls = row.integer(3);
        line.failed_calls = row.integer(4);
        line.prompt_tokens = row.integer(5);
        line.completion_tokens = row.integer(6);
        if (!row.is_null(7)) line.cost_usd = row.real(7);
        line.duration_ms = row.integer(8);
        lines.push_back(std::move(line));
        return {};
      });
  if (!done) return done.error();
  return lines;
}

}  // namespace tertulia::store
