// Indexes that PostgreSQL makes and drops while others write to the table: CREATE and DROP INDEX
// CONCURRENTLY, which cannot stand in a transaction and can therefore break off halfway. Each call
// goes on from wherever the one before it ended: an index that is there and whole is not made
// again, and one that a broken-off build left behind (invalid: kept up to date by every write, used
// by no query) is dropped first.
//
// PostgreSQL only, outside a transaction.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/connection.h"

namespace tertulia::schema {
struct Script;
}

namespace tertulia::schema::internal {

struct OnlineIndex {
  std::string name;
  bool is_made = false;  // else dropped
};
// Invalid where the statement is another, or does not name the index.
[[nodiscard]] base::Result<OnlineIndex> online_index_of(std::string_view sql);

// The same statement for inside a transaction.
[[nodiscard]] std::string without_concurrently(std::string_view sql);

// Of a script that is performed outside a transaction.
[[nodiscard]] std::vector<OnlineIndex> online_indexes(const Script& script);

[[nodiscard]] base::Result<void> perform_online(db::Connection& connection, const Script& script);

// Drops what a script that only makes indexes has made so far. False where it also drops some,
// which nobody could make again.
[[nodiscard]] base::Result<bool> take_back_online(db::Connection& connection, const Script& script);

}  // namespace tertulia::schema::internal
