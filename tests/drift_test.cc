// The founding bug must be impossible: a database that lacks anything the program needs is named,
// table by table, column by column, index by index, and nothing runs on it.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>

#include "base/json.h"
#include "support/flows.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTables[] = {
    "roles",         "flow_templates",    "flow_versions",       "flow_steps",     "sessions",
    "session_roles", "messages",          "step_execution_logs", "machine_states", "model_calls",
    "leases",        "adopted_leftovers", "adopted_notes"};

void execute(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  char* words = nullptr;
  const int status = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &words);
  EXPECT_EQ(status, SQLITE_OK) << sql << ": " << (words ? words : "");
  sqlite3_free(words);
  sqlite3_close(db);
}

std::vector<std::string> column_of(const std::string& path, const std::string& query) {
  std::vector<std::string> values;
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(db, query.c_str(), -1, &statement, nullptr), SQLITE_OK) << query;
  while (sqlite3_step(statement) == SQLITE_ROW)
    values.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return values;
}

class DriftTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(world_.run({"db", "init"}).status, 0);
    sound_ = world_.path("sound.db");
    fs::copy_file(world_.database, sound_);
    flow_ = world_.write("flow.yaml", kLoopingFlow);
  }

  // On a copy of the sound database with the damage: status and run say the same, and name it.
  void expect_named(const std::string& damage, const std::vector<std::string>& names) {
    World hurt = world_;
    hurt.database = world_.path("hurt.db");
    fs::copy_file(sound_, hurt.database, fs::copy_options::overwrite_existing);
    execute(hurt.database, damage);
    const Finished status = hurt.run({"db", "status"});
    EXPECT_EQ(status.status, 3) << damage << status.out << status.err;
    const Finished run = hurt.run({"run", flow_, "--model", "rehearsal"});
    EXPECT_EQ(run.status, 3) << damage << run.out << run.err;
    for (const std::string& name : names) {
      EXPECT_NE(status.out.find(name), std::string::npos) << damage << "\n" << status.out;
      EXPECT_NE(run.err.find(name), std::string::npos) << damage << "\n" << run.err;
    }
    EXPECT_NE(run.err.find("tertulia db "), std::string::npos) << "no command: " << run.err;
    fs::remove(hurt.database);
  }

  World world_;
  std::string sound_;
  std::string flow_;
};

TEST_F(DriftTest, EachTableThatIsDroppedIsNamed) {
  for (const char* table : kTables)
    expect_named(std::string("PRAGMA foreign_keys=OFF; DROP TABLE ") + table, {table});
}

TEST_F(DriftTest, EachIndexThatIsDroppedIsNamed) {
  const auto indexes =
      column_of(sound_, "SELECT name FROM sqlite_master WHERE type='index' AND sql IS NOT NULL");
  EXPECT_GE(indexes.size(), 11u);
  for (const auto& index : indexes) expect_named("DROP INDEX \"" + index + "\"", {index});
}

TEST_F(DriftTest, EachColumnThatIsGoneIsNamed) {
  int columns = 0;
  for (const char* table : kTables) {
    for (const auto& column :
         column_of(sound_,
                   std::string("SELECT name FROM pragma_table_info('") + table + "') WHERE pk=0")) {
      // Renamed: a column cannot always be dropped (indexes, keys), and to the program it is gone.
      expect_named(
          std::string("ALTER TABLE ") + table + " RENAME COLUMN \"" + column + "\" TO gone_away",
          {table, column});
      ++columns;
    }
  }
  EXPECT_GE(columns, 80);
}

TEST_F(DriftTest, WhatIsMissingCanBeRepairedAndThenRuns) {
  execute(world_.database,
          "PRAGMA foreign_keys=OFF; DROP TABLE step_execution_logs;"
          "DROP INDEX idx_roles_name;");
  EXPECT_EQ(world_.run({"db", "status"}).status, 3);
  const Finished repaired = world_.run({"db", "repair"});
  EXPECT_EQ(repaired.status, 0) << repaired.out << repaired.err;
  EXPECT_EQ(world_.run({"run", flow_, "--model", "rehearsal"}).status, 0);
}

TEST_F(DriftTest, ForeignTablesAndExtraIndexesAreNoDrift) {
  execute(world_.database,
          "CREATE TABLE notes (a INTEGER); CREATE INDEX mine ON messages(content)");
  const Finished status = world_.run({"db", "status"});
  EXPECT_EQ(status.status, 0) << status.out;
  EXPECT_EQ(world_.run({"run", flow_, "--model", "rehearsal"}).status, 0);
}

TEST_F(DriftTest, BehindIsMigratedOnlyIfWanted) {
  ASSERT_EQ(world_.run({"db", "rollback", "--to", "7", "--allow-data-loss"}).status, 0);
  const Finished refused =
      world_.run({"run", flow_, "--model", "rehearsal", "--migrate", "refuse"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_NE(refused.err.find("0008_leases"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("tertulia db migrate"), std::string::npos) << refused.err;
  const Finished asked = world_.run({"run", flow_, "--model", "rehearsal"});
  EXPECT_EQ(asked.status, 3) << "nobody is at a terminal to be asked";
  EXPECT_EQ(world_.run({"run", flow_, "--model", "rehearsal", "--migrate", "auto"}).status, 0);
}

TEST_F(DriftTest, AheadIsRefusedWithBothVersions) {
  execute(world_.database,
          "INSERT INTO schema_migrations SELECT version + 90, 'later', checksum, "
          "checksum_algorithm, fingerprint, started_at, finished_at, program_version, compatible "
          "FROM schema_migrations WHERE version = 4");
  const Finished run = world_.run({"run", flow_, "--model", "rehearsal"});
  EXPECT_EQ(run.status, 3) << run.err;
  EXPECT_NE(run.err.find("94"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace tertulia::test
