// What happens first in a branch: the step that is branched at is answered again as it was answered
// in the parent, or as a person says instead; or, at the beginning, the session starts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/branch.h"
#include "engine/branch_point.h"
#include "flow/machine.h"

namespace tertulia::engine {

using BranchVariables = std::map<std::string, base::json::value, std::less<>>;

// `program` is what the branch goes on under, and `state` its state before these events: where
// judges were asked, its open row's attempts are set back to the first. Invalid where there is
// nothing to edit, or the words do not fit the step (with another version: also those that were
// said); conflict where the parent's log has lost what was said.
[[nodiscard]] base::Result<std::vector<flow::Event>> events_of_branch(
    const BranchPoint& point, const BranchWish& wish, const flow::Program& program,
    const BranchVariables& variables, bool changes_version, flow::State& state);

}  // namespace tertulia::engine
