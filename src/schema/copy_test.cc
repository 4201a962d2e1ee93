// Databases copied from engine to engine: row by row the same, or not at all and with the reason.
#include "schema/copy.h"

#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "base/failpoint.h"
#include "schema/copy_orphans.h"
#include "schema/declared.h"
#include "schema/test_rows.h"

namespace tertulia::schema {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FixedClock final : public base::Clock {
 public:
  base::Timestamp now() const override { return *base::parse_iso8601("2026-11-24T15:30:00Z"); }
  base::SteadyTime steady() const override { return {}; }
};

struct Way {
  db::Engine from;
  db::Engine to;
};

std::string way_name(const testing::TestParamInfo<Way>& info) {
  return fmt::format("{}To{}", db::engine_name(info.param.from), db::engine_name(info.param.to));
}

// Rows at the head, with references forward and to themselves, gaps, and values at the edges.
constexpr std::string_view kMoreRows = R"(
INSERT INTO flow_steps (id, flow_template_id, "order", next_step_id) VALUES (10, 1, 3, 10);
INSERT INTO flow_steps (id, flow_template_id, "order", next_step_id) VALUES (12, 1, 5, 10);
UPDATE flow_steps SET next_step_id = 12 WHERE id = 1;
UPDATE step_execution_logs SET memory_usage_mb = 0.1, condition_evaluation = TRUE,
  loop_check_result = FALSE, result_data = '{"b": 1,  "a": "茶\n\u0000"}',
  created_at = '2026-01-02T03:04:05.123456Z' WHERE id = 1;
UPDATE step_execution_logs SET memory_usage_mb = 1e300, duration_ms = 9223372036854775807
  WHERE id = 2;
UPDATE messages SET content = '' WHERE id = 1;
)";

class CopyTest : public testing::TestWithParam<Way> {
 protected:
  void fill(TestDatabase& database) {
    database.migrate_to(database.head());
    database.run(kRows);
    database.run(kMoreRows);
    database.run("DELETE FROM adopted_notes");
  }
  base::Result<Copy> copy(TestDatabase& from, TestDatabase& to) {
    to.close();
    auto copied = copy_database(from.location(), to.location(), options_);
    to.reopen();
    return copied;
  }
  std::int64_t rows_in(TestDatabase& database) {
    std::int64_t all = 0;
    for (const auto& table : declared_tables())
      all += std::stoll(database.rows(fmt::format("SELECT count(*) FROM {}", table.name)).front());
    return all;
  }

  FixedClock clock_;
  CopyOptions options_{.progress = {}, .examine = {}, .clock = &clock_};
  TestDatabase from_{GetParam().from};
  TestDatabase to_{GetParam().to};
};

INSTANTIATE_TEST_SUITE_P(, CopyTest,
                         testing::Values(Way{db::Engine::sqlite, db::Engine::postgres},
                                         Way{db::Engine::postgres, db::Engine::sqlite},
                                         Way{db::Engine::sqlite, db::Engine::sqlite},
                                         Way{db::Engine::postgres, db::Engine::postgres}),
                         way_name);

TEST_P(CopyTest, EveryRowArrivesAndGoesBack) {
  fill(from_);
  auto there = copy(from_, to_);
  ASSERT_TRUE(there) << there.error().message << there.error().detail;
  EXPECT_EQ(to_.proof().state, State::ready);
  TestDatabase again(GetParam().from);
  auto back = copy(to_, again);
  ASSERT_TRUE(back) << back.error().message;
  for (std::size_t i = 0; i < there->tables.size(); ++i) {
    EXPECT_EQ(there->tables[i].sha256, back->tables[i].sha256) << there->tables[i].table;
    EXPECT_EQ(there->tables[i].rows, back->tables[i].rows);
    EXPECT_EQ(there->tables[i].added, 0);
    EXPECT_EQ(there->tables[i].rows == 0, there->tables[i].table == "adopted_notes");
  }
  // A second look, not by the code under test; times have one spelling on the way.
  if (GetParam().from == db::Engine::postgres) {
    EXPECT_EQ(contents(again, shape_of(again)), contents(from_, shape_of(from_)));
  }
  EXPECT_THAT(to_.rows("SELECT id, next_step_id FROM flow_steps ORDER BY id"),
              ElementsAre("1|12", "2|1", "10|10", "12|10"));
  EXPECT_THAT(again.rows("SELECT result_data FROM step_execution_logs WHERE id = 1"),
              from_.rows("SELECT result_data FROM step_execution_logs WHERE id = 1"));
}

TEST_P(CopyTest, NewRowsGetIdsThatNobodyHad) {
  fill(from_);
  from_.run(
      "INSERT INTO sessions (id, status, current_round, executed_steps_count, created_at, "
      "updated_at) VALUES (41, 'paused', 1, 0, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')");
  if (GetParam().from == db::Engine::postgres) from_.run("SELECT setval('sessions_id_seq', 41)");
  from_.run("DELETE FROM sessions WHERE id = 41");
  ASSERT_TRUE(copy(from_, to_));
  to_.run(
      "INSERT INTO sessions (status, current_round, executed_steps_count, created_at, updated_at) "
      "VALUES ('paused', 1, 0, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')");
  EXPECT_THAT(to_.rows("SELECT max(id) FROM sessions"), ElementsAre("42"));
  to_.run("INSERT INTO flow_steps (flow_template_id, \"order\") VALUES (1, 9)");
  EXPECT_THAT(to_.rows("SELECT max(id) FROM flow_steps"), ElementsAre("13"));
}

TEST_P(CopyTest, ManyPagesOfRowsThatReferForwards) {
  fill(from_);
  for (int id = 100; id < 1100; ++id)
    from_.run(
        fmt::format("INSERT INTO messages (id, session_id, content, round_index, created_at, "
                    "position) VALUES ({0}, 1, 'm{0}', 1, '2026-01-02T03:04:05Z', {0})",
                    id));
  from_.run("UPDATE messages SET reply_to_message_id = 1199 - id WHERE id >= 100");
  std::int64_t told = 0;
  options_.progress = [&](const std::string& doing, std::int64_t done, std::int64_t total) {
    if (doing == "copying messages") {
      EXPECT_EQ(total, 1002);
      told = done;
    }
  };
  ASSERT_TRUE(copy(from_, to_));
  EXPECT_EQ(told, 1002);
  EXPECT_THAT(to_.rows("SELECT count(*), min(id + reply_to_message_id), "
                       "max(id + reply_to_message_id) FROM messages WHERE id >= 100"),
              ElementsAre("1000|1199|1199"));
}

TEST_P(CopyTest, WhatIsNotEmptyIsNamedAndLeftAlone) {
  fill(from_);
  to_.run("CREATE TABLE recipes (id INTEGER)");
  auto foreign = copy(from_, to_);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, base::Code::conflict);
  EXPECT_THAT(foreign.error().message, HasSubstr("recipes"));
  EXPECT_THAT(shape_of(to_).tables, IsEmpty());
  to_.run("DROP TABLE recipes");
  to_.migrate_to(to_.head());
  to_.run(
      "INSERT INTO roles (name, prompt, created_at, updated_at) VALUES ('A', 'b', "
      "'2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')");
  auto filled = copy(from_, to_);
  ASSERT_FALSE(filled);
  EXPECT_THAT(filled.error().message, HasSubstr("1 row in roles"));
  EXPECT_EQ(rows_in(to_), 1);
}

TEST_P(CopyTest, ForeignTablesStayAndAreNamed) {
  fill(from_);
  from_.run("CREATE TABLE recipes (id INTEGER)");
  auto copied = copy(from_, to_);
  ASSERT_TRUE(copied);
  EXPECT_THAT(copied->left, ElementsAre("recipes"));
}

TEST_P(CopyTest, AnOriginalThatIsNotAtTheHeadIsRefusedBeforeAnything) {
  from_.migrate_to(from_.head() - 1);
  auto behind = copy(from_, to_);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, base::Code::drift);
  EXPECT_THAT(behind.error().remedy, HasSubstr("tertulia db migrate --db "));
  from_.migrate_to(from_.head());
  from_.run("DROP INDEX idx_sessions_status");
  auto drifted = copy(from_, to_);
  ASSERT_FALSE(drifted);
  EXPECT_THAT(drifted.error().message, HasSubstr("idx_sessions_status"));
  EXPECT_EQ(to_.proof().state, State::fresh);
}

TEST_P(CopyTest, WhateverFailsLeavesNoRowAndTheNextCopyWorks) {
  fill(from_);
  for (const char* fault :
       {"copy.table=error@5", "copy.page=error@9", "copy.commit=error", "db.commit.before=eio"}) {
    ASSERT_TRUE(base::arm_failpoints(fault));
    auto broken = copy(from_, to_);
    ASSERT_TRUE(base::arm_failpoints(""));
    EXPECT_FALSE(broken) << fault;
    to_.migrate_to(to_.head());
    EXPECT_EQ(rows_in(to_), 0) << fault;
  }
  options_.examine = [](db::Connection&, db::Connection& to) -> base::Result<void> {
    auto seen = to.run_script("UPDATE roles SET name = 'seen'");
    EXPECT_TRUE(seen);
    return base::Error{.code = base::Code::conflict, .message = "not content"};
  };
  EXPECT_FALSE(copy(from_, to_));
  EXPECT_EQ(rows_in(to_), 0);
  options_.examine = {};
  EXPECT_TRUE(copy(from_, to_));
  EXPECT_EQ(rows_in(to_), rows_in(from_));
}

class FromSqliteTest : public CopyTest {};
INSTANTIATE_TEST_SUITE_P(, FromSqliteTest,
                         testing::Values(Way{db::Engine::sqlite, db::Engine::postgres}), way_name);

TEST_P(FromSqliteTest, WhatPostgresCannotHoldIsNamedByTableRowAndColumn) {
  struct Case {
    const char* change;
    const char* back;
    const char* told;
  };
  const Case cases[] = {
      {"UPDATE messages SET content = 'a' || char(0) || 'b' WHERE id = 2",
       "UPDATE messages SET content = 'b' WHERE id = 2", "row 2 of messages: content holds a NUL"},
      {"UPDATE roles SET prompt = CAST(x'61FF' AS TEXT)", "UPDATE roles SET prompt = 'p'",
       "row 1 of roles: prompt holds what is not UTF-8 at byte 1"},
      {"UPDATE roles SET prompt = x'6162'", "UPDATE roles SET prompt = 'p'",
       "row 1 of roles: prompt holds bytes, not text"},
      {"UPDATE sessions SET seed = 'many'", "UPDATE sessions SET seed = 1",
       "row 1 of sessions: seed holds text, not an integer"},
      {"UPDATE sessions SET seed = 1.5", "UPDATE sessions SET seed = 1",
       "seed holds a number with a fraction"},
      {"UPDATE sessions SET seed = 9223372036854775808", "UPDATE sessions SET seed = 1",
       "row 1 of sessions: seed holds"},
      {"UPDATE sessions SET ended_at = 'soon'", "UPDATE sessions SET ended_at = NULL",
       "row 1 of sessions: ended_at holds 'soon', which is no time"},
      {"UPDATE flow_templates SET is_active = 2", "UPDATE flow_templates SET is_active = 1",
       "is_active holds 2, not true or false"},
      {"UPDATE sessions SET stop_reason = '"
       "0123456789012345678901234567890123456789012345678901'",
       "UPDATE sessions SET stop_reason = NULL", "stop_reason holds 52 characters"},
      {"UPDATE step_execution_logs SET memory_usage_mb = 'much' WHERE id = 2",
       "UPDATE step_execution_logs SET memory_usage_mb = 1", "memory_usage_mb holds text"},
  };
  fill(from_);
  for (const Case& each : cases) {
    from_.run(each.change);
    auto refused = copy(from_, to_);
    ASSERT_FALSE(refused) << each.change;
    EXPECT_THAT(refused.error().message, HasSubstr(each.told)) << each.change;
    EXPECT_EQ(rows_in(to_), 0);
    from_.run(each.back);
  }
  auto copied = copy(from_, to_);
  EXPECT_TRUE(copied) << copied.error().message;
}

// Notes the orphan as an adoption would.
std::string noted(const char* table, int row, const char* column) {
  return fmt::format(
      "INSERT INTO adopted_notes (kind, table_name, row_id, column_name, words, created_at) VALUES "
      "('orphan', '{}', {}, '{}', 'it names a row that is not there', '2026-01-02T03:04:05Z')",
      table, row, column);
}

TEST_P(FromSqliteTest, OrphansBecomeNullOrReferToATombstoneAndAreNoted) {
  fill(from_);
  from_.run(
      "PRAGMA foreign_keys = OFF; UPDATE messages SET speaker_session_role_id = 77 WHERE id = 2;"
      "UPDATE messages SET reply_to_message_id = 99 WHERE id = 1;"
      "UPDATE session_roles SET session_id = 5; UPDATE model_calls SET log_id = 30;"
      "UPDATE flow_versions SET flow_template_id = 8;"
      "UPDATE step_execution_logs SET step_id = 50 WHERE id = 2");
  auto unknown = copy(from_, to_);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message,
              HasSubstr("row 1 of messages refers to a row of messages that is not there"));
  EXPECT_THAT(unknown.error().message, HasSubstr("and 1 more"));
  EXPECT_THAT(unknown.error().remedy, HasSubstr("tertulia db verify"));
  EXPECT_EQ(to_.proof().state, State::fresh);

  from_.run(noted("messages", 2, "speaker_session_role_id"));
  from_.run(noted("messages", 1, "reply_to_message_id"));
  from_.run(noted("session_roles", 1, "session_id"));
  from_.run(noted("model_calls", 1, "log_id"));
  from_.run(noted("flow_versions", 1, "flow_template_id"));
  from_.run(noted("step_execution_logs", 2, "step_id"));
  auto copied = copy(from_, to_);
  ASSERT_TRUE(copied) << copied.error().message << copied.error().detail;
  EXPECT_EQ(copied->orphans.size(), 6u);
  EXPECT_THAT(to_.rows("SELECT speaker_session_role_id, reply_to_message_id FROM messages "
                       "ORDER BY id"),
              ElementsAre("1|NULL", "NULL|1"));
  EXPECT_THAT(to_.rows("SELECT session_id FROM session_roles"), ElementsAre("5"));
  EXPECT_THAT(to_.rows("SELECT topic, status, stop_reason FROM sessions WHERE id = 5"),
              ElementsAre("(deleted session 5)|failed|does_not_fit"));
  EXPECT_THAT(to_.rows("SELECT name FROM flow_templates WHERE id = 8"),
              ElementsAre("(deleted flow 8)"));
  EXPECT_THAT(to_.rows("SELECT error_message FROM step_execution_logs WHERE id = 30"),
              ElementsAre("(deleted log row 30)"));
  EXPECT_THAT(to_.rows("SELECT count(*) FROM adopted_notes WHERE kind = 'copied'"),
              ElementsAre("6"));
  EXPECT_THAT(
      to_.rows("SELECT table_name, row_id, column_name, value FROM adopted_leftovers "
               "WHERE column_name <> 'loop_config' ORDER BY row_id"),
      ElementsAre("messages|1|reply_to_message_id|99", "messages|2|speaker_session_role_id|77"));
  auto verified = verify(to_.connection());
  ASSERT_TRUE(verified);
  EXPECT_TRUE(verified->good());
  to_.run("INSERT INTO flow_steps (flow_template_id, \"order\") VALUES (8, 1)");

  // Back it goes with all that the first copy said about it.
  TestDatabase again(db::Engine::sqlite);
  auto back = copy(to_, again);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(rows_in(again), rows_in(to_));
  // A SQLite file keeps what is noted as it is.
  TestDatabase same(db::Engine::sqlite);
  auto kept = copy(from_, same);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_THAT(kept->orphans, IsEmpty());
  EXPECT_THAT(same.rows("SELECT speaker_session_role_id FROM messages WHERE id = 2"),
              ElementsAre("77"));
}

// A table that is newly referred to by a column that must hold something needs a tombstone.
TEST(CopyOrphans, EveryParentThatMustBeThereCanBeStoodFor) {
  for (const auto& table : declared_tables())
    for (const auto& column : table.columns)
      if (!column.parent.empty() && !column.nullable) {
        EXPECT_FALSE(internal::tombstone_sql(column.parent, 1, {}, {}).empty())
            << table.name << "." << column.name;
      }
}

TEST(CopyItself, IsRefused) {
  TestDatabase database(db::Engine::sqlite);
  database.migrate_to(database.head());
  database.close();
  auto refused = copy_database(database.location(), database.location());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::invalid);
}

}  // namespace
}  // namespace tertulia::schema
