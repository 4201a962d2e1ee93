// Databases of the older system, in every state in which they are found: named at the start,
// adopted without a row lost, and gone on with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/clock.h"
#include "base/json.h"
#include "support/legacy_database.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> columns_of(const std::string& path, const std::string& table) {
  return query_sql(path, "SELECT name FROM pragma_table_info('" + table + "')");
}

std::vector<std::string> tables_of(const std::string& path) {
  return query_sql(path,
                   "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                   "'sqlite%' ORDER BY name");
}

// Every table with every row: what two files must share to be the same.
std::map<std::string, std::vector<std::string>> contents_of(const std::string& path) {
  std::map<std::string, std::vector<std::string>> all;
  for (const auto& table : tables_of(path))
    all[table] = query_sql(path, "SELECT * FROM \"" + table + "\" ORDER BY 1");
  return all;
}

class AdoptTest : public ::testing::Test {
 protected:
  // The older system's file stands where this world's database is.
  void build(const LegacyShape& shape = {}) {
    build_legacy_database(world_.database, shape);
    original_ = world_.path("original.db");
    fs::copy_file(world_.database, original_, fs::copy_options::overwrite_existing);
  }

  Finished adopt_in_place() {
    Finished done =
        world_.run({"db", "adopt", world_.database, "--in-place", "--model", "rehearsal"});
    EXPECT_EQ(done.status, 0) << done.out << done.err;
    return done;
  }

  std::vector<std::string> speakers(int session) {
    std::vector<std::string> refs;
    const Finished said = world_.run({"session", "messages", std::to_string(session), "--json"});
    EXPECT_EQ(said.status, 0) << said.err;
    std::istringstream lines(said.out);
    for (std::string line; std::getline(lines, line);) {
      auto message = base::parse_json(line);
      if (!message) {
        ADD_FAILURE() << line;
        continue;
      }
      refs.emplace_back(message->at("role").as_string());
    }
    return refs;
  }

  std::string status_of(int session) {
    const auto rows = query_sql(
        world_.database, "SELECT status FROM sessions WHERE id = " + std::to_string(session));
    return rows.empty() ? std::string("none") : rows.front();
  }

  // Every value of the original is in its place, or it is kept beside it.
  void expect_nothing_lost() {
    for (const auto& table : tables_of(original_)) {
      const auto before = columns_of(original_, table);
      const auto now = columns_of(world_.database, table);
      for (const auto& column : before) {
        const std::string sql =
            "SELECT " + before.front() + ", \"" + column + "\" FROM \"" + table + "\" ORDER BY 1";
        const bool has_place = std::find(now.begin(), now.end(), column) != now.end();
        std::map<std::string, std::string> values;
        if (has_place)
          for (const auto& row : query_sql(world_.database, sql))
            values[row.substr(0, row.find('|'))] = row.substr(row.find('|') + 1);
        std::set<std::string> leftovers;
        for (const auto& row : query_sql(world_.database,
                                         "SELECT row_id, value FROM adopted_leftovers WHERE "
                                         "table_name = '" +
                                             table + "' AND column_name = '" + column + "'"))
          leftovers.insert(row);
        for (const auto& row : query_sql(original_, sql)) {
          const std::string id = row.substr(0, row.find('|'));
          const std::string value = row.substr(row.find('|') + 1);
          if (value == "NULL" || leftovers.contains(row)) continue;
          ASSERT_TRUE(has_place) << table << "." << column << " " << row;
          ASSERT_TRUE(values.contains(id)) << table << " has no row " << id;
          const auto time = base::parse_iso8601(value);
          if (values[id] == value || (time && values[id] == base::to_iso8601(*time))) continue;
          ADD_FAILURE() << table << " " << id << "." << column << ": '" << value.substr(0, 80)
                        << "' became '" << values[id].substr(0, 80) << "'";
        }
      }
    }
  }

  World world_;
  std::string original_;
};

TEST_F(AdoptTest, TheFoundingStateIsNamedAndMended) {
  build();
  const Finished status = world_.run({"db", "status"});
  EXPECT_EQ(status.status, 3);
  EXPECT_THAT(status.out, HasSubstr("step_execution_logs"));
  EXPECT_THAT(status.out, HasSubstr("tertulia db adopt " + world_.database));
  const Finished refused = world_.run({"session", "step", "1"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_THAT(refused.err, HasSubstr("step_execution_logs"));
  EXPECT_THAT(refused.err, HasSubstr("tertulia db adopt"));
  EXPECT_EQ(contents_of(world_.database), contents_of(original_)) << "it was only looked at";

  adopt_in_place();
  EXPECT_EQ(world_.run({"db", "status"}).status, 0);
  const Finished verified = world_.run({"db", "verify"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  const Finished stepped = world_.run({"session", "step", "1"});
  EXPECT_EQ(stepped.status, 5) << stepped.err;
  EXPECT_THAT(speakers(1), testing::ElementsAre("Jonh", "Mason"));
  EXPECT_THAT(query_sql(world_.database,
                        "SELECT execution_order, status FROM step_execution_logs WHERE "
                        "session_id = 1 ORDER BY 1"),
              testing::ElementsAre("1|completed", "2|completed", "3|pending"));
}

TEST_F(AdoptTest, TheFoundingFlowGoesOnFromEveryStoppingPoint) {
  build();
  adopt_in_place();
  for (int stopped = 1; stopped <= 10; ++stopped) {
    const std::string id = std::to_string(stopped);
    EXPECT_EQ(status_of(stopped), stopped == 9    ? "finished"
                                  : stopped == 10 ? "not_started"
                                                  : "paused");
    const Finished resumed = world_.run({"session", "resume", id});
    EXPECT_EQ(resumed.status, 0) << id << resumed.err;
    EXPECT_EQ(speakers(stopped), kFoundingSpeakers) << "stopped after " << id;
    EXPECT_EQ(status_of(stopped), "finished");
  }
  const Finished verified = world_.run({"db", "verify"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

TEST_F(AdoptTest, TemplatesAreFlowsThatAreShownExportedImportedAndRun) {
  build();
  adopt_in_place();
  for (const char* name : {"adopted-1", "adopted-2", "adopted-3"}) {
    const Finished shown = world_.run({"flow", "show", name});
    EXPECT_EQ(shown.status, 0) << name << shown.err;
    const Finished exported = world_.run({"flow", "export", name});
    ASSERT_EQ(exported.status, 0) << exported.err;
    const std::string file = world_.write(std::string(name) + ".yaml", exported.out);
    const Finished imported = world_.run({"flow", "import", file});
    EXPECT_EQ(imported.status, 0) << name << imported.err;
    EXPECT_THAT(imported.out, HasSubstr("version 1 already"));
    const Finished run = world_.run({"run", file, "--model", "rehearsal", "--seed", "7"});
    EXPECT_EQ(run.status, 0) << name << run.err;
  }
  const auto last =
      query_sql(world_.database, "SELECT max(id) FROM sessions WHERE flow_template_id = 1");
  EXPECT_EQ(speakers(std::stoi(last.front())), kFoundingSpeakers);
}

TEST_F(AdoptTest, TheReviewersAcceptanceEndsTheSession) {
  build();
  adopt_in_place();
  for (int id = 31; id <= 36; ++id)
    EXPECT_EQ(status_of(id), id % 2 == 0 ? "finished" : "paused") << id;
}

TEST_F(AdoptTest, EverySessionSaysHowItStands) {
  build();
  adopt_in_place();
  const std::map<int, std::string> unfit = {
      {14, "message 1"}, {39, "before the end"}, {40, "no steps"}, {41, "Tom"}, {42, "template"}};
  for (const auto& [id, why] : unfit) {
    const std::string text = std::to_string(id);
    EXPECT_EQ(world_.run({"session", "show", text}).status, 0) << id;
    EXPECT_EQ(world_.run({"session", "export", text, "--format", "json"}).status, 0) << id;
    EXPECT_FALSE(speakers(id).empty()) << id;
    const Finished stepped = world_.run({"session", "step", text});
    EXPECT_NE(stepped.status, 0) << id;
    EXPECT_THAT(stepped.err, HasSubstr(why)) << id;
  }
  EXPECT_EQ(status_of(37), "paused");
  EXPECT_EQ(world_.run({"session", "retry", "37"}).status, 0);
  EXPECT_EQ(speakers(37), kFoundingSpeakers);
  EXPECT_EQ(status_of(38), "terminated");
}

TEST_F(AdoptTest, ASecondTimeChangesNothing) {
  build();
  adopt_in_place();
  const auto before = contents_of(world_.database);
  const Finished again = adopt_in_place();
  EXPECT_THAT(again.out, HasSubstr("nothing was changed"));
  EXPECT_EQ(contents_of(world_.database), before);
}

TEST_F(AdoptTest, ACopyIsAdoptedUnlessTheFileIsMeant) {
  build();
  const Finished copied = world_.run({"db", "adopt", world_.database, "--model", "rehearsal"});
  ASSERT_EQ(copied.status, 0) << copied.out << copied.err;
  EXPECT_EQ(contents_of(world_.database), contents_of(original_));
  World copy = world_;
  copy.database = world_.database + ".adopted";
  EXPECT_EQ(copy.run({"db", "verify"}).status, 0);
  EXPECT_EQ(copy.run({"session", "resume", "3"}).status, 0);
  const Finished again = world_.run({"db", "adopt", world_.database});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("nothing was changed"));
}

TEST_F(AdoptTest, WhatIsWrongIsReportedByTableAndId) {
  build();
  const Finished adopted =
      world_.run({"db", "adopt", world_.database, "--in-place", "--model", "rehearsal", "--json"});
  ASSERT_EQ(adopted.status, 0) << adopted.err;
  auto report = base::parse_json(adopted.out);
  ASSERT_TRUE(report) << adopted.out;
  std::set<std::string> notes;
  for (const auto& each : report->at("notes").as_array()) {
    const auto* id = each.as_object().if_contains("id");
    notes.insert(std::string(each.at("kind").as_string()) + " " +
                 std::string(each.at("table").as_string()) +
                 (id == nullptr ? "" : " " + std::to_string(id->as_int64())));
  }
  const std::string first_of_14 =
      query_sql(original_, "SELECT min(id) FROM messages WHERE session_id = 14").front();
  const std::string first_of_5 =
      query_sql(original_, "SELECT min(id) FROM messages WHERE session_id = 5").front();
  const std::string twice =
      query_sql(original_, "SELECT id FROM session_roles WHERE role_id = 404").front();
  for (const std::string& note :
       {std::string("missing step_execution_logs"), std::string("missing sessions 3"),
        std::string("dropped sessions"), "speaker messages " + first_of_5,
        "orphan messages " + first_of_14, "orphan session_roles " + twice,
        "renamed session_roles " + twice, std::string("unfit sessions 41"),
        std::string("unfit flow_templates 4"), std::string("ignored flow_steps 2"),
        std::string("adopted flow_templates 1")})
    EXPECT_THAT(notes, testing::Contains(note));
  EXPECT_EQ(report->at("sessions").at("all").as_int64(), 42);
}

// A log that began when half of the session was said, one that broke off in a step, and one that
// failed: rows of the older system keep what they hold, and stand where their messages do.
TEST_F(AdoptTest, ALogOfTheOlderSystemIsCompletedAndGoneOnWith) {
  build({.has_log = true});
  execute_sql(world_.database,
              "INSERT INTO step_execution_logs (session_id, step_id, execution_order, status, "
              "loop_iteration) VALUES (4, 1, 1, 'completed', 7), (4, 2, 2, 'completed', 7), "
              "(4, 1, 3, 'running', 7), (5, 1, 1, 'completed', 0), (5, 2, 2, 'failed', 0), "
              "(6, 3, 9, 'completed', 0)");
  fs::copy_file(world_.database, original_, fs::copy_options::overwrite_existing);
  adopt_in_place();
  expect_nothing_lost();
  EXPECT_THAT(query_sql(world_.database,
                        "SELECT execution_order, status, loop_iteration FROM step_execution_logs "
                        "WHERE session_id = 4 ORDER BY 1"),
              testing::ElementsAre("1|completed|0", "2|completed|0", "3|completed|7",
                                   "4|completed|7", "5|running|7"));
  for (const int id : {4, 5}) {
    EXPECT_EQ(world_.run({"session", "resume", std::to_string(id)}).status, 0) << id;
    EXPECT_EQ(speakers(id), kFoundingSpeakers) << id;
  }
  const Finished unfit = world_.run({"session", "resume", "6"});
  EXPECT_THAT(unfit.err, HasSubstr("row 9 of its log"));
  const Finished verified = world_.run({"db", "verify"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

TEST_F(AdoptTest, OrdersThatRacedAreRenumberedAndReported) {
  build({.has_log = true, .has_log_indexes = true, .has_log_rows = true});
  execute_sql(world_.database,
              "INSERT INTO step_execution_logs (session_id, step_id, execution_order, status) "
              "VALUES (2, 2, 2, 'completed')");
  fs::copy_file(world_.database, original_, fs::copy_options::overwrite_existing);
  const Finished adopted = adopt_in_place();
  EXPECT_THAT(adopted.out, HasSubstr("renumbered"));
  EXPECT_THAT(query_sql(world_.database,
                        "SELECT execution_order FROM step_execution_logs WHERE session_id = 2 "
                        "ORDER BY 1"),
              testing::ElementsAre("1", "2", "3"));
  expect_nothing_lost();
}

struct NamedShape {
  const char* name;
  LegacyShape shape;
};
class EveryShape : public AdoptTest, public testing::WithParamInterface<NamedShape> {};

TEST_P(EveryShape, IsAdoptedWithEveryRowAndVerified) {
  build(GetParam().shape);
  EXPECT_EQ(world_.run({"db", "status"}).status, 3);
  adopt_in_place();
  expect_nothing_lost();
  const Finished verified = world_.run({"db", "verify"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  const auto& lost = GetParam().shape.lost;
  if (!lost.empty()) return;
  EXPECT_EQ(world_.run({"session", "resume", "4"}).status, 0);
  EXPECT_EQ(speakers(4), kFoundingSpeakers);
}

INSTANTIATE_TEST_SUITE_P(
    , EveryShape,
    testing::Values(NamedShape{"Founding", {}}, NamedShape{"LogWithoutIndexes", {.has_log = true}},
                    NamedShape{"LogWithIndexes", {.has_log = true, .has_log_indexes = true}},
                    NamedShape{"LogWithRows",
                               {.has_log = true, .has_log_indexes = true, .has_log_rows = true}},
                    NamedShape{"WithoutTopic", {.has_topic = false, .has_knowledge_column = false}},
                    NamedShape{"WithoutAlembic", {.has_alembic = false, .has_triggers = false}},
                    NamedShape{"Plain",
                               {.has_leftover_columns = false,
                                .has_triggers = false,
                                .has_knowledge_tables = false,
                                .has_decay = false}},
                    NamedShape{"StepsLost", {.lost = {"flow_steps"}}},
                    NamedShape{"MessagesLost", {.lost = {"messages"}}}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_F(AdoptTest, WhatIsNotTheOlderSystemsIsRefused) {
  const auto refused = [&](const std::string& file, const std::string& words) {
    const Finished done = world_.run({"db", "adopt", file, "--in-place"});
    EXPECT_NE(done.status, 0) << file;
    EXPECT_THAT(done.err, HasSubstr(words)) << file;
  };
  refused(world_.path("absent.db"), "tertulia db init");
  EXPECT_FALSE(fs::exists(world_.path("absent.db")));
  refused(world_.write("empty.db", ""), "tertulia db init");
  refused(world_.write("text.db", "This is a letter to a friend, and no database at all. " +
                                      std::string(2000, '.')),
          "not a");
  const std::string other = world_.path("other.db");
  execute_sql(other,
              "CREATE TABLE sessions (id INTEGER, cookie TEXT); INSERT INTO sessions "
              "VALUES (1, 'x')");
  const auto before = contents_of(other);
  refused(other, "no database of the older system");
  EXPECT_EQ(contents_of(other), before);
}

TEST_F(AdoptTest, TheFoundingProcedure) {
  build();
  EXPECT_EQ(world_.run({"session", "step", "4"}).status, 3);
  for (const char* command : {"plan", "migrate"}) {
    const Finished refused = world_.run({"db", command});
    EXPECT_EQ(refused.status, 3) << command;
    EXPECT_THAT(refused.err, HasSubstr("tertulia db adopt")) << command;
  }
  World copy = world_;
  copy.database = world_.path("copy.db");
  ASSERT_EQ(
      world_.run({"db", "adopt", world_.database, "--to", copy.database, "--model", "rehearsal"})
          .status,
      0);
  EXPECT_EQ(copy.run({"db", "verify"}).status, 0);
  EXPECT_EQ(copy.run({"session", "step", "4"}).status, 5);

  const std::string backup = world_.path("before.backup");
  ASSERT_EQ(world_.run({"db", "backup", backup}).status, 0);
  adopt_in_place();
  EXPECT_EQ(world_.run({"session", "step", "4"}).status, 5);
  EXPECT_THAT(query_sql(world_.database,
                        "SELECT count(*) FROM step_execution_logs l JOIN messages m ON "
                        "json_extract(l.result_data, '$.message_id') = m.id WHERE l.session_id = "
                        "4 AND m.session_id = 4"),
              testing::ElementsAre("5"));

  const Finished kept = world_.run({"db", "rollback", "--to", "3"});
  EXPECT_NE(kept.status, 0);
  EXPECT_THAT(kept.err, HasSubstr("--allow-data-loss"));
  const auto messages = query_sql(world_.database, "SELECT id, content FROM messages ORDER BY id");
  const Finished back = world_.run({"db", "rollback", "--to", "3", "--allow-data-loss"});
  ASSERT_EQ(back.status, 0) << back.err;
  EXPECT_THAT(tables_of(world_.database), Not(testing::Contains("step_execution_logs")));
  EXPECT_EQ(query_sql(world_.database, "SELECT id, content FROM messages ORDER BY id"), messages);
  ASSERT_EQ(world_.run({"db", "migrate"}).status, 0);
  EXPECT_EQ(world_.run({"db", "status"}).status, 0);

  const Finished restored = world_.run({"db", "restore", backup});
  ASSERT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(contents_of(world_.database), contents_of(original_));
}

}  // namespace
}  // namespace tertulia::test
