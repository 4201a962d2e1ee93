// Making a session from what a caller wishes. It has two parts, for a database has one connection
// that writes and casting need not wait for it: `cast_session` reads, `store::create_session`
// writes what it gives. `make_session` is both, with the storing of the flow before them.
//
// Any thread, each with a connection of its own.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "db/connection.h"
#include "engine/casting.h"
#include "service/flow_library.h"
#include "service/limit_wishes.h"
#include "store/sessions.h"

namespace tertulia::service {

struct SessionWishes {
  std::optional<std::string> topic = {};              // else the flow's own
  std::map<std::string, std::string> roles = {};      // role reference -> name of a stored role
  std::map<std::string, std::string> variables = {};  // as a person writes them: JSON, or else text
  std::set<std::string> played = {};                  // role references that a person plays
  std::string profile = {};                           // of roles that name none
  LimitWishes limits = {};
  std::optional<std::int64_t> seed = {};  // else a fresh one
};

// The casting call of these wishes for a flow that need not be stored; it borrows both of what it
// is made from.
[[nodiscard]] engine::CastingCall casting_call(const flow::Program& program,
                                               const model::FlowVersion& version,
                                               const SessionWishes& wishes, base::Timestamp now);

// Invalid where the wishes do not fit the flow (engine::cast).
[[nodiscard]] base::Result<store::NewSession> cast_session(db::Connection& reader,
                                                           const StoredFlow& flow,
                                                           const SessionWishes& wishes,
                                                           const engine::ProfileSource& profiles,
                                                           base::Timestamp now);

// The new session's id. The flow is stored, if it is not yet, also where casting then fails.
[[nodiscard]] base::Result<model::Id> make_session(db::Connection& writer, const FlowText& text,
                                                   const flow::CheckedFlow& checked,
                                                   const SessionWishes& wishes,
                                                   const engine::ProfileSource& profiles,
                                                   base::Timestamp now);

}  // namespace tertulia::service
