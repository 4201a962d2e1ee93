// Commit is everything that one advance of a session changes: rows of the step log, what was said,
// calls to models, the session's own row and its machine's state. `apply` performs it inside the
// caller's transaction; a commit is whole or absent, and refers to rows by execution order and
// position, never by ids it does not know yet, so that on PostgreSQL it is one round trip.
//
// A commit carries the token of the lease under which it was made. If the session's lease has a
// newer token, `apply` fails with conflict: another node has taken the session over.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

// A row of the step log that begins; also one that is over at once (completed_at is set).
struct RowOpened {
  Id step_id = 0;
  std::optional<std::int64_t> parent_order;
  std::int64_t order = 0;
  std::int64_t round = 1;
  std::int64_t iteration = 0;
  model::StepStatus status = model::StepStatus::running;
  std::optional<model::ResultType> result_type;
  std::optional<std::string> result_data;  // JSON
  std::optional<bool> condition_evaluation;
  std::optional<bool> loop_check_result;
  std::optional<std::string> error_message;
  std::optional<std::int64_t> duration_ms;
  std::optional<double> memory_mb;
  base::Timestamp created_at;
  std::optional<base::Timestamp> started_at;
  std::optional<base::Timestamp> completed_at;
  std::string step_snapshot;                    // JSON
  std::optional<std::string> context_snapshot;  // JSON
};

struct RowClosed {
  std::int64_t order = 0;
  std::int64_t attempt = 1;
  model::StepStatus status = model::StepStatus::completed;
  std::optional<model::ResultType> result_type;
  std::string result_data = "{}";  // JSON object; not empty ("{}") where a message was said
  std::optional<bool> condition_evaluation;
  std::optional<bool> loop_check_result;
  std::optional<std::string> error_message;
  std::int64_t duration_ms = 0;
  double memory_mb = 0;
  base::Timestamp completed_at;
  std::optional<base::Timestamp> started_at;
  std::optional<std::int64_t> said_position;  // of the message it said, in this same commit, as it
                                              // is inserted
};

struct RowChanged {
  std::int64_t order = 0;
  model::StepStatus status = model::StepStatus::running;
  std::int64_t attempt = 1;
  std::optional<base::Timestamp> started_at;
};

// What was said inside a parallel has its place in the conversation: a message stands under minus
// its row's order until then.
struct Placed {
  std::int64_t order = 0;
  std::int64_t position = 0;
};

struct CallMade {
  std::int64_t order = 0;
  model::ModelCall call;  // id and log_id are not read
};

// The session's own row after the commit.
struct Advance {
  model::SessionStatus status = model::SessionStatus::running;
  std::optional<Id> current_step_id;
  std::int64_t round = 1;
  std::int64_t executed_steps = 0;
  std::optional<std::string> error_reason;
  std::optional<model::StopReason> stop_reason;
  std::optional<std::string> result;
  std::optional<base::Timestamp> ended_at;
};

struct Commit {
  Id session_id = 0;
  std::int64_t lease_token = 0;
  base::Timestamp now;
  std::vector<model::Message> said;  // ids and session_id are not read; position is set
  std::vector<CallMade> calls;
  std::vector<RowClosed> closed;
  std::vector<RowChanged> changed;
  std::vector<RowOpened> opened;
  std::vector<Placed> placed;
  // What the commit announces (engine/event_record.h); nothing where the number is 0.
  struct Events {
    std::int64_t last_number = 0;
    std::string record;
  };
  Events events;
  Advance advance;
  std::string state;  // the machine's, as JSON
};

// Fails with conflict where the lease was lost, with storage where the database fails; the caller
// then rolls back.
[[nodiscard]] base::Result<void> apply(db::Connection& connection, const Commit& commit);

}  // namespace tertulia::store
