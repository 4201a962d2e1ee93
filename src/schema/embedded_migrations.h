// The migrations as cmake/EmbedMigrations.cmake put them into the program: texts only, lowest
// number first, without gaps. migration.h makes Migrations of them.
#pragma once

#include <span>
#include <string_view>

namespace tertulia::schema {

struct EmbeddedMigration {
  int version;
  std::string_view name;
  std::string_view up_sqlite;
  std::string_view down_sqlite;
  std::string_view up_postgres;
  std::string_view down_postgres;
};

[[nodiscard]] std::span<const EmbeddedMigration> embedded_migrations();

}  // namespace tertulia::schema
