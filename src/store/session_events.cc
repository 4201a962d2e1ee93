#include "store/session_events.h"

#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

base::Result<std::map<std::int64_t, std::string>> read_texts(db::Connection& connection,
                                                             const db::Sql& sql, Id session,
                                                             std::int64_t first,
                                                             std::int64_t last) {
  std::map<std::int64_t, std::string> texts;
  auto done = connection.each(sql, std::vector{param(session), param(first), param(last)},
                              [&](const db::Row& row) -> base::Result<void> {
                                if (!row.is_null(1)) texts.emplace(row.integer(0), row.text(1));
                                return {};
                              });
  if (!done) return done.error();
  return texts;
}

}  // namespace

base::Result<std::int64_t> last_event_number(db::Connection& connection, Id session) {
  return db::read_integer(connection, sql::last_event_number, std::vector{param(session)});
}

base::Result<std::vector<model::SessionEvents>> load_session_events(db::Connection& connection,
                                                                    Id session, std::int64_t after,
                                                                    std::int64_t limit) {
  return read_all<model::SessionEvents>(connection, sql::select_session_events,
                                        std::vector{param(session), param(after), param(limit)});
}

base::Result<std::vector<model::SessionEvents>> load_events_after(db::Connection& connection,
                                                                  Id after, std::int64_t limit) {
  return read_all<model::SessionEvents>(connection, sql::select_events_after,
                                        std::vector{param(after), param(limit)});
}

base::Result<std::vector<model::SessionEvents>> load_events_between(db::Connection& connection,
                                                                    Id first, Id last) {
  return read_all<model::SessionEvents>(connection, sql::select_events_between,
                                        std::vector{param(first), param(last)});
}

base::Result<Id> last_events_id(db::Connection& connection) {
  return db::read_integer(connection, sql::last_events_id, {});
}

base::Result<std::map<std::int64_t, std::string>> load_results_between(db::Connection& connection,
                                                                       Id session,
                                                                       std::int64_t first_order,
                                                                       std::int64_t last_order) {
  return read_texts(connection, sql::select_results_between, session, first_order, last_order);
}

base::Result<std::map<Id, std::string>> load_contents_between(db::Connection& connection,
                                                              Id session, Id first, Id last) {
  return read_texts(connection, sql::select_contents_between, session, first, last);
}

}  // namespace tertulia::store
