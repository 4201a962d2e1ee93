#include "service/limit_wishes.h"

#include "flow/state.h"
#include "store/sessions.h"

namespace tertulia::service {

flow::Limits LimitWishes::over(flow::Limits limits) const {
  if (steps) limits.steps = *steps;
  if (rounds) limits.rounds = *rounds;
  if (tokens) limits.tokens = *tokens;
  if (cost_usd) limits.cost_nano = flow::to_nano(*cost_usd);
  if (time_ms) limits.time_ms = *time_ms;
  return limits;
}

base::Result<std::optional<flow::Limits>> limits_in_session(db::Connection& reader,
                                                            model::Id session,
                                                            const LimitWishes& wishes) {
  if (wishes.empty()) return std::optional<flow::Limits>();
  auto stored = store::load_machine_state(reader, session);
  if (!stored) return stored.error();
  auto state = flow::State::from_text(stored->state);
  if (!state) return state.error();
  return std::optional(wishes.over(state->limits));
}

}  // namespace tertulia::service
