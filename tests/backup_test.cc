// What is saved comes back: by the real program, table by table, also beside one that has the
// database open; and where no backup can be made nothing is changed.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <map>

#include "base/json.h"
#include "support/flows.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace fs = std::filesystem;

// Every table's rows, each as one text, in the order of their rowids.
using Content = std::map<std::string, std::vector<std::string>>;

std::vector<std::string> lines_of(sqlite3* db, const std::string& query) {
  std::vector<std::string> lines;
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(db, query.c_str(), -1, &statement, nullptr), SQLITE_OK) << query;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    std::string line;
    for (int i = 0; i < sqlite3_column_count(statement); ++i) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
      line += text != nullptr ? std::string("|") + text : std::string("|<null>");
    }
    lines.push_back(line);
  }
  sqlite3_finalize(statement);
  return lines;
}

Content content_of(const std::string& path) {
  Content content;
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  for (const auto& line : lines_of(db, "SELECT name FROM sqlite_master WHERE type = 'table'")) {
    const std::string table = line.substr(1);
    content[table] = lines_of(db, "SELECT * FROM \"" + table + "\" ORDER BY 1");
  }
  content[""] = lines_of(db, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name");
  sqlite3_close(db);
  return content;
}

class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    flow_ = world_.write("flow.yaml", kLoopingFlow);
    perform();
  }
  void perform() {
    const Finished run = world_.run({"run", flow_, "--model", "rehearsal"});
    ASSERT_EQ(run.status, 0) << run.err;
  }
  std::vector<std::string> backups() {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(fs::path(world_.database).parent_path()))
      if (entry.path().string().find(".backup") != std::string::npos)
        found.push_back(entry.path().string());
    return found;
  }

  World world_;
  std::string flow_;
};

TEST_F(BackupTest, RestoreGivesBackWhatWasSavedTableByTable) {
  const std::string file = world_.path("saved");
  const Content before = content_of(world_.database);
  ASSERT_EQ(world_.run({"db", "backup", file}).status, 0);
  EXPECT_EQ(content_of(file), before);
  perform();
  EXPECT_NE(content_of(world_.database), before);
  const Finished restored = world_.run({"db", "restore", file});
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(content_of(world_.database), before);
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
  EXPECT_EQ(backups().size(), 1u) << "what was replaced is kept";
  perform();
}

TEST_F(BackupTest, RestoreBesideAReaderWithTheFileOpen) {
  const std::string file = world_.path("saved");
  const Content before = content_of(world_.database);
  ASSERT_EQ(world_.run({"db", "backup", file}).status, 0);
  perform();
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open(world_.database.c_str(), &reader), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(reader, "BEGIN; SELECT * FROM sessions", nullptr, nullptr, nullptr),
            SQLITE_OK);
  const Finished restored = world_.run({"db", "restore", file});
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(lines_of(reader, "SELECT count(*) FROM sessions"), std::vector<std::string>{"|2"});
  ASSERT_EQ(sqlite3_exec(reader, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(lines_of(reader, "SELECT count(*) FROM sessions"), std::vector<std::string>{"|1"});
  sqlite3_close(reader);
  EXPECT_EQ(content_of(world_.database), before);
}

TEST_F(BackupTest, RollbackAndMigrateSaveFirst) {
  const Content before = content_of(world_.database);
  const Finished down = world_.run({"db", "rollback", "--to", "8", "--allow-data-loss"});
  ASSERT_EQ(down.status, 0) << down.err;
  ASSERT_EQ(backups().size(), 1u);
  EXPECT_EQ(content_of(backups().front()), before);
  ASSERT_EQ(world_.run({"db", "migrate"}).status, 0);
  EXPECT_EQ(backups().size(), 2u);
  ASSERT_EQ(world_.run({"db", "migrate"}).status, 0);
  EXPECT_EQ(backups().size(), 2u) << "nothing was to be done";
}

TEST_F(BackupTest, WithoutRoomForABackupNothingIsMigrated) {
  ASSERT_EQ(
      world_.run({"db", "rollback", "--to", "8", "--backup-done", "--allow-data-loss"}).status, 0);
  const Content before = content_of(world_.database);
  for (const char* fault : {"db.backup.step=enospc", "backup.sync=eio"}) {
    world_.environment["TERTULIA_FAILPOINTS"] = fault;
    const Finished refused = world_.run({"db", "migrate"});
    world_.environment.erase("TERTULIA_FAILPOINTS");
    EXPECT_EQ(refused.status, 3) << fault << refused.err;
    EXPECT_EQ(content_of(world_.database), before) << fault;
    EXPECT_TRUE(backups().empty()) << fault;
  }
  const Finished nowhere = world_.run({"db", "backup", world_.path("no/such/folder/saved")});
  EXPECT_EQ(nowhere.status, 3) << nowhere.err;
}

TEST_F(BackupTest, OnCopyMigratesVerifiesAndRehearsesButNotHere) {
  ASSERT_EQ(
      world_.run({"db", "rollback", "--to", "8", "--backup-done", "--allow-data-loss"}).status, 0);
  const Content before = content_of(world_.database);
  const Finished done = world_.run({"--json", "db", "migrate", "--on-copy"});
  ASSERT_EQ(done.status, 0) << done.out << done.err;
  const auto parsed = base::parse_json(done.out);
  ASSERT_TRUE(parsed) << done.out;
  const auto& report = parsed->as_object();
  EXPECT_TRUE(report.at("good").as_bool());
  EXPECT_GE(report.at("rehearsed_log_rows").to_number<int>(), 1);
  EXPECT_EQ(report.at("verification").at("sessions_replayed").to_number<int>(), 1);
  EXPECT_EQ(content_of(world_.database), before);
  for (const auto& entry : fs::directory_iterator(fs::path(world_.database).parent_path()))
    EXPECT_EQ(entry.path().string().find("on-copy"), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace tertulia::test
