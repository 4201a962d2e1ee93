// Sessions in the database: made, found, listed and deleted. What advances one is a Commit
// (commit.h). Functions that write want a write connection and make their own transaction.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

struct NewSession {
  std::string topic;
  Id flow_template_id = 0;
  Id flow_version_id = 0;
  std::string flow_snapshot;   // JSON
  std::string roles_snapshot;  // JSON
  std::int64_t seed = 0;
  struct Role {
    std::string ref;
    std::optional<Id> role_id;
  };
  std::vector<Role> roles;
  std::string state;  // the machine's before its first event, as JSON
  base::Timestamp now;
};
// The new session's id. Session, cast and state are one transaction.
[[nodiscard]] base::Result<Id> create_session(db::Connection& connection, const NewSession& wanted);
// The same inside the caller's transaction.
[[nodiscard]] base::Result<Id> create_session_within(db::Connection& connection,
                                                     const NewSession& wanted);

// not_found names the id.
[[nodiscard]] base::Result<model::Session> load_session(db::Connection& connection, Id id);
[[nodiscard]] base::Result<std::vector<model::SessionRole>> load_session_roles(
    db::Connection& connection, Id session);
[[nodiscard]] base::Result<model::MachineState> load_machine_state(db::Connection& connection,
                                                                   Id session);

// Which sessions: those that fit all that is given.
struct SessionFilter {
  std::vector<Id> ids = {};                         // empty: all
  std::vector<model::SessionStatus> statuses = {};  // empty: all
  std::optional<std::string> flow = {};
  std::optional<base::Timestamp> changed_before = {};  // nothing was done with them since
  std::optional<Id> batch = {};
};
// A page of them.
struct SessionPage {
  SessionFilter filter = {};
  std::optional<Id> below = {};  // only ids below this one: the cursor of the next page
  std::optional<Id> from = {};   // and not below this one
  std::int64_t limit = 50;
  std::optional<std::string> topic = {};  // holds this text, in any case of letters
  std::optional<base::Timestamp> created_from = {};
  std::optional<base::Timestamp> created_before = {};
};
struct SessionSummary {
  Id id = 0;
  std::optional<std::string> topic;
  model::SessionStatus status = model::SessionStatus::not_started;
  std::optional<model::StopReason> stop_reason;
  std::int64_t round = 1;
  std::int64_t executed_steps = 0;
  base::Timestamp created_at;
  base::Timestamp updated_at;
  std::optional<base::Timestamp> ended_at;
  std::optional<std::string> flow;
  std::optional<std::int64_t> flow_version;
  std::int64_t messages = 0;
};
// Newest first.
[[nodiscard]] base::Result<std::vector<SessionSummary>> list_sessions(db::Connection& connection,
                                                                      const SessionPage& page);
// May rows be looked at that do not fit, because no index has those that do?
[[nodiscard]] bool needs_looking(const SessionPage& page);
// The highest id below that one; 0: there is none.
[[nodiscard]] base::Result<Id> newest_session_below(db::Connection& connection, Id below);
// Between which ids the sessions are that were made in a time; nothing where there are none.
struct IdRange {
  Id first = 0;
  Id last = 0;
};
[[nodiscard]] base::Result<std::optional<IdRange>> sessions_created(
    db::Connection& connection, const std::optional<base::Timestamp>& from,
    const std::optional<base::Timestamp>& before);
[[nodiscard]] base::Result<std::int64_t> count_sessions(db::Connection& connection,
                                                        const SessionFilter& filter);
// How many sessions there are of each status that any has; by an index alone.
[[nodiscard]] base::Result<std::map<model::SessionStatus, std::int64_t>> count_sessions_by_status(
    db::Connection& connection);
// Every session that fits, newest first; read in pages, so that memory stays bounded and `session`
// may write. An error of `session` ends it and is returned.
[[nodiscard]] base::Result<void> each_session(
    db::Connection& connection, const SessionFilter& filter,
    const std::function<base::Result<void>(const SessionSummary&)>& session);

// Sessions that should be under way, whether anybody holds them or not; those that were to begin,
// likewise (it looks at every session that ever began); and those that wait for a person. At most
// `limit`, oldest first.
[[nodiscard]] base::Result<std::vector<Id>> list_left_sessions(db::Connection& connection,
                                                               std::int64_t limit);
[[nodiscard]] base::Result<std::vector<Id>> list_claimed_sessions(db::Connection& connection,
                                                                  std::int64_t limit);
[[nodiscard]] base::Result<std::vector<Id>> list_waiting_sessions(db::Connection& connection,
                                                                  std::int64_t limit);

// The session with its log, messages and model calls, in one transaction. not_found names the id.
// The caller sees to it that nobody performs it (leases.h).
[[nodiscard]] base::Result<void> delete_session(db::Connection& connection, Id id);

}  // namespace tertulia::store
