// Has a schema arrived at a version? Asked before each migration, whose statements would hide a
// drift, and after it.
#pragma once

#include <span>

#include "schema/history.h"

namespace tertulia::schema::internal {

// By fingerprint, or, where the shape has indexes that are not ours, by comparison with the version
// made anew. Drift where it differs, or where the migrations do not lead to what they declare.
[[nodiscard]] base::Result<void> expect_version(db::Connection& connection,
                                                std::span<const Migration> migrations,
                                                const SchemaShape& shape, int version);

// As before the migration that broke off, except for the indexes that it makes and drops.
[[nodiscard]] base::Result<void> expect_halfway(db::Connection& connection,
                                                std::span<const Migration> migrations,
                                                const Situation& situation);

}  // namespace tertulia::schema::internal
