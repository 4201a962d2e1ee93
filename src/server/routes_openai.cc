// The OpenAI-compatible endpoint: every flow is a model `flow:NAME`, and a chat completion is a
// session of it. The session is in the field X-Tertulia-Session, and is gone on with by it.
#include <fmt/format.h>

#include "server/api.h"
#include "server/body.h"
#include "server/chat_follower.h"
#include "service/flow_library.h"
#include "service/new_session.h"
#include "service/session_view.h"
#include "store/flows.h"
#include "store/session_events.h"
#include "store/sessions.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

constexpr std::string_view kPrefix = "flow:";
constexpr const char* kSessionField = "X-Tertulia-Session";

json::object model_object(std::string_view flow) {
  json::object model;
  model["id"] = fmt::format("{}{}", kPrefix, flow);
  model["object"] = "model";
  model["created"] = 0;  // of no meaning here, but clients want it
  model["owned_by"] = "tertulia";
  return model;
}

Response list(const Api& api, Desk& desk) {
  auto flows = service::list_flows_json(*desk.reader,
                                        service::surroundings_of(*desk.reader, api.profile_names));
  if (!flows) return problem(flows.error());
  json::array data;
  for (const auto& flow : flows->at("items").as_array())
    data.push_back(model_object(std::string_view(flow.at("name").as_string())));
  json::object out;
  out["object"] = "list";
  out["data"] = std::move(data);
  return json_response(out);
}

Response unknown_model(std::string_view model) {
  return problem(404, "model_not_found", fmt::format("the model '{}' does not exist", model),
                 "GET /v1/models lists what there is: each flow is a model flow:NAME",
                 {{"/model", "is no model"}});
}

// What the last user message says; nothing where there is none.
std::optional<std::string> last_words(const json::array& messages) {
  for (std::size_t i = messages.size(); i > 0; --i) {
    const json::object* message = messages[i - 1].if_object();
    const json::value* role = message != nullptr ? message->if_contains("role") : nullptr;
    if (role == nullptr || !role->is_string() || role->get_string() != "user") continue;
    const json::value* content = message->if_contains("content");
    if (content == nullptr) return {};
    if (content->is_string()) return std::string(content->get_string());
    if (!content->is_array()) return {};
    std::string text;
    for (const json::value& part : content->get_array()) {
      const json::value* words = base::at_pointer(part, "/text");
      if (words == nullptr || !words->is_string()) return {};
      text += std::string(words->get_string());
    }
    return text;
  }
  return {};
}

// What a request may ask of a model that a flow cannot do, and must not seem to.
std::optional<Response> refuse_impossible(const json::object& body) {
  const auto refuse = [](std::string_view member, std::string_view why) {
    return problem(400, "unsupported_parameter", fmt::format("{}: {}", member, why), {},
                   {{fmt::format("/{}", member), std::string(why)}});
  };
  if (const auto* n = body.if_contains("n"); n && n->is_int64() && n->get_int64() != 1)
    return refuse("n", "a session is performed once");
  for (const char* name : {"tools", "functions"})
    if (const auto* tools = body.if_contains(name);
        tools && tools->is_array() && !tools->get_array().empty())
      return refuse(name, "flows call no tools of the caller's");
  if (const auto* format = body.if_contains("response_format"); format && format->is_object()) {
    const auto* type = format->get_object().if_contains("type");
    if (type != nullptr && type->is_string() && type->get_string() != "text")
      return refuse("response_format", "the form of what is said is the flow's own");
  }
  if (const auto* audio = body.if_contains("audio"); audio && !audio->is_null())
    return refuse("audio", "flows write");
  return {};
}

struct Chat {
  model::Id session = 0;
  std::int64_t after = 0;  // events up to this number were told already
  engine::Wish wish;
};

// A new session of the flow with these words as its topic.
base::Result<Chat> begin_new(const Api& api, Desk& desk, const service::FlowText& text,
                             const std::string& words) {
  const auto checked =
      service::check_flow_text(text, service::surroundings_of(*desk.reader, api.profile_names));
  if (!checked.ok()) return service::mistakes_error(text.shown, checked);
  service::SessionWishes wishes;
  wishes.topic = words;
  wishes.profile = api.default_profile;
  Chat chat;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto made = service::make_session(connection, text, checked, wishes, api.profiles,
                                      base::Clock::system().now());
    if (!made) return made.error();
    chat.session = *made;
    return {};
  });
  if (!done) return done.error();
  return chat;
}

// The named session, gone on with: by the words where it waits for a person.
base::Result<Chat> go_on(Desk& desk, std::string_view named, const std::string& flow,
                         const std::string& words) {
  const auto id = parse_id(named);
  if (!id)
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{} is '{}', which is no session", kSessionField, named)};
  auto row = store::load_session(*desk.reader, *id);
  if (!row) return row.error();
  auto known = store::load_flow(*desk.reader, row->flow_template_id.value_or(0));
  if (!known) return known.error();
  if (known->name != flow)
    return base::Error{.code = base::Code::conflict,
                       .message = fmt::format("session {} is of flow:{}", *id, known->name)};
  if (row->status == model::SessionStatus::finished ||
      row->status == model::SessionStatus::terminated)
    return base::Error{.code = base::Code::conflict,
                       .message = fmt::format("session {} is over", *id),
                       .remedy = fmt::format("leave {} out: a new session begins", kSessionField)};
  auto last = store::last_event_number(*desk.reader, *id);
  if (!last) return last.error();
  Chat chat{.session = *id, .after = *last, .wish = {}};
  if (row->status == model::SessionStatus::waiting)
    chat.wish = {.action = engine::Action::answer, .limits = {}, .words = words, .order = 0};
  return chat;
}

void complete(const Api& api, const Request& request, Desk& desk, const Respond& respond) {
  auto parsed = base::parse_json(request.body);
  if (!parsed || !parsed->is_object())
    return respond(
        problem(400, "invalid", parsed ? "an object is wanted" : parsed.error().message));
  const json::object& body = parsed->get_object();
  const auto* model = body.if_contains("model");
  if (model == nullptr || !model->is_string())
    return respond(
        problem(400, "invalid", "model is missing", "flow:NAME", {{"/model", "missing"}}));
  const std::string name(model->get_string());
  const auto* messages = body.if_contains("messages");
  const auto words = messages != nullptr && messages->is_array() ? last_words(messages->get_array())
                                                                 : std::nullopt;
  if (!words || words->empty())
    return respond(problem(400, "invalid", "there is no user message with a text", {},
                           {{"/messages", "its last user message is the topic"}}));
  if (auto refusal = refuse_impossible(body)) return respond(*std::move(refusal));
  if (name.rfind(kPrefix, 0) != 0) return respond(unknown_model(name));
  const std::string flow = name.substr(kPrefix.size());
  auto text = service::find_flow_text(*desk.reader, flow);
  if (!text && text.error().code == base::Code::not_found) return respond(unknown_model(name));
  if (!text) return respond(problem(text.error()));
  if (api.default_profile.empty())
    return respond(problem(503, "unavailable", "this server was started without a model"));
  const auto named = request.field("x-tertulia-session");
  auto chat =
      named.empty() ? begin_new(api, desk, *text, *words) : go_on(desk, named, flow, *words);
  if (!chat) return respond(problem(chat.error()));

  const auto is_set = [](const json::object& object, std::string_view member) {
    const auto* value = object.if_contains(member);
    return value != nullptr && value->is_bool() && value->get_bool();
  };
  ChatTarget target{.id = fmt::format("chatcmpl-{}-{}", chat->session, chat->after),
                    .model = name,
                    .created = std::chrono::duration_cast<std::chrono::seconds>(
                                   base::Clock::system().now().time_since_epoch())
                                   .count()};
  if (auto session = service::session_json(*desk.reader, api.flows, chat->session))
    for (const auto& role : session->at("cast").as_array())
      target.names[std::string(role.at("ref").as_string())] =
          std::string(role.at("name").as_string());
  const std::string session_id = std::to_string(chat->session);
  std::shared_ptr<Outlet> outlet;
  if (is_set(body, "stream")) {
    outlet = std::make_shared<Outlet>();
    outlet->set_on_drained([hub = &api.hub] { hub->look(); });
    target.outlet = outlet;
    if (const auto* options = body.if_contains("stream_options"); options && options->is_object())
      target.with_usage = is_set(options->get_object(), "include_usage");
  } else {
    target.done = [respond, session_id](std::string completion) {
      Response response =
          completion.empty()
              ? problem(503, "unavailable", "the server stops; the session goes on with the next",
                        fmt::format("send {}: {} then", kSessionField, session_id))
              : Response{.body = std::move(completion)};
      response.fields.emplace_back(kSessionField, session_id);
      respond(std::move(response));
    };
  }
  // Begun before it is followed: who cannot begin is answered here, and events are stored anyway.
  if (auto begun = api.stage.begin(chat->session, chat->wish); !begun)
    return respond(problem(begun.error()));
  api.hub.follow(std::make_shared<ChatFollower>(std::move(target)), chat->session, chat->after);
  if (!outlet) return;
  Response response{.content_type = "text/event-stream", .outlet = outlet};
  response.fields.emplace_back(kSessionField, session_id);
  response.fields.emplace_back("X-Accel-Buffering", "no");
  respond(std::move(response));
}

}  // namespace

void add_openai_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/v1/models",
              .summary = "The flows, as models",
              .tag = "openai",
              .response = "OpenAiModels",
              .handler = [&api](const Request&, Desk& desk) { return list(api, desk); }});
  router.add({.method = "GET",
              .path = "/v1/models/{id}",
              .summary = "A flow, as a model",
              .tag = "openai",
              .response = "OpenAiModel",
              .handler = [](const Request& request, Desk& desk) {
                const std::string& id = request.captured[0];
                if (id.rfind(kPrefix, 0) != 0) return unknown_model(id);
                const std::string flow = id.substr(kPrefix.size());
                auto text = service::find_flow_text(*desk.reader, flow);
                if (!text && text.error().code == base::Code::not_found) return unknown_model(id);
                if (!text) return problem(text.error());
                return json_response(model_object(flow));
              }});
  router.add({.method = "POST",
              .path = "/v1/chat/completions",
              .scope = Scope::run,
              .summary = "A session of a flow, as a chat completion; streamed if it is asked for",
              .tag = "openai",
              .request = "ChatRequest",
              .response = "ChatCompletion",
              .async = [&api](const Request& request, Desk& desk, const Respond& respond) {
                complete(api, request, desk, respond);
              }});
}

}  // namespace tertulia::server
