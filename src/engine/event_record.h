// Durable events as the database keeps them, and back: a commit's events are one row, written in
// the same transaction (store/session_events.h). What an event repeats of its message or of its
// completed log row is left out there and filled in again when it is read, so that an event that is
// read is equal to the one that was published.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "engine/event.h"
#include "model/rows.h"

namespace tertulia::engine {

// The JSON that is stored for them. They are of one commit, and of one time.
[[nodiscard]] std::string to_record(const std::vector<Event>& events);

// The events of rows of one session, in their order.
[[nodiscard]] base::Result<std::vector<Event>> read_events(
    db::Connection& connection, const std::vector<model::SessionEvents>& rows);

// The session's events above the number, about `limit` of them: all of a commit, or none.
[[nodiscard]] base::Result<std::vector<Event>> load_events(db::Connection& connection,
                                                           model::Id session, std::int64_t after,
                                                           std::int64_t limit);

}  // namespace tertulia::engine
