#include "store/batches.h"

#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {

base::Result<std::optional<model::Batch>> find_batch(db::Connection& connection,
                                                     const std::string& identity) {
  return read_one<model::Batch>(connection, sql::select_batch, std::vector{param(identity)});
}

base::Result<model::Batch> load_batch(db::Connection& connection, Id batch) {
  auto found =
      read_one<model::Batch>(connection, sql::select_batch_by_id, std::vector{param(batch)});
  if (!found) return found.error();
  if (*found) return **std::move(found);
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format("there is no batch {}", batch)};
}

base::Result<model::Batch> find_or_make_batch(db::Connection& connection, const NewBatch& wanted) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  Times times;
  auto made = connection.run(sql::insert_batch,
                             std::vector{param(wanted.identity), param(wanted.name),
                                         param(wanted.flow_version_id), times.param(wanted.now)});
  if (!made) return made.error();
  auto found = find_batch(connection, wanted.identity);
  if (!found) return found.error();
  if (!*found) return base::Error{.code = base::Code::internal, .message = "a batch vanished"};
  if (auto done = transaction->commit(); !done) return done.error();
  return **std::move(found);
}

base::Result<std::optional<BatchInputState>> find_batch_input(db::Connection& connection, Id batch,
                                                              const std::string& input_id) {
  std::optional<BatchInputState> found;
  Reader<model::BatchInput> reader;
  auto done = connection.each(sql::select_batch_input, std::vector{param(batch), param(input_id)},
                              [&](const db::Row& row) -> base::Result<void> {
                                auto input = reader.read(row);
                                if (!input) return input.error();
                                found = BatchInputState{.input = *std::move(input), .status = {}};
                                const int status = row.size() - 1;
                                if (!row.is_null(status))
                                  found->status =
                                      model::from_text<model::SessionStatus>(row.text(status));
                                return {};
                              });
  if (!done) return done.error();
  return found;
}

base::Result<std::optional<Id>> find_batch_of_session(db::Connection& connection, Id session) {
  std::optional<Id> batch;
  auto done = connection.each(sql::select_batch_of_session, std::vector{param(session)},
                              [&](const db::Row& row) -> base::Result<void> {
                                batch = row.integer(0);
                                return {};
                              });
  if (!done) return done.error();
  return batch;
}

base::Result<void> tie_batch_input(db::Connection& connection, const model::BatchInput& input) {
  Times times;
  auto done = connection.run(
      sql::tie_batch_input,
      std::vector{param(input.batch_id), param(input.input_id), param(input.input_sha256),
                  param(input.session_id), times.param(input.created_at)});
  if (!done) return done.error();
  if (*done == 1) return {};
  return base::Error{.code = base::Code::conflict,
                     .message = fmt::format("input '{}' has a session already: another process "
                                            "performs this batch",
                                            input.input_id),
                     .remedy = "wait for it, or stop it"};
}

base::Result<void> assign_batch_line(db::Connection& connection, Id batch, Id session) {
  auto done = connection.run(sql::assign_batch_line, std::vector{param(batch), param(session)});
  if (!done) return done.error();
  return {};
}

base::Result<std::int64_t> count_batch_lines(db::Connection& connection, Id batch) {
  return db::read_integer(connection, sql::count_batch_lines, std::vector{param(batch)});
}

base::Result<std::vector<model::BatchInput>> load_batch_lines(db::Connection& connection, Id batch,
                                                              std::int64_t first,
                                                              std::int64_t limit) {
  return read_all<model::BatchInput>(connection, sql::select_batch_lines,
                                     std::vector{param(batch), param(first), param(limit)});
}

base::Result<std::vector<OpenBatchInput>> load_open_batch_inputs(db::Connection& connection,
                                                                 Id batch, Id after,
                                                                 std::int64_t limit) {
  std::vector<OpenBatchInput> found;
  auto done = connection.each(
      sql::select_batch_open_inputs, std::vector{param(batch), param(after), param(limit)},
      [&](const db::Row& row) -> base::Result<void> {
        found.push_back({.id = row.integer(0),
                         .input_id = std::string(row.text(1)),
                         .session_id = row.integer(2),
                         .status = model::from_text<model::SessionStatus>(row.text(3))
                                       .value_or(model::SessionStatus::failed),
                         .stop_reason = model::from_text<model::StopReason>(row.text(4)),
                         .error_reason = std::string(row.text(5))});
        return {};
      });
  if (!done) return done.error();
  return found;
}

base::Result<UsageSum> sum_batch_usage(db::Connection& connection, Id batch) {
  return read_usage(connection, sql::sum_batch_usage, batch);
}

}  // namespace tertulia::store
