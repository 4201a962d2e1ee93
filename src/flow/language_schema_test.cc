#include "flow/language_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "flow/check.h"
#include "flow/keys.h"

namespace tertulia::flow {
namespace {

namespace json = base::json;

// A flow in JSON, which is YAML too, in which every key of the language stands once.
constexpr std::string_view kFlow = R"({
  "tertulia": 1, "name": "review-board", "title": "Review", "language": "en",
  "format": {"default_task": "Go on."}, "topic": "Should we?",
  "roles": {
    "author": {"name": "Author", "prompt": "You defend.", "temperature": 0.9, "top_p": 1,
               "max_tokens": "2k", "stop": ["END"], "seed": 7, "reasoning_effort": "low"},
    "critic": {"name": "Critic", "prompt_file": "critic.md", "model": "cheap"},
    "chair": {"use": "chairperson"}},
  "vars": {"strictness": {"type": "integer", "default": 7, "minimum": 1, "maximum": 10},
           "mood": {"type": "string", "enum": ["good", "bad"], "description": "Of the chair"},
           "plain": 3},
  "limits": {"steps": 60, "rounds": 8, "time": "20m", "on_limit": "finish"},
  "steps": [
    {"speak": "author", "task": "Present {{topic}}.", "context": "topic", "document": "proposal"},
    {"loop": {"max": 3,
              "until": {"all": [{"contains": "ACCEPT", "of": "critic"}, {"rounds_at_least": 2}]},
              "steps": [
                {"speak": "critic", "to": "author",
                 "context": {"from": ["author", "critic"], "last": 6, "anonymous": true}},
                {"speak": "author", "context": {"scope": "this_round", "documents": ["proposal"],
                                                "except": ["chair"], "include_topic": false,
                                                "max_tokens": 6000},
                 "document": "proposal", "temperature": 0.1}]}},
    {"loop": {"max": 2, "while": {"not": {"matches": "^NO"}}, "steps": [{"speak": "critic"}]}},
    {"id": "verdict", "speak": "chair", "model": "cheap",
     "output": {"type": "object", "required": ["score"], "properties": {"score": {"type": "integer"}}},
     "retry": {"attempts": 3, "backoff": "2s"}, "timeout": "60s",
     "goto": {"step": "verdict", "max": 2, "when": {"var": "strictness", "gt": 9}}},
    {"set": {"strictness": 8, "plain": {"output": "verdict", "at": "/score"},
             "mood": {"stat": "majority", "of": ["verdict"], "at": "/score"}}},
    {"if": {"any": [{"output": "verdict", "at": "/score", "in": [1, 2]}, {"equals": "no"}]},
     "then": [{"end": "Too low."}], "else": [{"speak": "author"}]}],
  "result": {"output": "verdict"}})";

class LanguageSchema : public testing::Test {
 protected:
  LanguageSchema() : schema_(language_schema()) {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::BoostJsonAdapter(schema_), compiled_);
  }
  [[nodiscard]] bool accepts(const json::value& flow) {
    valijson::Validator validator;
    return validator.validate(compiled_, valijson::adapters::BoostJsonAdapter(flow), nullptr);
  }
  json::value schema_;
  valijson::Schema compiled_;
};

json::value flow_value() {
  return base::parse_json(kFlow).value();
}

CheckOptions options() {
  CheckOptions options;
  options.read_file = [](const std::string&) {
    return base::Result<std::string>("You criticise.");
  };
  return options;
}

TEST_F(LanguageSchema, AcceptsAFlowThatTheCheckAccepts) {
  const CheckedFlow checked = check_flow(kFlow, options());
  for (const Problem& problem : checked.problems)
    EXPECT_NE(problem.severity, Problem::Severity::error)
        << problem.line << ':' << problem.column << ' ' << problem.message;
  EXPECT_TRUE(checked.ok());
  EXPECT_TRUE(accepts(flow_value()));
}

// Of each mistake, that both refuse it.
TEST_F(LanguageSchema, RefusesWhatTheCheckRefuses) {
  struct Case {
    std::string_view pointer;
    std::string_view key;
    std::string_view value;
  };
  for (const Case& each : std::vector<Case>{
           {"", "extra", "1"},
           {"", "tertulia", "2"},
           {"", "name", "\"No Spaces\""},
           {"", "steps", "{}"},
           {"/roles/author", "promt", "\"x\""},
           {"/roles/author", "temperature", "3"},
           {"/vars/strictness", "type", "\"text\""},
           {"/limits", "time", "\"soon\""},
           {"/limits", "on_limit", "\"stop\""},
           {"/format", "greeting", "\"Hi\""},
           {"/steps/0", "speek", "\"author\""},
           {"/steps/0", "parallel", "[]"},
           {"/steps/0", "context", "\"some\""},
           {"/steps/0", "timeout", "60"},
           {"/steps/1/loop", "until", "{\"judge\": 7}"},
           {"/steps/1/loop", "max", "\"many\""},
           {"/steps/1/loop/steps/0/context", "latest", "3"},
           {"/steps/3/retry", "times", "3"},
           {"/steps/3/goto", "loops", "3"},
           {"/result", "step", "\"verdict\""},
       }) {
    json::value flow = flow_value();
    json::value* place = const_cast<json::value*>(base::at_pointer(flow, each.pointer));
    ASSERT_NE(place, nullptr) << each.pointer;
    place->get_object()[each.key] = base::parse_json(each.value).value();
    EXPECT_FALSE(accepts(flow)) << each.pointer << '/' << each.key;
    EXPECT_FALSE(check_flow(base::to_text(flow), options()).ok())
        << each.pointer << '/' << each.key;
  }
}

void gather_keys(const json::value& schema, std::vector<std::string>& keys) {
  if (schema.is_array()) {
    for (const json::value& each : schema.get_array()) gather_keys(each, keys);
  } else if (schema.is_object()) {
    for (const auto& member : schema.get_object()) {
      if (member.key() == "properties")
        for (const auto& each : member.value().get_object()) keys.emplace_back(each.key());
      gather_keys(member.value(), keys);
    }
  }
}

TEST_F(LanguageSchema, HasEveryKeyOfTheLanguageAndNoneThatComesLater) {
  std::vector<std::string> keys;
  gather_keys(schema_, keys);
  for (int i = 0; i <= static_cast<int>(Construct::result); ++i)
    for (const std::string& key : keys_of(static_cast<Construct>(i)))
      EXPECT_THAT(keys, testing::Contains(key));
  for (const char* later : {"knowledge", "tools"})
    EXPECT_THAT(keys, testing::Not(testing::Contains(later)));
}

}  // namespace
}  // namespace tertulia::flow
