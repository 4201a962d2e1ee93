// A dry run performs a flow in memory, with rehearsal's words and without a database, up to a step:
// the invented history of `flow preview`.
#pragma once

#include "engine/casting.h"
#include "engine/request.h"

namespace tertulia::engine {

struct DryStep {
  std::int64_t order = 0;
  PreparedRequest request;  // as the profile in force would send it
};

// The request of the step's `visit`-th execution. `step` is its id, or its role where it has none.
// not_found where the flow ends, or 2,000 steps have passed, before it comes to that.
[[nodiscard]] base::Result<DryStep> dry_run(const CastingCall& call, const ProfileSource& profiles,
                                            const RoleSource& roles,
                                            const ProviderSource& providers,
                                            const std::string& step, std::int64_t visit);

}  // namespace tertulia::engine
