// The durable events of sessions as they are stored. What their JSON means is the engine's
// (engine/event_record.h); who follows many sessions reads by id, who follows one by its numbers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

// The number of the session's last event; 0 where it has none.
[[nodiscard]] base::Result<std::int64_t> last_event_number(db::Connection& connection, Id session);

// Rows that hold events of the session above the number, at most `limit`, in order.
[[nodiscard]] base::Result<std::vector<model::SessionEvents>> load_session_events(
    db::Connection& connection, Id session, std::int64_t after, std::int64_t limit);

// Rows of all sessions by id. On PostgreSQL the commits of several nodes may become visible in
// another order than that of their ids: who follows looks again for those that were skipped.
[[nodiscard]] base::Result<std::vector<model::SessionEvents>> load_events_after(
    db::Connection& connection, Id after, std::int64_t limit);
[[nodiscard]] base::Result<std::vector<model::SessionEvents>> load_events_between(
    db::Connection& connection, Id first, Id last);
[[nodiscard]] base::Result<Id> last_events_id(db::Connection& connection);

// The result_data of the session's log rows, and the texts of its messages by their ids: what
// stored events leave out.
[[nodiscard]] base::Result<std::map<std::int64_t, std::string>> load_results_between(
    db::Connection& connection, Id session, std::int64_t first_order, std::int64_t last_order);
[[nodiscard]] base::Result<std::map<Id, std::string>> load_contents_between(
    db::Connection& connection, Id session, Id first, Id last);

}  // namespace tertulia::store
