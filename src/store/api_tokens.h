// Tokens that HTTP requests are made with, as they are kept: by the SHA-256 of what the holder has.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

// Functions that change something are one statement each, inside the caller's transaction if there
// is one. The id of `token` is not read; its new id is given.
[[nodiscard]] base::Result<Id> insert_api_token(db::Connection& connection,
                                                const model::ApiToken& token);
[[nodiscard]] base::Result<std::optional<model::ApiToken>> find_api_token(
    db::Connection& connection, const std::string& sha256);
[[nodiscard]] base::Result<std::vector<model::ApiToken>> load_api_tokens(
    db::Connection& connection);
// not_found where there is none of that id that is not revoked yet.
[[nodiscard]] base::Result<void> revoke_api_token(db::Connection& connection, Id id,
                                                  base::Timestamp now);

}  // namespace tertulia::store
