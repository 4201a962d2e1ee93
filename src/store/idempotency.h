// Requests that are done once however often they are sent: a key is claimed before, and has the
// answer after.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

// How long an answer is kept, and how long one may take: a claim without an answer that is older is
// of a process that died.
inline constexpr std::chrono::hours kIdempotencyKept{24};
inline constexpr std::chrono::minutes kIdempotencyClaim{5};

// Claims the key: nothing where that succeeded, else what is known of it. One write transaction of
// the caller's.
[[nodiscard]] base::Result<std::optional<model::IdempotencyKey>> claim_key(
    db::Connection& connection, const std::string& caller, const std::string& key,
    const std::string& request_sha256, base::Timestamp now);

// Keeps the answer.
[[nodiscard]] base::Result<void> answer_key(db::Connection& connection, const std::string& caller,
                                            const std::string& key, std::int64_t status,
                                            const std::string& content_type,
                                            const std::string& body);
// Gives the key back: the request came to nothing, and may be sent again.
[[nodiscard]] base::Result<void> drop_key(db::Connection& connection, const std::string& caller,
                                          const std::string& key);

}  // namespace tertulia::store
