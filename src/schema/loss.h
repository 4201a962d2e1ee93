// What a migration would destroy, told before it does: the rows of tables and the values of columns
// that it takes away.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "schema/script.h"
#include "schema/shape.h"

namespace tertulia::schema {

// What a move would take away for ever.
struct Loss {
  std::string table;
  std::string column;  // empty: the whole table
  std::int64_t rows = 0;

  [[nodiscard]] std::string words() const;  // "120 rows of step_execution_logs"
};

namespace internal {

// What of the script's drops holds something, in a database of this shape. Tables that an earlier
// move is yet to make or has yet to take away hold nothing of their own.
[[nodiscard]] base::Result<std::vector<Loss>> losses_of(db::Connection& connection,
                                                        const Script& script,
                                                        const SchemaShape& shape);

}  // namespace internal
}  // namespace tertulia::schema
