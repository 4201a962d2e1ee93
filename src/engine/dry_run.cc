#include "engine/dry_run.h"

#include <fmt/format.h>

#include "engine/cost.h"
#include "engine/dry_session.h"

namespace tertulia::engine {

base::Result<DryStep> dry_run(const CastingCall& call, const ProfileSource& profiles,
                              const RoleSource& roles, const ProviderSource& providers,
                              const std::string& step, std::int64_t visit) {
  DryStep found;
  const auto see = [&](const DryCall& each) {
    const std::string& called = each.instruction.name.empty() ? each.role : each.instruction.name;
    if (called != step || each.strand.open->visit != visit) return false;
    found = {each.strand.open->order, std::move(each.request)};
    return true;
  };
  auto ended = perform_dry(call, profiles, roles, providers, {.see = see});
  if (!ended) return ended.error();
  if (ended->is_stopped) return found;
  return base::Error{
      .code = base::Code::not_found,
      .message = fmt::format("an invented session comes to its end before the step '{}' has run "
                             "{} times",
                             step, visit),
      .remedy = "tertulia flow show FLOW lists the steps; try another --seed or --visit"};
}

base::Result<SessionEstimate> estimate_session(const CastingCall& call,
                                               const ProfileSource& profiles,
                                               const RoleSource& roles,
                                               const ProviderSource& providers) {
  SessionEstimate sum;
  sum.cost_usd = 0;
  const auto see = [&](const DryCall& each) {
    const llm::Request& request = each.request.request;
    llm::Usage usage;
    usage.prompt_tokens = each.provider.estimate_tokens(request.system);
    for (const llm::Turn& turn : request.turns)
      usage.prompt_tokens += each.provider.estimate_tokens(turn.text);
    usage.completion_tokens = each.provider.estimate_tokens(each.answer.text);
    ++sum.calls;
    sum.prompt_tokens += usage.prompt_tokens;
    sum.completion_tokens += usage.completion_tokens;
    const auto cost = price_of(each.model, usage);
    if (cost && sum.cost_usd) {
      *sum.cost_usd += *cost;
    } else {
      sum.cost_usd.reset();
    }
    return false;
  };
  auto ended = perform_dry(call, profiles, roles, providers, {.see = see});
  if (!ended) return ended.error();
  return sum;
}

}  // namespace tertulia::engine
