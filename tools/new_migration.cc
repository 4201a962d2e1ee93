// new_migration NAME [WHY] writes migrations/NNNN_NAME/ from the difference between the declared
// model and the end of the history, both as compiled into it, for both engines. It asks the engines
// themselves: SQLite in memory, and a PostgreSQL of its own that it starts and removes.
// Exit: 0 written, 1 nothing was written and it says why, 2 usage.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "schema/lint.h"
#include "schema/migration_draft.h"
#include "support/postgres_server.h"
#include "support/temp_dir.h"

namespace tertulia {
namespace {

namespace fs = std::filesystem;

// Why no migration can have this name; empty: it can.
std::string complaint(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  if (name.empty() || name.find_first_not_of(kLetters) != std::string_view::npos)
    return fmt::format("'{}' is no name for a migration: use a-z, 0-9 and _, as in role_mottos",
                       name);
  for (const auto& migration : schema::migrations(db::Engine::sqlite))
    if (migration.name == name)
      return fmt::format("{} has that name already", migration.full_name());
  return {};
}

base::Result<schema::MigrationDraft> draft(const db::Location& scratch) {
  auto connection = db::open(scratch, {.access = db::Access::write, .create = true});
  if (!connection) return connection.error();
  auto drafted =
      schema::draft_from_model(**connection, schema::migrations((*connection)->engine()));
  if (!drafted) return drafted.error().in(db::engine_name(scratch.engine));
  return drafted;
}

int refuse(const base::Error& error) {
  fmt::print(stderr, "new-migration: {}\n", error.message);
  if (!error.detail.empty()) fmt::print(stderr, "  {}\n", error.detail);
  if (!error.remedy.empty()) fmt::print(stderr, "  {}\n", error.remedy);
  return 1;
}

// All of the folder or nothing of it.
base::Result<void> write_folder(const fs::path& folder,
                                const std::vector<schema::DraftedFile>& files) {
  const auto failed = [&](std::string_view why) {
    return base::Error{.code = base::Code::storage,
                       .message = fmt::format("{} cannot be written: {}", folder.string(), why)};
  };
  std::error_code error;
  if (!fs::create_directory(folder, error))
    return failed(error ? error.message() : "it is there already");
  for (const auto& [name, text] : files) {
    std::ofstream file(folder / name);
    file << text;
    if (file.flush()) continue;
    fs::remove_all(folder, error);
    return failed(name);
  }
  return {};
}

// What the lint says of a draft's ups, each once: it may say it of a text for both engines twice.
std::vector<std::string> findings_in(const fs::path& folder,
                                     const std::vector<schema::DraftedFile>& files) {
  std::vector<std::string> all;
  const auto read = [&](db::Engine engine, const schema::DraftedFile& file) {
    const auto findings = schema::lint(engine, file.text);
    if (!findings) return;  // a draft that the engines performed is SQL
    for (const auto& finding : *findings) {
      auto words = fmt::format("{}:{}: {}: {}", (folder / file.name).string(), finding.line,
                               finding.rule, finding.words);
      if (std::find(all.begin(), all.end(), words) == all.end()) all.push_back(std::move(words));
    }
  };
  for (const auto& file : files) {
    if (file.name == "up.sql" || file.name == "up.sqlite.sql") read(db::Engine::sqlite, file);
    if (file.name == "up.sql" || file.name == "up.postgres.sql") read(db::Engine::postgres, file);
  }
  return all;
}

int new_migration(const std::string& name, const std::string& why) {
  const test::TempDir scratch;
  auto sqlite = draft({db::Engine::sqlite, scratch.file("scratch.db")});
  if (!sqlite) return refuse(sqlite.error());
  if (sqlite->up.empty()) {
    fmt::print(stderr, "new-migration: the migrations arrive at the model; nothing is missing\n");
    return 1;
  }
  auto postgres = draft({db::Engine::postgres, test::PostgresServer::shared().create_database()});
  if (!postgres) return refuse(postgres.error());

  const std::size_t number = schema::migrations(db::Engine::sqlite).size() + 1;
  const fs::path folder = fs::path("migrations") / fmt::format("{:04}_{}", number, name);
  const auto files = schema::migration_files(*sqlite, *postgres, why);
  if (auto written = write_folder(TERTULIA_SOURCE_DIR / folder, files); !written)
    return refuse(written.error());
  for (const auto& change : sqlite->changes) fmt::print("{}\n", change);
  for (const auto& file : files) fmt::print("wrote {}\n", (folder / file.name).string());
  if (!sqlite->irreversible.empty()) fmt::print("no way down: {}\n", sqlite->irreversible);
  const auto findings = findings_in(folder, files);
  for (const auto& words : findings) fmt::print("{}\n", words);
  if (!findings.empty()) fmt::print("mend it, or say above the statement: -- waive RULE: reason\n");
  return 0;
}

}  // namespace
}  // namespace tertulia

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: script/new-migration NAME [WHY]\n");
    return 2;
  }
  if (const auto why_not = tertulia::complaint(argv[1]); !why_not.empty()) {
    fmt::print(stderr, "new-migration: {}\n", why_not);
    return 2;
  }
  try {
    return tertulia::new_migration(argv[1], argc == 3 ? argv[2] : "");
  } catch (const std::runtime_error& error) {  // of the server, and of temporary folders
    fmt::print(stderr, "new-migration: {}\n", error.what());
    return 1;
  }
}
