// Which messages of a session a step's speaker is shown: the walk back from the newest that a
// ContextRule asks for. Pure; reads only what it shows, what it passes over on the way, and the one
// message that no longer fits, so its cost does not grow with the session.
#pragma once

#include <optional>
#include <vector>

#include "flow/prompt.h"

namespace tertulia::flow {

// A walk reads at most so many messages; older ones count as dropped. Only scopes reach it that
// name roles which speak seldom, or that have no budget at all.
inline constexpr std::int64_t kMaxLookBack = 10'000;

struct Selection {
  std::vector<Said> messages;        // oldest first
  std::int64_t dropped_through = 0;  // what would have been shown up to here was dropped
};

// Scope first; then from and except, and what is a version of a document that is shown beside the
// messages; then last; then the budget, which drops the oldest first: the walk ends at the first
// message that does not fit. `cost` is what a message takes of the budget. An error only where the
// history cannot be read.
// Positions are the strand's own. `in_scope` says whose words belong to the flow that the strand
// performs, where the rule names nobody; absent: everyone's.
[[nodiscard]] base::Result<Selection> select_context(
    const ContextRule& rule, const Strand& strand, const History& history,
    std::optional<std::int64_t> budget, const std::function<std::int64_t(const Said&)>& cost,
    const std::function<bool(const std::string& role)>& in_scope = {});

}  // namespace tertulia::flow
