#include "schema/backup.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/failpoint.h"
#include "schema/test_database.h"

namespace tertulia::schema {
namespace {

namespace fs = std::filesystem;

class FixedClock final : public base::Clock {
 public:
  base::Timestamp now() const override { return *base::parse_iso8601("2026-11-24T15:30:00Z"); }
  base::SteadyTime steady() const override { return {}; }
};

constexpr const char* kRows =
    "INSERT INTO roles (name, prompt, created_at, updated_at) VALUES "
    "('Ann', 'x', '2026-01-02 03:04:05Z', '2026-01-02 03:04:05Z'), "
    "('评论人（编辑）', 'y', '2026-01-02 03:04:05Z', '2026-01-02 03:04:05Z')";

class BackupTest : public OnBothEngines {
 protected:
  void SetUp() override {
    database_.migrate_to(database_.head());
    database_.run(kRows);
  }
  std::string names(TestDatabase& database) {
    std::string all;
    for (const auto& name : database.rows("SELECT name FROM roles ORDER BY id")) all += name + ";";
    return all;
  }
  // What the folder holds, but for the database and its companions.
  std::vector<std::string> files() {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      found.push_back(entry.path().filename().string());
    return found;
  }
  test::TempDir folder_;
};

INSTANTIATE_TEST_SUITE_P(, BackupTest, kBothEngines, engine_of);

TEST_P(BackupTest, WhatChangesAfterwardsIsUndoneByRestore) {
  const fs::path file = folder_.path() / "saved";
  auto saved = back_up(database_.location(), file);
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(saved->version, database_.head());
  EXPECT_EQ(saved->rows.at("roles"), 2);
  EXPECT_EQ(saved->rows.at("schema_migrations"), database_.head());
  EXPECT_EQ(saved->bytes, static_cast<std::int64_t>(fs::file_size(file)));
  EXPECT_EQ(files(), std::vector<std::string>{"saved"});

  TestDatabase other(database_.engine());
  TestDatabase& target = database_.engine() == db::Engine::sqlite ? database_ : other;
  if (database_.engine() == db::Engine::sqlite) {
    database_.run("UPDATE roles SET name = 'Bob' WHERE name = 'Ann'; DROP TABLE leases");
    database_.close();
  }
  auto restored = restore(file, target.location());
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(restored->version, database_.head());
  EXPECT_EQ(restored->rows, saved->rows);
  target.reopen();
  EXPECT_EQ(names(target), "Ann;评论人（编辑）;");
  EXPECT_EQ(target.proof().state, State::ready);
}

TEST_P(BackupTest, AFileThatIsThereIsNotWrittenOver) {
  const fs::path file = folder_.path() / "saved";
  std::ofstream(file) << "mine";
  auto saved = back_up(database_.location(), file);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, base::Code::conflict);
  EXPECT_EQ(fs::file_size(file), 4u);
  EXPECT_EQ(files(), std::vector<std::string>{"saved"});
}

TEST_P(BackupTest, AFolderThatIsNotThereIsNamed) {
  auto saved = back_up(database_.location(), folder_.path() / "nowhere" / "saved");
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, base::Code::storage);
  EXPECT_NE(saved.error().message.find("nowhere"), std::string::npos) << saved.error().message;
}

TEST_P(BackupTest, ADiskThatFailsLeavesNothingBehind) {
  ASSERT_TRUE(base::arm_failpoints("backup.sync=eio"));
  auto saved = back_up(database_.location(), folder_.path() / "saved");
  ASSERT_TRUE(base::arm_failpoints(""));
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, base::Code::storage);
  EXPECT_TRUE(files().empty());
}

TEST_P(BackupTest, WhatIsNoBackupIsRefusedAndChangesNothing) {
  const fs::path file = folder_.path() / "saved";
  std::ofstream(file) << std::string(4096, 'x');
  TestDatabase empty(database_.engine());
  TestDatabase& target = database_.engine() == db::Engine::sqlite ? database_ : empty;
  target.close();
  EXPECT_FALSE(restore(file, target.location()));
  EXPECT_FALSE(restore(folder_.path() / "absent", target.location()));
  target.reopen();
  if (database_.engine() == db::Engine::sqlite)
    EXPECT_EQ(names(target), "Ann;评论人（编辑）;");
  else
    EXPECT_EQ(target.proof().state, State::fresh);
}

class SqliteBackupTest : public testing::Test {
 protected:
  TestDatabase database_{db::Engine::sqlite};
  test::TempDir folder_;
};

TEST_F(SqliteBackupTest, TheNameTellsVersionAndTime) {
  database_.migrate_to(5);
  auto first = back_up(database_.location(), {}, {}, FixedClock());
  auto second = back_up(database_.location(), {}, {}, FixedClock());
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->file, database_.location().target + ".v5-20261124T153000Z.backup");
  EXPECT_EQ(second->file, database_.location().target + ".v5-20261124T153000Z-2.backup");
}

TEST_F(SqliteBackupTest, TheBackupIsOneFileThatOnlyItsOwnersRead) {
  database_.migrate_to(database_.head());
  ASSERT_EQ(::chmod(database_.location().target.c_str(), 0600), 0);
  const fs::path file = folder_.path() / "saved";
  ASSERT_TRUE(back_up(database_.location(), file));
  struct stat made {};
  ASSERT_EQ(::stat(file.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600u);
  // Bytes 18 and 19 are 2 in WAL mode (https://sqlite.org/fileformat.html).
  std::ifstream bytes(file, std::ios::binary);
  bytes.seekg(18);
  EXPECT_EQ(bytes.get(), 1);
}

TEST_F(SqliteBackupTest, SavesTheMomentWhileSomebodyWrites) {
  database_.migrate_to(database_.head());
  database_.run(kRows);
  ASSERT_TRUE(database_.connection().begin());
  database_.run("DELETE FROM roles");
  auto saved = back_up(database_.location(), folder_.path() / "saved");
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(saved->rows.at("roles"), 2);
  ASSERT_TRUE(database_.connection().commit());
}

TEST_F(SqliteBackupTest, TheDiskFillsUpHalfway) {
  database_.migrate_to(database_.head());
  ASSERT_TRUE(base::arm_failpoints("db.backup.step=enospc"));
  auto saved = back_up(database_.location(), folder_.path() / "saved");
  ASSERT_TRUE(base::arm_failpoints(""));
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, base::Code::storage_full);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(SqliteBackupTest, ARestoreThatBreaksOffHasChangedNothing) {
  database_.run("CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(9000000)), (1)");
  const fs::path file = folder_.path() / "saved";
  ASSERT_TRUE(back_up(database_.location(), file));
  database_.run("UPDATE t SET a = 2 WHERE a = 1");
  database_.close();
  ASSERT_TRUE(base::arm_failpoints("db.backup.step=eio@2"));
  auto restored = restore(file, database_.location());
  ASSERT_TRUE(base::arm_failpoints(""));
  EXPECT_FALSE(restored);
  database_.reopen();
  EXPECT_EQ(database_.rows("SELECT a FROM t WHERE typeof(a) <> 'blob'"),
            std::vector<std::string>{"2"});
  database_.close();
  ASSERT_TRUE(restore(file, database_.location()));
  database_.reopen();
  EXPECT_EQ(database_.rows("SELECT a FROM t WHERE typeof(a) <> 'blob'"),
            std::vector<std::string>{"1"});
}

TEST_F(SqliteBackupTest, AReaderKeepsItsMomentWhileTheFileIsRestored) {
  database_.run("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  const fs::path file = folder_.path() / "saved";
  ASSERT_TRUE(back_up(database_.location(), file));
  database_.run("UPDATE t SET a = 2");
  database_.close();
  auto reader = db::open(database_.location(), {.access = db::Access::read});
  ASSERT_TRUE(reader);
  const auto seen = [&] {
    std::int64_t a = 0;
    auto done =
        (*reader)->each_text("SELECT a FROM t", {}, [&](const db::Row& row) -> base::Result<void> {
          a = row.integer(0);
          return {};
        });
    EXPECT_TRUE(done);
    return a;
  };
  ASSERT_TRUE((*reader)->run_script("BEGIN"));
  EXPECT_EQ(seen(), 2);
  auto restored = restore(file, database_.location());
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(seen(), 2);
  ASSERT_TRUE((*reader)->run_script("COMMIT"));
  EXPECT_EQ(seen(), 1);
}

// An older file may have pages of another size; a database in WAL mode cannot change its own.
TEST_F(SqliteBackupTest, PagesOfAnotherSize) {
  const std::string small = folder_.file("small.db");
  {
    auto made =
        db::open({db::Engine::sqlite, small}, {.access = db::Access::write, .create = true});
    ASSERT_TRUE(made);
    ASSERT_TRUE(
        (*made)->run_script("PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM;"
                            "CREATE TABLE t (a); INSERT INTO t VALUES (7)"));
  }
  const std::string file = folder_.file("saved");
  ASSERT_TRUE(back_up({db::Engine::sqlite, small}, file));
  database_.run("CREATE TABLE u (a)");
  database_.close();
  auto restored = restore(file, database_.location());
  ASSERT_TRUE(restored) << restored.error().message << restored.error().detail;
  database_.reopen();
  EXPECT_EQ(database_.rows("SELECT a FROM t"), std::vector<std::string>{"7"});
  EXPECT_EQ(database_.rows("PRAGMA page_size"), std::vector<std::string>{"1024"});
  EXPECT_EQ(database_.rows("PRAGMA journal_mode"), std::vector<std::string>{"wal"});
}

TEST_F(SqliteBackupTest, ForeignAndEmptyFilesAreSavedToo) {
  database_.run(
      "CREATE TABLE \"group\" (\"select\"); INSERT INTO \"group\" VALUES (1), (2);"
      "CREATE TABLE must (a NOT NULL); PRAGMA ignore_check_constraints = ON;");
  auto saved = back_up(database_.location(), folder_.path() / "saved");
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(saved->version, 0);
  EXPECT_EQ(saved->rows, (RowCounts{{"group", 2}, {"must", 0}}));

  const std::string nothing = folder_.file("empty.db");
  std::ofstream make(nothing);
  make.close();
  auto empty = back_up({db::Engine::sqlite, nothing}, folder_.path() / "saved-empty");
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_TRUE(empty->rows.empty());
}

TEST_F(SqliteBackupTest, ADatabaseIsNotRestoredOntoItself) {
  database_.migrate_to(1);
  database_.close();
  auto restored = restore(database_.location().target, database_.location());
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, base::Code::invalid);
}

class PostgresBackupTest : public testing::Test {
 protected:
  TestDatabase database_{db::Engine::postgres};
  test::TempDir folder_;
};

TEST_F(PostgresBackupTest, OnlyAnEmptyDatabaseIsRestoredInto) {
  database_.migrate_to(database_.head());
  const fs::path file = folder_.path() / "saved";
  ASSERT_TRUE(back_up(database_.location(), file));
  auto restored = restore(file, database_.location());
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, base::Code::conflict);
}

TEST_F(PostgresBackupTest, WithoutPgDumpTheWayOutIsNamed) {
  const std::string path = std::getenv("PATH");
  ASSERT_EQ(::setenv("PATH", folder_.path().c_str(), 1), 0);
  auto saved = back_up(database_.location(), folder_.path() / "saved");
  ASSERT_EQ(::setenv("PATH", path.c_str(), 1), 0);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, base::Code::unavailable);
  EXPECT_NE(saved.error().remedy.find("--backup-done"), std::string::npos);
}

// A stand-in for pg_dump that writes down how it was called.
TEST_F(PostgresBackupTest, ThePasswordIsNotOnTheCommandLine) {
  const std::string program = folder_.file("pg_dump");
  std::ofstream(program) << "#!/bin/sh\necho \"$@\" >> " << folder_.file("words")
                         << "\necho \"$PGPASSWORD\" > " << folder_.file("secret")
                         << "\necho refused >&2; [ \"$1\" = --version ]\n";
  ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
  const std::string path = std::getenv("PATH");
  ASSERT_EQ(::setenv("PATH", (folder_.path().string() + ":" + path).c_str(), 1), 0);
  std::string uri = database_.location().target;
  uri.insert(uri.find('@'), ":hush");
  auto saved = back_up({db::Engine::postgres, uri}, folder_.path() / "saved");
  ASSERT_EQ(::setenv("PATH", path.c_str(), 1), 0);
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("refused"), std::string::npos) << saved.error().message;
  const auto content = [&](const char* name) {
    std::ifstream file(folder_.file(name));
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(content("secret"), "hush\n");
  EXPECT_EQ(content("words").find("hush"), std::string::npos) << content("words");
  EXPECT_FALSE(fs::exists(folder_.path() / "saved.partial"));
}

}  // namespace
}  // namespace tertulia::schema
