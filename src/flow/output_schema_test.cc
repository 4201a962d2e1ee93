#include "flow/output_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace tertulia::flow {
namespace {

using testing::HasSubstr;

OutputSchema schema_of(std::string_view text) {
  auto parsed = base::parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  auto schema = OutputSchema::compile(parsed.value().get_object());
  EXPECT_TRUE(schema.ok()) << text << ": " << schema.error().message;
  return *std::move(schema);
}

base::Result<OutputSchema> compile(std::string_view text) {
  return OutputSchema::compile(base::parse_json(text).value().get_object());
}

constexpr std::string_view kVerdict = R"({
  "type": "object", "required": ["decision", "score"], "additionalProperties": false,
  "properties": {
    "decision": {"enum": ["accept", "reject"]},
    "score": {"type": "integer", "minimum": 1, "maximum": 10},
    "reasons": {"type": "array", "minItems": 1, "maxItems": 2,
                "items": {"type": "string", "minLength": 2, "maxLength": 5}},
    "code": {"type": "string", "pattern": "^[A-Z]{2}$"}}})";

TEST(OutputSchema, TakesWhatFitsWithOrWithoutAFence) {
  const OutputSchema schema = schema_of(kVerdict);
  const std::string plain = R"({"decision": "accept", "score": 7})";
  for (const std::string& text :
       {plain, "  \n" + plain + "\n", "```json\n" + plain + "\n```", "```\n" + plain + "\n```\n",
        "\n```JSON\r\n" + plain + "\r\n```"}) {
    const auto value = schema.parse_output(text);
    ASSERT_TRUE(value.ok()) << text << ": " << value.error().message;
    EXPECT_EQ(value.value().at("score").as_int64(), 7);
  }
}

TEST(OutputSchema, NamesEachViolationWithItsPointer) {
  struct Case {
    std::string_view text;
    std::vector<std::string> fragments;
  };
  const OutputSchema schema = schema_of(kVerdict);
  const std::vector<Case> cases = {
      {"I accept.", {"not JSON"}},
      {"", {"not JSON"}},
      {R"({"decision": "accept"})", {"score"}},
      {R"({"decision": "perhaps", "score": 3})", {"/decision"}},
      {R"({"decision": "accept", "score": 11})", {"/score"}},
      {R"({"decision": "accept", "score": 0})", {"/score"}},
      {R"({"decision": "accept", "score": 2.5})", {"/score"}},
      {R"({"decision": "accept", "score": "2"})", {"/score"}},
      {R"({"decision": "accept", "score": 2, "more": 1})", {"more"}},
      {R"({"decision": "perhaps", "score": 99})", {"/decision", "/score"}},
      {R"({"decision": "accept", "score": 2, "reasons": []})", {"/reasons"}},
      {R"({"decision": "accept", "score": 2, "reasons": ["aa", "bb", "cc"]})", {"/reasons"}},
      {R"({"decision": "accept", "score": 2, "reasons": ["aa", "b"]})", {"/reasons/1"}},
      {R"({"decision": "accept", "score": 2, "reasons": ["toolong"]})", {"/reasons/0"}},
      {R"({"decision": "accept", "score": 2, "code": "ab"})", {"/code", "^[A-Z]{2}$"}},
      {R"([1])", {"/: ", "type"}},
  };
  for (const Case& each : cases) {
    const auto value = schema.parse_output(each.text);
    ASSERT_FALSE(value.ok()) << each.text;
    EXPECT_EQ(value.error().code, base::Code::invalid);
    for (const std::string& fragment : each.fragments)
      EXPECT_THAT(value.error().message, HasSubstr(fragment)) << each.text;
  }
}

TEST(OutputSchema, CountsCharactersNotBytes) {
  const OutputSchema schema = schema_of(R"({"type": "string", "maxLength": 3, "minLength": 3})");
  EXPECT_TRUE(schema.parse_output(R"("产品人")").ok());
  EXPECT_FALSE(schema.parse_output(R"("产品")").ok());
}

// valijson's std::regex overflows the stack here.
TEST(OutputSchema, PatternsTakeLongTexts) {
  const OutputSchema schema =
      schema_of(R"({"type": "object", "properties": {"a": {"pattern": "^(a|b)*$"}}})");
  const std::string good(50'000, 'a');
  EXPECT_TRUE(schema.parse_output("{\"a\": \"" + good + "\"}").ok());
  const auto bad = schema.parse_output("{\"a\": \"" + good + "c\"}");
  ASSERT_FALSE(bad.ok());
  EXPECT_THAT(bad.error().message, HasSubstr("/a"));
  EXPECT_LT(bad.error().message.size(), 1'000U) << "an error does not repeat the answer";
}

TEST(OutputSchema, PatternsHoldWhereverASchemaMayStand) {
  struct Case {
    std::string_view schema;
    std::string_view good;
    std::string_view bad;
    std::string_view pointer;
  };
  const std::vector<Case> cases = {
      {R"({"type": "string", "pattern": "^a"})", R"("ab")", R"("b")", "/"},
      {R"({"items": {"pattern": "^a"}})", R"(["a", "ab"])", R"(["a", "b"])", "/1"},
      {R"({"properties": {"x/y": {"pattern": "^a"}}})", R"({"x/y": "a"})", R"({"x/y": "b"})",
       "/x~1y"},
      {R"({"$defs": {"n": {"pattern": "^a"}}, "items": {"$ref": "#/$defs/n"}})", R"(["a"])",
       R"(["b"])", "/0"},
      {R"({"anyOf": [{"type": "string", "pattern": "^a"}, {"type": "integer"}]})", R"(7)", R"("b")",
       "/"},
      {R"({"anyOf": [{"pattern": "^a"}, {"pattern": "^b"}]})", R"("b")", R"("c")", "/"},
      {R"({"properties": {"pattern": {"pattern": "^a"}}})", R"({"pattern": "a"})",
       R"({"pattern": "b"})", "/pattern"},
      // A reference that comes back to itself through the value ends with the value.
      {R"({"$defs": {"t": {"properties": {"n": {"pattern": "^a"}, "c": {"$ref": "#/$defs/t"}}}},
           "$ref": "#/$defs/t"})",
       R"({"n": "a", "c": {"n": "a"}})", R"({"n": "a", "c": {"n": "b"}})", "/c/n"},
      // Patterns under a branch that is reached through a reference.
      {R"({"$defs": {"s": {"pattern": "^a"}},
           "anyOf": [{"type": "object", "properties": {"x": {"$ref": "#/$defs/s"}}},
                     {"type": "null"}]})",
       R"({"x": "a"})", R"({"x": "b"})", "/x"},
      // References out of a branch, and the whole schema again; names that a URI would escape.
      {R"({"properties": {"50%/x": {"anyOf": [{"$ref": "#/$defs/a b"}, {"type": "array", "items": {"$ref": "#"}}]}},
           "$defs": {"a b": {"type": "string", "pattern": "^a"}}})",
       R"({"50%/x": [{"50%/x": "a"}]})", R"({"50%/x": "b"})", "/50%~1x"},
      {R"({"properties": {"x": {"anyOf": [{"type": "null"}, {"type": "array",
                                                            "items": {"$ref": "#"}}]},
                          "y": {"pattern": "^a"}}})",
       R"({"x": [{"x": null, "y": "a"}]})", R"({"x": [{"y": "b"}]})", "/x/0/y"},
      // anyOf inside a branch of anyOf.
      {R"({"anyOf": [{"anyOf": [{"pattern": "^a"}, {"type": "null"}]}, {"type": "boolean"}]})",
       R"(true)", R"("b")", "/"},
      // Which branch fits hangs on a pattern deep inside one.
      {R"({"anyOf": [{"properties": {"a": {"pattern": "^x"}}, "required": ["a"]},
                     {"properties": {"a": {"pattern": "^y"}}, "required": ["a"]}]})",
       R"({"a": "y"})", R"({"a": "z"})", "/a"},
  };
  for (const Case& each : cases) {
    const OutputSchema schema = schema_of(each.schema);
    const auto good = schema.parse_output(each.good);
    EXPECT_TRUE(good.ok()) << each.schema << each.good << ": " << good.error().message;
    const auto bad = schema.parse_output(each.bad);
    ASSERT_FALSE(bad.ok()) << each.schema << each.bad;
    EXPECT_THAT(bad.error().message, HasSubstr(std::string(each.pointer) + ":")) << each.schema;
  }
}

TEST(OutputSchema, RefusesWhatIsNotOfTheSubset) {
  struct Case {
    std::string_view schema;
    std::string_view pointer;
    std::string_view fragment;
  };
  const std::vector<Case> cases = {
      {R"({"tipe": "string"})", "/tipe", "did you mean 'type'?"},
      {R"({"oneOf": []})", "/oneOf", "not supported"},
      {R"({"patternProperties": {}})", "/patternProperties", "not supported"},
      {R"({"type": "text"})", "/type", "object, array"},
      {R"({"type": []})", "/type", "expected"},
      {R"({"type": 3})", "/type", "expected"},
      {R"({"properties": []})", "/properties", "expected"},
      {R"({"properties": {"a": {"typo": 1}}})", "/properties/a/typo", "not supported"},
      {R"({"properties": {"a": true}})", "/properties/a", "mapping"},
      {R"({"required": "a"})", "/required", "list"},
      {R"({"required": [1]})", "/required", "list"},
      {R"({"items": {"enum": []}})", "/items/enum", "not empty"},
      {R"({"minLength": -1})", "/minLength", "count"},
      {R"({"minItems": 1.5})", "/minItems", "count"},
      {R"({"minimum": "1"})", "/minimum", "number"},
      {R"({"pattern": "("})", "/pattern", "RE2"},
      {R"x({"pattern": "(?=a)"})x", "/pattern", "RE2"},
      {R"({"anyOf": []})", "/anyOf", "list"},
      {R"({"anyOf": [{"x": 1}]})", "/anyOf/0/x", "not supported"},
      {R"({"$ref": "other.json"})", "/$ref", "into this schema"},
      {R"({"$ref": "#/$defs/gone"})", "/$ref", "there is no schema at"},
      {R"({"title": "x", "$ref": "#"})", "", "itself"},
      {R"({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
           "$ref": "#/$defs/a"})",
       "/$defs/a", "itself"},
      // The same without end through anyOf: no value is taken apart on the way.
      {R"({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}},
           "$ref": "#/$defs/a"})",
       "/$defs/a", "itself"},
      {R"({"$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a", "minimum": 1})", "/minimum",
       "beside '$ref'"},
      {R"({"additionalProperties": {"type": "string"}})", "/additionalProperties", "true or false"},
  };
  for (const Case& each : cases) {
    const auto schema = compile(each.schema);
    ASSERT_FALSE(schema.ok()) << each.schema;
    EXPECT_EQ(schema.error().code, base::Code::invalid);
    if (!each.pointer.empty()) {
      EXPECT_EQ(schema.error().detail, each.pointer) << each.schema;
    }
    EXPECT_THAT(schema.error().message, HasSubstr(std::string(each.fragment))) << each.schema;
  }
}

TEST(OutputSchema, RefusesASchemaThatIsNestedTooDeep) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += R"({"items": )";
  deep += "{}" + std::string(40, '}');
  const auto schema = compile(deep);
  ASSERT_FALSE(schema.ok());
  EXPECT_THAT(schema.error().message, HasSubstr("nested deeper than"));
}

// Validation follows references by recursion: a chain of them is bounded as nesting is.
TEST(OutputSchema, RefusesALongChainOfReferences) {
  std::string chain = R"({"$ref": "#/$defs/n0", "$defs": {)";
  for (int i = 0; i < 5'000; ++i)
    chain +=
        "\"n" + std::to_string(i) + R"(": {"$ref": "#/$defs/n)" + std::to_string(i + 1) + "\"},";
  chain += R"("n5000": {"type": "null"}}})";
  const auto schema = compile(chain);
  ASSERT_FALSE(schema.ok());
  EXPECT_THAT(schema.error().message, HasSubstr("references"));
}

TEST(OutputSchema, RefusesBranchesThatMultiply) {
  std::string doubling = R"({"$ref": "#/$defs/n0", "$defs": {)";
  for (int i = 0; i < 30; ++i) {
    const std::string next = R"({"$ref": "#/$defs/n)" + std::to_string(i + 1) + "\"}";
    doubling += "\"n" + std::to_string(i) + R"(": {"anyOf": [)" + next + "," + next + "]},";
  }
  doubling += R"("n30": {"type": "null"}}})";
  const auto schema = compile(doubling);
  ASSERT_FALSE(schema.ok());
  EXPECT_EQ(schema.error().code, base::Code::invalid);
}

TEST(OutputSchema, IsSharedBetweenThreads) {
  const OutputSchema schema = schema_of(
      R"({"type": "array", "items": {"anyOf": [{"pattern": "^a+$"}, {"type": "integer"}]}})");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t i = 0; i < wrong.size(); ++i)
    threads.emplace_back([&schema, &wrong, i] {
      for (int n = 0; n < 200; ++n) {
        if (!schema.parse_output(R"(["aa", 1])").ok()) ++wrong[i];
        if (schema.parse_output(R"(["ab", 1])").ok()) ++wrong[i];
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

}  // namespace
}  // namespace tertulia::flow
