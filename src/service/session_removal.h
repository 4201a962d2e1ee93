// Deleting sessions with all that they recorded.
#pragma once

#include <functional>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/engine.h"
#include "store/sessions.h"

namespace tertulia::service {

// What became of the sessions that were meant.
struct Removal {
  std::int64_t deleted = 0;
  std::vector<model::Id> in_flight;  // left out: another process performs them
};

// Those that fit; `progress`, if given, is told how many are deleted after each. One that somebody
// else deletes meanwhile is no error. Blocks; not from the engine's threads.
[[nodiscard]] base::Result<Removal> remove_sessions(
    engine::Engine& engine, db::Connection& reader, const store::SessionFilter& filter,
    const std::function<void(std::int64_t deleted)>& progress = {});

// {deleted, in_flight}.
[[nodiscard]] base::json::object removal_json(const Removal& removal);

}  // namespace tertulia::service
