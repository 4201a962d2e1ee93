// Reading what sessions have recorded: the step log, messages, documents, calls to models.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

// Rows with an order above `after`, at most `limit`, by order.
[[nodiscard]] base::Result<std::vector<model::StepExecutionLog>> load_log(
    db::Connection& connection, Id session, std::int64_t after = 0, std::int64_t limit = INT64_MAX);
[[nodiscard]] base::Result<model::StepExecutionLog> load_log_row(db::Connection& connection,
                                                                 Id session, std::int64_t order);

// Messages with a position above `after`, at most `limit`, by position.
[[nodiscard]] base::Result<std::vector<model::Message>> load_messages(
    db::Connection& connection, Id session, std::int64_t after = 0, std::int64_t limit = INT64_MAX);
[[nodiscard]] base::Result<std::vector<model::Message>> load_messages_between(
    db::Connection& connection, Id session, std::int64_t first, std::int64_t last);
// What branches of a parallel that is under way have said: their positions are minus the orders of
// their rows.
[[nodiscard]] base::Result<std::vector<model::Message>> load_unplaced_messages(
    db::Connection& connection, Id session);
// The versions of a document, oldest first; empty where the session has none of that name.
[[nodiscard]] base::Result<std::vector<model::Message>> load_document_versions(
    db::Connection& connection, Id session, const std::string& document);

struct DocumentSummary {
  std::string name;
  std::int64_t versions = 0;
  base::Timestamp updated_at;
};
// By name.
[[nodiscard]] base::Result<std::vector<DocumentSummary>> list_documents(db::Connection& connection,
                                                                        Id session);

struct CallOfStep {
  std::int64_t order = 0;
  model::ModelCall call;
};
// Of the whole session, or of the row with this order.
[[nodiscard]] base::Result<std::vector<CallOfStep>> load_model_calls(
    db::Connection& connection, Id session, std::optional<std::int64_t> order = {});

struct UsageSum {
  std::int64_t calls = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::optional<double> cost_usd;  // absent where no call had a price
};
// The sum that a statement gives in its one row.
[[nodiscard]] base::Result<UsageSum> read_usage(db::Connection& connection,
                                                const db::Sql& statement, Id of);
[[nodiscard]] base::Result<UsageSum> sum_usage(db::Connection& connection, Id session);

struct FoundMessage {
  Id id = 0;
  Id session = 0;
  std::int64_t position = 0;
  base::Timestamp created_at;
  std::string role_ref;
  std::string content;
};
// Messages that hold the text, in any case of letters, newest first; with ids between the two.
[[nodiscard]] base::Result<std::vector<FoundMessage>> search_messages(db::Connection& connection,
                                                                      std::string_view text,
                                                                      std::int64_t limit,
                                                                      Id below = INT64_MAX,
                                                                      Id above = 0);
// The highest id of a message below this one; 0 where there is none.
[[nodiscard]] base::Result<Id> newest_message_below(db::Connection& connection, Id below);

}  // namespace tertulia::store
