#include "adopt/sessions.h"

#include "adopt/session.h"
#include "store/sql.h"

namespace tertulia::adopt {

base::Result<SessionCounts> adopt_sessions(db::Connection& connection, Flows& flows,
                                           const std::vector<model::Role>& roles,
                                           const SessionSettings& settings) {
  // As they were said; the older system appended and never moved.
  if (auto done = connection.run(store::sql::number_messages); !done) return done.error();
  std::vector<model::Id> ids;
  auto read = connection.each(store::sql::select_session_ids, {},
                              [&](const db::Row& row) -> base::Result<void> {
                                ids.push_back(row.integer(0));
                                return {};
                              });
  if (!read) return read.error();
  SessionCounts counts;
  for (const model::Id id : ids) {
    auto adopted = AdoptedSession(connection, roles, settings).adopt(flows, id, counts);
    if (!adopted) return adopted.error().in("session " + std::to_string(id));
    ++counts.all;
  }
  return counts;
}

}  // namespace tertulia::adopt
