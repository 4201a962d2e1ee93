// A draft is right if the engines say so: what it writes leads from the one schema to the other
// and back, and rows in the tables stand it.
#include "schema/migration_draft.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "schema/declared.h"
#include "schema/lint.h"
#include "schema/render.h"
#include "schema/scratch.h"
#include "schema/test_database.h"

namespace tertulia::schema {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Tables = std::vector<TableDescription>;

const std::vector<std::string> kNames = {"plays", "acts", "props", "masks"};

ColumnDescription key() {
  return {.name = "id",
          .type = ColumnType::integer,
          .default_sql = {},
          .parent = {},
          .is_key = true,
          .is_generated = true};
}
ColumnDescription text(std::string_view name) {
  return {.name = name, .nullable = true, .default_sql = {}, .parent = {}};
}
ColumnDescription reference(std::string_view name, std::string_view parent) {
  return {.name = name,
          .type = ColumnType::integer,
          .nullable = true,
          .default_sql = {},
          .parent = parent};
}

// Two tables, the second of the first, with what columns and indexes can be.
Tables two_tables() {
  TableDescription plays{.name = "plays",
                         .columns = {key(), text("title"), text("order")},
                         .indexes = {},
                         .checks = {},
                         .ids_never_reused = true};
  plays.columns[1].nullable = false;
  plays.columns[2].length = 20;
  plays.columns[2].default_sql = "'first'";
  plays.indexes = {{.name = "idx_plays_title", .columns = "title", .unique = true},
                   {.name = "idx_plays_order",
                    .columns = "\"order\" DESC, title",
                    .where = "title IS NOT NULL"}};
  TableDescription acts{.name = "acts",
                        .columns = {key(), reference("play_id", "plays"), text("scene")},
                        .indexes = {{.name = "idx_acts_play", .columns = "play_id"}},
                        .checks = {"id > 0"}};
  return {plays, acts};
}

std::string script_of(db::Engine engine, const Tables& tables) {
  std::string script;
  for (const auto& table : tables) {
    script += render_table(engine, table) + ";\n";
    for (const auto& index : table.indexes) script += render_index(table, index) + ";\n";
  }
  return script;
}

class Draft : public OnBothEngines {
 protected:
  SchemaShape shape_in(TestDatabase& database) {
    auto shape = introspect(database.connection(), kNames);
    EXPECT_TRUE(shape) << shape.error().message;
    return shape ? *shape : SchemaShape();
  }
  // Read before the test's own tables are made: they would be in the way.
  SchemaShape shape_of(const Tables& tables) {
    database_.run("BEGIN;" + script_of(GetParam(), tables));
    SchemaShape shape = shape_in(database_);
    database_.run("ROLLBACK");
    return shape;
  }

  base::Result<MigrationDraft> draft(const Tables& before, const Tables& after) {
    return draft_migration(GetParam(), shape_of(before), shape_of(after), after);
  }

  // Both ways, on a database with these rows.
  MigrationDraft goes_there_and_back(const Tables& before, const Tables& after,
                                     std::string_view rows) {
    const SchemaShape here = shape_of(before);
    const SchemaShape there = shape_of(after);
    auto drafted = draft_migration(GetParam(), here, there, after);
    EXPECT_TRUE(drafted) << drafted.error().message;
    if (!drafted) return {};
    database_.run(script_of(GetParam(), before) + std::string(rows));
    for (const auto& statement : drafted->up) database_.run(statement);
    EXPECT_EQ(canonical_text(shape_in(database_)), canonical_text(there));
    if (drafted->irreversible.empty()) {
      for (const auto& statement : drafted->down) database_.run(statement);
      EXPECT_EQ(canonical_text(shape_in(database_)), canonical_text(here));
    }
    return *std::move(drafted);
  }

  std::string why_not(const Tables& before, const Tables& after) {
    auto drafted = draft(before, after);
    EXPECT_FALSE(drafted) << fmt::format("{}", drafted->up.size());
    if (drafted) return {};
    EXPECT_EQ(drafted.error().code, base::Code::invalid);
    return drafted.error().message;
  }
};
INSTANTIATE_TEST_SUITE_P(, Draft, kBothEngines, engine_of);

constexpr std::string_view kRows =
    "INSERT INTO plays (title) VALUES ('Hamlet'), ('茶馆');"
    "INSERT INTO acts (play_id, scene) VALUES (1, 'a castle'), (2, NULL);";

TEST_P(Draft, NothingChangesNothing) {
  auto drafted = draft(two_tables(), two_tables());
  ASSERT_TRUE(drafted) << drafted.error().message;
  EXPECT_THAT(drafted->up, IsEmpty());
  EXPECT_THAT(drafted->down, IsEmpty());
}

TEST_P(Draft, NewTablesColumnsAndIndexes) {
  Tables after = two_tables();
  after.push_back({.name = "props",
                   .columns = {key(), reference("act_id", "acts"), reference("of_id", "props"),
                               reference("mask_id", "masks")},
                   .indexes = {{.name = "idx_props_act", .columns = "act_id"}},
                   .checks = {"id > 0"}});
  TableDescription& acts = after[1];
  acts.columns.push_back(reference("next_id", "acts"));
  acts.columns.push_back(reference("mask_id", "masks"));
  ColumnDescription counted = text("mood");
  counted.nullable = false;
  counted.default_sql = "'calm'";
  acts.columns.push_back(counted);
  acts.indexes.push_back({.name = "idx_acts_next", .columns = "next_id, mood"});
  after.insert(after.begin(), {.name = "masks", .columns = {key()}, .indexes = {}, .checks = {}});
  const auto drafted = goes_there_and_back(two_tables(), after, kRows);
  EXPECT_THAT(drafted.changes, ElementsAre("creates table masks", "creates table props",
                                           "adds column acts.next_id", "adds column acts.mask_id",
                                           "adds column acts.mood", "creates index idx_acts_next"));
  EXPECT_THAT(drafted.irreversible, IsEmpty());
  EXPECT_THAT(database_.rows("SELECT title, scene FROM plays p JOIN acts a ON a.play_id = p.id "
                             "ORDER BY p.id"),
              ElementsAre("Hamlet|a castle", "茶馆|NULL"));
}

TEST_P(Draft, WhatIsGoneComesBackOnTheWayDown) {
  Tables after = two_tables();
  after.pop_back();
  after[0].columns.pop_back();
  after[0].indexes.pop_back();
  const auto drafted = goes_there_and_back(two_tables(), after, kRows);
  EXPECT_THAT(drafted.changes, ElementsAre("drops index idx_plays_order",
                                           "drops column plays.order", "drops table acts"));
  EXPECT_THAT(drafted.irreversible, IsEmpty());
  EXPECT_THAT(database_.rows("SELECT title FROM plays ORDER BY id"), ElementsAre("Hamlet", "茶馆"));
  // Not only the shape: what the column is by itself, too.
  database_.run("INSERT INTO plays (title) VALUES ('Nora')");
  EXPECT_THAT(database_.rows("SELECT \"order\" FROM plays WHERE title = 'Nora'"),
              ElementsAre("first"));
  // An author is told what that means.
  auto found = lint(GetParam(), fmt::format("{};\n{}", drafted.up[1], drafted.up[2]));
  ASSERT_TRUE(found);
  EXPECT_THAT(*found, testing::SizeIs(2));
}

TEST_P(Draft, AllTablesInTheOrderOfTheirReferences) {
  goes_there_and_back({}, two_tables(), "");
}

TEST_P(Draft, AllTablesGone) {
  // By name, masks would stand before the acts that they refer to.
  Tables before = two_tables();
  before.push_back({.name = "masks",
                    .columns = {key(), reference("of_id", "masks"), reference("prop_id", "acts")},
                    .indexes = {},
                    .checks = {}});
  goes_there_and_back(before, {}, "");
}

TEST_P(Draft, AnIndexThatChangesIsMadeAnew) {
  Tables after = two_tables();
  after[0].indexes[0].columns = "title, id";
  const auto drafted = goes_there_and_back(two_tables(), after, kRows);
  EXPECT_THAT(drafted.up, ElementsAre("DROP INDEX idx_plays_title",
                                      "CREATE UNIQUE INDEX idx_plays_title ON plays (title, id)"));
}

TEST_P(Draft, AColumnThatRowsCannotGetBackIsIrreversible) {
  Tables after = two_tables();
  after[0].columns.erase(after[0].columns.begin() + 1);
  after[0].indexes.clear();
  const auto drafted = goes_there_and_back(two_tables(), after, kRows);
  EXPECT_THAT(drafted.irreversible, HasSubstr("plays.title may not be NULL and has no default"));
  EXPECT_THAT(drafted.down, IsEmpty());
}

TEST_P(Draft, WhatNeedsARebuildIsRefusedByName) {
  const auto changed = [](auto change) {
    Tables after = two_tables();
    change(after[0], after[1]);
    return after;
  };
  struct Case {
    Tables after;
    std::string words;
  };
  const std::vector<Case> cases = {
      {changed([](auto& plays, auto&) { plays.columns[1].nullable = true; }),
       "plays.title becomes text from text not null, for which the table must be rebuilt"},
      {changed([](auto& plays, auto&) { plays.columns[2].length = 30; }),
       "plays.order becomes varchar(30) default 'first' from varchar(20) default 'first'"},
      {changed([](auto& plays, auto&) { plays.columns[2].default_sql = {}; }),
       "plays.order becomes varchar(20) from varchar(20) default 'first'"},
      {changed([](auto&, auto& acts) { acts.columns[1].parent = {}; }),
       "acts loses foreign key (play_id) references plays (id)"},
      {changed([](auto& plays, auto&) { plays.checks = {"id < 9"}; }), "plays gets check id < 9"},
      {changed([](auto&, auto& acts) { acts.checks.clear(); }), "acts loses check id > 0"}};
  for (const auto& [after, words] : cases) {
    const std::string why = why_not(two_tables(), after);
    EXPECT_THAT(why, AllOf(HasSubstr(words), HasSubstr("must be rebuilt"))) << words;
  }
}

TEST_P(Draft, AColumnThatMustHaveAValueNeedsADefault) {
  Tables after = two_tables();
  after[1].columns.push_back(text("mood"));
  after[1].columns.back().nullable = false;
  EXPECT_THAT(why_not(two_tables(), after),
              HasSubstr("acts.mood may not be NULL and has no default"));
}

// From versions of our own history the model can be drafted, and proves itself.
TEST_P(Draft, FromTheHistoryToTheModel) {
  const auto head = declared_shape(database_.connection());
  ASSERT_TRUE(head);
  for (const int version : {0, 4, 5, database_.head() - 1, database_.head()}) {
    auto drafted = draft_from_model(database_.connection(),
                                    database_.all().first(static_cast<std::size_t>(version)));
    ASSERT_TRUE(drafted) << version << ": " << drafted.error().message << "\n"
                         << drafted.error().detail;
    EXPECT_EQ(drafted->up.empty(), version == database_.head());
    EXPECT_EQ(drafted->fingerprint, drafted->up.empty() ? "" : fingerprint(*head)) << version;
    EXPECT_EQ(drafted->irreversible, "") << version;
  }
}

TEST_P(Draft, ATableThatTheModelForgot) {
  const auto more = parse_migration(GetParam(), 1, "more",
                                    "-- fingerprint sqlite: a\n-- fingerprint postgres: a\n"
                                    "CREATE TABLE masks (id INTEGER);",
                                    "DROP TABLE masks;");
  ASSERT_TRUE(more);
  auto drafted = draft_from_model(database_.connection(), {&*more, 1});
  ASSERT_FALSE(drafted);
  EXPECT_THAT(drafted.error().message, HasSubstr("0001_more makes the table masks"));
  EXPECT_THAT(drafted.error().remedy, HasSubstr("kFormerTables"));
}

TEST(DraftedFiles, AreMigrationsOfTheHouse) {
  MigrationDraft sqlite{
      .changes = {"adds column acts.a"},
      .up = {"ALTER TABLE acts ADD COLUMN a INTEGER",
             "CREATE INDEX idx_acts_of_a_name_that_is_rather_too_long ON acts (a, "
             "another_column) WHERE a IS NOT NULL"},
      .down = {"ALTER TABLE acts DROP COLUMN a"},
      .irreversible = {},
      .fingerprint = "aaaa"};
  MigrationDraft postgres = sqlite;
  postgres.up[0] = "ALTER TABLE acts ADD COLUMN a BIGINT";
  postgres.fingerprint = "bbbb";
  const auto files = migration_files(sqlite, postgres, "");
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].name, "up.sqlite.sql");
  EXPECT_EQ(files[0].text,
            "-- This adds column acts.a.\n-- fingerprint sqlite: aaaa\n-- compatible: no\n\n"
            "ALTER TABLE acts ADD COLUMN a INTEGER;\n"
            "CREATE INDEX idx_acts_of_a_name_that_is_rather_too_long\n"
            "    ON acts (a, another_column) WHERE a IS NOT NULL;\n");
  EXPECT_EQ(files[1].name, "up.postgres.sql");
  EXPECT_EQ(files[2].name, "down.sql");
  const auto parsed =
      parse_migration(db::Engine::postgres, 11, "acts", files[1].text, files[2].text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->fingerprint, "bbbb");
  EXPECT_FALSE(parsed->compatible);
}

TEST(DraftedFiles, OneFileWhereTheEnginesReadTheSame) {
  MigrationDraft draft{.changes = {},
                       .up = {"ALTER TABLE acts DROP COLUMN a"},
                       .down = {},
                       .irreversible = "its values are gone",
                       .fingerprint = "aaaa"};
  const auto files = migration_files(draft, draft, "Nobody acts so any more.");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(
      files[0].text,
      "-- Nobody acts so any more.\n-- fingerprint sqlite: aaaa\n"
      "-- fingerprint postgres: aaaa\n-- compatible: no\n\nALTER TABLE acts DROP COLUMN a;\n");
  const auto parsed = parse_migration(db::Engine::sqlite, 11, "acts", files[0].text, files[1].text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->irreversible, "its values are gone");
}

}  // namespace
}  // namespace tertulia::schema
