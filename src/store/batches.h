// Batches in the database. An input is tied to its session by the transaction that makes it, and
// to a line of the output once that session is finished, so that whatever instant a process dies
// at, the next one finds which inputs are done, which are under way and which are to come.
// Functions that write work inside the caller's transaction, but for `find_or_make_batch`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"
#include "store/step_log.h"

namespace tertulia::store {

struct NewBatch {
  std::string identity;  // SHA-256
  std::string name;
  Id flow_version_id = 0;
  base::Timestamp now;
};
[[nodiscard]] base::Result<model::Batch> find_or_make_batch(db::Connection& connection,
                                                            const NewBatch& wanted);
[[nodiscard]] base::Result<std::optional<model::Batch>> find_batch(db::Connection& connection,
                                                                   const std::string& identity);

// not_found names the id.
[[nodiscard]] base::Result<model::Batch> load_batch(db::Connection& connection, Id batch);

struct BatchInputState {
  model::BatchInput input;
  std::optional<model::SessionStatus> status;  // of its session, if it has one
};
[[nodiscard]] base::Result<std::optional<BatchInputState>> find_batch_input(
    db::Connection& connection, Id batch, const std::string& input_id);

// The batch of whose input it is the session; nothing where it is of none.
[[nodiscard]] base::Result<std::optional<Id>> find_batch_of_session(db::Connection& connection,
                                                                    Id session);

// `session_id` and `created_at` are read too. Conflict where the input has a session or a result.
[[nodiscard]] base::Result<void> tie_batch_input(db::Connection& connection,
                                                 const model::BatchInput& input);
// Gives the session's input the next line, unless it has one or the session is not finished.
[[nodiscard]] base::Result<void> assign_batch_line(db::Connection& connection, Id batch,
                                                   Id session);
// How many lines are assigned: they are 1 to this.
[[nodiscard]] base::Result<std::int64_t> count_batch_lines(db::Connection& connection, Id batch);
// From a line on, at most `limit`, by line.
[[nodiscard]] base::Result<std::vector<model::BatchInput>> load_batch_lines(
    db::Connection& connection, Id batch, std::int64_t first, std::int64_t limit);

// An input that has a session and no result.
struct OpenBatchInput {
  Id id = 0;
  std::string input_id;
  Id session_id = 0;
  model::SessionStatus status = model::SessionStatus::not_started;
  std::optional<model::StopReason> stop_reason;
  std::string error_reason;
};
// With ids above `after`, at most `limit`, by id.
[[nodiscard]] base::Result<std::vector<OpenBatchInput>> load_open_batch_inputs(
    db::Connection& connection, Id batch, Id after, std::int64_t limit);

[[nodiscard]] base::Result<UsageSum> sum_batch_usage(db::Connection& connection, Id batch);

}  // namespace tertulia::store
