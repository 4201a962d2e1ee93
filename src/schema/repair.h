// Repair adds what a drifted database lacks and can be given without touching a row: tables,
// columns that may be NULL, indexes. It removes and changes nothing; what it cannot mend it leaves,
// and the proof in the result says so. One transaction.
#pragma once

#include <string>
#include <vector>

#include "schema/proof.h"

namespace tertulia::schema {

struct Repair {
  std::vector<std::string> added;  // in the words of Difference, by object
  Proof proof;                     // afterwards
};

// The connection must have been opened for writing. Only of a database at this program's version:
// drift otherwise, with the proof's words.
[[nodiscard]] base::Result<Repair> repair(db::Connection& connection);

}  // namespace tertulia::schema
