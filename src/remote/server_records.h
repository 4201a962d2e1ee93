// The records of a server's sessions (service/records.h), over its HTTP API. Borrows the client.
#pragma once

#include <string>

#include "remote/api_client.h"
#include "service/records.h"

namespace tertulia::remote {

class ServerRecords final : public service::Records {
 public:
  explicit ServerRecords(const ApiClient& client) : client_(client) {}

  base::Result<service::JsonPage> sessions(const service::SessionSelection& selection,
                                           model::Id below, std::int64_t limit) override;
  base::Result<base::json::object> session(model::Id id) override;
  base::Result<base::json::array> messages(model::Id id) override;
  base::Result<base::json::array> log(model::Id id, service::LogDetail detail) override;
  base::Result<base::json::object> document(model::Id id, const std::string& name,
                                            std::int64_t version) override;
  base::Result<base::json::object> proof(model::Id id) override;
  base::Result<base::json::object> comparison(model::Id first, model::Id second) override;
  base::Result<base::json::object> stats(const service::SessionSelection& selection) override;
  base::Result<base::json::array> search(const std::string& text, std::int64_t limit) override;
  base::Result<std::string> exported(model::Id id, const std::string& format) override;
  base::Result<std::int64_t> count(const service::SessionSelection& selection) override;

 private:
  // A list's items from a cursor on, at most `limit`, over as many pages as that takes.
  [[nodiscard]] base::Result<service::JsonPage> list(const std::string& target, std::int64_t cursor,
                                                     std::int64_t limit) const;

  const ApiClient& client_;
};

// "/api/v1/sessions/7", and what follows.
[[nodiscard]] std::string session_path(model::Id id, std::string_view more = {});
// The selection as the body of POST /sessions/prune.
[[nodiscard]] base::json::object selection_json(const service::SessionSelection& selection);

}  // namespace tertulia::remote
