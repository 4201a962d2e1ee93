#include "store/idempotency.h"

#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {

base::Result<std::optional<model::IdempotencyKey>> claim_key(db::Connection& connection,
                                                             const std::string& caller,
                                                             const std::string& key,
                                                             const std::string& request_sha256,
                                                             base::Timestamp now) {
  Times times;
  auto dropped = connection.run(sql::drop_old_idempotency_keys,
                                std::vector{times.param(now - kIdempotencyKept)});
  if (!dropped) return dropped.error();
  dropped = connection.run(sql::drop_unanswered_idempotency_keys,
                           std::vector{times.param(now - kIdempotencyClaim)});
  if (!dropped) return dropped.error();
  auto claimed = connection.run(
      sql::claim_idempotency_key,
      std::vector{param(caller), param(key), param(request_sha256), times.param(now)});
  if (!claimed) return claimed.error();
  if (*claimed > 0) return std::optional<model::IdempotencyKey>();
  return read_one<model::IdempotencyKey>(connection, sql::select_idempotency_key,
                                         std::vector{param(caller), param(key)});
}

base::Result<void> answer_key(db::Connection& connection, const std::string& caller,
                              const std::string& key, std::int64_t status,
                              const std::string& content_type, const std::string& body) {
  auto done = connection.run(
      sql::answer_idempotency_key,
      std::vector{param(caller), param(key), param(status), param(content_type), param(body)});
  if (!done) return done.error();
  return {};
}

base::Result<void> drop_key(db::Connection& connection, const std::string& caller,
                            const std::string& key) {
  auto done = connection.run(sql::drop_idempotency_key, std::vector{param(caller), param(key)});
  if (!done) return done.error();
  return {};
}

}  // namespace tertulia::store
