// Every state a database can be in, as the program sees it at its start.
#include "schema/proof.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "schema/test_database.h"

namespace tertulia::schema {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Proving : public OnBothEngines {
 protected:
  void expect(State state, std::string_view why, std::string_view remedy) {
    const Proof proof = database_.proof();
    EXPECT_EQ(state_name(proof.state), state_name(state)) << proof.why;
    EXPECT_THAT(proof.why, HasSubstr(std::string(why)));
    EXPECT_THAT(proof.remedy, HasSubstr(std::string(remedy)));
  }
  void record_newer(bool compatible) {
    database_.run(
        fmt::format("INSERT INTO schema_migrations SELECT {0}, 'newer', 'aa', 'x', 'bb', "
                    "{1}, started_at, finished_at, '0.2.0' FROM schema_migrations "
                    "WHERE version = {0} - 1",
                    database_.head() + 1, compatible ? "TRUE" : "FALSE"));
  }
  std::string head_name() { return database_.all().back().full_name(); }
};
INSTANTIATE_TEST_SUITE_P(, Proving, kBothEngines, engine_of);

TEST_P(Proving, AnEmptyDatabaseIsFresh) {
  expect(State::fresh, "empty", "tertulia db init");
}

TEST_P(Proving, AtTheHeadItIsReady) {
  database_.migrate_to(database_.head());
  const Proof proof = database_.proof();
  EXPECT_TRUE(proof.may_run());
  EXPECT_EQ(proof.version, database_.head());
  EXPECT_THAT(proof.lines(),
              ElementsAre(fmt::format("the schema is {}, as this program needs it", head_name())));
  EXPECT_THAT(proof.remedy, IsEmpty());
}

TEST_P(Proving, BehindNamesWhatIsPending) {
  database_.migrate_to(7);
  const Proof proof = database_.proof();
  EXPECT_EQ(proof.state, State::behind);
  EXPECT_THAT(proof.pending, ElementsAre("0008_leases", "0009_role_settings", "0010_adoption",
                                         "0011_batches", "0012_server"));
  EXPECT_EQ(proof.remedy, "tertulia db migrate");
}

TEST_P(Proving, BehindAndDriftedIsDrifted) {
  database_.migrate_to(7);
  database_.run("DROP INDEX idx_sessions_status");
  expect(State::drifted, "differs from 0007_model_calls in 1 place", "restore a backup");
}

TEST_P(Proving, AheadNamesBothVersions) {
  database_.migrate_to(database_.head());
  record_newer(false);
  expect(State::ahead,
         fmt::format("{:04}_newer (by Tertulia 0.2.0), this program knows {}", database_.head() + 1,
                     head_name()),
         "use Tertulia 0.2.0 or newer");
  EXPECT_FALSE(database_.proof().may_run());
}

TEST_P(Proving, AheadByCompatibleMigrationsMayRun) {
  database_.migrate_to(database_.head());
  record_newer(true);
  database_.run("ALTER TABLE roles ADD COLUMN mood TEXT");
  EXPECT_TRUE(database_.proof().may_run());
  database_.run("ALTER TABLE roles DROP COLUMN settings");
  expect(State::drifted, "in 1 place", "use Tertulia");
}

TEST_P(Proving, AnEditedMigrationIsNamed) {
  database_.migrate_to(database_.head());
  database_.run("UPDATE schema_migrations SET checksum = 'deadbeef0000' WHERE version = 4");
  expect(State::edited, "0004_step_execution_logs was applied with another text", "program");
  database_.run("UPDATE schema_migrations SET name = 'other' WHERE version = 2");
  expect(State::edited, "version 2 is recorded as 0002_other", "program");
}

TEST_P(Proving, AGapIsNamed) {
  database_.migrate_to(database_.head());
  database_.run("DELETE FROM schema_migrations WHERE version = 5");
  expect(State::gap, "version 6 is recorded, but not version 5", "restore");
}

TEST_P(Proving, AnUnfinishedMigrationIsNamed) {
  database_.migrate_to(database_.head());
  database_.run("UPDATE schema_migrations SET finished_at = NULL WHERE version = 9");
  expect(State::unfinished, "0009_role_settings was begun by Tertulia", "restore");
}

TEST_P(Proving, TablesWithoutTheirHistoryAreForeign) {
  database_.migrate_to(4);
  database_.run("DROP TABLE schema_migrations");
  if (GetParam() == db::Engine::sqlite)
    expect(State::older, "of the older system", "tertulia db adopt /");
  else
    expect(State::foreign, "it has the tables flow_steps, flow_templates, messages", "--db");
}

TEST_P(Proving, ForeignTablesDoNotMatter) {
  std::string script;
  for (int i = 0; i < 200; ++i)
    script += fmt::format("CREATE TABLE theirs_{0} (a INTEGER, b TEXT UNIQUE);", i);
  database_.run(script);
  EXPECT_EQ(database_.proof().state, State::fresh);
  database_.migrate_to(database_.head());
  EXPECT_EQ(database_.proof().state, State::ready);
}

TEST_P(Proving, VerifyFindsRowsThatReferToNothing) {
  database_.migrate_to(database_.head());
  auto good = verify(database_.connection());
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_TRUE(good->good());

  const bool sqlite = GetParam() == db::Engine::sqlite;
  database_.run(sqlite ? "PRAGMA foreign_keys = OFF" : "SET session_replication_role = replica");
  database_.run(
      "INSERT INTO machine_states (session_id, state, updated_at) "
      "VALUES (77, '{}', '2026-01-02T03:04:05Z')");
  auto broken = verify(database_.connection());
  ASSERT_TRUE(broken) << broken.error().message;
  EXPECT_THAT(
      broken->broken_references,
      ElementsAre("row 77 of machine_states refers to a row of sessions that is not there"));
  EXPECT_FALSE(broken->good());
}

TEST(ProvingAFile, AnAbsentOneIsFreshAndStaysAbsent) {
  const test::TempDir folder;
  const std::string path = folder.file("none.db");
  auto proof = prove_at({db::Engine::sqlite, path});
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->state, State::fresh);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ProvingAFile, AnEmptyOneIsFresh) {
  const test::TempDir folder;
  const std::string path = folder.file("empty.db");
  std::ofstream(path).close();
  auto proof = prove_at({db::Engine::sqlite, path});
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->state, State::fresh);
  EXPECT_EQ(std::filesystem::file_size(path), 0U);
}

TEST(ProvingAFile, OneThatIsNoDatabaseIsAnErrorThatSaysSo) {
  const test::TempDir folder;
  const std::string path = folder.file("letter.txt");
  std::ofstream(path) << "Dear reader, this is a letter and not a database.";
  auto proof = prove_at({db::Engine::sqlite, path});
  ASSERT_FALSE(proof);
  EXPECT_THAT(proof.error().message, HasSubstr("not a SQLite database"));
}

}  // namespace
}  // namespace tertulia::schema
