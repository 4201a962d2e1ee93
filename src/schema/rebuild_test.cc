// Rebuilding tables of every kind: nothing of a table's is lost but what was asked for.
#include "schema/rebuild.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/failpoint.h"
#include "schema/test_database.h"

namespace tertulia::schema {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Rebuild : public testing::Test {
 protected:
  base::Result<void> rebuild(std::string_view table, std::string_view sql,
                             const RebuildOptions& options = {}) {
    auto& connection = database_.connection();
    auto off = ForeignKeysOff::begin(connection);
    if (!off) return off.error();
    auto transaction = db::Transaction::begin(connection);
    if (!transaction) return transaction.error();
    if (auto done = rebuild_table(connection, table, sql, options); !done) return done;
    if (auto done = transaction->commit(); !done) return done;
    return off->end();
  }

  void rebuilt(std::string_view table, std::string_view sql, const RebuildOptions& options = {}) {
    auto done = rebuild(table, sql, options);
    ASSERT_TRUE(done) << done.error().message << "\n" << done.error().detail;
    EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("1"));
    EXPECT_THAT(rows("PRAGMA integrity_check"), ElementsAre("ok"));
    EXPECT_THAT(rows("SELECT name FROM sqlite_schema WHERE name LIKE 'rebuilt%'"), IsEmpty());
  }

  std::vector<std::string> rows(std::string_view query) { return database_.rows(query); }
  std::vector<std::string> schema() {
    return rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name");
  }

  void TearDown() override { ASSERT_TRUE(base::arm_failpoints("")); }

  TestDatabase database_{db::Engine::sqlite};
};

TEST_F(Rebuild, AParentWithCascadingChildrenLosesNone) {
  database_.run(R"(
    CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT, gone TEXT);
    CREATE TABLE child (id INTEGER PRIMARY KEY,
                        parent_id INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE);
    CREATE TABLE nulled (id INTEGER PRIMARY KEY,
                         parent_id INTEGER REFERENCES parent ON DELETE SET NULL);
    INSERT INTO parent VALUES (1, 'a', 'x'), (2, 'b', NULL);
    INSERT INTO child VALUES (10, 1), (11, 2), (12, 2);
    INSERT INTO nulled VALUES (20, 1);)");
  rebuilt("parent", "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT NOT NULL)");
  EXPECT_THAT(rows("SELECT * FROM parent"), ElementsAre("1|a", "2|b"));
  EXPECT_THAT(rows("SELECT * FROM child"), ElementsAre("10|1", "11|2", "12|2"));
  EXPECT_THAT(rows("SELECT * FROM nulled"), ElementsAre("20|1"));
  // The children's keys refer to the table as it is now.
  EXPECT_THAT(rows("PRAGMA foreign_key_list(child)"),
              ElementsAre("0|0|parent|parent_id|id|NO ACTION|CASCADE|NONE"));
  EXPECT_FALSE(database_.connection().run_script("INSERT INTO child VALUES (13, 3)"));
  database_.run("DELETE FROM parent WHERE id = 2");
  EXPECT_THAT(rows("SELECT * FROM child"), ElementsAre("10|1"));
}

TEST_F(Rebuild, ATableThatRefersToItself) {
  database_.run(R"(
    CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree (id) ON DELETE CASCADE);
    INSERT INTO tree VALUES (1, 2), (2, NULL), (3, 1);)");
  rebuilt("tree",
          "CREATE TABLE tree (id INTEGER PRIMARY KEY, note TEXT DEFAULT 'none', "
          "up INTEGER REFERENCES tree (id) ON DELETE CASCADE)");
  EXPECT_THAT(rows("SELECT id, up, note FROM tree"),
              ElementsAre("1|2|none", "2|NULL|none", "3|1|none"));
  EXPECT_THAT(rows("PRAGMA foreign_key_list(tree)"),
              ElementsAre("0|0|tree|up|id|NO ACTION|CASCADE|NONE"));
  database_.run("DELETE FROM tree WHERE id = 1");
  EXPECT_THAT(rows("SELECT id FROM tree"), ElementsAre("2"));
}

TEST_F(Rebuild, CompositeKeysWithoutRowid) {
  database_.run(R"(
    CREATE TABLE pairs (a TEXT, b INTEGER, value REAL, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE TABLE of_pairs (a TEXT, b INTEGER, FOREIGN KEY (a, b) REFERENCES pairs (a, b));
    INSERT INTO pairs VALUES ('x', 1, 0.5), ('x', 2, NULL);
    INSERT INTO of_pairs VALUES ('x', 2);)");
  rebuilt("pairs",
          "CREATE TABLE pairs (a TEXT NOT NULL, b INTEGER, value REAL, extra BLOB, "
          "PRIMARY KEY (a, b)) WITHOUT ROWID");
  EXPECT_THAT(rows("SELECT * FROM pairs"), ElementsAre("x|1|0.5|NULL", "x|2|NULL|NULL"));
  EXPECT_FALSE(database_.connection().run_script("INSERT INTO of_pairs VALUES ('x', 3)"));
  EXPECT_FALSE(database_.connection().run_script("INSERT INTO pairs (a, b) VALUES ('x', 2)"));
}

TEST_F(Rebuild, IndexesOfEveryKind) {
  constexpr std::string_view kIndexes =
      "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name";
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, gone INTEGER);
    CREATE INDEX t_partial ON t (b) WHERE a IS NOT NULL AND b > 0;
    CREATE INDEX t_expression ON t (lower(a), b + 1);
    CREATE INDEX t_descending ON t (b DESC, a COLLATE NOCASE);
    CREATE UNIQUE INDEX t_unique ON t (a);
    CREATE INDEX t_gone ON t (gone);
    INSERT INTO t VALUES (1, 'A', 1, 1), (2, 'B', 2, NULL);)");
  auto before = rows(kIndexes);
  std::erase_if(before, [](const std::string& row) { return row.starts_with("t_gone"); });
  rebuilt("t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)",
          {.values = {}, .without = {"t_gone"}});
  EXPECT_EQ(rows(kIndexes), before);
  EXPECT_FALSE(database_.connection().run_script("INSERT INTO t VALUES (3, 'A', 0)"));
}

TEST_F(Rebuild, TriggersAndViews) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, gone TEXT);
    CREATE TABLE log (words TEXT);
    CREATE VIEW short AS SELECT id, a FROM t;
    CREATE VIEW shorter AS SELECT id FROM short;
    CREATE TRIGGER t_insert AFTER INSERT ON t BEGIN
      INSERT INTO log VALUES (CASE WHEN NEW.a IS NULL THEN 'none' ELSE NEW.a END);
    END;
    CREATE TRIGGER log_insert AFTER INSERT ON log WHEN NEW.words = 'more' BEGIN
      INSERT INTO t (a) VALUES ('again');
    END;
    CREATE TRIGGER short_insert INSTEAD OF INSERT ON short BEGIN
      INSERT INTO t (a) VALUES (NEW.a);
    END;
    INSERT INTO t VALUES (1, 'one', 'x');)");
  rebuilt("t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)");
  // Copying rows is not inserting them.
  EXPECT_THAT(rows("SELECT * FROM log"), ElementsAre("one"));
  EXPECT_THAT(rows("SELECT * FROM short"), ElementsAre("1|one"));
  database_.run("INSERT INTO short (a) VALUES ('two'); INSERT INTO log VALUES ('more')");
  EXPECT_THAT(rows("SELECT id, a FROM t"), ElementsAre("1|one", "2|two", "3|again"));
  EXPECT_THAT(rows("SELECT * FROM log"), ElementsAre("one", "two", "more", "again"));
}

TEST_F(Rebuild, GeneratedColumns) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER,
                    twice INTEGER GENERATED ALWAYS AS (a * 2) VIRTUAL,
                    kept INTEGER AS (a + 1) STORED);
    CREATE INDEX t_twice ON t (twice);
    INSERT INTO t (id, a) VALUES (1, 5);)");
  // One stays generated, one becomes a column of its own, a third is new.
  rebuilt("t",
          "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, twice INTEGER GENERATED ALWAYS AS "
          "(a * 2) VIRTUAL, kept INTEGER, thrice INTEGER AS (a * 3) STORED)");
  EXPECT_THAT(rows("SELECT id, a, twice, kept, thrice FROM t"), ElementsAre("1|5|10|6|15"));
  database_.run("UPDATE t SET a = 6, kept = 1");
  EXPECT_THAT(rows("SELECT id, a, twice, kept, thrice FROM t"), ElementsAre("1|6|12|1|18"));
}

TEST_F(Rebuild, NumbersOnceUsedAreNotUsedAgain) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT);
    CREATE TABLE empty (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT);
    CREATE TABLE other (id INTEGER PRIMARY KEY AUTOINCREMENT);
    INSERT INTO t VALUES (1, 'a'), (41, 'b'); DELETE FROM t WHERE id = 41;
    INSERT INTO empty VALUES (7, 'a'); DELETE FROM empty;
    INSERT INTO other VALUES (3);)");
  for (const auto* name : {"t", "empty"})
    rebuilt(name,
            fmt::format("CREATE TABLE {} (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, b)", name));
  database_.run("INSERT INTO t (a) VALUES ('c'); INSERT INTO empty (a) VALUES ('c')");
  EXPECT_THAT(rows("SELECT id FROM t"), ElementsAre("1", "42"));
  EXPECT_THAT(rows("SELECT id FROM empty"), ElementsAre("8"));
  EXPECT_THAT(rows("SELECT name, seq FROM sqlite_sequence ORDER BY name"),
              ElementsAre("empty|8", "other|3", "t|42"));
  // The counter can be got, and be given up.
  rebuilt("t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  EXPECT_THAT(rows("SELECT name FROM sqlite_sequence ORDER BY name"),
              ElementsAre("empty", "other"));
  rebuilt("t", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)");
  EXPECT_THAT(rows("SELECT seq FROM sqlite_sequence WHERE name = 't'"), ElementsAre("42"));
}

TEST_F(Rebuild, ValuesFromExpressions) {
  database_.run(R"(
    CREATE TABLE "group" (id INTEGER PRIMARY KEY, "select" TEXT, "a""b" TEXT, Old TEXT);
    INSERT INTO "group" VALUES (1, ' x ', 'q', 'o');)");
  rebuilt("group",
          R"(CREATE TABLE "group" (id INTEGER PRIMARY KEY, "a""b" TEXT, trimmed TEXT NOT NULL,
                                   old VARCHAR(20)))",
          {.values = {{"trimmed", "trim(\"select\")"}}, .without = {}});
  EXPECT_THAT(rows("SELECT * FROM \"group\""), ElementsAre("1|q|x|o"));
}

TEST_F(Rebuild, WhatIsRefusedLeavesTheTable) {
  database_.run(R"(
    CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, a TEXT, b TEXT);
    CREATE TABLE c (id INTEGER PRIMARY KEY, code TEXT REFERENCES p (code), p_id INTEGER);
    CREATE INDEX p_b ON p (b);
    CREATE TABLE l (words TEXT);
    INSERT INTO p VALUES (1, 'x', 'same', NULL), (2, 'y', 'same', 'b');
    INSERT INTO c VALUES (1, 'x', 1), (2, 'y', 99);)");
  const auto before = schema();
  struct Case {
    std::string_view table;
    std::string_view sql;
    RebuildOptions options;
    base::Code code;
    std::string_view words;
  };
  const Case cases[] = {
      {"p", "CREATE TABLE q (id INTEGER PRIMARY KEY)", {}, base::Code::invalid, "not create"},
      {"p", "CREATE TABLE p AS SELECT 1", {}, base::Code::invalid, "not create"},
      {"none", "CREATE TABLE none (id INTEGER)", {}, base::Code::invalid, "no table none"},
      {"p", "CREATE TABLE p (z TEXT)", {}, base::Code::invalid, "none of its columns"},
      {"p",
       "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, b TEXT)",
       {.values = {{"a", "1"}}, .without = {}},
       base::Code::invalid,
       "p.a, which is no column"},
      {"p",
       "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, a TEXT UNIQUE, b TEXT)",
       {},
       base::Code::conflict,
       "copying the rows of p"},
      {"p",
       "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, b TEXT NOT NULL)",
       {},
       base::Code::conflict,
       "NOT NULL"},
      {"p",
       "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, b TEXT, a TEXT UNIQUE ON "
       "CONFLICT IGNORE)",
       {},
       base::Code::conflict,
       "p has 2 rows, its new shape takes only 1"},
      {"p",
       "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT, b TEXT)",
       {},
       base::Code::conflict,
       "c refers to columns of p that would no longer be unique"},
      {"p",
       "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE)",
       {},
       base::Code::drift,
       "index p_b of p"},
      {"c",
       "CREATE TABLE c (id INTEGER PRIMARY KEY, code TEXT, p_id INTEGER REFERENCES p (id))",
       {},
       base::Code::conflict,
       "row 2 of c refers to a row of p that is not there"},
  };
  for (const auto& each : cases) {
    auto refused = rebuild(each.table, each.sql, each.options);
    ASSERT_FALSE(refused) << each.sql;
    EXPECT_EQ(refused.error().code, each.code) << refused.error().message;
    EXPECT_THAT(refused.error().message, HasSubstr(each.words));
    EXPECT_EQ(schema(), before);
  }
  EXPECT_THAT(rows("SELECT * FROM p"), ElementsAre("1|x|same|NULL", "2|y|same|b"));
  EXPECT_THAT(rows("SELECT * FROM c"), ElementsAre("1|x|1", "2|y|99"));
}

TEST_F(Rebuild, WhatWouldStopWorkingIsNamed) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, gone TEXT);
    CREATE TABLE l (words TEXT);
    INSERT INTO t VALUES (1, 'a', 'x');)");
  constexpr std::string_view kWithout = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)";
  const std::pair<std::string_view, std::string_view> dependents[] = {
      {"CREATE VIEW it AS SELECT gone FROM t", "the view it"},
      {"CREATE TRIGGER it AFTER DELETE ON l BEGIN UPDATE t SET gone = OLD.words; END",
       "a trigger of l on delete"},
      {"CREATE TRIGGER it AFTER UPDATE OF a ON t BEGIN INSERT INTO l VALUES (NEW.gone); END",
       "a trigger of t on update"},
  };
  for (const auto& [sql, words] : dependents) {
    database_.run(sql);
    auto refused = rebuild("t", kWithout);
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().code, base::Code::drift);
    EXPECT_THAT(refused.error().message, HasSubstr(words));
    EXPECT_THAT(rows("SELECT * FROM t"), ElementsAre("1|a|x"));
    database_.run(sql.starts_with("CREATE VIEW") ? "DROP VIEW it" : "DROP TRIGGER it");
  }
  // What did not work before is not this table's affair.
  database_.run("CREATE VIEW broken AS SELECT x FROM nowhere");
  rebuilt("t", kWithout);
}

TEST_F(Rebuild, ReferencesThatWereBrokenBeforeDoNotStopIt) {
  database_.run(R"(
    CREATE TABLE p (id INTEGER PRIMARY KEY, gone TEXT);
    CREATE TABLE c (id INTEGER PRIMARY KEY, p_id INTEGER REFERENCES p (id));
    INSERT INTO p VALUES (1, 'x');
    INSERT INTO c VALUES (1, 1);
    PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (2, 77); PRAGMA foreign_keys = ON)");
  rebuilt("p", "CREATE TABLE p (id INTEGER PRIMARY KEY)");
  EXPECT_THAT(rows("SELECT * FROM c"), ElementsAre("1|1", "2|77"));
}

TEST_F(Rebuild, AFailureAtAnyStepLeavesTheTableAndTheTransaction) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, gone TEXT);
    CREATE TABLE c (id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t (id) ON DELETE CASCADE);
    CREATE INDEX t_a ON t (a);
    CREATE TRIGGER t_insert AFTER INSERT ON t BEGIN SELECT NEW.a; END;
    CREATE VIEW v AS SELECT a FROM t;
    INSERT INTO t VALUES (1, 'a', 'x'); INSERT INTO c VALUES (1, 1);)");
  constexpr std::string_view kWanted =
      "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)";
  auto& connection = database_.connection();
  const auto before = schema();
  int step = 1;
  for (;; ++step) {
    auto off = ForeignKeysOff::begin(connection);
    ASSERT_TRUE(off);
    auto transaction = db::Transaction::begin(connection);
    ASSERT_TRUE(transaction);
    database_.run(fmt::format("INSERT INTO t (id, a) VALUES ({}, 'kept')", 100 + step));
    ASSERT_TRUE(base::arm_failpoints(fmt::format("rebuild.step=eio@{}", step)));
    auto done = rebuild_table(connection, "t", kWanted);
    ASSERT_TRUE(base::arm_failpoints(""));
    ASSERT_TRUE(transaction->commit());
    ASSERT_TRUE(off->end());
    if (done) break;
    EXPECT_EQ(schema(), before) << step;
    EXPECT_THAT(rows("PRAGMA legacy_alter_table"), ElementsAre("0"));
    EXPECT_THAT(rows(fmt::format("SELECT a FROM t WHERE id = {}", 100 + step)),
                ElementsAre("kept"));
    EXPECT_THAT(rows("SELECT id, gone FROM t WHERE id = 1"), ElementsAre("1|x"));
    EXPECT_THAT(rows("SELECT * FROM c"), ElementsAre("1|1"));
  }
  EXPECT_EQ(step, 10);  // create, copy, drop, two to rename, two for the counter, index, trigger
  EXPECT_THAT(rows("SELECT * FROM t WHERE id = 1"), ElementsAre("1|a"));
}

TEST_F(Rebuild, WithForeignKeysOnOrNoTransactionItIsRefused) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY);
    CREATE TABLE c (id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t (id) ON DELETE CASCADE);
    INSERT INTO t VALUES (1); INSERT INTO c VALUES (1, 1);)");
  auto& connection = database_.connection();
  constexpr std::string_view kWanted = "CREATE TABLE t (id INTEGER PRIMARY KEY, a)";
  {
    auto transaction = db::Transaction::begin(connection);
    ASSERT_TRUE(transaction);
    auto refused = rebuild_table(connection, "t", kWanted);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Code::internal);
    auto late = ForeignKeysOff::begin(connection);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, base::Code::internal);
  }
  {
    auto off = ForeignKeysOff::begin(connection);
    ASSERT_TRUE(off);
    EXPECT_FALSE(rebuild_table(connection, "t", kWanted));
    auto transaction = db::Transaction::begin(connection);
    ASSERT_TRUE(transaction);
    auto early = off->end();
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code, base::Code::internal);
  }
  EXPECT_THAT(rows("PRAGMA foreign_keys"), ElementsAre("1"));
  EXPECT_THAT(rows("SELECT * FROM c"), ElementsAre("1|1"));
}

TEST_F(Rebuild, ADiskThatIsFullLeavesTheTable) {
  database_.run(R"(
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, gone TEXT);
    WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO t SELECT i, hex(zeroblob(200)), 'x' FROM n;)");
  const auto before = schema();
  database_.run("PRAGMA max_page_count = 1");  // as few as there are now
  auto failed = rebuild("t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, base::Code::storage_full);
  EXPECT_THAT(failed.error().message, HasSubstr("no space left"));
  EXPECT_EQ(schema(), before);
  EXPECT_THAT(rows("SELECT count(*), count(gone) FROM t"), ElementsAre("500|500"));
  database_.run("PRAGMA max_page_count = 1000000");
  rebuilt("t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
}

}  // namespace
}  // namespace tertulia::schema
