// The step log for people: a table, or the tree of parents and children.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace tertulia::cli {

struct LogViewOptions {
  bool tree = false;
  bool full = false;  // with snapshots, result data and every call to a model
};

// `log`: rows as service::Records::log gives them, with words, and with all else where it is full.
// Invalid where they are not that.
[[nodiscard]] base::Result<void> print_log(const base::json::array& log,
                                           const LogViewOptions& options);

}  // namespace tertulia::cli
