#include "schema/sql_text.h"

#include <gmock/gmock.h>

namespace tertulia::schema {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

TEST(Statements, AreSplitWhereTheyEnd) {
  struct Case {
    std::string_view script;
    std::vector<std::string_view> statements;
  };
  const Case cases[] = {
      {"", {}},
      {" ;; ; ", {}},
      {"-- nothing; here\n/* nor; here */", {}},
      {"SELECT 1", {"SELECT 1"}},
      {"SELECT 1; SELECT 2;", {"SELECT 1", "SELECT 2"}},
      {"-- first;\nSELECT 1 -- one;\n;\nSELECT /* ; */ 2", {"SELECT 1", "SELECT /* ; */ 2"}},
      {"SELECT ';'; SELECT 'it''s;'", {"SELECT ';'", "SELECT 'it''s;'"}},
      {R"(SELECT E'\';'; SELECT 1)", {R"(SELECT E'\';')", "SELECT 1"}},
      {R"(SELECT "a;""b"; SELECT `c;`)", {R"(SELECT "a;""b")", "SELECT `c;`"}},
      {"SELECT $$a;b$$; SELECT $x$ $$ ; $x$; SELECT $1",
       {"SELECT $$a;b$$", "SELECT $x$ $$ ; $x$", "SELECT $1"}},
      {"CREATE TRIGGER t AFTER UPDATE ON a BEGIN UPDATE a SET b = CASE WHEN 1 THEN 2 END; "
       "DELETE FROM c; END; SELECT 1",
       {"CREATE TRIGGER t AFTER UPDATE ON a BEGIN UPDATE a SET b = CASE WHEN 1 THEN 2 END; "
        "DELETE FROM c; END",
        "SELECT 1"}},
      {"CREATE TRIGGER t BEFORE UPDATE ON a EXECUTE FUNCTION f(); SELECT 1",
       {"CREATE TRIGGER t BEFORE UPDATE ON a EXECUTE FUNCTION f()", "SELECT 1"}},
      {"CREATE TABLE \"trigger\" (begin_at TEXT); SELECT 1",
       {"CREATE TABLE \"trigger\" (begin_at TEXT)", "SELECT 1"}},
      {"BEGIN; SELECT 1; END", {"BEGIN", "SELECT 1", "END"}},
      {"SELECT '作家;'; SELECT 1", {"SELECT '作家;'", "SELECT 1"}},
  };
  for (const auto& [script, statements] : cases) {
    const auto split = statements_of(script);
    ASSERT_TRUE(split) << script << ": " << split.error().message;
    EXPECT_THAT(*split, ElementsAreArray(statements)) << script;
  }
}

TEST(Statements, ThatDoNotEndAreNamedByLine) {
  struct Case {
    std::string_view script;
    std::string_view message;
  };
  const Case cases[] = {
      {"SELECT 1;\nSELECT 'a", "line 2: a string does not end"},
      {"SELECT 1;\n\n/* a", "line 3: a comment does not end"},
      {"SELECT \"a", "a quoted name does not end"},
      {"SELECT $x$ a $$", "a dollar-quoted string does not end"},
      {"/* a /* b */ */", "a comment stands in a comment"},
      {"CREATE TRIGGER t AFTER UPDATE ON a BEGIN DELETE FROM b;", "does not end"},
  };
  for (const auto& [script, message] : cases) {
    const auto split = statements_of(script);
    ASSERT_FALSE(split) << script;
    EXPECT_THAT(split.error().message, HasSubstr(std::string(message)));
  }
}

TEST(Normalised, SpellingsOfOneExpressionAreEqual) {
  EXPECT_EQ(normalised("a  IS NOT\nnull -- so"), "a is not null");
  EXPECT_EQ(normalised("\"a\" is not NULL"), "a is not null");
  EXPECT_EQ(normalised("x<>'A  b'"), "x <> 'A  b'");
  EXPECT_NE(normalised("\"A\" = 1"), normalised("a = 1"));
}

TEST(SqlName, WhereItMustBe) {
  EXPECT_EQ(sql_name("roles"), "roles");
  EXPECT_EQ(sql_name("order"), "\"order\"");
  EXPECT_EQ(sql_name("Order \"x\""), "\"Order \"\"x\"\"\"");
}

}  // namespace
}  // namespace tertulia::schema
