#include "store/api_tokens.h"

#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {

base::Result<Id> insert_api_token(db::Connection& connection, const model::ApiToken& token) {
  Times times;
  return db::read_integer(
      connection, sql::insert_api_token,
      std::vector{param(token.name), param(token.sha256), param(token.scopes),
                  times.param(token.created_at), times.param(token.expires_at)});
}

base::Result<std::optional<model::ApiToken>> find_api_token(db::Connection& connection,
                                                            const std::string& sha256) {
  return read_one<model::ApiToken>(connection, sql::select_api_token, std::vector{param(sha256)});
}

base::Result<std::vector<model::ApiToken>> load_api_tokens(db::Connection& connection) {
  return read_all<model::ApiToken>(connection, sql::select_api_tokens, {});
}

base::Result<void> revoke_api_token(db::Connection& connection, Id id, base::Timestamp now) {
  Times times;
  auto changed = connection.run(sql::revoke_api_token, std::vector{param(id), times.param(now)});
  if (!changed) return changed.error();
  if (*changed == 0)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("there is no token {} that can be revoked", id),
                       .remedy = "tertulia token list shows which there are"};
  return {};
}

}  // namespace tertulia::store
