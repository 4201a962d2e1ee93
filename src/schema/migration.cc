#include "schema/migration.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/sha256.h"
#include "schema/embedded_migrations.h"

namespace tertulia::schema {
namespace {

std::string normalised_text(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string normal;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
    normal += line;
    normal += '\n';
  }
  while (normal.ends_with("\n\n")) normal.pop_back();
  return normal;
}

// As migration folders and directives write it.
std::string_view dialect_of(db::Engine engine) {
  return engine == db::Engine::sqlite ? "sqlite" : "postgres";
}

std::vector<Migration> parse_embedded(db::Engine engine) {
  std::vector<Migration> all;
  for (const auto& each : embedded_migrations()) {
    const bool sqlite = engine == db::Engine::sqlite;
    // Constants of the program: one that cannot be read fails every test of this room.
    all.push_back(parse_migration(engine, each.version, each.name,
                                  sqlite ? each.up_sqlite : each.up_postgres,
                                  sqlite ? each.down_sqlite : each.down_postgres)
                      .value());
  }
  return all;
}

}  // namespace

std::string Migration::full_name() const {
  return fmt::format("{:04}_{}", version, name);
}

base::Result<Migration> parse_migration(db::Engine engine, int version, std::string_view name,
                                        std::string_view up, std::string_view down) {
  Migration migration{
      .version = version,
      .name = name,
      .up = {},
      .down = {},
      .fingerprint = directive(up, fmt::format("fingerprint {}", dialect_of(engine))),
      .compatible = directive(up, "compatible") == "yes",
      .irreversible = directive(down, "irreversible"),
      .checksum = base::sha256_hex(normalised_text(up))};
  const auto invalid = [&](std::string_view why) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("migration {}: {}", migration.full_name(), why)};
  };
  auto up_script = parse_script(engine, up);
  if (!up_script) return up_script.error().in(migration.full_name());
  auto down_script = parse_script(engine, down);
  if (!down_script) return down_script.error().in(migration.full_name());
  migration.up = *std::move(up_script);
  migration.down = *std::move(down_script);
  if (migration.up.statements.empty()) return invalid("it has no statements");
  if (migration.fingerprint.empty())
    return invalid(fmt::format("it declares no fingerprint for {}", dialect_of(engine)));
  if (migration.down.statements.empty() == migration.irreversible.empty())
    return invalid("its down must hold statements or say '-- irreversible: reason'");
  return migration;
}

std::span<const Migration> migrations(db::Engine engine) {
  static const std::vector<Migration> sqlite = parse_embedded(db::Engine::sqlite);
  static const std::vector<Migration> postgres = parse_embedded(db::Engine::postgres);
  return engine == db::Engine::sqlite ? sqlite : postgres;
}

}  // namespace tertulia::schema
