// BatchCasting casts the sessions of a batch: all of one flow version and one model, and each with
// what its input says. The same on the machine that reads the inputs as on a server that is sent
// them.
//
// Any thread, as far as the sources allow it. Borrows the program and the version of its call.
#pragma once

#include <string>

#include "engine/batch_inputs.h"
#include "engine/casting.h"
#include "engine/dry_run.h"

namespace tertulia::engine {

class BatchCasting final {
 public:
  // `call` has what all sessions share; topic, cast and the like are the inputs'. An error is that
  // of the profile that it names. Stored roles are read once.
  [[nodiscard]] static base::Result<BatchCasting> make(CastingCall call, ProfileSource profiles,
                                                       RoleSource roles, ProviderSource providers);

  // What makes two runs one batch: the flow's text and roles, the model (not where it is, at what
  // price or how fast), the inputs' name (their file's path) and the name that the user gave.
  [[nodiscard]] std::string identity(const std::string& inputs, const std::string& name) const;

  // Errors name the input's place.
  [[nodiscard]] base::Result<store::NewSession> cast(const BatchInput& input) const;
  // `needs_price`: every profile of the session has one, so that a limit on cost can hold.
  [[nodiscard]] base::Result<void> check(const BatchInput& input, bool needs_price) const;
  // From a rehearsal in memory.
  [[nodiscard]] base::Result<SessionEstimate> estimate(const BatchInput& input) const;

  [[nodiscard]] const flow::Program& program() const { return *call_.program; }
  [[nodiscard]] const model::FlowVersion& version() const { return *call_.version; }
  [[nodiscard]] const llm::ModelProfile& profile() const { return profile_; }

 private:
  BatchCasting(CastingCall call, llm::ModelProfile profile, ProfileSource profiles,
               RoleSource roles, ProviderSource providers);
  [[nodiscard]] CastingCall call_of(const BatchInput& input) const;

  CastingCall call_;
  llm::ModelProfile profile_;
  ProfileSource profiles_;
  RoleSource roles_;
  ProviderSource providers_;
};

}  // namespace tertulia::engine
