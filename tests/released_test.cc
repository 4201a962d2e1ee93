// The databases that releases left behind, as their users have them (tests/released, made by
// script/keep-release): each comes to the head, whole, and its sessions go on.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/json.h"
#include "db/connection.h"
#include "support/places.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace fs = std::filesystem;

struct Kept {
  std::string release;
  db::Engine engine = db::Engine::sqlite;
  fs::path file;
};

std::vector<Kept> kept_databases() {
  std::vector<Kept> all;
  for (const auto& release : fs::directory_iterator(in_source("tests/released"))) {
    if (!release.is_directory()) continue;
    for (const auto engine : {db::Engine::sqlite, db::Engine::postgres})
      all.push_back(
          {release.path().filename(), engine,
           release.path() / (engine == db::Engine::sqlite ? "sqlite.sql" : "postgres.sql")});
  }
  return all;
}

std::string name_of(const testing::TestParamInfo<Kept>& info) {
  std::string name = info.param.release + "_" + std::string(db::engine_name(info.param.engine));
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

using Counts = std::map<std::string, std::int64_t>;

class ReleasedTest : public testing::TestWithParam<Kept> {
 protected:
  void SetUp() override {
    if (GetParam().engine == db::Engine::postgres)
      world_.database = PostgresServer::shared().create_database();
    auto connection = open(db::Access::write);
    auto filled = connection->run_script(read_file(GetParam().file));
    ASSERT_TRUE(filled) << filled.error().message << filled.error().detail;
  }

  std::unique_ptr<db::Connection> open(db::Access access) const {
    auto location = db::Location::parse(world_.database);
    auto opened = db::open(location.value(), {.access = access, .create = true});
    if (!opened) throw std::runtime_error(opened.error().message);
    return *std::move(opened);
  }

  // Of every table but the history.
  Counts counts() const {
    auto connection = open(db::Access::read);
    std::vector<std::string> tables;
    EXPECT_TRUE(connection->each_text(
        GetParam().engine == db::Engine::sqlite
            ? "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
              "AND name <> 'schema_migrations'"
            : "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
              "'public'::regnamespace AND relname <> 'schema_migrations'",
        {}, [&](const db::Row& row) -> base::Result<void> {
          tables.emplace_back(row.text(0));
          return {};
        }));
    Counts counts;
    for (const auto& table : tables)
      EXPECT_TRUE(connection->each_text("SELECT count(*) FROM " + table, {},
                                        [&](const db::Row& row) -> base::Result<void> {
                                          counts[table] = row.integer(0);
                                          return {};
                                        }));
    return counts;
  }

  World world_;
};
INSTANTIATE_TEST_SUITE_P(, ReleasedTest, testing::ValuesIn(kept_databases()), name_of);

TEST_P(ReleasedTest, ComesToTheHeadWithEveryRowAndGoesOn) {
  const Counts before = counts();
  ASSERT_GT(before.at("step_execution_logs"), 30);
  const Finished migrated = world_.run({"db", "migrate", "--backup-done"});
  ASSERT_EQ(migrated.status, 0) << migrated.err;
  const Finished status = world_.run({"db", "status"});
  EXPECT_EQ(status.status, 0) << status.out << status.err;
  const Counts after = counts();
  for (const auto& [table, rows] : before) {
    ASSERT_TRUE(after.contains(table)) << table;
    EXPECT_EQ(after.at(table), rows) << table;
  }
  // Every log explains its session, also by the rules of today.
  const Finished verified = world_.run({"db", "verify"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;

  // The fifth stood in the midst of a loop, the sixth was yet to begin.
  for (const char* session : {"5", "6"}) {
    const Finished resumed = world_.run({"session", "resume", session, "--max-steps", "100"});
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    const Finished replayed = world_.run({"session", "replay", session});
    EXPECT_EQ(replayed.status, 0) << replayed.out << replayed.err;
  }
  const Finished run = world_.run({"run", "debate", "--model", "rehearsal"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(world_.run({"session", "show", "8"}).status, 0);
}

}  // namespace
}  // namespace tertulia::test
