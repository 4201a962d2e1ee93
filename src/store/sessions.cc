#include "store/sessions.h"

#include <algorithm>
#include <set>

#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/session_filter.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

constexpr std::int64_t kSessionsAPage = 200;

base::Error no_session(Id id) {
  return {.code = base::Code::not_found,
          .message = fmt::format("there is no session {}", id),
          .remedy = "tertulia session list"};
}

SessionSummary read_summary(const db::Row& row) {
  const auto text = [&](int column) -> std::optional<std::string> {
    if (row.is_null(column)) return {};
    return std::string(row.text(column));
  };
  const auto time = [&](int column) { return base::parse_iso8601(row.text(column)); };
  SessionSummary summary;
  summary.id = row.integer(0);
  summary.topic = text(1);
  summary.status =
      model::from_text<model::SessionStatus>(row.text(2)).value_or(model::SessionStatus::failed);
  summary.stop_reason = model::from_text<model::StopReason>(row.text(3));
  summary.round = row.integer(4);
  summary.executed_steps = row.integer(5);
  summary.created_at = time(6).value_or(base::Timestamp());
  summary.updated_at = time(7).value_or(base::Timestamp());
  summary.ended_at = time(8);
  summary.flow = text(9);
  if (!row.is_null(10)) summary.flow_version = row.integer(10);
  summary.messages = row.integer(11);
  return summary;
}

}  // namespace

base::Result<Id> create_session(db::Connection& connection, const NewSession& wanted) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  auto id = create_session_within(connection, wanted);
  if (!id) return id.error();
  if (auto done = transaction->commit(); !done) return done.error();
  return id;
}

base::Result<Id> create_session_within(db::Connection& connection, const NewSession& wanted) {
  Times times;
  const db::Param now = times.param(wanted.now);
  Id id = 0;
  const std::vector<db::Param> session = {param(wanted.topic),
                                          param(wanted.flow_template_id),
                                          param(wanted.flow_version_id),
                                          param(wanted.flow_snapshot),
                                          param(wanted.roles_snapshot),
                                          param(wanted.seed),
                                          now};
  auto inserted =
      connection.each(sql::insert_session, session, [&](const db::Row& row) -> base::Result<void> {
        id = row.integer(0);
        return {};
      });
  if (!inserted) return inserted.error();
  std::vector<db::Work> works;
  for (const auto& role : wanted.roles)
    works.push_back(
        {&sql::insert_session_role, {param(id), param(role.ref), param(role.role_id), now}, 1});
  works.push_back({&sql::store_machine_state, {param(id), param(wanted.state), now}, 1});
  if (auto done = connection.run_batch(works); !done) return done.error();
  return id;
}

base::Result<model::Session> load_session(db::Connection& connection, Id id) {
  auto row = read_one<model::Session>(connection, sql::select_session, std::vector{param(id)});
  if (!row) return row.error();
  if (!*row) return no_session(id);
  return **std::move(row);
}

base::Result<std::vector<model::SessionRole>> load_session_roles(db::Connection& connection,
                                                                 Id session) {
  return read_all<model::SessionRole>(connection, sql::select_session_roles,
                                      std::vector{param(session)});
}

base::Result<model::MachineState> load_machine_state(db::Connection& connection, Id session) {
  auto row = read_one<model::MachineState>(connection, sql::select_machine_state,
                                           std::vector{param(session)});
  if (!row) return row.error();
  if (!*row)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("session {} has no machine state", session),
                       .remedy = fmt::format("tertulia session replay {}", session)};
  return **std::move(row);
}

namespace {

base::Result<void> read_sessions(db::Connection& connection, const db::Sql& sql,
                                 const SessionPage& page, std::vector<db::Param> params,
                                 std::vector<SessionSummary>& found) {
  params.push_back(param(page.limit));
  const auto topic = page.topic ? std::optional(escape_like(*page.topic)) : std::nullopt;
  params.push_back(param(topic));
  const std::string from = page.created_from ? base::to_iso8601(*page.created_from) : kBeforeAll;
  const std::string before =
      page.created_before ? base::to_iso8601(*page.created_before) : kForEver;
  params.push_back(param(from));
  params.push_back(param(before));
  auto done = connection.each(sql, params, [&](const db::Row& row) -> base::Result<void> {
    found.push_back(read_summary(row));
    return {};
  });
  if (!done) return done.error();
  return {};
}

// Most sessions are finished: those are found soon among the newest. The others may be few among
// many.
bool are_few(const SessionFilter& filter) {
  return !filter.statuses.empty() &&
         std::find(filter.statuses.begin(), filter.statuses.end(),
                   model::SessionStatus::finished) == filter.statuses.end();
}

}  // namespace

base::Result<std::vector<SessionSummary>> list_sessions(db::Connection& connection,
                                                        const SessionPage& page) {
  std::vector<SessionSummary> found;
  FilterParams filter(page.filter, page.below);
  if (page.from) filter.raise_lowest(*page.from);
  if (!are_few(page.filter)) {
    const db::Sql& sql = page.filter.flow ? sql::list_sessions_of_flow : sql::list_sessions;
    if (auto done = read_sessions(connection, sql, page, filter.list(), found); !done)
      return done.error();
    return found;
  }
  for (const auto status :
       std::set<model::SessionStatus>(page.filter.statuses.begin(), page.filter.statuses.end())) {
    auto params = filter.list();
    const std::string_view name = model::to_text(status);
    params.front() = param(name);
    if (auto done =
            read_sessions(connection, sql::list_sessions_of_status, page, std::move(params), found);
        !done)
      return done.error();
  }
  std::sort(found.begin(), found.end(),
            [](const auto& one, const auto& other) { return one.id > other.id; });
  if (static_cast<std::int64_t>(found.size()) > page.limit)
    found.resize(static_cast<std::size_t>(page.limit));
  return found;
}

bool needs_looking(const SessionPage& page) {
  const SessionFilter& filter = page.filter;
  if (page.topic || page.created_from || page.created_before || filter.changed_before ||
      filter.batch || !filter.ids.empty())
    return true;
  return !filter.statuses.empty() && (filter.flow || !are_few(filter));
}

base::Result<Id> newest_session_below(db::Connection& connection, Id below) {
  return db::read_integer(connection, sql::newest_session_below, std::vector{param(below)});
}

base::Result<std::optional<IdRange>> sessions_created(
    db::Connection& connection, const std::optional<base::Timestamp>& from,
    const std::optional<base::Timestamp>& before) {
  const std::string first = from ? base::to_iso8601(*from) : kBeforeAll;
  const std::string end = before ? base::to_iso8601(*before) : kForEver;
  std::optional<IdRange> range;
  auto done = connection.each(sql::sessions_created_between, std::vector{param(first), param(end)},
                              [&](const db::Row& row) -> base::Result<void> {
                                if (!row.is_null(0))
                                  range = {.first = row.integer(0), .last = row.integer(1)};
                                return {};
                              });
  if (!done) return done.error();
  return range;
}

base::Result<std::int64_t> count_sessions(db::Connection& connection, const SessionFilter& filter) {
  return db::read_integer(connection, sql::count_sessions, FilterParams(filter, {}).list());
}

base::Result<std::map<model::SessionStatus, std::int64_t>> count_sessions_by_status(
    db::Connection& connection) {
  std::map<model::SessionStatus, std::int64_t> counts;
  std::int64_t finished = 0;
  auto done = connection.each(
      sql::count_sessions_by_status, {}, [&](const db::Row& row) -> base::Result<void> {
        const auto status = model::from_text<model::SessionStatus>(row.text(0));
        if (status) counts[*status] = row.integer(1);
        finished += status ? -row.integer(1) : row.integer(1);
        return {};
      });
  if (!done) return done.error();
  if (finished > 0) counts[model::SessionStatus::finished] = finished;
  return counts;
}

base::Result<void> each_session(
    db::Connection& connection, const SessionFilter& filter,
    const std::function<base::Result<void>(const SessionSummary&)>& session) {
  SessionPage page{.filter = filter, .below = {}, .limit = kSessionsAPage};
  for (;;) {
    auto found = list_sessions(connection, page);
    if (!found) return found.error();
    for (const SessionSummary& each : *found) {
      page.below = each.id;
      if (auto done = session(each); !done) return done;
    }
    if (static_cast<std::int64_t>(found->size()) < page.limit) return {};
  }
}

namespace {

base::Result<std::vector<Id>> read_ids(db::Connection& connection, const db::Sql& sql,
                                       std::int64_t limit) {
  std::vector<Id> ids;
  auto done = connection.each(sql, std::vector{param(limit)},
                              [&](const db::Row& row) -> base::Result<void> {
                                ids.push_back(row.integer(0));
                                return {};
                              });
  if (!done) return done.error();
  return ids;
}

}  // namespace

base::Result<std::vector<Id>> list_left_sessions(db::Connection& connection, std::int64_t limit) {
  return read_ids(connection, sql::select_left_sessions, limit);
}

base::Result<std::vector<Id>> list_claimed_sessions(db::Connection& connection,
                                                    std::int64_t limit) {
  return read_ids(connection, sql::select_claimed_sessions, limit);
}

base::Result<std::vector<Id>> list_waiting_sessions(db::Connection& connection,
                                                    std::int64_t limit) {
  return read_ids(connection, sql::select_waiting_sessions, limit);
}

base::Result<void> delete_session(db::Connection& connection, Id id) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  const std::vector<db::Param> params = {param(id)};
  for (const db::Sql* each :
       {&sql::delete_model_calls, &sql::delete_log, &sql::delete_messages,
        &sql::delete_machine_state, &sql::delete_session_roles, &sql::delete_lease,
        &sql::untie_batch_input, &sql::keep_newest_events_id, &sql::delete_session_events}) {
    if (auto done = connection.run(*each, params); !done) return done.error();
  }
  auto deleted = connection.run(sql::delete_session, params);
  if (!deleted) return deleted.error();
  if (*deleted == 0) return no_session(id);
  return transaction->commit();
}

}  // namespace tertulia::store
