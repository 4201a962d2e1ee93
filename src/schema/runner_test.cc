// Up and down with rows, and what is refused. What breaks off is in runner_faults_test, many
// programs at once in runner_race_test.
#include "schema/runner.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "schema/declared.h"
#include "schema/test_rows.h"

namespace tertulia::schema {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Runner : public OnBothEngines {
 protected:
  SchemaShape shape() { return shape_of(database_); }
  std::map<std::string, std::vector<std::string>> contents(const SchemaShape& shape) {
    return schema::contents(database_, shape);
  }

  std::vector<std::string> history() {
    return database_.rows("SELECT version FROM schema_migrations ORDER BY version");
  }

  base::Result<Plan> back_to(int version, bool allow_data_loss) {
    return rollback(database_.connection(), version, database_.all(),
                    {.allow_data_loss = allow_data_loss});
  }

  void TearDown() override { ASSERT_TRUE(base::arm_failpoints("")); }
};
INSTANTIATE_TEST_SUITE_P(, Runner, kBothEngines, engine_of);

TEST_P(Runner, DownAndUpThroughEveryVersionWithRows) {
  std::vector<std::string> fingerprints = {fingerprint(shape())};
  for (int version = 1; version <= database_.head(); ++version) {
    database_.migrate_to(version);
    fingerprints.push_back(fingerprint(shape()));
    EXPECT_EQ(fingerprints.back(),
              database_.all()[static_cast<std::size_t>(version) - 1].fingerprint);
  }
  database_.run(kRows);
  for (const auto& table : declared_tables())
    ASSERT_THAT(database_.rows(fmt::format("SELECT 1 FROM {}", table.name)),
                testing::Not(IsEmpty()))
        << table.name;

  for (int version = database_.head() - 1; version >= 1; --version) {
    // Everything that the version below has must survive.
    const auto before_move = shape();
    auto moved = back_to(version, true);
    ASSERT_TRUE(moved) << moved.error().message << "\n" << moved.error().detail;
    EXPECT_EQ(fingerprint(shape()), fingerprints[static_cast<std::size_t>(version)]) << version;
    EXPECT_THAT(history(), SizeIs(version));
    const auto after = contents(shape());
    // Up again and down again: what is there below is untouched by both.
    database_.migrate_to(version + 1);
    EXPECT_EQ(fingerprint(shape()), fingerprint(before_move));
    ASSERT_TRUE(back_to(version, true));
    EXPECT_EQ(contents(shape()), after) << version;
  }
  EXPECT_EQ(database_.rows("SELECT name, prompt FROM roles"),
            std::vector<std::string>{"作家（一）|You write."});
  EXPECT_THAT(database_.rows("SELECT id, reply_to_message_id, content FROM messages ORDER BY id"),
              ElementsAre("1|NULL|Tea.", "2|1|More tea."));
  EXPECT_THAT(database_.rows("SELECT id, next_step_id FROM flow_steps ORDER BY id"),
              ElementsAre("1|NULL", "2|1"));
  EXPECT_THAT(database_.rows("SELECT id, status, current_step_id FROM sessions"),
              ElementsAre("1|paused|1"));

  ASSERT_TRUE(back_to(0, true));
  EXPECT_EQ(database_.proof().state, State::fresh);
  database_.migrate_to(database_.head());
  EXPECT_EQ(database_.proof().state, State::ready);
}

TEST_P(Runner, RowsAreNotDestroyedUnasked) {
  database_.migrate_to(database_.head());
  database_.run(kRows);
  const auto before = contents(shape());

  auto refused = back_to(3, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::denied);
  EXPECT_THAT(refused.error().message, HasSubstr("1 rows of session_events"));
  EXPECT_THAT(refused.error().remedy, HasSubstr("--allow-data-loss"));
  EXPECT_EQ(contents(shape()), before);
  EXPECT_THAT(history(), SizeIs(database_.head()));

  auto planned = plan(database_.connection(), 3, database_.all());
  ASSERT_TRUE(planned);
  std::vector<std::string> losses;
  for (const auto& move : planned->moves)
    for (const auto& loss : move.losses) losses.push_back(loss.words());
  EXPECT_THAT(losses,
              testing::IsSupersetOf({"1 values of roles.settings", "1 rows of leases",
                                     "1 rows of model_calls", "2 rows of step_execution_logs"}));

  auto moved = back_to(3, true);
  ASSERT_TRUE(moved) << moved.error().message;
  EXPECT_EQ(moved->from, database_.head());
  EXPECT_EQ(moved->to, 3);
}

TEST_P(Runner, EmptyTablesAndColumnsAreNoLoss) {
  database_.migrate_to(database_.head());
  auto moved = back_to(0, false);
  EXPECT_TRUE(moved) << moved.error().message;
}

TEST_P(Runner, ASecondTimeThereIsNothingToDo) {
  database_.migrate_to(database_.head());
  auto again = migrate(database_.connection(), database_.head(), database_.all());
  ASSERT_TRUE(again);
  EXPECT_THAT(again->moves, IsEmpty());
  EXPECT_FALSE(database_.connection().in_transaction());
}

TEST_P(Runner, DriftIsNotMigratedOver) {
  database_.migrate_to(6);
  database_.run("DROP INDEX idx_step_logs_duration");
  auto refused = migrate(database_.connection(), database_.head(), database_.all());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::drift);
  EXPECT_THAT(refused.error().message, HasSubstr("index idx_step_logs_duration is missing"));
  EXPECT_THAT(history(), SizeIs(6));
}

TEST_P(Runner, AnIndexThatIsNotOursDoesNotStopIt) {
  database_.migrate_to(6);
  database_.run("CREATE INDEX mine ON messages (content)");
  database_.migrate_to(database_.head());
  EXPECT_EQ(database_.proof().state, State::ready);
}

TEST_P(Runner, ADatabaseOfAnotherProgramIsNotTouched) {
  database_.run("CREATE TABLE roles (id INTEGER PRIMARY KEY, name TEXT)");
  auto refused = migrate(database_.connection(), database_.head(), database_.all());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("the table roles but no history"));
  EXPECT_THAT(refused.error().remedy, HasSubstr("tertulia db status"));
  EXPECT_EQ(database_.proof().state, State::foreign);
  EXPECT_THAT(database_.rows("SELECT id, name FROM roles"), IsEmpty());
}

TEST_P(Runner, AHistoryOfAnotherToolIsForeign) {
  database_.run("CREATE TABLE schema_migrations (version TEXT)");
  EXPECT_EQ(database_.proof().state, State::foreign);
  EXPECT_FALSE(migrate(database_.connection(), 1, database_.all()));
}

TEST_P(Runner, AMigrationMustArriveWhereItDeclares) {
  const auto wrong = parse_migration(database_.engine(), 1, "wrong",
                                     "-- fingerprint sqlite: aa\n-- fingerprint postgres: aa\n"
                                     "CREATE TABLE roles (id INTEGER PRIMARY KEY);",
                                     "DROP TABLE roles;");
  ASSERT_TRUE(wrong) << wrong.error().message;
  auto refused = migrate(database_.connection(), 1, {&*wrong, 1});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("0001_wrong: the migration declares the "
                                                 "fingerprint aa, but its statements lead to"));
  EXPECT_EQ(database_.proof().state, State::fresh);
}

// One more migration after the program's own, which leaves the schema as it is.
std::vector<Migration> with_one_more(const TestDatabase& database, std::string_view up) {
  std::vector<Migration> all(database.all().begin(), database.all().end());
  auto more = parse_migration(database.engine(), database.head() + 1, "more", up,
                              "-- irreversible: it is of a test\n");
  EXPECT_TRUE(more) << more.error().message;
  more->fingerprint = all.back().fingerprint;
  all.push_back(*std::move(more));
  return all;
}

TEST_P(Runner, RowsThatGoUnaskedStopIt) {
  database_.migrate_to(database_.head());
  database_.run(kRows);
  std::string_view up = "-- fingerprint sqlite: same\nUPDATE OR REPLACE sessions SET id = 1;";
  if (database_.engine() == db::Engine::postgres) {
    database_.run(
        "CREATE FUNCTION forget() RETURNS void LANGUAGE sql AS 'DELETE FROM adopted_notes'");
    up = "-- fingerprint postgres: same\nSELECT forget();";
  } else {
    // Another session, which becoming the first takes that one's place.
    database_.run(
        "INSERT INTO sessions (id, topic, flow_template_id, created_at, updated_at, status, "
        "current_round, executed_steps_count) SELECT 2, topic, flow_template_id, created_at, "
        "updated_at, status, current_round, executed_steps_count FROM sessions");
  }
  const auto all = with_one_more(database_, up);
  const auto before = contents(shape());
  auto refused = migrate(database_.connection(), database_.head() + 1, all);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::conflict) << refused.error().message;
  EXPECT_THAT(refused.error().message,
              database_.engine() == db::Engine::sqlite
                  ? HasSubstr("_more: sessions had 2 rows and would have 1")
                  : HasSubstr("_more: adopted_notes had 1 rows and would have 0"));
  EXPECT_EQ(contents(shape()), before);
}

TEST_P(Runner, RowsThatAMigrationTakesAwayByName) {
  database_.migrate_to(database_.head());
  database_.run(kRows);
  const auto all = with_one_more(
      database_,
      "-- fingerprint sqlite: same\n-- fingerprint postgres: same\nDELETE FROM adopted_notes;\n"
      "INSERT INTO \"roles\" (name, created_at, updated_at, prompt) "
      "SELECT 'another', created_at, updated_at, prompt FROM roles;");
  auto done = migrate(database_.connection(), database_.head() + 1, all);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(database_.rows("SELECT * FROM adopted_notes"), IsEmpty());
  EXPECT_THAT(database_.rows("SELECT name FROM roles WHERE name = 'another'"), SizeIs(1));
}

TEST_P(Runner, TheMomentForABackup) {
  std::vector<int> asked;
  RunOptions options;
  options.allow_data_loss = true;
  options.before_first_move = [&](int from) -> base::Result<void> {
    EXPECT_FALSE(database_.connection().in_transaction());
    asked.push_back(from);
    return {};
  };
  auto& connection = database_.connection();
  ASSERT_TRUE(migrate(connection, database_.head(), database_.all(), options));
  EXPECT_THAT(asked, IsEmpty());  // nothing was there
  database_.run(kRows);
  ASSERT_TRUE(migrate(connection, database_.head(), database_.all(), options));
  EXPECT_THAT(asked, IsEmpty());  // nothing is to be done
  ASSERT_TRUE(rollback(connection, 5, database_.all(), options));
  ASSERT_TRUE(migrate(connection, database_.head(), database_.all(), options));
  EXPECT_THAT(asked, ElementsAre(database_.head(), 5));

  options.before_first_move = [](int) -> base::Result<void> {
    return base::Error{.code = base::Code::storage, .message = "no room for a backup"};
  };
  auto stopped = rollback(connection, 5, database_.all(), options);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "no room for a backup");
  EXPECT_EQ(database_.proof().state, State::ready);
}

// What is read in several statements must be of one moment, or the proof would see drift. The way
// up and down again matters: it leaves the history as it was.
TEST_P(Runner, AProofBesideAMigratorSeesNoDrift) {
  database_.migrate_to(database_.head());
  database_.close();
  constexpr int kRounds = 8;
  int asked[2];  // a byte for each round: the child begins it ...
  int done[2];   // ... and has ended it
  ASSERT_EQ(::pipe(asked), 0);
  ASSERT_EQ(::pipe(done), 0);
  char byte = 0;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto connection = db::open(database_.location(), {.access = db::Access::write});
    if (!connection) ::_exit(1);
    for (int round = 0; round < kRounds; ++round) {
      if (::read(asked[0], &byte, 1) != 1) ::_exit(2);
      if (!rollback(**connection, 3, database_.all()) ||
          !migrate(**connection, database_.head(), database_.all()) ||
          !rollback(**connection, database_.head() - 1, database_.all()) ||
          !migrate(**connection, database_.head(), database_.all()))
        ::_exit(3);
      if (::write(done[1], &byte, 1) != 1) ::_exit(4);
    }
    connection->reset();
    ::_exit(0);
  }
  ::close(done[1]);  // so that the end of the child ends the waiting for it
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_EQ(::write(asked[1], &byte, 1), 1);
    pollfd ended = {.fd = done[0], .events = POLLIN, .revents = 0};
    do {
      const Proof proof = database_.proof();
      EXPECT_TRUE(proof.state == State::ready || proof.state == State::behind)
          << proof.error().message;
    } while (::poll(&ended, 1, 0) == 0);
    if (::read(done[0], &byte, 1) != 1) break;
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  for (const int end : {asked[0], asked[1], done[0]}) ::close(end);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(database_.proof().state, State::ready);
}

TEST(RunnerOnSqlite, BrokenKeysOfOtherProgramsAreTheirAffair) {
  TestDatabase database(db::Engine::sqlite);
  database.run(
      "PRAGMA foreign_keys = OFF; CREATE TABLE theirs (id INTEGER PRIMARY KEY, "
      "of INTEGER REFERENCES theirs (id)); INSERT INTO theirs VALUES (1, 7); "
      "CREATE TABLE odd (a INTEGER REFERENCES theirs (of)); PRAGMA foreign_keys = ON");
  database.migrate_to(database.head());
  auto verified = verify(database.connection());
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_TRUE(verified->good());
}

// An adopted database may have them for good: they are verify's to tell, and no migration's doing.
TEST(RunnerOnSqlite, AKeyThatWasBrokenBeforeDoesNotStopIt) {
  TestDatabase database(db::Engine::sqlite);
  database.migrate_to(4);
  database.run(
      "PRAGMA foreign_keys = OFF; INSERT INTO flow_steps (id, flow_template_id, \"order\") "
      "VALUES (5, 77, 1); PRAGMA foreign_keys = ON");
  database.migrate_to(database.head());
  auto verified = verify(database.connection());
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_THAT(verified->broken_references,
              ElementsAre(HasSubstr("row 5 of flow_steps refers to a row of flow_templates that is "
                                    "not there")));
}

TEST(RunnerOnSqlite, AMigrationThatBreaksAKeyIsStopped) {
  TestDatabase database(db::Engine::sqlite);
  database.migrate_to(database.head());
  const auto all = with_one_more(
      database,
      "-- fingerprint sqlite: aa\n-- fingerprint postgres: aa\n"
      "PRAGMA defer_foreign_keys = ON;\n"
      "INSERT INTO flow_steps (id, flow_template_id, \"order\") VALUES (5, 77, 1);\n");
  auto refused = migrate(database.connection(), database.head() + 1, all);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::conflict);
  EXPECT_THAT(refused.error().message,
              HasSubstr("_more: row 5 of flow_steps refers to a row of flow_templates that is not "
                        "there"));
  EXPECT_EQ(database.proof().version, database.head());
}

TEST(RunnerOnPostgres, WhoWaitsTooLongSaysWhy) {
  TestDatabase database(db::Engine::postgres);
  auto other = db::open(database.location(), {.access = db::Access::write});
  ASSERT_TRUE(other);
  // The runner's key: "tertulia" as a number.
  ASSERT_TRUE((*other)->run_script("SELECT pg_advisory_lock(8387235725559228769)"));
  auto late = migrate(database.connection(), 1, database.all(),
                      {.lock_patience = std::chrono::milliseconds(0)});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, base::Code::timeout);
}

// Any statement of any migration may need a table that another session holds.
TEST(RunnerOnPostgres, TablesHeldByOthersAreWaitedForInTurns) {
  TestDatabase database(db::Engine::postgres);
  database.migrate_to(1);
  auto other = db::open(database.location(), {.access = db::Access::write});
  ASSERT_TRUE(other);
  int held = 0;
  for (int version = 2; version <= database.head(); ++version) {
    for (const auto& [table, unused] : shape_of(database).tables) {
      ASSERT_TRUE((*other)->begin());
      ASSERT_TRUE((*other)->run_script(
          fmt::format("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", sql_name(table))));
      auto late = migrate(database.connection(), version, database.all(),
                          {.statement_patience = std::chrono::milliseconds(1),
                           .attempts = 2,
                           .pause = std::chrono::milliseconds(0)});
      (*other)->rollback();
      ASSERT_FALSE(late) << version << " " << table;  // counting its rows needs each
      EXPECT_EQ(late.error().code, base::Code::timeout) << late.error().message;
      EXPECT_FALSE(database.connection().in_transaction());
      EXPECT_EQ(database.proof().version, version - 1);
      ++held;
    }
    // Taken in the middle and given up while we wait: the next attempt does it.
    int attempts = 0;
    RunOptions options{.statement_patience = std::chrono::milliseconds(1),
                       .attempts = 2,
                       .pause = std::chrono::milliseconds(0)};
    options.on_move = [&](const Move&) {
      if (++attempts == 2) return (*other)->rollback();
      ASSERT_TRUE((*other)->begin());
      ASSERT_TRUE((*other)->run_script("LOCK TABLE schema_migrations IN SHARE MODE"));
    };
    auto done = migrate(database.connection(), version, database.all(), options);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(attempts, 2);
  }
  EXPECT_GT(held, 50);
  EXPECT_EQ(database.proof().state, State::ready);
}

}  // namespace
}  // namespace tertulia::schema
