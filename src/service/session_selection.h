// Which sessions are meant: ids and filters in the words in which callers give them.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/sessions.h"

namespace tertulia::service {

// Those that fit all that is said.
struct SessionSelection {
  std::vector<model::Id> ids = {};
  std::vector<std::string> statuses = {};
  std::string flow = {};
  model::Id batch = 0;          // 0: of any, or none
  std::string older_than = {};  // an age: nothing was done with them for so long

  [[nodiscard]] bool empty() const {
    return ids.empty() && statuses.empty() && flow.empty() && batch == 0 && older_than.empty();
  }
};

// Invalid where an age or a status is none; not_found where an id is of no session.
[[nodiscard]] base::Result<store::SessionFilter> to_filter(db::Connection& reader,
                                                           const SessionSelection& selection,
                                                           base::Timestamp now);

// "90d", "12h", "30m", "45s", "2w".
[[nodiscard]] base::Result<std::chrono::seconds> parse_age(std::string_view text);

}  // namespace tertulia::service
