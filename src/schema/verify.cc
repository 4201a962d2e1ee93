#include <fmt/format.h>

#include "schema/declared.h"
#include "schema/proof.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

base::Result<void> verify_sqlite(db::Connection& connection, Verification& verification) {
  auto checked = connection.each_text(
      "PRAGMA foreign_key_check", {}, [&](const db::Row& row) -> base::Result<void> {
        verification.broken_references.push_back(
            fmt::format("row {} of {} refers to a row of {} that is not there", row.integer(1),
                        row.text(0), row.text(2)));
        return {};
      });
  if (!checked) return checked.error();
  auto examined = connection.each_text("PRAGMA integrity_check", {},
                                       [&](const db::Row& row) -> base::Result<void> {
                                         if (row.text(0) != "ok")
                                           verification.integrity.emplace_back(row.text(0));
                                         return {};
                                       });
  if (!examined) return examined.error();
  return {};
}

// PostgreSQL enforces its keys, unless somebody loaded rows with triggers off: each is looked up.
base::Result<void> verify_postgres(db::Connection& connection, Verification& verification) {
  for (const auto& table : declared_tables()) {
    for (const auto& column : table.columns) {
      if (column.parent.empty()) continue;
      const std::string key = sql_name(table.columns.front().name);
      const std::string sql = fmt::format(
          "SELECT t.{0} FROM {1} t WHERE t.{2} IS NOT NULL "
          "AND NOT EXISTS (SELECT 1 FROM {3} p WHERE p.id = t.{2})",
          key, sql_name(table.name), sql_name(column.name), sql_name(column.parent));
      auto checked = connection.each_text(sql, {}, [&](const db::Row& row) -> base::Result<void> {
        verification.broken_references.push_back(
            fmt::format("row {} of {} refers to a row of {} that is not there", row.integer(0),
                        table.name, column.parent));
        return {};
      });
      if (!checked) return checked.error();
    }
  }
  return {};
}

}  // namespace

base::Result<Verification> verify(db::Connection& connection) {
  auto proof = prove(connection);
  if (!proof) return proof.error();
  Verification verification{.proof = *std::move(proof), .broken_references = {}, .integrity = {}};
  // Without our tables there is nothing to look into.
  if (verification.proof.state != State::ready) return verification;
  auto done = connection.engine() == db::Engine::sqlite ? verify_sqlite(connection, verification)
                                                        : verify_postgres(connection, verification);
  if (!done) return done.error();
  return verification;
}

}  // namespace tertulia::schema
