// Sessions: made, found, deleted. What goes on with one: routes_steering.cc; what it recorded:
// routes_record.cc.
#include <fmt/format.h>

#include "server/api.h"
#include "server/body.h"
#include "service/flow_library.h"
#include "service/new_session.h"
#include "service/session_removal.h"
#include "service/session_selection.h"
#include "service/session_stats.h"
#include "service/session_view.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

constexpr std::size_t kMostSelected = 10'000;

base::Result<service::SessionSelection> selection_of(const Request& request) {
  service::SessionSelection selection;
  for (const std::string& word : words_of(query_of(request, "ids"))) {
    const auto id = parse_id(word);
    if (!id || selection.ids.size() == kMostSelected)
      return base::Error{
          .code = base::Code::invalid,
          .message = id ? fmt::format("more than {} ids are named", kMostSelected)
                        : fmt::format("ids has '{}', which is no session's id", word)};
    selection.ids.push_back(*id);
  }
  selection.statuses = words_of(query_of(request, "status"));
  selection.flow = query_of(request, "flow");
  selection.older_than = query_of(request, "older_than");
  if (const std::string batch = query_of(request, "batch"); !batch.empty()) {
    const auto id = parse_id(batch);
    if (!id)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("batch is '{}', which is no number", batch)};
    selection.batch = *id;
  }
  return selection;
}

service::SessionSelection selection_of(Body& body) {
  service::SessionSelection selection;
  if (const auto* ids = body.any("ids")) {
    if (!ids->is_array() || ids->get_array().size() > kMostSelected) {
      body.mistake("ids",
                   fmt::format("an array of at most {} session ids is wanted here", kMostSelected));
    } else {
      for (const auto& id : ids->get_array()) {
        if (id.is_int64()) {
          selection.ids.push_back(id.get_int64());
        } else {
          body.mistake("ids", "session ids are integers");
        }
      }
    }
  }
  selection.statuses = body.texts("status");
  selection.flow = body.text("flow").value_or("");
  selection.batch = body.integer("batch").value_or(0);
  selection.older_than = body.text("older_than").value_or("");
  return selection;
}

std::vector<Parameter> selection_parameters() {
  return {{"ids", "string", "only these, with commas"},
          {"status", "string", "one or more of the statuses, with commas"},
          {"flow", "string", "the flow's name"},
          {"batch", "integer", "of this batch"},
          {"older_than", "string", "nothing was done with them for so long: 30m, 12h, 90d"}};
}

Response list(const Request& request, Desk& desk) {
  auto wish = page_of(request);
  if (!wish) return problem(wish.error());
  auto selection = selection_of(request);
  if (!selection) return problem(selection.error());
  auto filter = service::to_filter(*desk.reader, *selection, base::Clock::system().now());
  if (!filter) return problem(filter.error());
  store::SessionPage wanted{
      .filter = *std::move(filter), .below = wish->cursor, .limit = wish->limit};
  if (std::string topic = query_of(request, "topic"); !topic.empty())
    wanted.topic = std::move(topic);
  for (const char* name : {"created_from", "created_before"}) {
    const std::string text = query_of(request, name);
    if (text.empty()) continue;
    const auto time = base::parse_iso8601(text);
    if (!time)
      return problem(400, "invalid", fmt::format("{} is '{}'", name, text),
                     "it is a time such as 2026-11-25T10:00:00Z");
    (std::string_view(name) == "created_from" ? wanted.created_from : wanted.created_before) =
        *time;
  }
  auto page = service::list_sessions_json(*desk.reader, std::move(wanted), service::kSessionsAPage);
  if (!page) return problem(page.error());
  return page_response(std::move(page->items), page->next);
}

// Makes a session of a flow, on the connection that writes.
using Maker =
    std::function<base::Result<model::Id>(db::Connection&, const service::SessionWishes&)>;

// Of that version of the flow, or of its text as it is now.
base::Result<Maker> flow_of(const Api& api, Desk& desk, const std::string& name,
                            std::optional<std::int64_t> version) {
  if (version) {
    auto stored = flow_version(api, desk, name, *version);
    if (!stored) return stored.error();
    return Maker([&api, flow = *std::move(stored)](
                     db::Connection& connection,
                     const service::SessionWishes& wishes) -> base::Result<model::Id> {
      auto wanted = service::cast_session(connection, flow, wishes, api.profiles,
                                          base::Clock::system().now());
      if (!wanted) return wanted.error();
      return store::create_session(connection, *wanted);
    });
  }
  auto text = service::find_flow_text(*desk.reader, name);
  if (!text) return text.error();
  auto checked =
      service::check_flow_text(*text, service::surroundings_of(*desk.reader, api.profile_names));
  if (!checked.ok()) return service::mistakes_error(text->shown, checked);
  return Maker([&api, text = *std::move(text), checked = std::move(checked)](
                   db::Connection& connection, const service::SessionWishes& wishes) {
    return service::make_session(connection, text, checked, wishes, api.profiles,
                                 base::Clock::system().now());
  });
}

Response create(const Api& api, const Request& request, Desk& desk) {
  Body body(request.body);
  const auto name = body.text("flow");
  const auto version = body.integer("flow_version");
  service::SessionWishes wishes;
  wishes.topic = body.text("topic");
  wishes.roles = body.text_map("cast");
  wishes.variables = body.text_map("vars");
  for (auto& role : body.texts("play")) wishes.played.insert(std::move(role));
  wishes.profile = body.text("model").value_or(api.default_profile);
  wishes.seed = body.integer("seed");
  if (auto limits = body.object("limits")) {
    wishes.limits.steps = limits->integer("steps");
    wishes.limits.rounds = limits->integer("rounds");
    wishes.limits.tokens = limits->integer("tokens");
    wishes.limits.cost_usd = limits->number("cost_usd");
    wishes.limits.time_ms = limits->integer("time_ms");
    body.take(*limits);
  }
  const bool autostart = body.boolean("autostart").value_or(true);
  if (!name) body.mistake("flow", "the name of a flow is wanted here");
  if (wishes.profile.empty())
    body.mistake("model", "a model is wanted: this server was started without one");
  if (auto refusal = body.refusal()) return *std::move(refusal);
  if (auto profile = api.profiles(wishes.profile); !profile)
    return Body::refuse(profile.error(), "/model");
  auto flow = flow_of(api, desk, *name, version);
  if (!flow) return Body::refuse(flow.error(), version ? "/flow_version" : "/flow");
  model::Id session = 0;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto made = (*flow)(connection, wishes);
    if (!made) return made.error();
    session = *made;
    return {};
  });
  if (!done) return Body::refuse(done.error(), "");
  if (autostart)
    if (auto begun = api.stage.begin(session, {}); !begun) return problem(begun.error());
  return respond_with(service::session_json(*desk.reader, api.flows, session), 201);
}

Response remove(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  api.stage.let_end(*desk.reader, *id);
  if (auto done = api.engine.remove(*id); !done) return problem(done.error());
  api.hub.drop_session(*id);
  return {.status = 204, .content_type = ""};
}

Response prune(const Api& api, const Request& request, Desk& desk) {
  Body body(request.body);
  service::SessionSelection selection = selection_of(body);
  const bool is_dry_run = body.boolean("dry_run").value_or(false);
  if (selection.empty())
    body.mistake("", "say which sessions: ids, status, flow, batch or older_than");
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto filter = service::to_filter(*desk.reader, selection, base::Clock::system().now());
  if (!filter) return Body::refuse(filter.error(), "");
  if (is_dry_run) {
    auto count = store::count_sessions(*desk.reader, *filter);
    if (!count) return problem(count.error());
    json::object out = service::removal_json({});
    out["would_delete"] = *count;
    return json_response(out);
  }
  auto removed = service::remove_sessions(api.engine, *desk.reader, *filter);
  if (!removed) return problem(removed.error());
  return json_response(service::removal_json(*removed));
}

}  // namespace

void add_session_routes(Router& router, const Api& api) {
  auto filters = selection_parameters();
  filters.push_back({"topic", "string", "the topic holds this text"});
  filters.push_back({"created_from", "string", "a time (RFC 3339)"});
  filters.push_back({"created_before", "string", "a time (RFC 3339)"});
  router.add({.method = "GET",
              .path = "/api/v1/sessions",
              .summary = "Sessions, newest first",
              .tag = "sessions",
              .query = page_parameters(filters),
              .response = "SessionPage",
              .handler = [](const Request& request, Desk& desk) { return list(request, desk); }});
  router.add({.method = "POST",
              .path = "/api/v1/sessions",
              .scope = Scope::run,
              .summary = "Makes a session of a flow and begins to perform it",
              .tag = "sessions",
              .request = "NewSession",
              .response = "Session",
              .status = 201,
              .made = "/api/v1/sessions/{id}",
              .is_idempotent_by_key = true,
              .handler = [&api](const Request& request, Desk& desk) {
                return create(api, request, desk);
              }});
  router.add({.method = "GET",
              .path = "/api/v1/sessions/{id}",
              .summary = "How a session stands",
              .tag = "sessions",
              .response = "Session",
              .handler = [&api](const Request& request, Desk& desk) {
                auto id = id_of(request, "session");
                if (!id) return problem(id.error());
                auto shown = service::session_json(*desk.reader, api.flows, *id);
                if (const auto why = api.engine.lack_of_room(*id); shown && why)
                  service::add_lack_of_room(*shown, *why);
                return respond_with(std::move(shown));
              }});
  router.add({.method = "DELETE",
              .path = "/api/v1/sessions/{id}",
              .scope = Scope::run,
              .summary = "Deletes a session with all that it recorded",
              .tag = "sessions",
              .status = 204,
              .handler = [&api](const Request& request, Desk& desk) {
                return remove(api, request, desk);
              }});
  router.add({.method = "POST",
              .path = "/api/v1/sessions/prune",
              .scope = Scope::admin,
              .summary = "Deletes all sessions that fit, or (dry_run) says how many there are",
              .tag = "sessions",
              .request = "Selection",
              .response = "Removal",
              .is_idempotent_by_key = true,
              .handler = [&api](const Request& request, Desk& desk) {
                return prune(api, request, desk);
              }});
  router.add({.method = "GET",
              .path = "/api/v1/sessions/stats",
              .summary = "Counts, tokens, cost and time, by flow, role, model and status",
              .tag = "sessions",
              .query = selection_parameters(),
              .response = "Stats",
              .reads_much = true,
              .handler = [](const Request& request, Desk& desk) {
                auto selection = selection_of(request);
                if (!selection) return problem(selection.error());
                auto filter =
                    service::to_filter(*desk.reader, *selection, base::Clock::system().now());
                if (!filter) return problem(filter.error());
                auto stats = store::load_stats(*desk.reader, *filter);
                if (!stats) return problem(stats.error());
                return json_response(service::stats_json(*stats));
              }});
}

}  // namespace tertulia::server
