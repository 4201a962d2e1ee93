#include "schema/proof.h"
#include "schema/references.h"

namespace tertulia::schema {
namespace {

base::Result<std::vector<std::string>> broken_references(db::Connection& connection) {
  if (connection.engine() == db::Engine::postgres) return broken_references_postgres(connection);
  auto shape = introspect(connection, declared_names());
  if (!shape) return shape.error();
  return broken_references_sqlite(connection, *shape, Known::left_out);
}

base::Result<std::vector<std::string>> integrity_of_file(db::Connection& connection) {
  std::vector<std::string> complaints;
  auto examined = connection.each_text("PRAGMA integrity_check", {},
                                       [&](const db::Row& row) -> base::Result<void> {
                                         if (row.text(0) != "ok")
                                           complaints.emplace_back(row.text(0));
                                         return {};
                                       });
  if (!examined) return examined.error();
  return complaints;
}

}  // namespace

base::Result<Verification> verify(db::Connection& connection) {
  auto proof = prove(connection);
  if (!proof) return proof.error();
  Verification verification{.proof = *std::move(proof), .broken_references = {}, .integrity = {}};
  // Without our tables there is nothing to look into.
  if (verification.proof.state != State::ready) return verification;
  auto broken = broken_references(connection);
  if (!broken) return broken.error();
  verification.broken_references = *std::move(broken);
  if (connection.engine() == db::Engine::postgres) return verification;
  auto complaints = integrity_of_file(connection);
  if (!complaints) return complaints.error();
  verification.integrity = *std::move(complaints);
  return verification;
}

}  // namespace tertulia::schema
