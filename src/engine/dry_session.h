// A dry session: a flow performed in memory by one thread, with rehearsal's words and without a
// database. Branches of a parallel are performed one after the other; persons say their step's
// default, its first choice, or words that say what they are.
#pragma once

#include <functional>

#include "engine/casting.h"
#include "engine/request.h"
#include "flow/machine.h"
#include "llm/provider.h"

namespace tertulia::engine {

// A flow without an end is performed no further.
inline constexpr std::int64_t kMostDrySteps = 2'000;

// A request of the session, and what rehearsal said to it.
struct DryCall {
  const flow::Instruction& instruction;
  const flow::Strand& strand;
  const std::string& role;
  const base::json::object& model;  // the profile in force
  const llm::Provider& provider;
  PreparedRequest& request;
  const llm::Answer& answer;
};

// Either may be empty.
struct DryWatch {
  std::function<bool(const DryCall&)> see = {};  // true ends the run
  std::function<void(const flow::Effect&)> note = {};
};

struct DryEnd {
  bool is_stopped = false;  // by `see`
  model::SessionStatus status = model::SessionStatus::finished;
  std::optional<model::StopReason> reason = {};
  std::int64_t calls = 0;  // of models
};

// Errors are those of casting, and not those of a model: rehearsal does not fail.
[[nodiscard]] base::Result<DryEnd> perform_dry(const CastingCall& call,
                                               const ProfileSource& profiles,
                                               const RoleSource& roles,
                                               const ProviderSource& providers,
                                               const DryWatch& watch);

}  // namespace tertulia::engine
