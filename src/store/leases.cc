#include "store/leases.h"

#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {

base::Result<std::optional<std::int64_t>> claim_lease(db::Connection& connection, Id session,
                                                      const std::string& node,
                                                      const std::optional<std::string>& dead,
                                                      base::Timestamp now) {
  Times times;
  std::optional<std::int64_t> token;
  const std::vector<db::Param> params = {param(session), param(node), times.param(now),
                                         times.param(now + kLeaseLength), param(dead)};
  auto done =
      connection.each(sql::claim_lease, params, [&](const db::Row& row) -> base::Result<void> {
        token = row.integer(0);
        return {};
      });
  if (!done) return done.error();
  return token;
}

base::Result<void> renew_leases(db::Connection& connection, const std::string& node,
                                base::Timestamp now) {
  const std::string until = connection.engine() == db::Engine::sqlite
                                ? base::to_iso8601(now + kLeaseLength)
                                : fmt::format("{} seconds", kLeaseLength.count());
  auto done = connection.run(sql::renew_leases, std::vector{param(node), param(until)});
  if (!done) return done.error();
  return {};
}

base::Result<void> release_lease(db::Connection& connection, Id session, std::int64_t token) {
  auto done = connection.run(sql::release_lease, std::vector{param(session), param(token)});
  if (!done) return done.error();
  return {};
}

base::Result<std::optional<model::Lease>> find_lease(db::Connection& connection, Id session) {
  return read_one<model::Lease>(connection, sql::select_lease, std::vector{param(session)});
}

base::Result<bool> ask_holder(db::Connection& connection, Id session, const std::string& request) {
  auto changed =
      connection.run(sql::request_of_holder, std::vector{param(session), param(request)});
  if (!changed) return changed.error();
  return *changed > 0;
}

base::Result<std::vector<HolderRequest>> load_requests(db::Connection& connection,
                                                       const std::string& node) {
  std::vector<HolderRequest> requests;
  auto done = connection.each(
      sql::select_requests, std::vector{param(node)},
      [&](const db::Row& row) -> base::Result<void> {
        requests.push_back({row.integer(0), row.integer(1), std::string(row.text(2))});
        return {};
      });
  if (!done) return done.error();
  return requests;
}

base::Result<void> clear_request(db::Connection& connection, Id session, std::int64_t token) {
  auto done = connection.run(sql::clear_request, std::vector{param(session), param(token)});
  if (!done) return done.error();
  return {};
}

}  // namespace tertulia::store
