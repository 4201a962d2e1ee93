#include "db/sqlite_connection.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "db/file_lock.h"
#include "support/temp_dir.h"

namespace tertulia::db {
namespace {

namespace fs = std::filesystem;

constexpr OpenOptions kWriter{.access = Access::write, .create = true};

std::unique_ptr<Connection> must_open(const std::string& path, const OpenOptions& options) {
  auto opened = open_sqlite(path, options);
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? *std::move(opened) : nullptr;
}

std::string one_text(Connection& connection, std::string_view query) {
  std::string text;
  auto done = connection.each_text(query, {}, [&](const Row& row) -> base::Result<void> {
    text = row.text(0);
    return {};
  });
  EXPECT_TRUE(done) << done.error().message;
  return text;
}

TEST(SqliteConnectionTest, SettingsThatSafetyRestsOn) {
  const test::TempDir folder;
  auto writer = must_open(folder.file("t.db"), kWriter);
  EXPECT_EQ(one_text(*writer, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(one_text(*writer, "PRAGMA synchronous"), "2");
  EXPECT_EQ(one_text(*writer, "PRAGMA foreign_keys"), "1");
  EXPECT_EQ(one_text(*writer, "PRAGMA trusted_schema"), "0");
  ASSERT_TRUE(writer->run_script("CREATE TABLE t (s TEXT)"));
  EXPECT_FALSE(writer->run_script("INSERT INTO t VALUES (\"a string, really\")"))
      << "a misspelt column must not pass as a string";
  auto reader = must_open(folder.file("t.db"), {.access = Access::read});
  EXPECT_EQ(one_text(*reader, "PRAGMA wal_autocheckpoint"), "0");
}

TEST(SqliteConnectionTest, ReadingAnAbsentFileMakesNothing) {
  const test::TempDir folder;
  auto opened = open_sqlite(folder.file("t.db"), {.access = Access::read});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, base::Code::not_found);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SqliteConnectionTest, AZeroByteFileIsAFreshDatabase) {
  const test::TempDir folder;
  std::ofstream(folder.file("t.db"));
  auto reader = must_open(folder.file("t.db"), {.access = Access::read});
  EXPECT_EQ(one_text(*reader, "SELECT count(*) FROM sqlite_master"), "0");
}

TEST(SqliteConnectionTest, WhatIsNoDatabaseIsRefusedAndUntouched) {
  const test::TempDir folder;
  const std::string path = folder.file("notes.txt");
  std::ofstream(path) << "This is not a database, but somebody's notes, more than a header long.";
  for (const auto& options : {OpenOptions{.access = Access::read}, kWriter}) {
    auto opened = open_sqlite(path, options);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, base::Code::storage);
    EXPECT_NE(opened.error().message.find("not a SQLite database"), std::string::npos);
  }
  EXPECT_EQ(fs::file_size(path), 70u);
  auto directory = open_sqlite(folder.path().string(), kWriter);
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("folder"), std::string::npos);
}

TEST(SqliteConnectionTest, ASecondWriterInOneProcessIsRefused) {
  const test::TempDir folder;
  auto first = must_open(folder.file("t.db"), kWriter);
  fs::create_hard_link(folder.file("t.db"), folder.file("same.db"));
  auto second = open_sqlite(folder.file("same.db"), kWriter);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::Code::internal);
  first.reset();
  EXPECT_TRUE(open_sqlite(folder.file("t.db"), kWriter));
}

TEST(SqliteConnectionTest, ACleanExitLeavesNoWal) {
  const test::TempDir folder;
  {
    auto writer = must_open(folder.file("t.db"), kWriter);
    ASSERT_TRUE(writer->run_script("CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (1)"));
    EXPECT_TRUE(fs::exists(folder.file("t.db-wal")));
    auto reader = must_open(folder.file("t.db"), {.access = Access::read});
    EXPECT_EQ(one_text(*reader, "SELECT i FROM t"), "1");
  }
  EXPECT_FALSE(fs::exists(folder.file("t.db-wal")));
}

TEST(SqliteConnectionTest, AReaderSeesACommitThatOnlyTheWalHolds) {
  const test::TempDir folder;
  const std::string path = folder.file("t.db");
  const pid_t child = ::fork();
  if (child == 0) {  // dies without closing
    auto writer = open_sqlite(path, kWriter);
    const bool good =
        writer && (*writer)->run_script("CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (7)");
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  auto reader = must_open(path, {.access = Access::read});
  EXPECT_EQ(one_text(*reader, "SELECT i FROM t"), "7");
}

// Opening and closing connections must not drop the locks that this process's other connections
// hold: else another process that closes takes itself for the last one and deletes the WAL.
TEST(SqliteConnectionTest, OpeningAnotherConnectionKeepsTheLocksOfTheFirst) {
  const test::TempDir folder;
  const std::string path = folder.file("t.db");
  {
    auto writer = must_open(path, kWriter);
    ASSERT_TRUE(writer->run_script("CREATE TABLE t (i INTEGER)"));
  }
  auto reader = must_open(path, {.access = Access::read});
  EXPECT_EQ(one_text(*reader, "SELECT count(*) FROM t"), "0");
  must_open(path, kWriter).reset();
  must_open(path, {.access = Access::read}).reset();
  const pid_t child = ::fork();
  if (child == 0) {
    auto writer = open_sqlite(path, kWriter);
    const bool good = writer && (*writer)->run_script("INSERT INTO t VALUES (1)");
    writer->reset();
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(fs::exists(path + "-wal")) << "the reader's lock was gone";
  EXPECT_EQ(one_text(*reader, "SELECT count(*) FROM t"), "1");
}

TEST(FileLockTest, WaitingEndsAndNamesTheFile) {
  const test::TempDir folder;
  auto first = FileLock::open(folder.file("t.lock"));
  auto second = FileLock::open(folder.file("t.lock"));
  ASSERT_TRUE(first && second);
  std::atomic<bool> stop = false;
  ASSERT_TRUE(first->lock(std::chrono::milliseconds{0}, stop));
  auto got = second->lock(std::chrono::milliseconds{0}, stop);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, base::Code::timeout);
  EXPECT_NE(got.error().message.find(first->path()), std::string::npos);
  stop = true;
  got = second->lock(std::chrono::hours{1}, stop);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, base::Code::cancelled);
  first->unlock();
  EXPECT_TRUE(second->lock(std::chrono::milliseconds{0}, stop));
}

// A script may hold a whole transaction, or the parts of one: the file's lock goes with it.
TEST(SqliteConnectionTest, ATransactionOfScriptsGivesTheLockBack) {
  const test::TempDir folder;
  auto writer = must_open(folder.file("t.db"), kWriter);
  auto lock = FileLock::open(folder.file("t.db.lock"));
  ASSERT_TRUE(lock);
  const auto is_free = [&] {
    auto got = lock->try_lock();
    EXPECT_TRUE(got);
    lock->unlock();
    return got && *got;
  };
  ASSERT_TRUE(writer->run_script("BEGIN IMMEDIATE; CREATE TABLE t (i INTEGER)"));
  EXPECT_FALSE(is_free());
  ASSERT_TRUE(writer->run_script("COMMIT"));
  EXPECT_TRUE(is_free());
}

// SQLite rolls a transaction back by itself when the disk is full. What follows must not be
// performed outside of any transaction, nor the commit be reported as done.
TEST(SqliteConnectionTest, AfterAFullDiskTheTransactionIsOver) {
  const test::TempDir folder;
  auto writer = must_open(folder.file("t.db"), kWriter);
  ASSERT_TRUE(writer->run_script("CREATE TABLE t (s TEXT); PRAGMA max_page_count = 10"));
  constexpr Sql insert{"insert", "INSERT INTO t VALUES ($1)", ""};
  const std::string large(200'000, 'x');
  auto transaction = Transaction::begin(*writer);
  ASSERT_TRUE(transaction);
  ASSERT_TRUE(writer->run(insert, std::vector<Param>{std::string_view("small")}));
  auto full = writer->run(insert, std::vector<Param>{std::string_view(large)});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, base::Code::storage_full);
  EXPECT_NE(full.error().message.find("no space"), std::string::npos) << full.error().message;
  const auto next = writer->run(insert, std::vector<Param>{std::string_view("next")});
  const auto committed = transaction->commit();
  EXPECT_EQ(one_text(*writer, "SELECT count(*) FROM t"), committed && next ? "2" : "0");
}

// Processes that write as fast as they can, each with its own connection: every commit that was
// reported is there, and the file is sound. This is the situation of the WAL-reset race.
TEST(SqliteConnectionTest, ProcessesThatWriteAtOnceLoseNothing) {
  constexpr int kProcesses = 4, kCommits = 250;
  const test::TempDir folder;
  const std::string path = folder.file("t.db");
  {
    auto writer = must_open(path, kWriter);
    ASSERT_TRUE(writer->run_script("CREATE TABLE t (process INTEGER, n INTEGER, s TEXT)"));
  }
  const std::string filler(3000, 'x');  // large, so that checkpoints happen often
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = ::fork();
    if (child == 0) {
      static constexpr Sql insert{"insert", "INSERT INTO t VALUES ($1, $2, $3)", ""};
      auto writer = open_sqlite(path, kWriter);
      if (!writer) ::_exit(1);
      for (int n = 0; n < kCommits; ++n) {
        auto transaction = Transaction::begin(**writer);
        if (!transaction) ::_exit(2);
        const std::vector<Param> params = {std::int64_t{process}, std::int64_t{n},
                                           std::string_view(filler)};
        if (!(*writer)->run(insert, params) || !transaction->commit()) ::_exit(3);
      }
      writer->reset();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  auto reader = must_open(path, {.access = Access::read});
  EXPECT_EQ(one_text(*reader, "SELECT count(*) FROM (SELECT DISTINCT process, n FROM t)"),
            std::to_string(kProcesses * kCommits));
  EXPECT_EQ(one_text(*reader, "PRAGMA integrity_check"), "ok");
}

}  // namespace
}  // namespace tertulia::db
