// Whatever breaks off a migration, at whichever of its statements, on its way up or down: the
// schema is the one before or the one after, the history says which, no row is lost, and the next
// run does what was left to do.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/failpoint.h"
#include "schema/test_rows.h"
#include "support/disk_quota.h"

namespace tertulia::schema {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Faults : public OnBothEngines {
 protected:
  base::Result<Plan> move_to(int version) { return move_on(database_.connection(), version); }

  base::Result<Plan> move_on(db::Connection& connection, int version) const {
    return direction_ == Direction::up
               ? migrate(connection, version, database_.all())
               : rollback(connection, version, database_.all(), {.allow_data_loss = true});
  }

  // What a fault may not change.
  struct Standing {
    int version = 0;
    std::string fingerprint;
    std::map<std::string, std::vector<std::string>> rows;
    bool operator==(const Standing&) const = default;
  };

  Standing standing() {
    const Proof proof = database_.proof();
    EXPECT_TRUE(proof.state == State::ready || proof.state == State::behind ||
                proof.state == State::fresh)
        << proof.why;
    const SchemaShape shape = shape_of(database_);
    return {proof.version, fingerprint(shape), contents(database_, shape)};
  }

  // Every migration is the next one for once, on its way down and up, with rows in the tables.
  // `break_off` is given the version to go to and the number of statements on the way.
  void at_every_migration(const std::function<void(int, std::size_t)>& break_off) {
    const auto all = database_.all();
    const auto step = [&](Direction direction, const Migration& migration) {
      const bool is_up = direction == Direction::up;
      const int to = is_up ? migration.version : migration.version - 1;
      direction_ = direction;
      break_off(to, (is_up ? migration.up : migration.down).statements.size());
      if (HasFatalFailure()) return;
      auto moved = move_to(to);
      ASSERT_TRUE(moved) << moved.error().message;
    };
    step(Direction::up, all.front());
    step(Direction::down, all.front());
    database_.migrate_to(database_.head());
    database_.run(kRows);
    for (auto migration = all.rbegin(); migration + 1 != all.rend() && !HasFatalFailure();
         ++migration)
      step(Direction::down, *migration);
    for (const auto& migration : all.subspan(1))
      if (!HasFatalFailure()) step(Direction::up, migration);
    EXPECT_EQ(database_.proof().state, State::ready);
    EXPECT_THAT(database_.rows("SELECT id, content FROM messages"),
                ElementsAre("1|Tea.", "2|More tea."));
  }

  // A process that moves the database while `failpoints` are armed; how it ended.
  int move_in_a_process(int version, const std::string& failpoints) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto connection = db::open(database_.location(), {.access = db::Access::write});
      if (!connection || !base::arm_failpoints(failpoints)) ::_exit(100);
      auto moved = move_on(**connection, version);
      ::_exit(moved ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  void TearDown() override { ASSERT_TRUE(base::arm_failpoints("")); }

  Direction direction_ = Direction::up;
};
INSTANTIATE_TEST_SUITE_P(, Faults, kBothEngines, engine_of);

TEST_P(Faults, AnErrorAtAnyStatement) {
  at_every_migration([&](int version, std::size_t statements) {
    const Standing before = standing();
    for (std::size_t at = 1; at <= statements + 1; ++at) {
      const bool at_end = at > statements;
      ASSERT_TRUE(base::arm_failpoints(at_end ? "db.commit.before=enospc"
                                              : fmt::format("migrate.statement=eio@{}", at)));
      auto failed = move_to(version);
      ASSERT_TRUE(base::arm_failpoints(""));
      ASSERT_FALSE(failed) << version << " at " << at;
      EXPECT_EQ(failed.error().code, at_end ? base::Code::storage_full : base::Code::storage);
      EXPECT_FALSE(database_.connection().in_transaction());
      EXPECT_EQ(fingerprint(shape_of(database_)), before.fingerprint) << version << " at " << at;
    }
    EXPECT_EQ(standing(), before) << "to version " << version;
  });
}

TEST_P(Faults, SigkillAtAnyStatement) {
  at_every_migration([&](int version, std::size_t statements) {
    const Standing before = standing();
    database_.close();
    std::vector<std::string> points;
    for (std::size_t at = 1; at <= statements; ++at)
      points.push_back(fmt::format("migrate.statement=kill@{}", at));
    points.emplace_back("db.commit.before=kill");
    for (const auto& point : points) {
      const int status = move_in_a_process(version, point);
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << version << " " << point;
      const Proof proof = database_.proof();
      EXPECT_EQ(proof.version, before.version) << point;
      EXPECT_NE(proof.state, State::drifted) << proof.why;
    }
    database_.reopen();
    EXPECT_EQ(standing(), before) << "to version " << version;
    database_.close();
    // What was committed stays, also where nobody was told.
    const int status = move_in_a_process(version, "db.commit.after=kill");
    ASSERT_TRUE(WIFSIGNALED(status)) << version;
    EXPECT_EQ(database_.proof().version, version);
    database_.reopen();
  });
}

// SQLite has one writing lock for the whole file. That programs of ours wait for each other is in
// runner_race_test; this is another program, which does not know of our lock file.
TEST(FaultsOnSqlite, TheFileLocked) {
  TestDatabase database(db::Engine::sqlite);
  for (int version = 1; version <= database.head(); ++version) {
    database.close();
    int held[2];
    int release[2];
    ASSERT_EQ(::pipe(held), 0);
    ASSERT_EQ(::pipe(release), 0);
    const pid_t holder = ::fork();
    ASSERT_GE(holder, 0);
    char byte = 0;
    if (holder == 0) {
      ::close(release[1]);
      sqlite3* handle = nullptr;
      if (sqlite3_open(database.location().target.c_str(), &handle) != SQLITE_OK ||
          sqlite3_exec(handle, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) != SQLITE_OK ||
          ::write(held[1], &byte, 1) != 1)
        ::_exit(1);
      ::_exit(::read(release[0], &byte, 1) == 0 ? 0 : 2);
    }
    ::close(held[1]);
    ASSERT_EQ(::read(held[0], &byte, 1), 1);
    database.reopen();
    database.run("PRAGMA busy_timeout = 1");
    auto failed = migrate(database.connection(), version, database.all());
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, base::Code::timeout);
    EXPECT_THAT(failed.error().message, HasSubstr("locked by another program"));
    EXPECT_EQ(database.proof().version, version - 1);
    ::close(release[1]);
    int status = 0;
    ASSERT_EQ(::waitpid(holder, &status, 0), holder);
    EXPECT_EQ(status, 0);
    for (const int end : {held[0], release[0]}) ::close(end);
    database.migrate_to(version);
  }
}

// The disk fills up after so many pages of the file, for every number of pages.
TEST(FaultsOnSqlite, ADiskThatIsFull) {
  TestDatabase database(db::Engine::sqlite);
  for (int version = 1; version <= database.head(); ++version) {
    for (int pages = std::stoi(database.rows("PRAGMA page_count").front());; ++pages) {
      database.run(fmt::format("PRAGMA max_page_count = {}", std::max(pages, 1)));
      auto done = migrate(database.connection(), version, database.all());
      if (done) break;
      EXPECT_EQ(done.error().code, base::Code::storage_full) << done.error().message;
      EXPECT_THAT(done.error().message, HasSubstr("no space left"));
      EXPECT_FALSE(database.connection().in_transaction());
      const Proof proof = database.proof();
      EXPECT_EQ(proof.version, version - 1);
      EXPECT_EQ(proof.state, version == 1 ? State::fresh : State::behind) << proof.why;
    }
  }
  EXPECT_EQ(database.proof().state, State::ready);
}

// As above, on a server whose disk has so many pages left for its databases.
TEST(FaultsOnPostgres, ADiskThatIsFull) {
  test::DiskQuota disk;
  test::PostgresServer server(disk.environment());
  TestDatabase database(server);
  int failures = 0;
  for (int version = 1; version <= database.head(); ++version) {
    const std::string before = fingerprint(shape_of(database));
    for (std::int64_t pages = 0;; ++pages) {
      disk.set(pages);
      auto done = migrate(database.connection(), version, database.all());
      disk.set(-1);
      if (done) break;
      ++failures;
      EXPECT_EQ(done.error().code, base::Code::storage_full) << done.error().message;
      EXPECT_THAT(done.error().message + done.error().detail, HasSubstr("No space left on device"));
      EXPECT_FALSE(database.connection().in_transaction());
      ASSERT_EQ(database.proof().version, version - 1);
      ASSERT_EQ(fingerprint(shape_of(database)), before);
    }
  }
  EXPECT_GT(failures, 30);
  EXPECT_EQ(database.proof().state, State::ready);
}

// The kernel refuses to let a file grow further, for every size: which is met where SQLite writes
// its log, in the midst of statements, in COMMIT, or at the checkpoint after it.
TEST(FaultsOnSqlite, AFileThatCannotGrow) {
  TestDatabase database(db::Engine::sqlite);
  database.close();
  constexpr rlim_t kStep = 24 * 1024;
  int version = 0;
  int failures = 0;
  for (rlim_t limit = kStep;; limit += kStep) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit small = {.rlim_cur = limit, .rlim_max = limit};
      if (::setrlimit(RLIMIT_FSIZE, &small) != 0) ::_exit(100);
      auto connection = db::open(database.location(), {.access = db::Access::write});
      if (!connection) ::_exit(1);
      auto done = migrate(**connection, database.head(), database.all());
      connection->reset();
      ::_exit(done ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    const Proof proof = database.proof();
    EXPECT_GE(proof.version, version) << limit;
    version = proof.version;
    EXPECT_EQ(proof.state, version == 0                 ? State::fresh
                           : version == database.head() ? State::ready
                                                        : State::behind)
        << proof.why;
    if (WEXITSTATUS(status) == 0) break;
    ASSERT_EQ(WEXITSTATUS(status), 1);
    ++failures;
  }
  EXPECT_GT(failures, 2);
  database.reopen();
  EXPECT_THAT(database.rows("PRAGMA integrity_check"), ElementsAre("ok"));
}

}  // namespace
}  // namespace tertulia::schema
