// Flows as models, for any client of OpenAI's chat completions.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "engine/event_record.h"
#include "engine/waiting.h"
#include "server/api.h"
#include "server/body.h"
#include "server/chat_answer.h"
#include "server/chat_request.h"
#include "service/flow_library.h"
#include "service/new_session.h"
#include "store/flows.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::server {

namespace json = base::json;
using engine::Event;
using model::SessionStatus;

namespace {

constexpr std::size_t kMaxBody = std::size_t{8} << 20;  // chats are sent whole, each time

std::int64_t seconds_of(base::Timestamp time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// ---- models ------------------------------------------------------------------------------------

json::object model_json(std::string_view flow, std::int64_t created, bool is_shipped) {
  json::object out;
  out["id"] = fmt::format("flow:{}", flow);
  out["object"] = "model";
  out["created"] = created;
  out["owned_by"] = is_shipped ? "tertulia" : "user";
  return out;
}

// Those that are stored, then those that ship and are not.
base::Result<json::array> models(db::Connection& reader) {
  auto stored = store::list_flows(reader);
  if (!stored) return stored.error();
  json::array all;
  for (const auto& flow : *stored)
    all.push_back(model_json(flow.name, seconds_of(flow.updated_at),
                             service::find_shipped_flow(flow.name) != nullptr));
  for (const service::ShippedFlow& flow : service::shipped_flows())
    if (std::none_of(stored->begin(), stored->end(),
                     [&](const auto& each) { return each.name == flow.name; }))
      all.push_back(model_json(flow.name, 0, true));
  return all;
}

Response list_models(Desk& desk) {
  auto all = models(*desk.reader);
  if (!all) return problem(all.error());
  json::object out;
  out["object"] = "list";
  out["data"] = *std::move(all);
  return json_response(out);
}

Response find_model(const Request& request, Desk& desk) {
  auto all = models(*desk.reader);
  if (!all) return problem(all.error());
  const std::string& name = request.captured.front();
  for (const json::value& each : *all)
    if (std::string_view(each.at("id").get_string()) == name) return json_response(each);
  return no_such_model(name);
}

// ---- completions -------------------------------------------------------------------------------

// A session that an answer is about, and what is done with it.
struct Part {
  model::Id session = 0;
  flow::Cast cast = {};
  std::vector<Event> events = {};  // what was told before: the answer is what comes after
  store::UsageSum before = {};
  engine::Wish wish = {};
};

std::optional<Response> begin_session(const Api& api, Desk& desk, const ChatRequest& chat,
                                      Part& part) {
  auto text = service::find_flow_text(*desk.reader, chat.flow);
  if (!text && text.error().code == base::Code::not_found) return no_such_model(chat.name);
  if (!text) return problem(text.error());
  const auto checked =
      service::check_flow_text(*text, service::surroundings_of(*desk.reader, api.profile_names));
  if (!checked.ok()) return Body::refuse(service::mistakes_error(text->shown, checked), "/model");
  if (api.default_profile.empty())
    return problem(503, "unavailable", "this server was started without a model",
                   "tertulia serve --model MODEL");
  service::SessionWishes wishes;
  wishes.topic = chat.words;
  wishes.profile = api.default_profile;
  wishes.seed = chat.seed;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto made = service::make_session(connection, *text, checked, wishes, api.profiles,
                                      base::Clock::system().now());
    if (!made) return made.error();
    part.session = *made;
    return {};
  });
  if (!done) return Body::refuse(done.error(), "/messages");
  auto data = engine::load_session_data(*desk.reader, api.flows, part.session);
  if (!data) return problem(data.error());
  part.cast = data->cast;
  return {};
}

// The words are an answer where the session waits for one; one that is paused is resumed.
std::optional<Response> go_on_with_session(const Api& api, Desk& desk, std::string_view named,
                                           const ChatRequest& chat, Part& part) {
  const auto id = parse_id(named);
  if (!id)
    return problem(404, "not_found",
                   fmt::format("{}: there is no session '{}'", kSessionField, named));
  part.session = *id;
  api.stage.let_end(*desk.reader, *id);
  auto row = store::load_session(*desk.reader, *id);
  if (!row) return problem(row.error());
  auto data = engine::load_session_data(*desk.reader, api.flows, *id);
  if (!data) return problem(data.error());
  if (data->flow_name != chat.flow)
    return problem(409, "conflict", fmt::format("session {} is of flow:{}", *id, data->flow_name));
  if (row->status == SessionStatus::finished || row->status == SessionStatus::terminated)
    return problem(409, "conflict", fmt::format("session {} is over", *id),
                   fmt::format("leave {} out: a new session begins", kSessionField));
  auto events = engine::load_events(*desk.reader, *id, 0, std::numeric_limits<std::int64_t>::max());
  if (!events) return problem(events.error());
  auto before = store::sum_usage(*desk.reader, *id);
  if (!before) return problem(before.error());
  part.cast = data->cast;
  part.events = *std::move(events);
  part.before = *before;
  if (row->status != SessionStatus::waiting) return {};
  auto waiting = engine::find_waiting(*desk.reader, api.flows, *id);
  if (!waiting) return problem(waiting.error());
  // Of several questions the first: it is the one that was shown.
  part.wish = {.action = engine::Action::answer,
               .limits = {},
               .words = chat.words,
               .order = waiting->empty() ? 0 : waiting->front().order};
  return {};
}

void complete(const Api& api, const Request& request, Desk& desk, const Respond& respond) {
  ChatRequest chat;
  if (auto refused = read_chat_request(request.body, chat)) return respond(*std::move(refused));
  Part part;
  const std::string_view named = request.field("x-tertulia-session");
  auto refused = named.empty() ? begin_session(api, desk, chat, part)
                               : go_on_with_session(api, desk, named, chat, part);
  if (refused) return respond(*std::move(refused));

  std::shared_ptr<Outlet> outlet;
  if (chat.is_stream) {
    outlet = std::make_shared<Outlet>();
    outlet->set_on_drained([hub = &api.hub] { hub->look(); });
  }
  const ChatHead head{.id = fmt::format("chatcmpl-{}-{}", part.session, request.id),
                      .name = chat.name,
                      .created = seconds_of(base::Clock::system().now()),
                      .session = part.session,
                      .wants_usage = chat.wants_usage};
  ChatTranscript transcript(part.cast);
  for (const Event& event : part.events) transcript.learn(event);
  transcript.go_on();
  // What waits for several persons, and was paused meanwhile, does no more than wait again.
  std::optional<ChatEnding> at_rest;
  if (part.wish.action == engine::Action::resume) at_rest = transcript.ending();
  const auto answer = std::make_shared<ChatAnswer>(
      head, std::move(transcript), part.before, api.submit, outlet ? Respond() : respond, outlet);
  // Followed before it begins: nothing that it says is missed.
  if (!at_rest)
    api.hub.follow(answer, part.session, part.events.empty() ? 0 : part.events.back().id);
  const auto failed = [answer](const base::Error& error) { answer->fail(error); };
  if (auto begun = api.stage.begin(part.session, part.wish, failed); !begun) {
    answer->cancel();
    api.hub.look();
    return respond(begun.error().code == base::Code::invalid
                       ? Body::refuse(begun.error(), "/messages")
                       : problem(begun.error()));
  }
  if (outlet) {
    Response stream{.content_type = "text/event-stream", .outlet = outlet};
    stream.fields.emplace_back("X-Accel-Buffering", "no");
    stream.fields.emplace_back(kSessionField, std::to_string(part.session));
    respond(std::move(stream));
  }
  if (at_rest) answer->end_with(*std::move(at_rest));
}

}  // namespace

void add_openai_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/v1/models",
              .summary = "Every flow as a model, for clients of OpenAI's API",
              .tag = "openai",
              .response = "OpenAiModels",
              .handler = [](const Request&, Desk& desk) { return list_models(desk); }});
  router.add(
      {.method = "GET",
       .path = "/v1/models/{id}",
       .summary = "One flow as a model",
       .tag = "openai",
       .response = "OpenAiModel",
       .handler = [](const Request& request, Desk& desk) { return find_model(request, desk); }});
  router.add({.method = "POST",
              .path = "/v1/chat/completions",
              .scope = Scope::run,
              .summary = "Performs a flow about the last user message; its conversation, whole or "
                         "as a stream",
              .tag = "openai",
              .request = "ChatRequest",
              .response = "ChatCompletion",
              .max_body = kMaxBody,
              .async = [&api](const Request& request, Desk& desk, Respond respond) {
                complete(api, request, desk, respond);
              }});
}

}  // namespace tertulia::server
