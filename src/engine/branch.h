// A branch is a new session that begins as another one stood just after one of its steps: with that
// session's rows and messages up to there, under ids of its own, and from there on it goes its own
// way. Calls to models are not copied, so nothing is paid twice in the sums. What it branched from
// is remembered in its flow_snapshot (FlowSnapshot::branched_from) by number only: the parent may
// be deleted.
#pragma once

#include <optional>
#include <string>

#include "engine/casting.h"
#include "engine/request.h"
#include "engine/session_data.h"
#include "llm/profile.h"

namespace tertulia::engine {

struct BranchWish {
  Id parent = 0;
  std::int64_t at = 0;               // execution order; 0: before the first step
  std::optional<std::string> topic;  // instead of the parent's
  std::optional<std::string> edit;   // said by step `at` instead of what it said
  // Plays the roles for which neither the flow nor the stored role names a profile.
  std::optional<llm::ModelProfile> model;
  // Another version of the parent's flow, under which the branch goes on: flow/version_change.h.
  struct Version {
    const model::FlowVersion* row = nullptr;
    const flow::Program* program = nullptr;  // with the roles' prompts
    ProfileSource profiles;                  // as for `cast`
    RoleSource roles;
    std::string profile;  // of roles that name none, where the parent has no such role
  };
  std::optional<Version> version;
};

struct BranchedSession {
  Id id = 0;
  std::int64_t rows = 0;  // of its log; the last is open, unless the flow ends there
  std::int64_t messages = 0;
  std::int64_t flow_version = 0;  // under which it goes on
  model::SessionStatus status = model::SessionStatus::paused;
};

// Performed inside the caller's transaction, which is to be rolled back where this fails. The
// branch is paused before its next step; it waits or is finished where the flow does so there. What
// follows the last step that was copied is written by the flow machine itself, and the whole is
// replayed from its log before this returns.
//
// not_found where the parent or the step is not there; invalid where the step cannot be branched
// from (it is not done, or lies in a parallel that is not done), the words do not fit it, or the
// other version has no place for where it stands; conflict where the parent's log does not explain
// it.
[[nodiscard]] base::Result<BranchedSession> branch(db::Connection& connection, FlowCache& flows,
                                                   const BranchWish& wish,
                                                   const ProviderSource& providers,
                                                   base::Timestamp now);

}  // namespace tertulia::engine
