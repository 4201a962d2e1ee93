// Which sessions a command is for: the ids and filters that list, export, delete, prune and stats
// have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/sessions.h"

namespace tertulia::cli {

struct SelectionOptions {
  std::vector<model::Id> ids;
  std::vector<std::string> statuses;
  std::string flow;
  model::Id batch = 0;  // 0: of any, or none
  std::string older_than;

  [[nodiscard]] bool empty() const {
    return ids.empty() && statuses.empty() && flow.empty() && batch == 0 && older_than.empty();
  }
};

// The options on the command; they are bound to `options`, which must outlive it.
void add_selection(CLI::App& command, SelectionOptions& options);

// Invalid where an age is none; not_found where an id is of no session.
[[nodiscard]] base::Result<store::SessionFilter> to_filter(db::Connection& reader,
                                                           const SelectionOptions& options,
                                                           base::Timestamp now);

// "90d", "12h", "30m", "45s", "2w".
[[nodiscard]] base::Result<std::chrono::seconds> parse_age(std::string_view text);

}  // namespace tertulia::cli
