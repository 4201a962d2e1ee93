// One suite for both engines: what connection.h promises, on a SQLite file and on a PostgreSQL
// that this program starts.
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "db/connection.h"
#include "db/read_transaction.h"
#include "support/postgres_server.h"
#include "support/temp_dir.h"

namespace tertulia::db {
namespace {

constexpr Sql kCreate{"create",
                      "CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, b BOOLEAN, "
                      "s TEXT)",
                      "CREATE TABLE t (id BIGINT PRIMARY KEY, i BIGINT, r DOUBLE PRECISION, "
                      "b BOOLEAN, s TEXT)"};
constexpr std::string_view kInsertText =
    "INSERT INTO t (id, i, r, b, s) VALUES ($1, $2, $3, $4, $5)";
constexpr Sql kInsert{"insert", kInsertText, kInsertText};
constexpr Sql kSelect{"select", "SELECT id, i, r, b, s FROM t ORDER BY id",
                      "SELECT id, i, r, b, s FROM t ORDER BY id"};
constexpr Sql kCount{"count", "SELECT count(*) FROM t", "SELECT count(*) FROM t"};
constexpr Sql kUpdate{"update", "UPDATE t SET i = $2 WHERE id = $1",
                      "UPDATE t SET i = $2 WHERE id = $1"};

class ConformanceTest : public ::testing::TestWithParam<Engine> {
 protected:
  void SetUp() override {
    location_ = GetParam() == Engine::sqlite
                    ? Location{Engine::sqlite, folder_.file("t.db")}
                    : Location{Engine::postgres, test::PostgresServer::shared().create_database()};
    auto opened = open(location_, {.access = Access::write, .create = true});
    ASSERT_TRUE(opened) << opened.error().message;
    connection_ = *std::move(opened);
    auto made = connection_->run(kCreate);
    ASSERT_TRUE(made) << made.error().message;
  }

  std::unique_ptr<Connection> open_reader() {
    auto opened = open(location_, {.access = Access::read});
    EXPECT_TRUE(opened) << opened.error().message;
    return *std::move(opened);
  }

  base::Result<std::int64_t> insert(std::int64_t id, std::string_view text) {
    const std::vector<Param> params = {id, nullptr, nullptr, nullptr, text};
    return connection_->run(kInsert, params);
  }

  static std::int64_t count(Connection& connection) {
    std::int64_t rows = -1;
    auto done = connection.each(kCount, {}, [&](const Row& row) -> base::Result<void> {
      rows = row.integer(0);
      return {};
    });
    EXPECT_TRUE(done) << done.error().message;
    return rows;
  }

  test::TempDir folder_;
  Location location_;
  std::unique_ptr<Connection> connection_;
};

TEST_P(ConformanceTest, ValuesComeBackAsTheyWere) {
  const std::string large(10'000'000, 'x');
  struct Case {
    std::int64_t integer;
    double real;
    bool boolean;
    std::string text;
  };
  const std::vector<Case> cases = {
      {0, 0.0, false, ""},
      {std::numeric_limits<std::int64_t>::max(), 1.0 / 3.0, true,
       "打工人（产品） 🙂 'quoted' \\ %"},
      {std::numeric_limits<std::int64_t>::min(), -1e300, true, "line\nline\ttab"},
      {-1, 5e-324, false, large}};
  std::int64_t id = 0;
  for (const auto& each : cases) {
    const std::vector<Param> params = {++id, each.integer, each.real, each.boolean,
                                       std::string_view(each.text)};
    auto done = connection_->run(kInsert, params);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(*done, 1);
  }
  size_t at = 0;
  auto rows = connection_->each(kSelect, {}, [&](const Row& row) -> base::Result<void> {
    const Case& wanted = cases.at(at++);
    EXPECT_EQ(row.integer(1), wanted.integer);
    EXPECT_EQ(row.real(2), wanted.real);
    EXPECT_EQ(row.boolean(3), wanted.boolean);
    EXPECT_EQ(row.text(4), wanted.text);
    EXPECT_EQ(row.name(4), "s");
    EXPECT_EQ(row.size(), 5);
    return {};
  });
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(*rows, 4);
}

TEST_P(ConformanceTest, NullIsNotEmpty) {
  ASSERT_TRUE(connection_->run(
      kInsert, std::vector<Param>{std::int64_t{1}, nullptr, nullptr, nullptr, nullptr}));
  ASSERT_TRUE(insert(2, ""));
  std::vector<bool> nulls;
  ASSERT_TRUE(connection_->each(kSelect, {}, [&](const Row& row) -> base::Result<void> {
    nulls.push_back(row.is_null(4));
    EXPECT_EQ(row.text(4), "");
    return {};
  }));
  EXPECT_EQ(nulls, (std::vector<bool>{true, false}));
}

TEST_P(ConformanceTest, ParametersInAnyOrderAndMoreThanOnce) {
  constexpr std::string_view text = "SELECT CAST($2 AS TEXT), CAST($1 AS TEXT), CAST($2 AS TEXT)";
  std::vector<std::string> found;
  auto done =
      connection_->each_text(text, std::vector<Param>{std::string_view("a"), std::string_view("b")},
                             [&](const Row& row) -> base::Result<void> {
                               for (int i = 0; i < 3; ++i) found.emplace_back(row.text(i));
                               return {};
                             });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(found, (std::vector<std::string>{"b", "a", "b"}));
}

TEST_P(ConformanceTest, ConstraintIsConflict) {
  ASSERT_TRUE(insert(1, "a"));
  auto again = insert(1, "b");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, base::Code::conflict);
  EXPECT_NE(again.error().message.find("insert"), std::string::npos);
  EXPECT_TRUE(insert(2, "b"));
}

TEST_P(ConformanceTest, TypoIsDriftAndNamesTheObject) {
  constexpr Sql table{"no_table", "SELECT * FROM step_execution_logz",
                      "SELECT * FROM step_execution_logz"};
  constexpr Sql column{"no_column", "SELECT nonsense FROM t", "SELECT nonsense FROM t"};
  for (const auto& [sql, object] :
       {std::pair{&table, "step_execution_logz"}, std::pair{&column, "nonsense"}}) {
    auto checked = connection_->check(*sql);
    ASSERT_FALSE(checked) << object;
    EXPECT_EQ(checked.error().code, base::Code::drift);
    EXPECT_NE(checked.error().message.find(object), std::string::npos) << checked.error().message;
  }
}

TEST_P(ConformanceTest, BatchIsStoppedByItsFirstFailureAndRollsBackWhole) {
  auto transaction = Transaction::begin(*connection_);
  ASSERT_TRUE(transaction);
  const auto work = [](std::int64_t id, std::string_view text) {
    return Work{&kInsert, {id, nullptr, nullptr, nullptr, text}, 1};
  };
  const std::vector<Work> works = {work(1, "a"), work(1, "b"), work(3, "c")};
  auto done = connection_->run_batch(works);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::Code::conflict);
  connection_->rollback();
  EXPECT_EQ(count(*connection_), 0);
  const std::vector<Work> good = {work(1, "a"), work(2, "b")};
  ASSERT_TRUE(connection_->run_batch(good));
  EXPECT_EQ(count(*connection_), 2);
}

TEST_P(ConformanceTest, BatchHoldsCountsAgainstWhatTheyMustBe) {
  ASSERT_TRUE(insert(1, "a"));
  const std::vector<Work> works = {{&kUpdate, {std::int64_t{9}, std::int64_t{1}}, 1}};
  auto done = connection_->run_batch(works);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::Code::conflict);
  EXPECT_NE(done.error().message.find("update"), std::string::npos);
  EXPECT_TRUE(
      connection_->run_batch(std::vector<Work>{{&kUpdate, {std::int64_t{1}, std::int64_t{1}}, 1}}));
}

TEST_P(ConformanceTest, TransactionScopeRollsBackUnlessCommitted) {
  {
    auto transaction = Transaction::begin(*connection_);
    ASSERT_TRUE(transaction);
    EXPECT_TRUE(connection_->in_transaction());
    ASSERT_TRUE(insert(1, "a"));
  }
  EXPECT_FALSE(connection_->in_transaction());
  EXPECT_EQ(count(*connection_), 0);
  auto transaction = Transaction::begin(*connection_);
  ASSERT_TRUE(transaction);
  ASSERT_TRUE(insert(1, "a"));
  auto reader = open_reader();
  EXPECT_EQ(count(*reader), 0) << "what is not committed is not seen";
  ASSERT_TRUE(transaction->commit());
  EXPECT_EQ(count(*reader), 1) << "what is committed is seen by the next read";
}

TEST_P(ConformanceTest, CommitOfAFailedTransactionIsNotSuccess) {
  auto transaction = Transaction::begin(*connection_);
  ASSERT_TRUE(transaction);
  ASSERT_TRUE(insert(1, "a"));
  ASSERT_FALSE(insert(1, "b"));
  auto committed = transaction->commit();
  // SQLite undoes the statement alone, PostgreSQL the transaction: neither may lie.
  EXPECT_EQ(count(*connection_), committed ? 1 : 0);
}

TEST_P(ConformanceTest, ARowsErrorEndsTheStatementAndLeavesNothingOpen) {
  ASSERT_TRUE(insert(1, "a"));
  ASSERT_TRUE(insert(2, "b"));
  int seen = 0;
  auto stopped = connection_->each(kSelect, {}, [&](const Row&) -> base::Result<void> {
    ++seen;
    return base::Error{.code = base::Code::cancelled, .message = "enough"};
  });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "enough");
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(insert(3, "c"));
}

TEST_P(ConformanceTest, AReaderCannotWrite) {
  auto reader = open_reader();
  const std::vector<Param> params = {std::int64_t{1}, nullptr, nullptr, nullptr, nullptr};
  auto written = reader->run(kInsert, params);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, base::Code::storage);
  EXPECT_EQ(count(*connection_), 0);
}

TEST_P(ConformanceTest, AReadTransactionIsOfOneMoment) {
  ASSERT_TRUE(insert(1, "one"));
  const auto reader = open_reader();
  {
    auto moment = ReadTransaction::begin(*reader);
    ASSERT_TRUE(moment) << moment.error().message;
    EXPECT_TRUE(reader->in_transaction());
    EXPECT_EQ(count(*reader), 1);
    ASSERT_TRUE(insert(2, "two"));
    EXPECT_EQ(count(*reader), 1);
    {
      auto within = ReadTransaction::begin(*reader);
      ASSERT_TRUE(within) << within.error().message;
    }
    EXPECT_TRUE(reader->in_transaction());
    EXPECT_EQ(count(*reader), 1);
  }
  EXPECT_FALSE(reader->in_transaction());
  EXPECT_EQ(count(*reader), 2);
  {
    auto moment = ReadTransaction::begin(*reader);
    ASSERT_TRUE(moment);
    EXPECT_FALSE(reader->run(kInsert, std::vector<Param>{3, nullptr, nullptr, nullptr, "three"}));
    EXPECT_FALSE(reader->each_text("SELECT nothing FROM nowhere", {},
                                   [](const Row&) { return base::Result<void>(); }));
  }
  EXPECT_EQ(count(*reader), 2);
  // Within a transaction that writes, that one says what is seen, and goes on.
  auto writing = Transaction::begin(*connection_);
  ASSERT_TRUE(writing);
  ASSERT_TRUE(insert(3, "three"));
  {
    auto moment = ReadTransaction::begin(*connection_);
    ASSERT_TRUE(moment);
    EXPECT_EQ(count(*connection_), 3);
  }
  EXPECT_TRUE(writing->commit());
  EXPECT_EQ(count(*reader), 3);
}

TEST_P(ConformanceTest, InterruptStopsAStatement) {
  constexpr Sql endless{"endless",
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                        "SELECT count(*) FROM n",
                        "SELECT pg_sleep(600)"};
  // The interrupt may come before the statement runs, when it has nothing to stop: so it is
  // repeated until the statement has ended.
  std::atomic<bool> ended = false;
  std::thread other([&] {
    while (!ended) {
      connection_->interrupt();
      std::this_thread::yield();
    }
  });
  auto done = connection_->each(endless, {}, [](const Row&) -> base::Result<void> { return {}; });
  ended = true;
  other.join();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::Code::cancelled) << done.error().message;
}

TEST_P(ConformanceTest, AScriptHoldsManyStatements) {
  auto done = connection_->run_script(
      "-- a comment with ; in it\nCREATE TABLE u (id INTEGER); INSERT INTO u VALUES (1);;\n"
      "INSERT INTO u VALUES (2) /* and ; here */;");
  ASSERT_TRUE(done) << done.error().message;
  std::int64_t rows = 0;
  ASSERT_TRUE(connection_->each_text("SELECT id FROM u", {}, [&](const Row&) -> base::Result<void> {
    ++rows;
    return {};
  }));
  EXPECT_EQ(rows, 2);
}

TEST_P(ConformanceTest, OnlyTheStatementsOwnRowsAreCounted) {
  ASSERT_TRUE(connection_->run_script(
      "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
      "CREATE TABLE child (parent INTEGER REFERENCES parent (id) ON DELETE CASCADE);"
      "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1), (1), (1)"));
  constexpr std::string_view text = "DELETE FROM parent WHERE id = $1";
  constexpr Sql remove{"remove", text, text};
  auto removed = connection_->run(remove, std::vector<Param>{std::int64_t{1}});
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(*removed, 1) << "rows that a cascade removed are not the statement's";
  removed = connection_->run(remove, std::vector<Param>{std::int64_t{1}});
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, 0);
}

TEST_P(ConformanceTest, BooleansAndIntegersReadAsEachOther) {
  auto done = connection_->each_text("SELECT 1 = 1, 1 = 0, 1, 0", {},
                                     [](const Row& row) -> base::Result<void> {
                                       EXPECT_EQ(row.integer(0), 1);
                                       EXPECT_EQ(row.integer(1), 0);
                                       EXPECT_TRUE(row.boolean(2));
                                       EXPECT_FALSE(row.boolean(3));
                                       return {};
                                     });
  ASSERT_TRUE(done) << done.error().message;
}

TEST_P(ConformanceTest, AStatementMayBePerformedInsideItsOwnRows) {
  ASSERT_TRUE(insert(1, "a"));
  ASSERT_TRUE(insert(2, "b"));
  std::vector<std::int64_t> seen;
  auto done = connection_->each(kSelect, {}, [&](const Row& outer) -> base::Result<void> {
    auto inner =
        connection_->each(kSelect, {}, [](const Row&) -> base::Result<void> { return {}; });
    EXPECT_TRUE(inner && *inner == 2);
    seen.push_back(outer.integer(0));
    return {};
  });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2}));
}

TEST_P(ConformanceTest, ANamedTextIsOneStatement) {
  constexpr std::string_view text = "DELETE FROM t; DELETE FROM t";
  constexpr Sql two{"two", text, text};
  EXPECT_FALSE(connection_->check(two)) << "the second would never be performed";
  constexpr std::string_view commented = "DELETE FROM t; -- all of them\n";
  constexpr Sql one{"one", commented, commented};
  EXPECT_TRUE(connection_->check(one));
}

INSTANTIATE_TEST_SUITE_P(Engines, ConformanceTest,
                         ::testing::Values(Engine::sqlite, Engine::postgres),
                         [](const auto& test) { return std::string(engine_name(test.param)); });

TEST(PostgresConnectionTest, TextThatItCannotHoldIsInvalid) {
  const Location location{Engine::postgres, test::PostgresServer::shared().create_database()};
  auto connection = open(location, {.access = Access::write});
  ASSERT_TRUE(connection) << connection.error().message;
  for (const std::string_view text : {std::string_view("a\0b", 3), std::string_view("\xff")}) {
    auto done = (*connection)
                    ->each_text("SELECT CAST($1 AS TEXT)", std::vector<Param>{text},
                                [](const Row&) -> base::Result<void> { return {}; });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, base::Code::invalid) << done.error().detail;
  }
}

TEST(PostgresConnectionTest, AFailedOpeningNeverTellsThePassword) {
  for (const auto& [target, code] :
       {std::pair{"postgresql://u:secret@/d?host=/nowhere", base::Code::storage},
        std::pair{"postgresql://u:secret@[h/d", base::Code::invalid},
        std::pair{"postgresql://u:secret@h/d?nonsense=1", base::Code::invalid},
        std::pair{"postgresql://u:se/secret@h/d", base::Code::invalid}}) {
    auto opened = open({Engine::postgres, target}, {});
    ASSERT_FALSE(opened) << target;
    EXPECT_EQ(opened.error().code, code) << target;
    EXPECT_FALSE(opened.error().remedy.empty());
    for (const std::string& words : {opened.error().message, opened.error().detail})
      EXPECT_EQ(words.find("secret"), std::string::npos) << words;
  }
}

TEST(LocationTest, Parse) {
  struct Case {
    std::string_view text;
    bool good;
    Engine engine;
    std::string_view shown;
  };
  for (const Case& each : {
           Case{"sqlite:/a/b.db", true, Engine::sqlite, "/a/b.db"},
           Case{"b.db", true, Engine::sqlite, "b.db"},
           Case{"postgresql://u:secret@h:5/d?sslmode=require", true, Engine::postgres,
                "postgresql://u:***@h:5/d?sslmode=require"},
           Case{"postgres://h/d?user=u&password=secret&x=1", true, Engine::postgres,
                "postgres://h/d?user=u&password=***&x=1"},
           Case{"postgresql://u@h/d", true, Engine::postgres, "postgresql://u@h/d"},
           Case{"postgresql://u:se?cret@h/d", true, Engine::postgres, "postgresql://u:***@h/d"},
           Case{"postgresql://u:se/cret@h/d", true, Engine::postgres, "postgresql://u:***@h/d"},
           Case{"postgresql://u:se@cret@h/d", true, Engine::postgres, "postgresql://u:***@h/d"},
           Case{"postgresql://h/d?options=a:b@c", true, Engine::postgres,
                "postgresql://h/d?options=a:b@c"},
           Case{"mysql://h/d", false, {}, ""},
           Case{std::string_view("a\0b", 3), false, {}, ""},
           Case{"", false, {}, ""},
           Case{"sqlite:", false, {}, ""},
       }) {
    auto location = Location::parse(each.text);
    ASSERT_EQ(location.ok(), each.good) << each.text;
    if (!each.good) {
      EXPECT_EQ(location.error().code, base::Code::invalid);
      EXPECT_FALSE(location.error().remedy.empty());
      continue;
    }
    EXPECT_EQ(location->engine, each.engine);
    EXPECT_EQ(location->shown(), each.shown);
  }
}

}  // namespace
}  // namespace tertulia::db
