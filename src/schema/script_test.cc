// What an author may say in a migration's comments, and what is refused. What it does is in
// runner_directives_test.
#include "schema/script.h"

#include <gmock/gmock.h>

#include "schema/online_index.h"

namespace tertulia::schema {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr auto kSqlite = db::Engine::sqlite;
constexpr auto kPostgres = db::Engine::postgres;

TEST(ScriptTest, AStatementKnowsWhatIsSaidAboveIt) {
  const auto script = parse_script(kSqlite,
                                   "-- fingerprint sqlite: aa\n"
                                   "-- check: no topic is empty\n"
                                   "SELECT id FROM sessions WHERE topic = '';\n"
                                   "ALTER TABLE roles DROP COLUMN motto;  -- rebuild: nothing\n"
                                   "-- rebuild: messages\n"
                                   "-- rebuild-value: content = trim(content) || '='\n"
                                   "-- rebuild-value: id = id\n"
                                   "-- rebuild-without: idx_old\r\n"
                                   "-- Why it is so.\n"
                                   "CREATE TABLE messages (id INTEGER PRIMARY KEY, content TEXT);");
  ASSERT_TRUE(script) << script.error().message;
  ASSERT_THAT(script->checks, SizeIs(1));
  EXPECT_EQ(script->checks[0].words, "no topic is empty");
  EXPECT_THAT(std::string(script->checks[0].sql), testing::StartsWith("SELECT id"));
  ASSERT_THAT(script->statements, SizeIs(2));
  EXPECT_FALSE(script->statements[0].rebuild);
  ASSERT_TRUE(script->statements[1].rebuild);
  EXPECT_EQ(script->statements[1].rebuild->table, "messages");
  using Values = std::map<std::string, std::string>;
  EXPECT_EQ(script->statements[1].rebuild->options.values,
            (Values{{"content", "trim(content) || '='"}, {"id", "id"}}));
  EXPECT_EQ(script->statements[1].rebuild->options.without, std::set<std::string>{"idx_old"});
  ASSERT_THAT(script->dropped, SizeIs(1));
  EXPECT_EQ(script->dropped[0].column, "motto");
  EXPECT_FALSE(script->outside_transaction);
}

TEST(ScriptTest, WhatIsSaidOfTheWrongThingIsRefused) {
  const struct {
    db::Engine engine;
    std::string_view text;
    std::string_view words;
  } cases[] = {
      {kSqlite, "-- check: all is well\nDELETE FROM roles;", "there must be a SELECT"},
      {kSqlite, "-- check: one\n-- check: two\nSELECT 1;", "there must be a SELECT"},
      {kSqlite, "-- rebuild: roles\nCREATE TABLE messages (id INTEGER);", "CREATE TABLE roles"},
      {kSqlite, "-- rebuild: roles\nDROP TABLE roles;", "CREATE TABLE roles"},
      {kSqlite, "-- rebuild-value: a = b\nDROP TABLE roles;", "belong below '-- rebuild: TABLE'"},
      {kSqlite, "-- rebuild: t\n-- rebuild-value: a\nCREATE TABLE t (a);", "COLUMN = EXPRESSION"},
      {kPostgres, "-- rebuild: t\nCREATE TABLE t (a INT);", "is for SQLite"},
      {kSqlite, "-- outside-transaction: yes\nCREATE INDEX i ON t (a);", "is for PostgreSQL"},
      {kPostgres, "CREATE INDEX CONCURRENTLY i ON t (a);", "-- outside-transaction: yes"},
      {kPostgres, "-- outside-transaction: yes\nCREATE INDEX i ON t (a);", "nothing else"},
      {kPostgres, "-- outside-transaction: yes\nCREATE INDEX CONCURRENTLY ON t (a);", "name"},
      {kPostgres, "-- outside-transaction: yes\nREINDEX INDEX CONCURRENTLY i;", "name"},
  };
  for (const auto& each : cases) {
    const auto script = parse_script(each.engine, each.text);
    ASSERT_FALSE(script) << each.text;
    EXPECT_EQ(script.error().code, base::Code::invalid);
    EXPECT_THAT(script.error().message, HasSubstr(each.words)) << each.text;
  }
}

TEST(ScriptTest, IndexesMadeWhileOthersWrite) {
  const auto script =
      parse_script(kPostgres,
                   "-- outside-transaction: yes\n"
                   "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"Odd one\" ON t (a);\n"
                   "DROP INDEX CONCURRENTLY IF EXISTS old;");
  ASSERT_TRUE(script) << script.error().message;
  EXPECT_TRUE(script->outside_transaction);
  const auto indexes = internal::online_indexes(*script);
  ASSERT_THAT(indexes, SizeIs(2));
  EXPECT_EQ(indexes[0].name, "Odd one");
  EXPECT_TRUE(indexes[0].is_made);
  EXPECT_EQ(indexes[1].name, "old");
  EXPECT_FALSE(indexes[1].is_made);
  EXPECT_EQ(internal::without_concurrently(script->statements[1].sql), "DROP INDEX  IF EXISTS old");
}

}  // namespace
}  // namespace tertulia::schema
