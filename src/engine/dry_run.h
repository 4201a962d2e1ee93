// A dry run performs a flow in memory, with rehearsal's words and without a database: up to a step
// (the invented history of `flow preview`), or to its end, to estimate what it costs.
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

struct SessionEstimate {
  std::int64_t calls = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::optional<double> cost_usd;  // absent where a profile that is asked has no price
};
// What a session of this casting would ask of its models. Prompts are the real ones, counted by
// their providers' estimates; answers are rehearsal's, and a model may well say more.
[[nodiscard]] base::Result<SessionEstimate> estimate_session(const CastingCall& call,
                                                             const ProfileSource& profiles,
                                                             const RoleSource& roles,
                                                             const ProviderSource& providers);

}  // namespace tertulia::engine
