#include "flow/yaml_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "flow/test_flows.h"

namespace tertulia::flow {
namespace {

using testing::HasSubstr;

// The problems of loading a text: "LINE:COLUMN message", and whether it was loaded.
std::vector<std::string> problems_of(std::string_view source) {
  Problems problems;
  const auto root = load_yaml(source, problems);
  std::vector<std::string> list;
  for (const Problem& each : problems.take())
    list.push_back(fmt::format("{}:{} {}", each.line, each.column, each.message));
  EXPECT_EQ(root.has_value(), list.empty());
  return list;
}

std::string repeated(std::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

TEST(LoadYaml, NamesTheLimitThatAHostileTextBreaks) {
  struct Case {
    const char* what;
    std::string source;
    std::string problem;
  };
  std::string nested_lists, nested_maps;
  for (int i = 0; i < 10'000; ++i) nested_lists += "- ";
  for (int i = 0; i < 1'000; ++i) nested_maps += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  const std::string at_most = std::string(kMaxFlowBytes - 3, 'a');
  const std::vector<Case> cases = {
      {"brackets", std::string(10'000, '['), "nested deeper than 64"},
      {"closed brackets", std::string(10'000, '[') + std::string(10'000, ']'),
       "1:65 nested deeper than 64"},
      {"braces", repeated("{a: ", 10'000), "nested deeper than 64"},
      {"block lists", nested_lists + "x", "1:129 nested deeper than 64"},
      {"block mappings", nested_maps, "65:65 nested deeper than 64"},
      {"a megabyte of brackets", std::string(kMaxFlowBytes, '['), "nested deeper than 64"},
      {"values", "a: [" + repeated("1,", 100'001) + "]", "more than 100000 values"},
      {"bytes", "a: " + std::string(kMaxFlowBytes, 'a'),
       "1:1 a flow may have 1048576 bytes at most, this has 1048579"},
      {"an alias bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
       "1:4 anchors and aliases are not part of the language"},
      {"a tag", "a: !!binary aGVsbG8=\n", "1:4 tags are not part of the language"},
      {"a second document", "a: 1\n---\nb: 2\n", "a flow is one document, this is a second"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    EXPECT_THAT(problems_of(each.source), testing::ElementsAre(HasSubstr(each.problem)));
  }
  EXPECT_THAT(problems_of("a: " + at_most), testing::IsEmpty()) << "as many bytes as may be";
  EXPECT_THAT(problems_of(std::string(63, '[') + std::string(63, ']')), testing::IsEmpty());
}

TEST(LoadYaml, SaysWhereATextIsNoText) {
  struct Case {
    std::string source;
    std::string problem;
  };
  const std::vector<Case> cases = {
      {std::string("a: 1\nb: \0x", 10), "2:4 a NUL character (byte 8): this is not a text"},
      {"a: 1\nüb: \xFF", "2:5 byte 10 (0xFF) is not valid UTF-8"},
      {"a: \xC0\xAF", "1:4 byte 3 (0xC0) is not valid UTF-8"},
      {"a: \xED\xA0\x80", "1:4 byte 3 (0xED) is not valid UTF-8"},
      {"\xFF\xFE"
       "a",
       "1:1 byte 0 (0xFF) is not valid UTF-8"},
      {"a: [1, 2\nb: 3\n", "not YAML: "},
      {"b: \"x\"\na: \"open\\\"\n", "2:4 the text that begins here has no closing \""},
      {"a: b: c\n", "1:5 not YAML: "},
      {"task: *Bold* words\n", "a text that begins with '*' must be quoted"},
      {"task: &more\n  x\n", "a text that begins with '&' must be quoted"},
      {"task: @chair decide\n", "a text that begins with '@' must be quoted"},
      {"task: 100% `sure`\nnext: `no`\n", "a text that begins with '`' must be quoted"},
  };
  for (const Case& each : cases)
    EXPECT_THAT(problems_of(each.source), testing::ElementsAre(HasSubstr(each.problem)))
        << each.source;
}

// JSON is YAML but for surrogate pairs, which a library that writes only ASCII makes.
TEST(LoadYaml, ReadsAllOfJson) {
  const std::string source = R"({
	"a": "\ud83d\ude00 \u5546\/\"\\ud83d\n",
	"b": [1, -2.5e1, true, null, "null", {}, []]
})";
  Problems problems;
  const auto root = load_yaml(source, problems);
  ASSERT_TRUE(root) << problems.take().at(0).message;
  const YamlReader reader(source, problems);
  EXPECT_EQ(base::to_text(reader.value(*root)),
            R"({"a":"😀 商/\"\\ud83d\n","b":[1,-25,true,null,"null",{},[]]})");
  EXPECT_TRUE(is_json(source));
  EXPECT_TRUE(is_json("\xEF\xBB\xBF \n{}"));
  EXPECT_FALSE(is_json("tertulia: 1"));
  EXPECT_FALSE(is_json(""));
}

class Reading : public testing::Test {
 protected:
  // Reads a text; its nodes are then asked for by key.
  void read(std::string source) {
    source_ = std::move(source);
    root_ = load_yaml(source_, problems_);
    ASSERT_TRUE(root_) << problems_.take().at(0).message;
    reader_.emplace(source_, problems_);
  }
  [[nodiscard]] const YAML::Node at(const char* key) const {
    const YAML::Node root = *root_;
    return root[key];
  }
  std::string place(const YAML::Node& node) {
    const Place place = reader_->place(node);
    return fmt::format("{}:{}", place.line, place.column);
  }
  std::vector<std::string> problems() {
    std::vector<std::string> list;
    for (const Problem& each : problems_.take())
      list.push_back(fmt::format("{}:{} {}", each.line, each.column, each.message));
    problems_ = Problems();
    return list;
  }

  std::string source_;
  Problems problems_;
  std::optional<YAML::Node> root_;
  std::optional<YamlReader> reader_;
};

TEST_F(Reading, PlacesCountCharacters) {
  read(
      "\xEF\xBB\xBF"
      "a: x\n产品: [打, 工人, z]\nb:\n  c: |\n    x {{one}}\n    {{two}}\n");
  EXPECT_EQ(place(at("a")), "1:4") << "a byte order mark is no character";
  EXPECT_EQ(place(at("产品")[1]), "2:9");
  EXPECT_EQ(place(at("产品")[2]), "2:13");
  EXPECT_EQ(place(YamlReader::key(*root_, "产品")), "2:1");
  const Place first = reader_->place_of_braces(at("b")["c"], 0);
  EXPECT_EQ(first.line, 5);
  EXPECT_EQ(first.column, 7);
  const Place second = reader_->place_of_braces(at("b")["c"], 1);
  EXPECT_EQ(second.line, 6);
  EXPECT_EQ(second.column, 5);
  const Place none = reader_->place_of_braces(at("b")["c"], 2);
  EXPECT_EQ(fmt::format("{}:{}", none.line, none.column), place(at("b")["c"]));
}

TEST_F(Reading, PlacesInOneLongLineAreRight) {
  std::string line = "[";
  for (int i = 0; i < 5'000; ++i) line += "ü, ";
  read("a: " + line + "end]\n");
  EXPECT_EQ(place(at("a")[0]), "1:5");
  EXPECT_EQ(place(at("a")[5'000]), "1:15005");
}

TEST_F(Reading, KeysAreKnownAndStandOnce) {
  read("attempts: 1\nbackof: 2s\n? [x]\n: 1\nattempts: 2\nzzz: 1\n");
  EXPECT_TRUE(reader_->mapping(*root_, Construct::retry, "retry"));
  EXPECT_THAT(problems(),
              testing::ElementsAre("2:1 unknown key 'backof' in retry; did you mean 'backoff'?",
                                   HasSubstr("a key of retry must be a text"),
                                   "5:1 'attempts' stands twice in retry",
                                   "6:1 unknown key 'zzz' in retry; known are attempts, backoff"));
  read("- 1\n");
  EXPECT_FALSE(reader_->mapping(*root_, Construct::retry, "retry"));
  EXPECT_THAT(problems(), testing::ElementsAre("1:1 expected a mapping for retry, found a list"));
}

TEST_F(Reading, LaterConstructsAreNotUnknownKeys) {
  read("tools: [x]\ntool: x\n");
  EXPECT_TRUE(reader_->mapping(*root_, Construct::role, "a role"));
  EXPECT_THAT(problems(),
              testing::ElementsAre(
                  "1:1 'tools' in a role: this version of the program cannot perform it yet",
                  HasSubstr("2:1 unknown key 'tool' in a role")));
}

TEST_F(Reading, CountsHaveBoundsAndUnits) {
  struct Case {
    const char* text;
    std::optional<std::int64_t> count;
    const char* problem;
  };
  for (const Case& each : std::vector<Case>{
           {"7", 7, ""},
           {"+7", 7, ""},
           {"20k", 20'000, ""},
           {"2m", 2'000'000, ""},
           {"\"20\"", 20, ""},
           {"0", {}, "x must be from 1 to 3000000, found 0"},
           {"-1", {}, "x must be from 1 to 3000000, found -1"},
           {"4m", {}, "x must be from 1 to 3000000, found 4m"},
           {"99999999999999999999", {}, "expected a whole number"},
           {"9223372036854775807k", {}, "x must be from 1 to 3000000"},
           {"1.5", {}, "expected a whole number such as 20 or 20k for x, found '1.5'"},
           {"+-3", {}, "expected a whole number"},
           {"k", {}, "expected a whole number"},
           {"20 k", {}, "expected a whole number"},
           {"[1]", {}, "found a list"},
           {"~", {}, "found nothing"},
       }) {
    SCOPED_TRACE(each.text);
    read(fmt::format("x: {}\n", each.text));
    EXPECT_EQ(reader_->count(at("x"), "x", 1, 3'000'000), each.count);
    if (each.count) {
      EXPECT_THAT(problems(), testing::IsEmpty());
    } else {
      EXPECT_THAT(problems(), testing::ElementsAre(HasSubstr(each.problem)));
    }
  }
}

TEST_F(Reading, DurationsNeedAUnit) {
  struct Case {
    const char* text;
    std::optional<std::int64_t> ms;
  };
  for (const Case& each : std::vector<Case>{{"200ms", 200},
                                            {"2s", 2'000},
                                            {"1.5s", 1'500},
                                            {"20m", 1'200'000},
                                            {"2h", 7'200'000},
                                            {"720h", 2'592'000'000},
                                            {"721h", {}},
                                            {"20", {}},
                                            {"0s", {}},
                                            {"-1s", {}},
                                            {"1.2.3s", {}},
                                            {"s", {}},
                                            {"1e3s", {}},
                                            {"5 s", {}},
                                            {"5d", {}},
                                            {"{}", {}}}) {
    SCOPED_TRACE(each.text);
    read(fmt::format("x: {}\n", each.text));
    EXPECT_EQ(reader_->duration_ms(at("x"), "timeout"), each.ms);
    EXPECT_EQ(problems().size(), each.ms ? 0U : 1U);
  }
}

TEST_F(Reading, PlainValuesHaveTypesAndQuotedOnesAreTexts) {
  read(
      "[1, -2, 1.5, 1e3, true, false, null, ~, '1', \"true\", yes, 1.2.3, 0x10, .inf, inf, "
      "2026-01-01, {a: [], a: 2}]\n");
  EXPECT_EQ(base::to_text(reader_->value(*root_)),
            R"([1,-2,1.5,1000,true,false,null,null,"1","true","yes","1.2.3","0x10",".inf","inf",)"
            R"("2026-01-01",{"a":2}])");
  EXPECT_THAT(problems(), testing::ElementsAre(HasSubstr("'a' stands twice in a mapping")));
}

// ---- no text may crash the check ---------------------------------------------------------------

std::vector<std::string> shipped_flows() {
  std::vector<std::string> sources;
  for (const auto& [name, source] : test::shipped_sources()) sources.push_back(source);
  return sources;
}

// Every construct, tightly.
constexpr std::string_view kDense = R"(tertulia: 1
name: dense
roles: { a: { prompt: x }, 打工人（产品）: { use: y, model: z, temperature: 1 } }
vars: { n: { type: integer, default: 1, minimum: 0 }, s: text }
limits: { steps: 10, rounds: 2, time: 2s, on_limit: finish }
format: { opening: "-" }
steps:
  - { id: o, speak: a, to: 打工人（产品）, task: "{{topic}} {{vars.n}}", context: { from: [a], last: 2 },
      output: { type: object, properties: { v: { $ref: "#/$defs/d" } }, $defs: { d: { pattern: "^a" } } },
      retry: { attempts: 2, backoff: 1s }, timeout: 1s, document: d, goto: { step: o, max: 1 } }
  - loop: { max: 2, until: { any: [ { output: o, at: /v, in: [a] }, { not: { matches: "b+" } } ] },
            steps: [ { speak: a, context: [a] } ] }
  - if: { var: n, gte: 2 }
    then: [ { set: { n: 3, s: { stat: mean, of: [o], at: /v } } } ]
    else: [ { end: "done {{output.o.v}}" } ]
result: { output: o }
)";

// What is sound has a program, and what has none is told.
void check_holds_together(std::string_view source) {
  const CheckedFlow checked = check_flow(source);
  bool has_error = false;
  for (const Problem& each : checked.problems) {
    has_error = has_error || each.severity == Problem::Severity::error;
    ASSERT_GE(each.line, 1);
    ASSERT_GE(each.column, 1);
    ASSERT_FALSE(each.message.empty());
  }
  ASSERT_EQ(checked.ok(), !has_error) << source;
}

TEST(CheckFlow, TakesTheSourcesOfTheseTests) {
  EXPECT_TRUE(check_flow(kDense).ok()) << check_flow(kDense).problems.at(0).message;
  EXPECT_GE(shipped_flows().size(), 4U);
  CheckOptions with_calls;
  with_calls.find_flow = test::find_shipped;
  for (const std::string& source : shipped_flows())
    EXPECT_TRUE(check_flow(source, with_calls).ok()) << source.substr(0, 200);
}

TEST(CheckFlow, SurvivesEveryPrefix) {
  for (std::size_t length = 0; length <= kDense.size(); ++length)
    check_holds_together(kDense.substr(0, length));
}

TEST(CheckFlow, SurvivesPrefixesOfShippedFlows) {
  for (const std::string& source : shipped_flows())
    for (std::size_t length = 0; length < source.size(); length += 37)
      check_holds_together(std::string_view(source).substr(0, length));
}

TEST(CheckFlow, SurvivesChangedBytes) {
  constexpr std::string_view kSigns = "{}[]:,-#&*!|>'\"%@` \n\t0aZ~/$\\\x80\xFF";
  base::Random random(20'261'124, "changed bytes");
  for (int round = 0; round < 4'000; ++round) {
    std::string source(kDense);
    const std::uint64_t changes = 1 + random.below(4);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const std::size_t at = random.below(source.size());
      const char sign = kSigns[random.below(kSigns.size())];
      switch (random.below(3)) {
        case 0:
          source[at] = sign;
          break;
        case 1:
          source.insert(at, 1, sign);
          break;
        default:
          source.erase(at, 1 + random.below(9));
          break;
      }
    }
    check_holds_together(source);
  }
}

// Lines that trade places or are left out: whole keys vanish or land in other constructs.
TEST(CheckFlow, SurvivesChangedLines) {
  base::Random random(7, "changed lines");
  for (const std::string& source : shipped_flows()) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < source.size();) {
      const std::size_t end = std::min(source.find('\n', at), source.size() - 1) + 1;
      lines.push_back(source.substr(at, end - at));
      at = end;
    }
    for (int round = 0; round < 60; ++round) {
      std::vector<std::string> changed = lines;
      for (int i = 0; i < 3; ++i) {
        const std::size_t from = random.below(changed.size());
        if (random.below(2) == 0) {
          changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(from));
        } else {
          std::swap(changed[from], changed[random.below(changed.size())]);
        }
      }
      std::string text;
      for (const std::string& line : changed) text += line;
      check_holds_together(text);
    }
  }
}

}  // namespace
}  // namespace tertulia::flow
