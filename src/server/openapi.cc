#include "server/openapi.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "schema/declared.h"

namespace tertulia::server {
namespace {

namespace json = base::json;

// A schema in short: members with blanks between them, "name:type", "name?:type" where it may be
// left out. Types: str, int, num, bool, time, any, object, another schema's name, [T] an array of
// T, T|null. The whole may be a type by itself ("= str").
struct ShortSchema {
  std::string_view name;
  std::string_view members;
};

constexpr std::array kSchemas = {
    ShortSchema{"Health", "status:str"}, ShortSchema{"FieldError", "pointer:str detail:str"},
    ShortSchema{"Problem",
                "type:str title:str status:int code:str detail:str remedy?:str "
                "errors?:[FieldError]"},
    // Roles.
    ShortSchema{"Role", "name:str prompt:str settings?:object"},
    ShortSchema{"NewRole", "name:str prompt:str settings?:object"},
    ShortSchema{"RoleBody", "prompt:str settings?:object"},
    // Flows.
    ShortSchema{"FlowItem", "name:str title:str version:int sessions:int shipped:bool"},
    ShortSchema{"Flow", "id?:int version:int shipped:bool name:str title:str steps:[object] *"},
    ShortSchema{"FlowText", "tertulia:int name:str roles:any steps:[any] *"},
    ShortSchema{"FlowProblem", "severity:str line:int column:int message:str"},
    ShortSchema{"CheckedFlow", "ok:bool name:str problems:[FlowProblem]"},
    ShortSchema{"FlowVersion", "version:int format:str source_sha256:str created_at:time"},
    ShortSchema{"PreviewWish",
                "step:str visit?:int topic?:str vars?:object cast?:object model?:str seed?:int"},
    ShortSchema{"Preview",
                "step:str order:int request_sha256:str body:str context_snapshot:object"},
    ShortSchema{"RehearsalWish", "topic?:str vars?:object cast?:object seed?:int cover?:bool"},
    ShortSchema{"RehearsedWords", "order:int step:str speaker:str text:str"},
    ShortSchema{"FlowWay", "step:str kind:str path:str way?:str reached:bool"},
    ShortSchema{"Rehearsal",
                "flow:str seed:int status:str stop_reason?:str calls:int said:[RehearsedWords] "
                "ways:[FlowWay] sessions:int cut_short:bool"},
    // Sessions.
    ShortSchema{"Limits", "steps?:int rounds?:int tokens?:int cost_usd?:num time_ms?:int"},
    ShortSchema{"NewSession",
                "flow:str flow_version?:int topic?:str cast?:object vars?:object play?:[str] "
                "model?:str seed?:int "
                "limits?:Limits autostart?:bool"},
    ShortSchema{"SessionItem",
                "id:int flow:str flow_version:int topic:str status:str stop_reason?:str round:int "
                "steps:int messages:int created_at:time ended_at?:time"},
    ShortSchema{"CastRole", "ref:str name:str profile:str"},
    ShortSchema{"Waiting",
                "order:int role:str name:str question:str choices:[str] schema?:object since:time "
                "until?:time "
                "otherwise?:str"},
    ShortSchema{"BranchedFrom", "session:int order:int"},
    ShortSchema{"Copied", "rows:int messages:int"},
    ShortSchema{
        "Session",
        "id:int flow:str flow_version:int topic:str status:str stop_reason?:str reason?:str "
        "waits_for?:str question?:str until?:time waiting?:[Waiting] "
        "branched_from?:BranchedFrom rehearsal:bool seed:int round:int steps:int "
        "last_event:int copied?:Copied model_calls:int prompt_tokens:int completion_tokens:int "
        "cost_usd?:num "
        "created_at:time ended_at?:time cast:[CastRole] result?:any"},
    ShortSchema{"Selection",
                "ids?:[int] status?:[str] flow?:str batch?:int older_than?:str "
                "dry_run?:bool"},
    ShortSchema{"Removal", "deleted:int in_flight:[int] would_delete?:int"},
    ShortSchema{"StatsLine",
                "name?:str sessions:int steps:int calls:int failed_calls:int prompt_tokens:int "
                "completion_tokens:int cost_usd?:num duration_ms:int"},
    ShortSchema{"Stats",
                "total:StatsLine by_flow:[StatsLine] by_role:[StatsLine] by_model:[StatsLine] "
                "by_status:[StatsLine]"},
    // Batches.
    ShortSchema{"BatchInput",
                "id:str place?:str topic?:str vars?:object texts?:object cast?:object seed?:int"},
    ShortSchema{"BatchCheck",
                "flow:str flow_version?:int model?:str inputs:[BatchInput] needs_price?:bool "
                "estimate?:bool"},
    ShortSchema{"BatchEstimate", "calls:num prompt_tokens:num completion_tokens:num cost_usd?:num"},
    ShortSchema{"BatchChecked", "ok:bool estimate?:BatchEstimate"},
    ShortSchema{"NewBatch", "flow:str flow_version?:int model?:str source:str name?:str"},
    ShortSchema{"Batch",
                "id:int name:str flow:str flow_version:int results:int model_calls:int "
                "prompt_tokens:int completion_tokens:int cost_usd?:num created_at:time"},
    ShortSchema{"BatchInputs", "model?:str inputs:[BatchInput]"},
    ShortSchema{"PlacedInput", "id:str has_result:bool session?:int status:str spent_usd:num"},
    ShortSchema{"PlacedInputs", "items:[PlacedInput]"},
    ShortSchema{"BatchSessions", "sessions:[int]"},
    ShortSchema{"BatchPause", "sessions:[int] now?:bool"},
    ShortSchema{"RefusedSession", "session:int code:str message:str"},
    ShortSchema{"RefusedSessions", "refused:[RefusedSession]"},
    ShortSchema{"StoppedSession",
                "session:int status:str stop_reason?:str reason?:str spent_usd?:num"},
    ShortSchema{"StoppedSessions", "items:[StoppedSession]"},
    ShortSchema{"BatchResults", "results:int"},
    ShortSchema{"BatchResult", "line:int input:str text:str|null"},
    ShortSchema{"OpenInput",
                "number:int id:str session:int status:str stop_reason?:str reason?:str"},
    // Going on.
    ShortSchema{"GoOn", "limits?:Limits"}, ShortSchema{"WhichStep", "order?:int"},
    ShortSchema{"Answer", "text?:str choice?:str output?:any order?:int"},
    ShortSchema{"PauseWish", "now?:bool"},
    ShortSchema{"BranchWish",
                "at:int topic?:str edit?:str model?:str flow_version?:any autostart?:bool"},
    ShortSchema{"RerunWish", "from:int model?:str autostart?:bool"},
    // Records.
    ShortSchema{"Message",
                "id:int position:int role:str speaker:str to?:str round:int text:str "
                "document?:str document_version?:int created_at:time"},
    ShortSchema{"DocumentItem", "name:str versions:int updated_at:time"},
    ShortSchema{"Document", "name:str version:int versions:int rehearsal:bool text:str"},
    ShortSchema{"Archive", "*"},
    ShortSchema{"Imported",
                "session_id:int imported_from:int flow:str flow_version:int flow_is_new:bool "
                "rows:int messages:int profiles_without_key:[str]"},
    ShortSchema{"Disagreement", "order:int what:str"},
    ShortSchema{"Proof",
                "session_id:int agrees:bool rows:int messages:int requests_rebuilt:int "
                "disagreements:[Disagreement]"},
    ShortSchema{"ComparedSession",
                "id:int flow:str flow_version:int topic:str models:[str] status:str "
                "stop_reason?:str branched_from?:BranchedFrom steps:int messages:int "
                "model_calls:int prompt_tokens:int completion_tokens:int cost_usd?:num "
                "step_time_ms:int"},
    ShortSchema{"DiffPiece", "same?:str only_first?:str only_second?:str"},
    ShortSchema{"Comparison",
                "sessions:[ComparedSession] same_flow:bool same_topic:bool part_at:int|null "
                "messages?:[any] words?:[DiffPiece] "
                "differing_words?:[DiffPiece]"},
    ShortSchema{"FoundMessage", "session_id:int position:int role:str text:str"},
    ShortSchema{"EventStream", "= str"}, ShortSchema{"Page", "= str"},
    // The server.
    ShortSchema{"Price", "input:num output:num"},
    ShortSchema{"Model",
                "name:str provider:str model:str default:bool context_window?:int price?:Price"},
    ShortSchema{"Schema",
                "state:str version:int head:int engine:str pending:[str] differences:[str] "
                "remedy?:str"},
    ShortSchema{"Token",
                "id:int name:str scope:str created_at:time expires_at:time|null "
                "revoked_at:time|null"},
    ShortSchema{"NewToken", "name:str scope?:str expires_in?:str"},
    ShortSchema{"MadeToken",
                "id:int name:str scope:str created_at:time expires_at:time|null "
                "revoked_at:time|null token:str"},
    ShortSchema{"OpenApi", "openapi:str info:object paths:object components:object *"},
    // The OpenAI-compatible endpoint, whose forms are OpenAI's.
    ShortSchema{"OpenAiErrorBody", "message:str type:str param:any code:any"},
    ShortSchema{"OpenAiError", "error:OpenAiErrorBody"},
    ShortSchema{"ChatRequest", "model:str messages:[object] *"},
    ShortSchema{"ChatCompletion", "id:str object:str created:int model:str choices:[object] *"},
    ShortSchema{"OpenAiModel", "id:str object:str created:int owned_by:str"},
    ShortSchema{"OpenAiModels", "object:str data:[OpenAiModel]"}};

// Lists: {items, next_cursor}.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kPages = {{
    {"RolePage", "Role"},
    {"FlowPage", "FlowItem"},
    {"FlowVersionPage", "FlowVersion"},
    {"SessionPage", "SessionItem"},
    {"MessagePage", "Message"},
    {"LogPage", "LogItem"},
    {"DocumentPage", "DocumentItem"},
    {"FoundPage", "FoundMessage"},
    {"ModelPage", "Model"},
    {"TokenPage", "Token"},
    {"BatchResultPage", "BatchResult"},
    {"OpenInputPage", "OpenInput"},
}};

json::object of_type(std::string_view type) {
  json::object schema;
  schema["type"] = type;
  return schema;
}

json::object type_schema(std::string_view type) {
  constexpr std::string_view kOrNull = "|null";
  if (type.ends_with(kOrNull)) {
    type.remove_suffix(kOrNull.size());
    json::object schema;
    schema["anyOf"] = json::array{type_schema(type), of_type("null")};
    return schema;
  }
  if (type.front() == '[') {
    json::object schema = of_type("array");
    schema["items"] = type_schema(type.substr(1, type.size() - 2));
    return schema;
  }
  if (type == "str") return of_type("string");
  if (type == "int") return of_type("integer");
  if (type == "num") return of_type("number");
  if (type == "bool") return of_type("boolean");
  if (type == "object") return of_type("object");
  if (type == "any") return {};
  if (type == "time") {
    json::object schema = of_type("string");
    schema["format"] = "date-time";
    return schema;
  }
  json::object schema;
  schema["$ref"] = fmt::format("#/components/schemas/{}", type);
  return schema;
}

json::object object_schema(std::string_view members) {
  if (members.substr(0, 2) == "= ") return type_schema(members.substr(2));
  json::object schema = of_type("object");
  json::object properties;
  json::array required;
  bool is_open = false;
  while (!members.empty()) {
    const std::string_view word = members.substr(0, members.find(' '));
    members.remove_prefix(std::min(members.size(), word.size() + 1));
    if (word == "*") {
      is_open = true;  // it may have more members than are named here
      continue;
    }
    std::string_view name = word.substr(0, word.find(':'));
    const std::string_view type = word.substr(name.size() + 1);
    if (name.back() == '?') {
      name.remove_suffix(1);
    } else {
      required.emplace_back(name);
    }
    properties[name] = type_schema(type);
  }
  schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  if (!is_open) schema["additionalProperties"] = false;
  return schema;
}

// The 21 columns of the step log, by the declared table itself.
json::object log_schema(bool with_calls) {
  json::object schema = of_type("object");
  json::object properties;
  schema::for_each_column<model::StepExecutionLog>([&](const auto& column) {
    // Columns that hold JSON are shown as what they hold.
    json::object any;
    any["description"] = "as the column of step_execution_logs; see docs/step-log.md";
    properties[column.name] = std::move(any);
  });
  json::array required = {"id", "session_id", "step_id", "execution_order", "status"};
  json::object calls = of_type("array");
  calls["items"] = of_type("object");
  properties["model_calls"] = std::move(calls);
  if (with_calls) {
    required.emplace_back("model_calls");
  } else {
    properties["step_words"] = of_type("string");
  }
  schema["properties"] = std::move(properties);
  schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema;
}

json::object schemas() {
  json::object all;
  for (const ShortSchema& each : kSchemas) all[each.name] = object_schema(each.members);
  for (const auto& page : kPages)
    all[page.first] = object_schema(fmt::format("items:[{}] next_cursor:int|null", page.second));
  all["LogItem"] = log_schema(false);
  all["LogRow"] = log_schema(true);
  return all;
}

json::object content(std::string_view media, std::string_view schema) {
  json::object body;
  body["schema"] = type_schema(schema);
  json::object types;
  types[media] = std::move(body);
  return types;
}

json::object parameter(std::string_view name, std::string_view where, std::string_view type,
                       std::string_view description) {
  json::object one;
  one["name"] = name;
  one["in"] = where;
  one["required"] = where == "path";
  if (!description.empty()) one["description"] = description;
  one["schema"] = of_type(type);
  return one;
}

json::object operation(const Route& route) {
  json::object one;
  one["summary"] = route.summary;
  one["tags"] = json::array{json::value(route.tag)};
  json::array parameters;
  for (std::string_view rest = route.path; rest.find('{') != std::string_view::npos;) {
    rest.remove_prefix(rest.find('{') + 1);
    const std::string_view name = rest.substr(0, rest.find('}'));
    parameters.push_back(parameter(name, "path", "string", ""));
  }
  for (const Parameter& each : route.query)
    parameters.push_back(parameter(each.name, "query", each.type, each.description));
  if (route.is_idempotent_by_key)
    parameters.push_back(parameter("Idempotency-Key", "header", "string",
                                   "the request is done once, however often it is sent with it"));
  if (!parameters.empty()) one["parameters"] = std::move(parameters);
  if (!route.request.empty()) {
    json::object body;
    body["content"] = content("application/json", route.request);
    one["requestBody"] = std::move(body);
  }
  json::object responses;
  json::object good;
  good["description"] = route.summary;
  if (!route.response.empty()) good["content"] = content(route.media, route.response);
  if (route.status == 201 && !route.made.empty())
    good["headers"] = json::object{
        {"Location", {{"description", "where it is"}, {"schema", {{"type", "string"}}}}}};
  responses[std::to_string(route.status)] = std::move(good);
  json::object bad;
  bad["description"] = "what is wrong, and what to do";
  bad["content"] = route.tag == "openai" ? content("application/json", "OpenAiError")
                                         : content("application/problem+json", "Problem");
  responses["default"] = std::move(bad);
  one["responses"] = std::move(responses);
  if (route.scope == Scope::none) {
    one["security"] = json::array{};
  } else {
    json::object needs;
    needs["token"] = json::array{json::value(scope_name(route.scope))};
    one["security"] = json::array{json::value(std::move(needs))};
  }
  return one;
}

}  // namespace

json::object openapi_document(const Router& router, const std::string& version) {
  json::object document;
  document["openapi"] = "3.1.0";
  json::object info;
  info["title"] = "Tertulia";
  info["version"] = version;
  info["description"] =
      "Conversations between AI roles, with a record that can be trusted. Errors are RFC 9457 "
      "problem details; times are RFC 3339 in UTC; ids are integers, and flows and roles are known "
      "by their names too.";
  document["info"] = std::move(info);
  json::object paths;
  for (const Route& route : router.routes()) {
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    json::value& path = paths[route.path];
    if (!path.is_object()) path.emplace_object();
    path.get_object()[method] = operation(route);
  }
  document["paths"] = std::move(paths);
  json::object components;
  components["schemas"] = schemas();
  json::object scheme;
  scheme["type"] = "http";
  scheme["scheme"] = "bearer";
  scheme["description"] =
      "tertulia token create; not needed from the same machine unless asked for";
  json::object security;
  security["token"] = std::move(scheme);
  components["securitySchemes"] = std::move(security);
  document["components"] = std::move(components);
  return document;
}

}  // namespace tertulia::server
