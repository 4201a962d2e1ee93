#include "db/read_transaction.h"

#include <utility>

namespace tertulia::db {

base::Result<ReadTransaction> ReadTransaction::begin(Connection& connection) {
  if (connection.in_transaction()) return ReadTransaction(nullptr);
  const std::string_view text = connection.engine() == Engine::sqlite
                                    ? "BEGIN"
                                    : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  if (auto begun = connection.run_script(text); !begun) return begun.error();
  return ReadTransaction(&connection);
}

ReadTransaction::ReadTransaction(ReadTransaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

ReadTransaction::~ReadTransaction() {
  if (connection_ != nullptr) connection_->rollback();
}

}  // namespace tertulia::db
