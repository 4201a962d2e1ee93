// WholeSession is a session with everything that it recorded, as one value: what an export holds,
// and what an import or a branch puts into a database.
//
// Its ids are those of where it comes from, and only tie its parts together: roles to messages,
// messages to what rows of the log said (result_data's message_id), rows to their parents, calls to
// rows by execution order. `insert_whole_session` gives new ones to all of it. Ids of the flow
// (version, template, steps) are the caller's to set: they must be of the database at hand.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"
#include "store/step_log.h"

namespace tertulia::store {

struct WholeSession {
  model::Session row;
  std::vector<model::SessionRole> roles;
  std::vector<model::Message> messages;      // by position
  std::vector<model::StepExecutionLog> log;  // by execution order
  std::vector<CallOfStep> calls;             // in the order in which they were made
  std::string state;                         // the machine's, as JSON
};

// As it stands at one moment. not_found names the id.
[[nodiscard]] base::Result<WholeSession> load_whole_session(db::Connection& connection, Id id);

// The new session's id. Performed inside the caller's transaction, which is to be rolled back where
// this fails. Invalid where a part refers to one that is not there: the error names both.
[[nodiscard]] base::Result<Id> insert_whole_session(db::Connection& connection,
                                                    const WholeSession& whole);

}  // namespace tertulia::store
