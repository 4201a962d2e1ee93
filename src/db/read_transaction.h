// ReadTransaction: what is read while it stands is of one moment, whatever others commit meanwhile.
// For what is read in several statements and must fit together.
#pragma once

#include "db/connection.h"

namespace tertulia::db {

// As a scope. It keeps nobody from writing, but what it reads is kept for it: hold it for reading
// only, not for work on what was read.
//
// SQLite: BEGIN; the moment is that of the first statement. PostgreSQL: REPEATABLE READ, READ ONLY,
// likewise (13.2.2 of its manual: such a transaction never fails for others' commits).
// Inside a transaction that is open already it does nothing: that one says what is seen.
class ReadTransaction final {
 public:
  [[nodiscard]] static base::Result<ReadTransaction> begin(Connection& connection);
  ReadTransaction(ReadTransaction&& other) noexcept;
  ReadTransaction& operator=(ReadTransaction&&) = delete;
  ~ReadTransaction();

 private:
  explicit ReadTransaction(Connection* connection) : connection_(connection) {}
  Connection* connection_;  // null where another transaction is open
};

}  // namespace tertulia::db
