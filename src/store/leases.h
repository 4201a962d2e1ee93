// Leases: a node's time-limited claim on a session, by the same code on both engines. The token
// only grows; every commit carries it (commit.h), so that a node whose lease has passed to another
// writes nothing more. Functions want a write connection; each is one statement.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

inline constexpr std::chrono::seconds kLeaseLength{30};
inline constexpr std::chrono::seconds kLeaseHeartbeat{10};

// The new token, or nothing where another node holds the session. `dead` names a node that is
// known to be gone: its lease is taken at once.
[[nodiscard]] base::Result<std::optional<std::int64_t>> claim_lease(
    db::Connection& connection, Id session, const std::string& node,
    const std::optional<std::string>& dead, base::Timestamp now);
// All leases of the node are good for kLeaseLength from now on.
[[nodiscard]] base::Result<void> renew_leases(db::Connection& connection, const std::string& node,
                                              base::Timestamp now);
// Does nothing where the token is no longer the lease's.
[[nodiscard]] base::Result<void> release_lease(db::Connection& connection, Id session,
                                               std::int64_t token);
[[nodiscard]] base::Result<std::optional<model::Lease>> find_lease(db::Connection& connection,
                                                                   Id session);

// Asks the node that holds the session to pause or cancel it; false where nobody holds it.
[[nodiscard]] base::Result<bool> ask_holder(db::Connection& connection, Id session,
                                            const std::string& request);
struct HolderRequest {
  Id session = 0;
  std::int64_t token = 0;
  std::string request;
};
// What is asked of the node. Reads only.
[[nodiscard]] base::Result<std::vector<HolderRequest>> load_requests(db::Connection& connection,
                                                                     const std::string& node);
[[nodiscard]] base::Result<void> clear_request(db::Connection& connection, Id session,
                                               std::int64_t token);

}  // namespace tertulia::store
