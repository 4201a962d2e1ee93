#include "store/step_log.h"

#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {
base::Result<std::vector<model::StepExecutionLog>> load_log(db::Connection& connection, Id session,
                                                            std::int64_t after,
                                                            std::int64_t limit) {
  return read_all<model::StepExecutionLog>(connection, sql::select_log,
                                           std::vector{param(session), param(after), param(limit)});
}

base::Result<model::StepExecutionLog> load_log_row(db::Connection& connection, Id session,
                                                   std::int64_t order) {
  auto row = read_one<model::StepExecutionLog>(connection, sql::select_step_row,
                                               std::vector{param(session), param(order)});
  if (!row) return row.error();
  if (!*row)
    return base::Error{
        .code = base::Code::not_found,
        .message = fmt::format("session {} has no step {} in its log", session, order),
        .remedy = fmt::format("tertulia session log {}", session)};
  return **std::move(row);
}

base::Result<std::vector<model::Message>> load_messages(db::Connection& connection, Id session,
                                                        std::int64_t after, std::int64_t limit) {
  return read_all<model::Message>(connection, sql::select_messages,
                                  std::vector{param(session), param(after), param(limit)});
}

base::Result<std::vector<model::Message>> load_messages_between(db::Connection& connection,
                                                                Id session, std::int64_t first,
                                                                std::int64_t last) {
  return read_all<model::Message>(connection, sql::select_messages_between,
                                  std::vector{param(session), param(first), param(last)});
}

base::Result<std::vector<model::Message>> load_unplaced_messages(db::Connection& connection,
                                                                 Id session) {
  return read_all<model::Message>(connection, sql::select_unplaced_messages,
                                  std::vector{param(session)});
}

base::Result<std::vector<model::Message>> load_document_versions(db::Connection& connection,
                                                                 Id session,
                                                                 const std::string& document) {
  return read_all<model::Message>(connection, sql::select_document_versions,
                                  std::vector{param(session), param(document)});
}

base::Result<std::vector<DocumentSummary>> list_documents(db::Connection& connection, Id session) {
  std::vector<DocumentSummary> documents;
  auto done = connection.each(
      sql::list_documents, std::vector{param(session)},
      [&](const db::Row& row) -> base::Result<void> {
        documents.push_back({std::string(row.text(0)), row.integer(1),
                             base::parse_iso8601(row.text(2)).value_or(base::Timestamp())});
        return {};
      });
  if (!done) return done.error();
  return documents;
}

base::Result<std::vector<CallOfStep>> load_model_calls(db::Connection& connection, Id session,
                                                       std::optional<std::int64_t> order) {
  std::vector<CallOfStep> calls;
  Reader<model::ModelCall> reader;
  std::vector params = {param(session)};
  if (order) params.push_back(param(*order));
  auto done = connection.each(order ? sql::select_step_model_calls : sql::select_model_calls,
                              params, [&](const db::Row& row) -> base::Result<void> {
                                auto call = reader.read(row);
                                if (!call) return call.error();
                                calls.push_back({row.integer(0), *std::move(call)});
                                return {};
                              });
  if (!done) return done.error();
  return calls;
}

base::Result<UsageSum> read_usage(db::Connection& connection, const db::Sql& statement, Id of) {
  UsageSum sum;
  auto done = connection.each(statement, std::vector{param(of)},
                              [&](const db::Row& row) -> base::Result<void> {
                                sum.calls = row.integer(0);
                                sum.prompt_tokens = row.integer(1);
                                sum.completion_tokens = row.integer(2);
                                if (!row.is_null(3)) sum.cost_usd = row.real(3);
                                return {};
                              });
  if (!done) return done.error();
  return sum;
}

base::Result<UsageSum> sum_usage(db::Connection& connection, Id session) {
  return read_usage(connection, sql::sum_usage, session);
}

base::Result<Id> newest_message_below(db::Connection& connection, Id below) {
  return db::read_integer(connection, sql::newest_message_below, std::vector{param(below)});
}

base::Result<std::vector<FoundMessage>> search_messages(db::Connection& connection,
                                                        std::string_view text, std::int64_t limit,
                                                        Id below, Id above) {
  const std::string pattern = escape_like(text);
  std::vector<FoundMessage> found;
  auto done = connection.each(
      sql::search_messages, std::vector{param(pattern), param(limit), param(below), param(above)},
      [&](const db::Row& row) -> base::Result<void> {
        found.push_back({row.integer(5), row.integer(0), row.integer(1),
                         base::parse_iso8601(row.text(2)).value_or(base::Timestamp()),
                         std::string(row.text(4)), std::string(row.text(3))});
        return {};
      });
  if (!done) return done.error();
  return found;
}

}  // namespace tertulia::store
