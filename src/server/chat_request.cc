#include "server/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/utf8.h"
#include "server/problem.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

constexpr std::string_view kPrefix = "flow:";
constexpr std::array<std::string_view, 6> kRoles = {"developer", "system", "user",
                                                    "assistant", "tool",   "function"};

// `member`: "messages/0/content".
Response refusal(std::string_view code, std::string_view member, std::string_view why) {
  return problem(400, code, fmt::format("{}: {}", member, why), {},
                 {{fmt::format("/{}", member), std::string(why)}});
}

// A member that is not of the form that it must have.
Response malformed(std::string_view member, std::string_view why) {
  return refusal("invalid", member, why);
}

// A member that asks for what a session of roles cannot do.
Response impossible(std::string_view member, std::string_view why) {
  return refusal("unsupported_parameter", member, why);
}

// A member's value; null where it is absent or null.
const json::value* find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool is_text(const json::value& value, std::string_view text) {
  return value.is_string() && std::string_view(value.get_string()) == text;
}

bool is_empty(const json::value& value) {
  return (value.is_array() && value.get_array().empty()) ||
         (value.is_object() && value.get_object().empty());
}

// What would be another answer than the one that is asked for, if it were passed over.
std::optional<Response> refuse_what_is_not_done(const json::object& body) {
  const auto* n = find(body, "n");
  if (n != nullptr && !(n->is_int64() && n->get_int64() == 1))
    return impossible("n", "a session is performed once: only 1 is possible");
  for (const char* name : {"tools", "functions"})
    if (const auto* tools = find(body, name); tools != nullptr && !is_empty(*tools))
      return impossible(name, "a flow's roles call no tools of the caller's");
  for (const char* name : {"tool_choice", "function_call"})
    if (const auto* choice = find(body, name);
        choice != nullptr && !is_text(*choice, "none") && !is_text(*choice, "auto"))
      return impossible(name, "a flow's roles call no tools of the caller's");
  if (const auto* format = find(body, "response_format")) {
    const json::object* object = format->if_object();
    const auto* type = object == nullptr ? nullptr : find(*object, "type");
    if (type == nullptr || !is_text(*type, "text"))
      return impossible(
          "response_format",
          "the answer is a conversation, which is text; a session's result as JSON is "
          "at /api/v1/sessions/{id}");
  }
  if (const auto* modalities = find(body, "modalities")) {
    const json::array* all = modalities->if_array();
    if (all == nullptr || !std::all_of(all->begin(), all->end(),
                                       [](const auto& each) { return is_text(each, "text"); }))
      return impossible("modalities", "only text is possible");
  }
  for (const char* name : {"audio", "web_search_options"})
    if (find(body, name) != nullptr) return impossible(name, "this is not possible here");
  for (const char* name : {"stop", "logit_bias"})
    if (const auto* value = find(body, name); value != nullptr && !is_empty(*value))
      return impossible(name, "roles speak to their end; what tunes a model stands in its profile");
  if (const auto* wanted = find(body, "logprobs");
      wanted != nullptr && !(wanted->is_bool() && !wanted->get_bool()))
    return impossible("logprobs", "this is not possible here");
  if (const auto* wanted = find(body, "top_logprobs");
      wanted != nullptr && !(wanted->is_int64() && wanted->get_int64() == 0))
    return impossible("top_logprobs", "this is not possible here");
  return {};
}

std::optional<Response> read_content(const json::value* content, std::string_view param,
                                     std::string& words) {
  if (content != nullptr && content->is_string()) {
    words = std::string(content->get_string());
  } else if (content != nullptr && content->is_array()) {
    for (const json::value& each : content->get_array()) {
      const json::object* part = each.if_object();
      const auto* type = part == nullptr ? nullptr : find(*part, "type");
      const auto* text = part == nullptr ? nullptr : find(*part, "text");
      if (type == nullptr || !is_text(*type, "text") || text == nullptr || !text->is_string())
        return malformed(param, "parts of type text are wanted here, and only they");
      if (!words.empty()) words += '\n';
      words += std::string_view(text->get_string());
    }
  } else {
    return malformed(param, "a string is wanted here, or parts of type text");
  }
  if (words.find_first_not_of(" \t\r\n") == std::string::npos)
    return malformed(param, "the last user message has no words");
  if (base::first_invalid_utf8(words))
    return malformed(param, "the words hold what no text has (a NUL, or half a character)");
  return {};
}

std::optional<Response> read_messages(const json::object& body, std::string& words) {
  const auto* messages = find(body, "messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().empty())
    return malformed("messages", "an array of at least one message is wanted here");
  const json::array& all = messages->get_array();
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const json::object* message = all[i].if_object();
    const auto* role = message == nullptr ? nullptr : find(*message, "role");
    if (role == nullptr || !role->is_string() ||
        std::find(kRoles.begin(), kRoles.end(), std::string_view(role->get_string())) ==
            kRoles.end())
      return malformed(fmt::format("messages/{}/role", i),
                       "developer, system, user, assistant or tool is wanted here");
    if (is_text(*role, "user")) last = i;
  }
  if (!last) return malformed("messages", "a user message is wanted here: it is the topic");
  return read_content(find(all[*last].get_object(), "content"),
                      fmt::format("messages/{}/content", *last), words);
}

}  // namespace

std::optional<std::string> flow_of_model(std::string_view name) {
  if (!name.starts_with(kPrefix) || name.size() == kPrefix.size()) return {};
  return std::string(name.substr(kPrefix.size()));
}

Response no_such_model(std::string_view name) {
  return problem(404, "model_not_found",
                 fmt::format("the model '{}' does not exist", base::clip_bytes(name, 200)),
                 "GET /v1/models lists what there is: each flow is a model flow:NAME",
                 {{"/model", "is no model"}});
}

std::optional<Response> read_chat_request(std::string_view body, ChatRequest& request) {
  auto value = base::parse_json(body);
  if (!value) return problem(400, "invalid", "the body is no JSON: " + value.error().message);
  if (!value->is_object()) return problem(400, "invalid", "the body is no JSON object");
  const json::object& object = value->get_object();
  const auto* name = find(object, "model");
  if (name == nullptr || !name->is_string())
    return malformed("model", "the name of a model is wanted here, such as flow:debate");
  request.name = std::string(name->get_string());
  auto flow = flow_of_model(request.name);
  if (!flow) return no_such_model(request.name);
  request.flow = *std::move(flow);
  if (auto refused = refuse_what_is_not_done(object)) return refused;
  if (const auto* stream = find(object, "stream")) {
    if (!stream->is_bool()) return malformed("stream", "true or false is wanted here");
    request.is_stream = stream->get_bool();
  }
  if (const auto* options = find(object, "stream_options")) {
    if (!options->is_object()) return malformed("stream_options", "an object is wanted here");
    const auto* wanted = find(options->get_object(), "include_usage");
    if (wanted != nullptr && !wanted->is_bool())
      return malformed("stream_options/include_usage", "true or false is wanted here");
    request.wants_usage = request.is_stream && wanted != nullptr && wanted->get_bool();
  }
  if (const auto* seed = find(object, "seed")) {
    if (!seed->is_int64()) return malformed("seed", "an integer is wanted here");
    request.seed = seed->get_int64();
  }
  return read_messages(object, request.words);
}

}  // namespace tertulia::server
