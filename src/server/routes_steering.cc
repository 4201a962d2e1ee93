// What goes on with a session: begun, stopped, answered, branched.
#include <fmt/format.h>

#include "engine/branch.h"
#include "server/api.h"
#include "server/body.h"
#include "service/limit_wishes.h"
#include "service/role_library.h"
#include "service/session_view.h"
#include "service/stored_version.h"
#include "store/flows.h"
#include "store/sessions.h"

namespace tertulia::server {

namespace json = base::json;
using engine::Action;
using Asked = engine::Engine::Request;

namespace {

Response session_response(const Api& api, Desk& desk, model::Id id, int status = 202) {
  return respond_with(service::session_json(*desk.reader, api.flows, id), status);
}

// Begins what an engine does with a session. Bodies are small, and the same but for an answer's.
Response perform(const Api& api, const Request& request, Desk& desk, Action action) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  Body body(request.body);
  engine::Wish wish{.action = action};
  service::LimitWishes limits;
  const char* answered_by = "/text";
  if (action == Action::resume || action == Action::step) {
    if (auto part = body.object("limits")) {
      limits.steps = part->integer("steps");
      limits.rounds = part->integer("rounds");
      limits.tokens = part->integer("tokens");
      limits.cost_usd = part->number("cost_usd");
      limits.time_ms = part->integer("time_ms");
      body.take(*part);
    }
  } else {
    wish.order = body.integer("order").value_or(0);
  }
  if (action == Action::answer) {
    const auto text = body.text("text");
    const auto choice = body.text("choice");
    const auto* output = body.any("output");
    if (text.has_value() + choice.has_value() + (output != nullptr) != 1)
      body.mistake("text", "one of text, choice and output is wanted");
    wish.words = text ? *text : output != nullptr ? base::to_text(*output) : choice.value_or("");
    if (!text) answered_by = output != nullptr ? "/output" : "/choice";
  }
  if (auto refusal = body.refusal()) return *std::move(refusal);
  if (!limits.empty()) {
    auto raised = service::limits_in_session(*desk.reader, *id, limits);
    if (!raised) return Body::refuse(raised.error(), "/limits");
    wish.limits = *std::move(raised);
  }
  auto row = store::load_session(*desk.reader, *id);
  if (!row) return problem(row.error());
  // What is finished already is no mistake to begin again.
  const bool is_over = row->status == model::SessionStatus::finished ||
                       row->status == model::SessionStatus::terminated;
  if (is_over && action == Action::resume) return session_response(api, desk, *id, 200);
  api.stage.let_end(*desk.reader, *id);
  if (auto begun = api.stage.begin(*id, std::move(wish)); !begun) {
    if (action == Action::answer && begun.error().code == base::Code::invalid)
      return Body::refuse(begun.error(), answered_by);
    return problem(begun.error());
  }
  return session_response(api, desk, *id);
}

Response pause(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  Body body(request.body);
  const bool now = body.boolean("now").value_or(false);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  if (auto row = store::load_session(*desk.reader, *id); !row) return problem(row.error());
  if (auto asked = api.stage.ask(*id, now ? Asked::pause_now : Asked::pause); !asked)
    return problem(asked.error());
  return session_response(api, desk, *id);
}

// A session that nobody performs is ended by this server itself.
Response cancel(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  Body body(request.body);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  if (auto row = store::load_session(*desk.reader, *id); !row) return problem(row.error());
  api.stage.let_end(*desk.reader, *id);
  if (auto begun = api.stage.begin(*id, {.action = Action::cancel}); !begun) {
    if (begun.error().code != base::Code::conflict) return problem(begun.error());
    if (auto asked = api.stage.ask(*id, Asked::cancel); !asked) return problem(begun.error());
  }
  return session_response(api, desk, *id);
}

Response branch(const Api& api, const Request& request, Desk& desk, bool is_rerun) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  Body body(request.body);
  engine::BranchWish wish;
  wish.parent = *id;
  const char* order = is_rerun ? "from" : "at";
  const auto at = body.integer(order);
  if (!at || *at < (is_rerun ? 1 : 0))
    body.mistake(order, "the execution order of a step is wanted here");
  // A rerun begins before the step that it names.
  wish.at = at.value_or(1) - (is_rerun ? 1 : 0);
  if (!is_rerun) {
    wish.topic = body.text("topic");
    wish.edit = body.text("edit");
  }
  const auto profile = body.text("model");
  std::optional<std::string> version;
  if (!is_rerun) {
    const json::value* wanted = body.any("flow_version");
    if (wanted != nullptr)
      version = wanted->is_string() ? std::string(wanted->get_string()) : base::to_text(*wanted);
  }
  const bool autostart = body.boolean("autostart").value_or(is_rerun);
  if (profile) {
    auto known = api.profiles(*profile);
    if (!known) {
      body.mistake("model", known.error().message);
    } else {
      wish.model = *std::move(known);
    }
  }
  if (auto refusal = body.refusal()) return *std::move(refusal);
  std::optional<service::StoredVersion> other;
  if (version) {
    auto parent = store::load_session(*desk.reader, *id);
    if (!parent) return problem(parent.error());
    auto flow = store::load_flow(*desk.reader, parent->flow_template_id.value_or(0));
    if (!flow) return problem(flow.error());
    auto loaded = service::load_stored_version(
        *desk.reader, *flow, *version, service::surroundings_of(*desk.reader, api.profile_names));
    if (!loaded) return Body::refuse(loaded.error(), "/flow_version");
    other = *std::move(loaded);
    wish.version = {.row = &other->row,
                    .program = &other->program,
                    .profiles = api.profiles,
                    .roles = service::roles_of(*desk.reader),
                    .profile = profile.value_or(api.default_profile)};
  }
  engine::BranchedSession branched;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto transaction = db::Transaction::begin(connection);
    if (!transaction) return transaction.error();
    auto made =
        engine::branch(connection, api.flows, wish, api.providers, base::Clock::system().now());
    if (!made) return made.error();
    branched = *made;
    return transaction->commit();
  });
  if (!done) return Body::refuse(done.error(), std::string("/") + order);
  if (autostart && branched.status == model::SessionStatus::paused)
    if (auto begun = api.stage.begin(branched.id, {}); !begun) return problem(begun.error());
  auto shown = service::session_json(*desk.reader, api.flows, branched.id);
  if (!shown) return problem(shown.error());
  (*shown)["copied"] = json::object{{"rows", branched.rows}, {"messages", branched.messages}};
  return json_response(*shown, 201);
}

}  // namespace

void add_steering_routes(Router& router, const Api& api) {
  const auto add = [&](std::string_view path, std::string_view summary, std::string_view body,
                       Handler handler, int status = 202) {
    router.add({.method = "POST",
                .path = path,
                .scope = Scope::run,
                .summary = summary,
                .tag = "sessions",
                .request = body,
                .response = "Session",
                .status = status,
                .made = "/api/v1/sessions/{id}",
                .is_idempotent_by_key = true,
                .handler = std::move(handler)});
  };
  const auto performing = [&api](Action action) {
    return [&api, action](const Request& request, Desk& desk) {
      return perform(api, request, desk, action);
    };
  };
  add("/api/v1/sessions/{id}/start", "Begins to perform a session that was made without", "GoOn",
      performing(Action::resume));
  add("/api/v1/sessions/{id}/resume", "Goes on with a session, under other limits if they are sent",
      "GoOn", performing(Action::resume));
  add("/api/v1/sessions/{id}/step", "One step that asks a model, then pauses", "GoOn",
      performing(Action::step));
  add("/api/v1/sessions/{id}/retry", "The failed step again, and on to the end", "WhichStep",
      performing(Action::retry));
  add("/api/v1/sessions/{id}/skip", "Leaves the open step out, then pauses", "WhichStep",
      performing(Action::skip));
  add("/api/v1/sessions/{id}/answer", "A person's words for the step that waits for them", "Answer",
      performing(Action::answer));
  add("/api/v1/sessions/{id}/pause", "Pauses after the present step, or at once", "PauseWish",
      [&api](const Request& request, Desk& desk) { return pause(api, request, desk); });
  add("/api/v1/sessions/{id}/cancel", "Ends a session for good", "",
      [&api](const Request& request, Desk& desk) { return cancel(api, request, desk); });
  add(
      "/api/v1/sessions/{id}/branch", "A new session that goes on from a step of this one",
      "BranchWish",
      [&api](const Request& request, Desk& desk) { return branch(api, request, desk, false); },
      201);
  add(
      "/api/v1/sessions/{id}/rerun",
      "A new session that performs this one's steps again from one on", "RerunWish",
      [&api](const Request& request, Desk& desk) { return branch(api, request, desk, true); }, 201);
}

}  // namespace tertulia::server
