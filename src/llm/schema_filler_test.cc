#include "llm/schema_filler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <set>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "llm/matching_text.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;
using testing::HasSubstr;

// What valijson, which shares no code with the filler, says of a value.
bool is_valid(const json::value& schema_text, const json::value& value, std::string& why) {
  valijson::Schema schema;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::BoostJsonAdapter(schema_text), schema);
  valijson::Validator validator;
  valijson::ValidationResults results;
  const bool valid =
      validator.validate(schema, valijson::adapters::BoostJsonAdapter(value), &results);
  valijson::ValidationResults::Error error;
  while (results.popError(error)) why += error.description + "; ";
  return valid;
}

struct Case {
  std::string_view name, schema;
  std::size_t variety;  // at least so many different values in 300 draws
};

constexpr Case kCases[] = {
    {"no type at all", R"({})", 5},
    {"string", R"({"type":"string"})", 5},
    {"short string", R"({"type":"string","maxLength":3})", 1},
    {"empty string", R"({"type":"string","maxLength":0})", 1},
    {"long string", R"({"type":"string","minLength":500,"maxLength":510})", 50},
    {"pattern", R"({"type":"string","pattern":"^[A-Z]{3}-\\d{2,4}$"})", 200},
    {"pattern and length", R"({"type":"string","pattern":"^a+$","minLength":3,"maxLength":3})", 1},
    {"boolean", R"({"type":"boolean"})", 2},
    {"null", R"({"type":"null"})", 1},
    {"integer", R"({"type":"integer","minimum":1,"maximum":10})", 10},
    {"integer between halves", R"({"type":"integer","minimum":0.5,"maximum":2.5})", 2},
    {"integer from", R"({"type":"integer","minimum":100})", 11},
    {"integer to", R"({"type":"integer","maximum":-100})", 11},
    {"integer wide", R"({"type":"integer","minimum":-9e15,"maximum":9e15})", 290},
    {"number", R"({"type":"number","minimum":0,"maximum":1})", 50},
    {"narrow number", R"({"type":"number","minimum":0.001,"maximum":0.002})", 100},
    {"one number", R"({"type":"number","minimum":7,"maximum":7})", 1},
    {"enum", R"({"enum":["accept","reject",3,null,{"a":1}]})", 5},
    {"enum of a type", R"({"type":"string","enum":["accept","reject",3]})", 2},
    {"const", R"({"const":{"a":[1,2]}})", 1},
    {"type list", R"({"type":["string","null"]})", 5},
    {"array", R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":5})", 100},
    {"empty array", R"({"type":"array","maxItems":0})", 1},
    {"array without items", R"({"type":"array"})", 20},
    {"object",
     R"({"type":"object","required":["decision","score"],"additionalProperties":false,)"
     R"("properties":{"decision":{"enum":["accept","reject"]},"score":{"type":"integer",)"
     R"("minimum":1,"maximum":10},"notes":{"type":"array","items":{"type":"string"}}}})",
     100},
    {"required, not declared", R"({"type":"object","required":["x"]})", 5},
    {"required, by additionalProperties",
     R"({"type":"object","required":["x"],"additionalProperties":{"type":"integer"}})", 8},
    {"nested",
     R"({"type":"object","properties":{"a":{"type":"object","required":["b"],)"
     R"("properties":{"b":{"type":"array","items":{"type":"boolean"},"minItems":1}}}}})",
     8},
    {"anyOf", R"({"anyOf":[{"type":"integer","minimum":0},{"type":"boolean"}]})", 8},
    {"anyOf beside properties",
     R"({"type":"object","properties":{"kind":{"type":"string"}},"required":["kind"],)"
     R"("anyOf":[{"properties":{"kind":{"const":"a"},"n":{"type":"integer"}},"required":["n"]},)"
     R"({"properties":{"kind":{"const":"b"}}}]})",
     5},
    {"$ref",
     R"({"$defs":{"vote":{"enum":["go","no-go"]}},"type":"object","required":["v"],)"
     R"("properties":{"v":{"$ref":"#/$defs/vote"}}})",
     2},
    {"recursive, but not of need",
     R"({"$defs":{"node":{"type":"object","required":["name"],"properties":{"name":)"
     R"({"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}}}},)"
     R"("$ref":"#/$defs/node"})",
     100},
};

TEST(SchemaFiller, ValuesAreValidAndVary) {
  for (const Case& one : kCases) {
    const auto schema = base::parse_json(one.schema);
    ASSERT_TRUE(schema) << one.name;
    std::set<std::string> values;
    for (int seed = 0; seed < 300; ++seed) {
      base::Random random(static_cast<std::uint64_t>(seed), "path");
      const auto value = fill_schema(schema->as_object(), seed % 2 == 0 ? "en" : "zh", random);
      ASSERT_TRUE(value) << one.name << ": " << value.error().message;
      std::string why;
      ASSERT_TRUE(is_valid(*schema, *value, why))
          << one.name << ": " << base::to_text(*value) << ": " << why;
      ASSERT_TRUE(base::parse_json(base::to_text(*value))) << one.name;
      values.insert(base::to_text(*value));
    }
    EXPECT_GE(values.size(), one.variety) << one.name;
  }
}

TEST(SchemaFiller, TheSameSeedGivesTheSameValue) {
  const auto schema = base::parse_json(kCases[24].schema);
  base::Random a(1, "p"), b(1, "p"), c(1, "q");
  const auto first = base::to_text(*fill_schema(schema->as_object(), "en", a));
  EXPECT_EQ(base::to_text(*fill_schema(schema->as_object(), "en", b)), first);
  EXPECT_NE(base::to_text(*fill_schema(schema->as_object(), "en", c)), first);
}

struct Impossible {
  std::string_view schema, why;
};

TEST(SchemaFiller, WhatCannotBeFilledIsNamedWithItsPlace) {
  for (const Impossible& one : {
           Impossible{R"({"type":"integer","minimum":3,"maximum":2})", "no integer"},
           {R"({"type":"integer","minimum":0.1,"maximum":0.9})", "no integer"},
           {R"({"type":"number","minimum":3,"maximum":2})", "minimum is above maximum"},
           {R"({"type":"string","minLength":3,"maxLength":2})", "minLength is above maxLength"},
           {R"({"type":"string","minLength":1e9})", "more than 100000 characters"},
           {R"({"type":"array","minItems":1e6})", "more than 1000 items"},
           {R"({"type":"array","minItems":3,"maxItems":2})", "minItems is above maxItems"},
           {R"({"type":"object","required":["a"],"properties":{"a":{"type":"string",)"
            R"("pattern":"(?=x)y"}}})",
            "at /a: no text is known for the pattern"},
           {R"({"type":"string","pattern":"^ab$","minLength":5})", "no text of 5"},
           {R"({"type":"string","enum":[1,2]})", "enum"},
           {R"({"enum":[]})", "enum"},
           {R"({"anyOf":[]})", "anyOf"},
           {R"({"$ref":"#/$defs/none"})", "points to nothing"},
           {R"({"$ref":"http://example.org/s"})", "into the schema itself"},
           {R"({"$ref":"#"})", "without end"},
           {R"({"$defs":{"a":{"type":"object","required":["a"],"properties":{"a":)"
            R"({"$ref":"#/$defs/a"}}}},"$ref":"#/$defs/a"})",
            "without end"},
           {R"({"type":"thing"})", "type thing is not known"},
           {R"({"type":"object","required":["a"],"additionalProperties":false})", "at /a"},
       }) {
    const auto schema = base::parse_json(one.schema);
    base::Random random(1, "p");
    const auto value = fill_schema(schema->as_object(), "en", random);
    ASSERT_FALSE(value) << one.schema;
    EXPECT_THAT(value.error().message, HasSubstr(std::string(one.why)));
  }
}

TEST(MatchingText, IsMatched) {
  for (const std::string_view pattern : {"abc",
                                         "^abc$",
                                         "[a-f0-9]{8}",
                                         "a|bc|",
                                         "(ab|c)+d?",
                                         "\\d{4}-\\d{2}-\\d{2}",
                                         "\\w+@\\w+\\.de",
                                         "x{0}",
                                         "[-a]",
                                         "[]a]",
                                         "[\\]\\-]",
                                         "[\\d_]{3,}",
                                         ".*",
                                         "(?:a|(b|c){2})*",
                                         "a.c",
                                         "\\s",
                                         "通过|驳回",
                                         "[一二三]",
                                         "a{2,3}?",
                                         ""}) {
    std::string anchored = "^(?:" + std::string(pattern) + ")$";
    const RE2 expression(anchored);
    ASSERT_TRUE(expression.ok()) << pattern;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      base::Random random(seed, "p");
      const auto text = matching_text(pattern, random);
      ASSERT_TRUE(text) << pattern;
      EXPECT_TRUE(pattern.starts_with('^') ? RE2::FullMatch(*text, RE2(std::string(pattern)))
                                           : RE2::FullMatch(*text, expression))
          << pattern << " / " << *text;
    }
  }
}

TEST(MatchingText, WhatItDoesNotKnowItRefuses) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += '(';
  for (const std::string& pattern :
       {std::string("(?=a)"), std::string("[^a]"), std::string("a)"), std::string("(a"),
        std::string("[a"), std::string("[b-a]"), std::string("*a"), std::string("a{2"),
        std::string("a{3,2}"), std::string("a{99999}"), std::string("\\b"), std::string("\\"),
        std::string("a^b"), std::string("a$b"), std::string("((a{1000}){1000}){1000}"), deep}) {
    base::Random random(1, "p");
    EXPECT_FALSE(matching_text(pattern, random)) << pattern.substr(0, 40);
  }
}

}  // namespace
}  // namespace tertulia::llm
