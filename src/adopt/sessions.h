// The sessions of an adopted database: cast, positions, log and machine state as this program keeps
// them, so that they can be read, and gone on with where their messages follow their flow. Where
// they do not, the session is for reading, and says why.
#pragma once

#include <cstdint>

#include "adopt/flows.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/casting.h"

namespace tertulia::adopt {

struct SessionCounts {
  std::int64_t all = 0;
  std::int64_t can_go_on = 0;  // paused, running or not begun
  std::int64_t over = 0;       // finished or terminated, and explained by their log
  std::int64_t only_read = 0;  // their messages do not follow their flow
  std::int64_t rows_made = 0;  // of the step log
};

struct SessionSettings {
  std::string profile;  // of the model that plays the roles from now on
  engine::ProfileSource profiles;
  base::Timestamp now;
};

[[nodiscard]] base::Result<SessionCounts> adopt_sessions(db::Connection& connection, Flows& flows,
                                                         const std::vector<model::Role>& roles,
                                                         const SessionSettings& settings);

}  // namespace tertulia::adopt
