// A migration, as its author wrote it (migrations/NNNN_name/), for one engine. Its first comment
// lines declare what the program holds it to:
//
//   -- fingerprint sqlite: HEX      the schema after it, by shape.h (one line for each engine)
//   -- compatible: yes              a program of the version before may go on using the database
//   -- irreversible: reason         in down.sql, instead of statements
// What more they may say is in script.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "schema/script.h"

namespace tertulia::schema {

struct Migration {
  int version = 0;
  std::string_view name;
  Script up;
  Script down;
  std::string fingerprint;
  bool compatible = false;
  std::string irreversible;  // the reason; empty: it can be rolled back
  std::string checksum;      // SHA-256 of `up` with LF, without BOM and trailing blanks

  [[nodiscard]] std::string full_name() const;  // "0004_step_execution_logs"
};

// The name of how `checksum` is made, recorded beside it.
inline constexpr std::string_view kChecksumAlgorithm = "sha256-text-1";

// The texts of a migration must live as long as it. Invalid where they are not SQL or lack a
// directive; the migration is named.
[[nodiscard]] base::Result<Migration> parse_migration(db::Engine engine, int version,
                                                      std::string_view name, std::string_view up,
                                                      std::string_view down);

// The program's own migrations, 1, 2, 3 ... without gaps.
[[nodiscard]] std::span<const Migration> migrations(db::Engine engine);

}  // namespace tertulia::schema
