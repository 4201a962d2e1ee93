// What a migration asks of the runner beside its statements: checks of the rows, tables rebuilt,
// indexes made while others write, room on the disk, one backup.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <list>

#include "base/failpoint.h"
#include "schema/scratch.h"
#include "schema/test_rows.h"

namespace tertulia::schema {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// The program's migrations and one more, which declares the fingerprint that it leads to.
class OneMore final {
 public:
  OneMore(TestDatabase& database, std::string up, std::string down)
      : all_(database.all().begin(), database.all().end()) {
    texts_.push_back(fmt::format("-- fingerprint {}: to be found\n{}",
                                 database.engine() == db::Engine::sqlite ? "sqlite" : "postgres",
                                 up));
    texts_.push_back(std::move(down));
    auto more = parse_migration(database.engine(), database.head() + 1, "more", texts_.front(),
                                texts_.back());
    EXPECT_TRUE(more) << more.error().message;
    if (!more) return;
    all_.push_back(*std::move(more));
    auto shape = shape_of_version(database.connection(), all_, version());
    EXPECT_TRUE(shape) << shape.error().message << shape.error().detail;
    if (shape) all_.back().fingerprint = fingerprint(*shape);
  }
  [[nodiscard]] std::span<const Migration> all() const { return all_; }
  [[nodiscard]] int version() const { return static_cast<int>(all_.size()); }

 private:
  std::list<std::string> texts_;
  std::vector<Migration> all_;
};

class Directives : public OnBothEngines {
 protected:
  void SetUp() override {
    database_.migrate_to(database_.head());
    database_.run(kRows);
  }
  void TearDown() override { ASSERT_TRUE(base::arm_failpoints("")); }
};
INSTANTIATE_TEST_SUITE_P(, Directives, kBothEngines, engine_of);

TEST_P(Directives, RowsInTheWayAreShown) {
  const OneMore more(database_,
                     "-- check: every message has fewer than five letters\n"
                     "SELECT id, content, document FROM messages WHERE length(content) >= 5 "
                     "ORDER BY id;\n"
                     "ALTER TABLE roles ADD COLUMN motto TEXT;",
                     "ALTER TABLE roles DROP COLUMN motto;");
  RunOptions options;
  options.before_first_move = [](int) -> base::Result<void> {
    ADD_FAILURE() << "a backup for a migration that is refused";
    return {};
  };
  auto refused = migrate(database_.connection(), more.version(), more.all(), options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::conflict);
  EXPECT_EQ(
      refused.error().message,
      fmt::format("{:04}_more: it needs that every message has fewer than five letters; 1 row "
                  "is in the way:\n  id=2 content=More tea. document=NULL",
                  more.version()));
  EXPECT_EQ(database_.proof().state, State::ready);

  for (int i = 0; i < 12; ++i)
    database_.run(
        "INSERT INTO messages (session_id, speaker_session_role_id, content, round_index, "
        "created_at) VALUES (1, 1, 'More still.', 1, '2026-01-02T03:04:06Z')");
  refused = migrate(database_.connection(), more.version(), more.all());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("13 rows are in the way"), HasSubstr("\n  and 3 more")));

  database_.run("UPDATE messages SET content = 'Tea.'");
  auto done = migrate(database_.connection(), more.version(), more.all());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(database_.rows("SELECT motto FROM roles"), ElementsAre("NULL"));
}

// A later migration's check speaks of tables as they are by then.
TEST_P(Directives, EachCheckIsMadeWhenItsTurnComes) {
  ASSERT_TRUE(rollback(database_.connection(), 9, database_.all(), {.allow_data_loss = true}));
  const OneMore more(database_,
                     "-- check: nothing was noted\nSELECT kind FROM adopted_notes;\n"
                     "ALTER TABLE roles ADD COLUMN motto TEXT;",
                     "ALTER TABLE roles DROP COLUMN motto;");
  auto done = migrate(database_.connection(), more.version(), more.all());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(done->moves, SizeIs(more.version() - 9));
}

class Rebuilding : public testing::Test {
 protected:
  void SetUp() override {
    database_.migrate_to(database_.head());
    database_.run(kRows);
  }
  // The declared SQL of messages, changed.
  std::string messages_with(const std::string& from, const std::string& to) {
    std::string sql = database_.rows("SELECT sql FROM sqlite_schema WHERE name = 'messages'")[0];
    const auto at = sql.find(from);
    EXPECT_NE(at, std::string::npos) << sql;
    return sql.replace(at, from.size(), to) + ";";
  }
  TestDatabase database_{db::Engine::sqlite};
};

// Messages is a parent (of itself and of log rows' results) and a child; its indexes and the
// children of sessions must survive.
TEST_F(Rebuilding, ATableGetsAnotherShapeAndKeepsItsRows) {
  const std::string old = messages_with("", "");
  const OneMore more(
      database_,
      "-- rebuild: messages\n-- rebuild-value: content = content || '!'\n" +
          messages_with("content TEXT NOT NULL",
                        "content TEXT NOT NULL CHECK (length(content) > 1)"),
      "-- rebuild: messages\n-- rebuild-value: content = rtrim(content, '!')\n" + old);
  const auto before = contents(database_, shape_of(database_));
  auto done = migrate(database_.connection(), more.version(), more.all());
  ASSERT_TRUE(done) << done.error().message << done.error().detail;
  EXPECT_THAT(database_.rows("SELECT content FROM messages ORDER BY id"),
              ElementsAre("Tea.!", "More tea.!"));
  EXPECT_THAT(database_.rows("SELECT name FROM sqlite_schema WHERE type = 'index'"),
              Contains("idx_messages_session_position"));
  EXPECT_THAT(database_.rows("PRAGMA foreign_keys"), ElementsAre("1"));

  auto back = rollback(database_.connection(), database_.head(), more.all());
  ASSERT_TRUE(back) << back.error().message << back.error().detail;
  EXPECT_EQ(database_.proof().state, State::ready);
  EXPECT_EQ(contents(database_, shape_of(database_)), before);
}

TEST_F(Rebuilding, AColumnLeftOutIsALoss) {
  const std::string sql = messages_with("document TEXT,", "");
  const OneMore more(database_, "-- rebuild: messages\n" + sql,
                     "ALTER TABLE messages ADD COLUMN document TEXT;");
  auto refused = migrate(database_.connection(), more.version(), more.all());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::denied);
  EXPECT_THAT(refused.error().message, HasSubstr("would destroy 1 values of messages.document"));
  EXPECT_EQ(database_.proof().state, State::ready);

  const OneMore kept(database_,
                     "-- rebuild: messages\n"
                     "-- rebuild-value: content = content || coalesce(document, '')\n" +
                         sql,
                     "ALTER TABLE messages ADD COLUMN document TEXT;");
  auto done = migrate(database_.connection(), kept.version(), kept.all());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(database_.rows("SELECT content FROM messages WHERE id = 1"),
              ElementsAre("Tea.draft"));
}

TEST_F(Rebuilding, RowsThatDoNotFitLeaveAllAsItWas) {
  const OneMore more(
      database_,
      "-- rebuild: messages\n" + messages_with("content TEXT NOT NULL",
                                               "content TEXT NOT NULL CHECK (length(content) < 5)"),
      "-- irreversible: it is of a test");
  const auto before = contents(database_, shape_of(database_));
  auto refused = migrate(database_.connection(), more.version(), more.all());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::conflict) << refused.error().message;
  EXPECT_EQ(database_.proof().state, State::ready);
  EXPECT_EQ(contents(database_, shape_of(database_)), before);
}

// Indexes made while others write: performed outside a transaction, so they can break off halfway.
class Online : public testing::Test {
 protected:
  void SetUp() override {
    database_.migrate_to(database_.head());
    database_.run(kRows);
  }
  void TearDown() override { ASSERT_TRUE(base::arm_failpoints("")); }

  Proof proof() {
    auto proved = prove(database_.connection(), more_.all());
    EXPECT_TRUE(proved) << proved.error().message;
    return proved ? *proved : Proof();
  }
  base::Result<Plan> up() { return migrate(database_.connection(), more_.version(), more_.all()); }
  base::Result<Plan> down() {
    return rollback(database_.connection(), database_.head(), more_.all());
  }
  std::vector<std::string> made() {
    return database_.rows(
        "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid "
        "WHERE relname LIKE 'idx\\_more\\_%' AND indisvalid ORDER BY relname");
  }
  // From the head on, counted from it.
  std::vector<std::string> history() {
    return database_.rows(
        fmt::format("SELECT version - {0}, finished_at IS NOT NULL FROM schema_migrations "
                    "WHERE version >= {0} ORDER BY version",
                    database_.head()));
  }
  // Moves in a process of its own, which is killed at the failpoint.
  void killed_at(const std::string& failpoint, Direction direction) {
    database_.close();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto connection = db::open(database_.location(), {.access = db::Access::write});
      if (!connection || !base::arm_failpoints(failpoint)) ::_exit(100);
      auto moved = direction == Direction::up
                       ? migrate(**connection, more_.version(), more_.all())
                       : rollback(**connection, database_.head(), more_.all());
      ::_exit(moved ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << failpoint;
    database_.reopen();
  }

  TestDatabase database_{db::Engine::postgres};
  const OneMore more_{database_,
                      "-- outside-transaction: yes\n"
                      "CREATE INDEX CONCURRENTLY idx_more_content ON messages (content);\n"
                      "CREATE UNIQUE INDEX CONCURRENTLY idx_more_words ON adopted_notes (words);\n",
                      "-- outside-transaction: yes\n"
                      "DROP INDEX CONCURRENTLY idx_more_words;\n"
                      "DROP INDEX CONCURRENTLY idx_more_content;\n"};
};

TEST_F(Online, UpAndDown) {
  auto done = up();
  ASSERT_TRUE(done) << done.error().message << done.error().detail;
  EXPECT_EQ(done->to, database_.head() + 1);
  EXPECT_THAT(made(), ElementsAre("idx_more_content", "idx_more_words"));
  EXPECT_THAT(history(), ElementsAre("0|t", "1|t"));
  auto back = down();
  ASSERT_TRUE(back) << back.error().message << back.error().detail;
  EXPECT_THAT(made(), IsEmpty());
  EXPECT_EQ(database_.proof().state, State::ready);
}

TEST_F(Online, KilledAnywhereItIsRecognisedAndGoneOnWith) {
  for (const auto* const point : {"migrate.statement=kill@1", "migrate.statement=kill@2",
                                  "db.commit.after=kill@1", "db.commit.before=kill@2"}) {
    killed_at(point, Direction::up);
    EXPECT_THAT(history(), ElementsAre("0|t", "1|f")) << point;
    const Proof broken = proof();
    EXPECT_EQ(broken.state, State::unfinished) << point;
    EXPECT_THAT(broken.why, HasSubstr("_more was begun by Tertulia"));
    EXPECT_EQ(broken.remedy, "tertulia db migrate");
    auto planned = plan(database_.connection(), more_.version(), more_.all());
    ASSERT_TRUE(planned) << planned.error().message;
    EXPECT_THAT(planned->moves, SizeIs(1));
    auto done = up();
    ASSERT_TRUE(done) << point << ": " << done.error().message;
    EXPECT_EQ(done->from, database_.head());
    EXPECT_THAT(history(), ElementsAre("0|t", "1|t"));
    EXPECT_THAT(made(), SizeIs(2));

    killed_at(point, Direction::down);
    EXPECT_THAT(history(), ElementsAre("0|t", "1|f")) << point;
    auto back = down();
    ASSERT_TRUE(back) << point << ": " << back.error().message;
    EXPECT_THAT(history(), ElementsAre("0|t"));
    EXPECT_THAT(made(), IsEmpty());
  }
  // Nothing was promised yet.
  killed_at("db.commit.before=kill@1", Direction::up);
  EXPECT_THAT(history(), ElementsAre("0|t"));
}

TEST_F(Online, WhatBrokeOffUpwardsCanBeTakenBack) {
  killed_at("migrate.statement=kill@2", Direction::up);
  auto stays = migrate(database_.connection(), database_.head(), more_.all());
  ASSERT_FALSE(stays);
  EXPECT_EQ(stays.error().remedy, fmt::format("tertulia db migrate --to {}", database_.head() + 1));
  auto back = down();
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_THAT(made(), IsEmpty());
  EXPECT_EQ(database_.proof().state, State::ready);
}

// What a server that went down in the midst of a build leaves behind.
TEST_F(Online, AnInvalidLeftoverIsMadeAnew) {
  killed_at("migrate.statement=kill@2", Direction::up);
  database_.run(
      "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'idx_more_content'::regclass");
  EXPECT_THAT(made(), IsEmpty());
  auto done = up();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(made(), SizeIs(2));
}

TEST_F(Online, RowsInTheWayLeaveTheSchemaFromBefore) {
  database_.run(
      "INSERT INTO adopted_notes (kind, table_name, row_id, words, created_at) "
      "SELECT kind, table_name, row_id, words, created_at FROM adopted_notes");
  auto failed = up();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, base::Code::conflict) << failed.error().message;
  EXPECT_THAT(history(), ElementsAre("0|t"));
  EXPECT_EQ(database_.proof().state, State::ready);
  EXPECT_THAT(database_.rows("SELECT relname FROM pg_class WHERE relname LIKE 'idx\\_more\\_%'"),
              IsEmpty());
}

TEST_F(Online, DriftIsNotGoneOnOver) {
  killed_at("migrate.statement=kill@2", Direction::up);
  database_.run("ALTER TABLE messages DROP COLUMN document");
  auto refused = up();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::drift);
  EXPECT_THAT(refused.error().message, HasSubstr("document"));
}

// A migration that would have been one transaction cannot have broken off: somebody wrote that.
TEST_F(Online, OnlySuchMigrationsAreGoneOnWith) {
  ASSERT_TRUE(up());
  database_.run("UPDATE schema_migrations SET finished_at = NULL WHERE version = 10");
  database_.run("DELETE FROM schema_migrations WHERE version = 11");
  EXPECT_EQ(proof().remedy, "restore the backup made before it");
  EXPECT_FALSE(up());
}

TEST(RunnerOnSqlite, ADiskWithoutRoomIsToldBeforehand) {
  TestDatabase database(db::Engine::sqlite);
  database.migrate_to(5);
  ASSERT_TRUE(base::arm_failpoints("disk.free=enospc"));
  database.run(
      "INSERT INTO roles (name, prompt, created_at, updated_at) VALUES ('a', 'b', 'c', 'd')");
  auto refused = migrate(database.connection(), database.head(), database.all());
  ASSERT_TRUE(base::arm_failpoints(""));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::storage_full);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("0.0 MB free"), HasSubstr("nothing was changed")));
  EXPECT_EQ(database.proof().version, 5);
}

}  // namespace
}  // namespace tertulia::schema
