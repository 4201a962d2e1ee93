// Records is what sessions have recorded, as documents: of this machine's database
// (StoredRecords), or of a server (remote::ServerRecords). Whoever shows sessions asks it, and need
// not know which.
//
// The documents are those of the HTTP API (session_view.h and its neighbours); not_found names the
// session that is not there. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/request.h"
#include "engine/session_data.h"
#include "model/rows.h"
#include "service/session_selection.h"
#include "service/session_view.h"

namespace tertulia::service {

class Records {
 public:
  virtual ~Records() = default;

  // Newest first, those below `below` where it is not 0, at most `limit`.
  [[nodiscard]] virtual base::Result<JsonPage> sessions(const SessionSelection& selection,
                                                        model::Id below, std::int64_t limit) = 0;
  [[nodiscard]] virtual base::Result<base::json::object> session(model::Id id) = 0;
  // All of them, by position.
  [[nodiscard]] virtual base::Result<base::json::array> messages(model::Id id) = 0;
  // All rows, by order.
  [[nodiscard]] virtual base::Result<base::json::array> log(model::Id id, LogDetail detail) = 0;
  // Version 0 is the latest.
  [[nodiscard]] virtual base::Result<base::json::object> document(model::Id id,
                                                                  const std::string& name,
                                                                  std::int64_t version) = 0;
  [[nodiscard]] virtual base::Result<base::json::object> proof(model::Id id) = 0;
  [[nodiscard]] virtual base::Result<base::json::object> comparison(model::Id first,
                                                                    model::Id second) = 0;
  [[nodiscard]] virtual base::Result<base::json::object> stats(
      const SessionSelection& selection) = 0;
  // Messages that hold the text, newest first.
  [[nodiscard]] virtual base::Result<base::json::array> search(const std::string& text,
                                                               std::int64_t limit) = 0;
  // One session as a text (session_export.h).
  [[nodiscard]] virtual base::Result<std::string> exported(model::Id id,
                                                           const std::string& format) = 0;
  [[nodiscard]] virtual base::Result<std::int64_t> count(const SessionSelection& selection) = 0;

  // The ids of those that fit, oldest first; an error of `visit` ends it. All of them are read, in
  // pages, before the first is visited.
  [[nodiscard]] base::Result<void> each(
      const SessionSelection& selection,
      const std::function<base::Result<void>(model::Id session)>& visit);
};

// Borrows the connection.
class StoredRecords final : public Records {
 public:
  StoredRecords(db::Connection& reader, engine::ProviderSource providers)
      : reader_(reader), providers_(std::move(providers)) {}

  base::Result<JsonPage> sessions(const SessionSelection& selection, model::Id below,
                                  std::int64_t limit) override;
  base::Result<base::json::object> session(model::Id id) override;
  base::Result<base::json::array> messages(model::Id id) override;
  base::Result<base::json::array> log(model::Id id, LogDetail detail) override;
  base::Result<base::json::object> document(model::Id id, const std::string& name,
                                            std::int64_t version) override;
  base::Result<base::json::object> proof(model::Id id) override;
  base::Result<base::json::object> comparison(model::Id first, model::Id second) override;
  base::Result<base::json::object> stats(const SessionSelection& selection) override;
  base::Result<base::json::array> search(const std::string& text, std::int64_t limit) override;
  base::Result<std::string> exported(model::Id id, const std::string& format) override;
  base::Result<std::int64_t> count(const SessionSelection& selection) override;

 private:
  db::Connection& reader_;
  const engine::ProviderSource providers_;
  engine::FlowCache flows_;
};

}  // namespace tertulia::service
