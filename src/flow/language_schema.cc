#include "flow/language_schema.h"

#include <fmt/format.h>

#include <cassert>
#include <string>
#include <string_view>
#include <vector>

#include "flow/check.h"
#include "flow/keys.h"
#include "flow/standing_words.h"

namespace tertulia::flow {
namespace {

namespace json = base::json;

constexpr std::string_view kName = R"({"type": "string", "minLength": 1})";
constexpr std::string_view kText = R"({"type": ["string", "number", "boolean"]})";
constexpr std::string_view kNames = R"({"type": "array", "items": {"type": "string"}})";
constexpr std::string_view kCount =
    R"({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]+[km]?$"}]})";
constexpr std::string_view kDuration =
    R"({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s|m|h)$"})";
constexpr std::string_view kSteps = R"({"type": "array", "items": {"$ref": "#/$defs/step"}})";
constexpr std::string_view kCondition = R"({"$ref": "#/$defs/condition"})";
constexpr std::string_view kConditions =
    R"({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}})";
constexpr std::string_view kPositive = R"({"type": "number", "exclusiveMinimum": 0})";
constexpr std::string_view kParallel =
    R"({"anyOf": [{"$ref": "#/$defs/each"}, )"
    R"({"type": "array", "minItems": 2, "items": {"type": "array", )"
    R"("items": {"$ref": "#/$defs/step"}}}]})";
constexpr std::string_view kOnLimit = R"({"enum": ["pause", "finish"]})";
constexpr std::string_view kAny = "{}";

struct Entry {
  Construct construct;
  std::string_view key;
  std::string_view schema;
  std::string_view description;
};

// What a key takes where it takes the same in every construct that has it.
struct Common {
  std::string_view key;
  std::string_view schema;
  std::string_view description;
};

const std::vector<Common>& common() {
  static const std::vector<Common> list = {
      {"id", kName, "The step's name; outputs and gotos refer to it."},
      {"goto", R"({"$ref": "#/$defs/goto"})", "A jump taken after the step."},
      {"model", kName, "A model profile."},
      {"temperature", R"({"type": "number", "minimum": 0, "maximum": 2})", {}},
      {"top_p", R"({"type": "number", "minimum": 0, "maximum": 1})", {}},
      {"max_tokens", kCount, {}},
      {"stop", R"({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})",
       "Texts at which the model stops."},
      {"seed", R"({"type": "integer"})", {}},
      {"reasoning_effort", kName, {}},
      {"at", R"({"type": "string", "pattern": "^(/.*)?$"})", "A JSON pointer into the output."},
      {"minimum", R"({"type": "number"})", {}},
      {"maximum", R"({"type": "number"})", {}},
      {"enum", R"({"type": "array", "minItems": 1})", {}},
      {"description", kText, {}},
      {"on_limit", kOnLimit, "What reaching a limit does: pause and ask, or finish."},
  };
  return list;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> list = {
      {Construct::flow, "tertulia", R"({"const": 1})", "The language's version."},
      {Construct::flow, "name", R"({"type": "string", "pattern": "^[a-z0-9-]+$"})",
       "The flow's name: a-z, 0-9 and '-'."},
      {Construct::flow, "title", kText, {}},
      {Construct::flow, "language", kName, "Of the standing words around prompts: en or zh."},
      {Construct::flow, "topic", kText, "The default topic; a session may set its own."},
      {Construct::flow,
       "roles",
       R"({"type": "object", "additionalProperties": {"$ref": "#/$defs/role"}})",
       {}},
      {Construct::flow, "vars",
       R"({"type": "object", "additionalProperties": {"$ref": "#/$defs/variable"}})",
       "Variables: a default value, or a declaration."},
      {Construct::flow, "limits", R"({"$ref": "#/$defs/limits"})", {}},
      {Construct::flow, "steps", kSteps, {}},
      {Construct::flow, "result", R"({"$ref": "#/$defs/result"})",
       "The step whose output is the session's result."},
      {Construct::role, "use", kName, "A stored role by name, with this flow's changes."},
      {Construct::role, "name", kText, "For people and in prompts."},
      {Construct::role, "prompt", kText, {}},
      {Construct::role, "prompt_file", kName, "A file in the flow's folder."},
      {Construct::variable,
       "type",
       R"({"enum": ["string", "integer", "number", "boolean", "array", "object"]})",
       {}},
      {Construct::variable, "default", kAny, "Without one, a session must set the variable."},
      {Construct::limits, "steps", kCount, "Steps that call a model."},
      {Construct::limits, "rounds", kCount, {}},
      {Construct::limits, "tokens", kCount, "Tokens of all calls, prompts and answers."},
      {Construct::limits, "cost_usd", kPositive, "US dollars, by the profiles' prices."},
      {Construct::role, "limits", R"({"$ref": "#/$defs/role_limits"})", "Of this role alone."},
      {Construct::role_limits, "steps", kCount, {}},
      {Construct::role_limits, "tokens", kCount, {}},
      {Construct::role_limits, "cost_usd", kPositive, {}},
      {Construct::limits, "time", kDuration, "Does not run while paused."},
      {Construct::speak, "speak", kName, "The role that says one message."},
      {Construct::speak, "to", kName, "The role it is said to."},
      {Construct::speak, "task", kText, {}},
      {Construct::speak, "context", R"({"$ref": "#/$defs/context"})",
       "Which earlier messages the speaker is shown."},
      {Construct::speak, "output", R"({"type": "object"})", "JSON Schema of a structured output."},
      {Construct::speak, "document", kName, "The message is the new version of this document."},
      {Construct::speak, "continue", kCount,
       "How often a model that stops for length is asked to go on."},
      {Construct::speak, "fallback", kNames, "Model profiles to ask when the one before fails."},
      {Construct::speak, "retry", R"({"$ref": "#/$defs/retry"})", {}},
      {Construct::speak, "timeout", kDuration, "Attempts and back-off included."},
      {Construct::ask, "ask", kName, "The role that a person plays: the session waits for them."},
      {Construct::ask, "to", kName, "The role it is said to."},
      {Construct::ask, "prompt", kText, "What the person is asked."},
      {Construct::ask, "choices", kNames, "One of these is the answer."},
      {Construct::ask, "timeout", kDuration, "How long the session waits; for ever without it."},
      {Construct::ask, "default", kText, "Said for the person when the time is used up."},
      {Construct::ask, "document", kName, "The message is the new version of this document."},
      {Construct::discuss_step, "discuss", R"({"$ref": "#/$defs/discuss"})", {}},
      {Construct::discuss, "among", kNames, "The roles that take turns."},
      {Construct::discuss, "order", R"({"enum": ["fixed", "round_robin", "random", "moderator"]})",
       "Who has the next turn."},
      {Construct::discuss, "moderator", kName, "The role that chooses who speaks next."},
      {Construct::discuss, "max", kCount, "At most so many turns."},
      {Construct::discuss, "until", kCondition, "Checked after each turn."},
      {Construct::discuss, "task", kText, "Of each turn."},
      {Construct::discuss, "context", R"({"$ref": "#/$defs/context"})",
       "Which earlier messages each speaker is shown."},
      {Construct::discuss, "continue", kCount,
       "How often a model that stops for length is asked to go on."},
      {Construct::discuss, "fallback", kNames, "Model profiles to ask when the one before fails."},
      {Construct::discuss, "retry", R"({"$ref": "#/$defs/retry"})", {}},
      {Construct::discuss, "timeout", kDuration, "Of a turn, attempts and back-off included."},
      {Construct::parallel, "parallel", kParallel, "Branches at the same time."},
      {Construct::each, "each", kNames, "One branch is performed by each of these roles."},
      {Construct::each, "do", kSteps, "The steps of each; in them, the role is `each`."},
      {Construct::call, "call", kName, "Another flow, inside this session."},
      {Construct::call, "with", R"({"$ref": "#/$defs/with"})", {}},
      {Construct::with, "topic", kText, "The called flow's topic."},
      {Construct::with, "roles",
       R"({"type": "object", "additionalProperties": {"type": "string"}})",
       "Roles of the called flow that roles of this one play."},
      {Construct::with, "vars", R"({"type": "object"})", "Values of the called flow's variables."},
      {Construct::loop_step, "loop", R"({"$ref": "#/$defs/loop"})", {}},
      {Construct::loop, "max", kCount, "At most so many iterations."},
      {Construct::loop, "until", kCondition, "Checked after each iteration."},
      {Construct::loop, "while", kCondition, "Checked before each iteration."},
      {Construct::loop, "steps", kSteps, {}},
      {Construct::if_, "if", kCondition, {}},
      {Construct::if_, "then", kSteps, {}},
      {Construct::if_, "else", kSteps, {}},
      {Construct::set, "set",
       R"({"type": "object", "minProperties": 1, )"
       R"("additionalProperties": {"$ref": "#/$defs/value"}})",
       "Variables by name: a literal, {output, at} or {stat, of, at}."},
      {Construct::end, "end", kText, "Finishes the session, with this reason."},
      {Construct::goto_, "step", kName, {}},
      {Construct::goto_, "max", kCount, "At most so many jumps in a session."},
      {Construct::goto_, "when", kCondition, {}},
      {Construct::context,
       "scope",
       R"({"enum": ["none", "topic", "last", "this_round", "last_round", "all", "last_message", )"
       R"("last_n_messages", "__TOPIC__"]})",
       {}},
      {Construct::context, "from", kNames, "Only what these said."},
      {Construct::context, "except", kNames, "Not what these said."},
      {Construct::context, "last", kCount, "The last N of what is left."},
      {Construct::context, "include_topic", R"({"type": "boolean"})", {}},
      {Construct::context, "documents", kNames, "The latest version of each is shown."},
      {Construct::context, "anonymous", R"({"type": "boolean"})", {}},
      {Construct::retry, "attempts", kCount, {}},
      {Construct::retry, "backoff", kDuration, "Before the second attempt; doubles with each."},
      {Construct::assignment, "output", kName, "A step with a structured output."},
      {Construct::assignment,
       "stat",
       R"({"enum": ["count", "min", "max", "mean", "median", "q1", "q3", "spread", "majority"]})",
       {}},
      {Construct::assignment, "of", kNames, "The steps whose outputs the statistic is over."},
      {Construct::condition, "contains", kText, "The last message holds this text."},
      {Construct::condition, "matches", kText, "A regular expression (RE2)."},
      {Construct::condition, "equals", kAny, {}},
      {Construct::condition, "of", kName, "The role whose last message is meant."},
      {Construct::condition, "output", kName, "A step with a structured output."},
      {Construct::condition, "var", kName, {}},
      {Construct::condition, "rounds_at_least", kCount, {}},
      {Construct::condition, "judge", kName, "The role whose model answers yes or no."},
      {Construct::condition, "question", kText, "What the judge is asked."},
      {Construct::condition, "all", kConditions, {}},
      {Construct::condition, "any", kConditions, {}},
      {Construct::condition, "not", kCondition, {}},
      {Construct::output_test, "equals", kAny, {}},
      {Construct::output_test, "not_equals", kAny, {}},
      {Construct::output_test, "gt", kText, {}},
      {Construct::output_test, "gte", kText, {}},
      {Construct::output_test, "lt", kText, {}},
      {Construct::output_test, "lte", kText, {}},
      {Construct::output_test, "in", R"({"type": "array"})", {}},
      {Construct::result, "output", kName, "A step with a structured output."},
  };
  return list;
}

json::object parsed(std::string_view schema) {
  return base::parse_json(schema).value().get_object();
}

json::object with_description(std::string_view schema, std::string_view description) {
  json::object out = parsed(schema);
  if (!description.empty()) out["description"] = description;
  return out;
}

json::object format_schema() {
  json::object words;
  for (const std::string_view key : standing_word_keys()) words[key] = parsed(kText);
  return {{"type", "object"},
          {"properties", std::move(words)},
          {"additionalProperties", false},
          {"description", "Standing words around prompts that this flow says otherwise."}};
}

json::object key_schema(Construct construct, std::string_view key) {
  if (construct == Construct::flow && key == "format") return format_schema();
  for (const Entry& entry : entries())
    if (entry.construct == construct && entry.key == key)
      return with_description(entry.schema, entry.description);
  for (const Common& entry : common())
    if (entry.key == key) return with_description(entry.schema, entry.description);
  assert(!"a key of the language without a schema: language_schema_test finds it");
  return {};
}

json::object mapping(Construct construct, std::initializer_list<std::string_view> required = {}) {
  json::object properties;
  for (const std::string& key : keys_of(construct)) properties[key] = key_schema(construct, key);
  json::object out = {
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (required.size() > 0) {
    json::array names;
    for (const std::string_view name : required) names.emplace_back(name);
    out["required"] = std::move(names);
  }
  return out;
}

// A condition on an output or a variable has the tests beside the keys of every condition.
json::object condition_schema() {
  json::object out = mapping(Construct::condition);
  json::object& properties = out["properties"].get_object();
  for (const std::string& key : keys_of(Construct::output_test))
    properties[key] = key_schema(Construct::output_test, key);
  out["minProperties"] = 1;
  return out;
}

json::object context_schema() {
  json::object words = {{"enum", json::array{"none", "topic", "last", "this_round", "last_round",
                                             "all", "last_message", "__TOPIC__"}}};
  return {{"anyOf", json::array{std::move(words), parsed(kNames), mapping(Construct::context)}}};
}

json::object step_schema() {
  return {
      {"anyOf",
       json::array{mapping(Construct::speak, {"speak"}), mapping(Construct::ask, {"ask"}),
                   mapping(Construct::discuss_step, {"discuss"}),
                   mapping(Construct::loop_step, {"loop"}), mapping(Construct::if_, {"if"}),
                   mapping(Construct::parallel, {"parallel"}), mapping(Construct::call, {"call"}),
                   mapping(Construct::set, {"set"}), mapping(Construct::end, {"end"})}}};
}

// A literal, or a mapping that says more.
json::object literal_or(Construct construct) {
  json::object literal = {{"type", json::array{"string", "number", "boolean", "null", "array"}}};
  return {{"anyOf", json::array{std::move(literal), mapping(construct)}}};
}

}  // namespace

json::object language_schema() {
  json::object out = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                      {"title", "A Tertulia flow, language version 1"}};
  for (auto& member : mapping(Construct::flow, {"tertulia", "name", "roles", "steps"}))
    out[member.key()] = std::move(member.value());
  out["$defs"] = json::object{
      {"role", mapping(Construct::role)},
      {"variable", literal_or(Construct::variable)},
      {"value", literal_or(Construct::assignment)},
      {"limits", mapping(Construct::limits)},
      {"role_limits", mapping(Construct::role_limits)},
      {"discuss", mapping(Construct::discuss, {"among", "max"})},
      {"each", mapping(Construct::each, {"each", "do"})},
      {"with", mapping(Construct::with)},
      {"step", step_schema()},
      {"loop", mapping(Construct::loop, {"max", "steps"})},
      {"goto", mapping(Construct::goto_, {"step", "max"})},
      {"context", context_schema()},
      {"retry", mapping(Construct::retry)},
      {"condition", condition_schema()},
      {"result", mapping(Construct::result, {"output"})},
  };
  return out;
}

}  // namespace tertulia::flow
