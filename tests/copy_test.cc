// A database moved to the other engine and back by the real program: the same content, sessions
// that go on, an adopted file with its orphans, and a program that is killed midway.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>

#include "base/json.h"
#include "support/flows.h"
#include "support/legacy_database.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Every table of Tertulia's with every row; its own history of migrations is each database's.
std::map<std::string, std::vector<std::string>> contents_of(const std::string& path) {
  std::map<std::string, std::vector<std::string>> all;
  for (const auto& table : query_sql(path,
                                     "SELECT name FROM sqlite_schema WHERE type = 'table' AND name "
                                     "NOT LIKE 'sqlite%' AND name <> 'schema_migrations'"))
    all[table] = query_sql(path, "SELECT * FROM \"" + table + "\" ORDER BY 1");
  return all;
}

class CopyTest : public ::testing::Test {
 protected:
  void perform(int times) {
    const std::string flow = world_.write("flow.yaml", kLoopingFlow);
    for (int i = 0; i < times; ++i) {
      const Finished run = world_.run({"run", flow, "--model", "rehearsal"});
      ASSERT_EQ(run.status, 0) << run.err;
    }
    const Finished half = world_.run({"run", flow, "--model", "rehearsal", "--max-steps", "3"});
    ASSERT_EQ(half.status, 5) << half.err;
  }
  base::json::object copy(const std::string& from, const std::string& to) {
    const Finished done = world_.run({"--json", "db", "copy", from, to});
    EXPECT_EQ(done.status, 0) << done.out << done.err;
    const auto report = base::parse_json(done.out);
    EXPECT_TRUE(report) << done.out;
    return report && report->is_object() ? report->as_object() : base::json::object();
  }
  void verify(const std::string& database) {
    World there = world_;
    there.database = database;
    const Finished verified = there.run({"db", "verify"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }

  World world_;
};

TEST_F(CopyTest, ToPostgresAndBackIsTheSameTableByTableAndGoesOn) {
  perform(2);
  const std::string postgres = PostgresServer::shared().create_database();
  const std::string back = world_.path("back.db");
  const auto there = copy(world_.database, postgres);
  EXPECT_EQ(there.at("sessions_replayed").to_number<int>(), 3);
  verify(postgres);
  copy(postgres, back);
  verify(back);
  EXPECT_EQ(contents_of(back), contents_of(world_.database));

  // Each of the two goes on where the original stands, with ids that are free.
  for (const std::string& database : {postgres, back}) {
    World there_world = world_;
    there_world.database = database;
    const Finished stepped = there_world.run({"session", "step", "3"});
    EXPECT_EQ(stepped.status, 5) << stepped.out << stepped.err;
    const Finished fresh =
        there_world.run({"run", world_.path("flow.yaml"), "--model", "rehearsal"});
    EXPECT_EQ(fresh.status, 0) << fresh.err;
    verify(database);
  }
  EXPECT_EQ(query_sql(back, "SELECT max(id) FROM sessions"), std::vector<std::string>{"4"});
}

TEST_F(CopyTest, ToldToPeopleAsATableWithoutThePassword) {
  perform(1);
  const Finished done = world_.run({"db", "copy", world_.database, world_.path("copy.db")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("messages"));
  EXPECT_THAT(done.out, HasSubstr("read back and equal"));
  EXPECT_THAT(done.out, HasSubstr("2 sessions replayed: every log explains its session"));
  EXPECT_EQ(done.err, "");

  const Finished twice = world_.run({"db", "copy", world_.database, world_.path("copy.db")});
  EXPECT_EQ(twice.status, 2);
  EXPECT_THAT(twice.err, HasSubstr("is not empty: it has "));
  EXPECT_THAT(twice.err, HasSubstr("1 row in flow_templates"));
  const Finished nowhere =
      world_.run({"db", "copy", world_.database, "postgresql://nobody:secret@127.0.0.1:1/none"});
  EXPECT_EQ(nowhere.status, 3) << nowhere.err;
  EXPECT_THAT(nowhere.err + nowhere.out, Not(HasSubstr("secret")));
  EXPECT_EQ(world_.run({"db", "copy", world_.path("absent"), world_.path("new.db")}).status, 2);
  EXPECT_EQ(world_.run({"db", "copy", world_.database}).status, 2);
}

TEST_F(CopyTest, AnAdoptedFileWithOrphansIsSoundOnPostgres) {
  build_legacy_database(world_.database);
  const Finished adopted =
      world_.run({"db", "adopt", world_.database, "--in-place", "--model", "rehearsal"});
  ASSERT_EQ(adopted.status, 0) << adopted.out << adopted.err;
  const auto orphans =
      query_sql(world_.database,
                "SELECT m.name || '.' || l.\"from\" || ' ' || f.rowid FROM sqlite_schema m "
                "JOIN pragma_foreign_key_check(m.name) f JOIN pragma_foreign_key_list(m.name) l "
                "ON l.id = f.fkid WHERE m.type = 'table' ORDER BY 1");
  ASSERT_FALSE(orphans.empty());

  const std::string postgres = PostgresServer::shared().create_database();
  const auto report = copy(world_.database, postgres);
  std::vector<std::string> told;
  for (const auto& each : report.at("orphans").as_array()) {
    const auto& one = each.as_object();
    told.push_back(std::string(one.at("table").as_string()) + "." +
                   std::string(one.at("column").as_string()) + " " +
                   std::to_string(one.at("id").to_number<int>()));
  }
  EXPECT_THAT(told, testing::UnorderedElementsAreArray(orphans));
  EXPECT_GT(report.at("sessions_replayed").to_number<int>(), 0);
  verify(postgres);

  const std::string back = world_.path("back.db");
  copy(postgres, back);
  EXPECT_EQ(query_sql(back, "SELECT count(*) FROM adopted_notes WHERE kind = 'copied'"),
            std::vector<std::string>{std::to_string(orphans.size())});
  EXPECT_EQ(query_sql(back, "SELECT id, content FROM messages ORDER BY id"),
            query_sql(world_.database, "SELECT id, content FROM messages ORDER BY id"));
}

class KilledCopyTest : public CopyTest, public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(, KilledCopyTest,
                         testing::Values("db.commit.before=kill@3", "db.commit.after=kill@5",
                                         "db.script.statement=kill@40", "copy.table=kill@1",
                                         "copy.table=kill@8", "copy.page=kill@9",
                                         "copy.commit=kill"),
                         [](const auto& each) { return std::to_string(each.index); });

TEST_P(KilledCopyTest, LeavesNoRowAndIsDoneAgain) {
  perform(1);
  for (const std::string& to :
       {world_.path("copy.db"), PostgresServer::shared().create_database()}) {
    World struck = world_;
    struck.environment["TERTULIA_FAILPOINTS"] = GetParam();
    const Finished killed = struck.run({"db", "copy", world_.database, to});
    ASSERT_EQ(killed.signal, SIGKILL) << "the failpoint was not passed: " << killed.err;
    const auto report = copy(world_.database, to);
    EXPECT_EQ(report.at("sessions_replayed").to_number<int>(), 2);
    verify(to);
  }
  EXPECT_EQ(contents_of(world_.path("copy.db")), contents_of(world_.database));
}

}  // namespace
}  // namespace tertulia::test
