// Who plays in a branch, and what its snapshots hold: the parent's, but for another model, and for
// what another version of the flow declares otherwise.
#pragma once

#include <string>
#include <vector>

#include "engine/branch.h"
#include "engine/branch_point.h"

namespace tertulia::engine {

struct BranchCast {
  flow::Cast cast;
  std::vector<model::SessionRole> roles;  // those without an id of the parent's have one below 0
  std::map<std::string, base::json::object, std::less<>> models;  // FlowSnapshot::models
};

// A role that the parent has keeps name, prompt and model, as far as the other version says of them
// what the parent's said; one that it lacks is cast as for `run`. A role that the other version
// lacks stays: it has spoken. Errors as `cast` has them.
[[nodiscard]] base::Result<BranchCast> cast_of_branch(db::Connection& connection,
                                                      const BranchPoint& point,
                                                      const BranchWish& wish);

// The limits in force in the parent; those of the other version, where the parent had its flow's.
[[nodiscard]] flow::Limits limits_of_branch(const BranchPoint& point, const BranchWish& wish);

}  // namespace tertulia::engine
