// Casting makes a session of a flow: it binds every role reference to a character and a model,
// settles the variables, and freezes all of it in the session's snapshots.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "engine/session_data.h"
#include "flow/program.h"
#include "llm/profile.h"
#include "store/sessions.h"

namespace tertulia::engine {

// A profile by name, as the configuration or the command line knows it; an error says what there
// is.
using ProfileSource = std::function<base::Result<llm::ModelProfile>(const std::string& name)>;
// A stored role by name; nothing where there is none.
using RoleSource = std::function<base::Result<std::optional<model::Role>>(const std::string& name)>;

struct CastingCall {
  const flow::Program* program = nullptr;
  model::Id flow_template_id = 0;
  const model::FlowVersion* version = nullptr;
  std::string profile;  // of roles that name none
  std::optional<std::string> topic;
  std::map<std::string, std::string> roles;      // role reference -> name of a stored role
  std::map<std::string, std::string> variables;  // as a person wrote them: JSON, or else text
  std::optional<flow::Limits> limits;
  std::set<std::string> played;  // role references that a person plays
  std::int64_t seed = 0;
  base::Timestamp now;
};

// Invalid where a role reference or variable is unknown (with a near name), a variable is missing
// or of another type, a stored role or a profile is not there: all mistakes in one error.
[[nodiscard]] base::Result<store::NewSession> cast(const CastingCall& call,
                                                   const ProfileSource& profiles,
                                                   const RoleSource& roles);

// The role as `profile` plays it from now on, with the parameters that the flow and the stored role
// (its settings, JSON) give it. A role for which one of these names a profile stays as it is.
[[nodiscard]] base::Result<void> recast(flow::CastRole& role, const flow::RoleDeclaration& declared,
                                        const std::optional<std::string>& stored_settings,
                                        const llm::ModelProfile& profile);

}  // namespace tertulia::engine
