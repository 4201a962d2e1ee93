// Flows: stored, shipped, checked. A flow is known by its name, or by its number once it is stored.
#include <fmt/format.h>

#include <variant>

#include "server/api.h"
#include "server/body.h"
#include "service/flow_library.h"
#include "service/flow_preview.h"
#include "service/flow_rehearsal.h"
#include "store/flows.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

base::Result<std::string> name_of(const Request& request, Desk& desk) {
  const std::string& text = request.captured[0];
  const auto id = parse_id(text);
  if (!id) return text;
  auto flow = store::load_flow(*desk.reader, *id);
  if (!flow) return flow.error();
  return flow->name;
}

service::FlowSurroundings surroundings(const Api& api, Desk& desk) {
  return service::surroundings_of(*desk.reader, api.profile_names);
}

bool wants_yaml(const Request& request) {
  return request.field("accept").find("yaml") != std::string_view::npos;
}

json::object checked_json(const service::FlowText& text, const flow::CheckedFlow& checked) {
  json::object out;
  out["ok"] = checked.ok();
  out["name"] = checked.name;
  json::array problems;
  for (const auto& each : checked.problems) {
    json::object one = service::problem_json(text.shown, each);
    one.erase("type");
    one.erase("file");
    problems.push_back(std::move(one));
  }
  out["problems"] = std::move(problems);
  return out;
}

// A flow with mistakes: each with its place in the text that was sent.
Response refuse_flow(const service::FlowText& text, const flow::CheckedFlow& checked) {
  std::vector<FieldError> errors;
  for (const auto& each : checked.problems)
    if (each.severity == flow::Problem::Severity::error)
      errors.push_back(
          {"", fmt::format("line {}, column {}: {}", each.line, each.column, each.message)});
  const base::Error error = service::mistakes_error(text.shown, checked);
  return problem(422, "invalid", error.message, "POST /api/v1/flows/check gives all of it", errors);
}

json::object with_version(json::object flow, std::int64_t id, std::int64_t version, bool shipped) {
  json::object out;
  if (id != 0) out["id"] = id;
  out["version"] = version;
  out["shipped"] = shipped;
  for (auto& member : flow) out[member.key()] = std::move(member.value());
  return out;
}

// Stores the flow that a request has; `name`: it must be this one's.
Response store_sent(const Api& api, const Request& request, Desk& desk,
                    const std::optional<std::string>& name) {
  const service::FlowText text{.shown = "the flow", .source = request.body};
  const auto checked = service::check_flow_text(text, surroundings(api, desk));
  if (!checked.ok()) return refuse_flow(text, checked);
  if (name && checked.program->name != *name)
    return problem(422, "invalid",
                   fmt::format("this flow's name is '{}', not '{}'", checked.program->name, *name),
                   "send it to the path of its own name, or name it as the path says",
                   {{"/name", "is not that of the path"}});
  std::optional<service::StoredFlow> stored;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto saved = service::store_flow(connection, text, checked, base::Clock::system().now());
    if (!saved) return saved.error();
    stored = *std::move(saved);
    return {};
  });
  if (!done) return problem(done.error());
  const auto& version = stored->saved.version;
  return json_response(with_version(service::flow_json(stored->program), version.flow_template_id,
                                    version.number, false),
                       stored->saved.is_new && !name ? 201 : 200);
}

Response get_flow(const Api& api, const Request& request, Desk& desk) {
  auto name = name_of(request, desk);
  if (!name) return problem(name.error());
  std::optional<std::int64_t> number;
  if (const auto asked = request.query.find("version"); asked != request.query.end()) {
    number = parse_id(asked->second);
    if (!number)
      return problem(400, "invalid", fmt::format("version is '{}'", asked->second),
                     "it is a number from 1 on");
  }
  auto text = service::find_flow_text(*desk.reader, *name);
  if (!text) return problem(text.error());
  auto flow = store::find_flow(*desk.reader, *name);
  if (!flow) return problem(flow.error());
  std::int64_t version = 0;
  if (*flow) {
    auto row = store::load_flow_version(*desk.reader, **flow, number);
    if (!row) return problem(row.error());
    version = row->number;
    if (number) text->source = row->source;
  } else if (number) {
    return problem(404, "not_found",
                   fmt::format("flow '{}' is not stored: it has no versions", *name));
  }
  if (wants_yaml(request)) return {.content_type = "application/yaml", .body = text->source};
  const auto checked = service::check_flow_text(*text, surroundings(api, desk));
  if (!checked.ok()) return refuse_flow(*text, checked);
  return json_response(with_version(service::flow_json(*checked.program), *flow ? (*flow)->id : 0,
                                    version, text->is_shipped));
}

Response list_versions(const Request& request, Desk& desk) {
  auto name = name_of(request, desk);
  if (!name) return problem(name.error());
  auto flow = store::find_flow(*desk.reader, *name);
  if (!flow) return problem(flow.error());
  json::array items;
  if (*flow) {
    auto versions = store::list_flow_versions(*desk.reader, (*flow)->id);
    if (!versions) return problem(versions.error());
    for (const auto& each : *versions) {
      json::object item;
      item["version"] = each.number;
      item["format"] = each.source_format;
      item["source_sha256"] = each.source_sha256;
      item["created_at"] = base::to_iso8601(each.created_at);
      items.push_back(std::move(item));
    }
  } else if (auto text = service::find_flow_text(*desk.reader, *name); !text) {
    return problem(text.error());
  }
  return page_response(std::move(items), {});
}

// What is invented for a flow that no session is made of.
service::SessionWishes wishes_of(Body& body) {
  service::SessionWishes wishes;
  wishes.topic = body.text("topic");
  wishes.variables = body.text_map("vars");
  wishes.roles = body.text_map("cast");
  wishes.seed = body.integer("seed");
  return wishes;
}

// The flow of the path, as its text is now; a refusal where it has mistakes.
std::variant<flow::Program, Response> find_program(const Api& api, const std::string& name,
                                                   Desk& desk) {
  auto text = service::find_flow_text(*desk.reader, name);
  if (!text) return problem(text.error());
  auto checked = service::check_flow_text(*text, surroundings(api, desk));
  if (!checked.ok()) return refuse_flow(*text, checked);
  return *std::move(checked.program);
}

Response preview(const Api& api, const Request& request, Desk& desk) {
  auto name = name_of(request, desk);
  if (!name) return problem(name.error());
  Body body(request.body);
  service::SessionWishes wishes = wishes_of(body);
  wishes.profile = body.text("model").value_or(api.default_profile);
  service::PreviewedStep wanted;
  wanted.step = body.text("step").value_or("");
  wanted.visit = body.integer("visit").value_or(1);
  if (wanted.step.empty())
    body.mistake("step", "a step's id is wanted, or its role where it has none");
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto found = find_program(api, *name, desk);
  if (auto* refusal = std::get_if<Response>(&found)) return std::move(*refusal);
  auto previewed = service::preview_invented(*desk.reader, std::get<flow::Program>(found), wishes,
                                             wanted, api.profiles, api.providers);
  if (!previewed) return problem(previewed.error());
  return json_response(service::preview_json(*previewed));
}

Response rehearse(const Api& api, const Request& request, Desk& desk) {
  auto name = name_of(request, desk);
  if (!name) return problem(name.error());
  Body body(request.body);
  service::SessionWishes wishes = wishes_of(body);
  wishes.profile = "rehearsal";
  if (!wishes.seed) wishes.seed = 1;
  const bool cover = body.boolean("cover").value_or(false);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto found = find_program(api, *name, desk);
  if (auto* refusal = std::get_if<Response>(&found)) return std::move(*refusal);
  return respond_with(service::rehearse_json(*desk.reader, std::get<flow::Program>(found), wishes,
                                             cover, api.providers));
}

}  // namespace

void add_flow_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/api/v1/flows",
              .summary = "The stored and the shipped flows",
              .tag = "flows",
              .response = "FlowPage",
              .handler = [&api](const Request&, Desk& desk) {
                auto flows = service::list_flows_json(*desk.reader, surroundings(api, desk));
                if (!flows) return problem(flows.error());
                return page_response(flows->at("items").as_array(), {});
              }});
  router.add({.method = "POST",
              .path = "/api/v1/flows",
              .scope = Scope::run,
              .summary = "Stores a flow, as JSON or YAML; the same text again finds its version",
              .tag = "flows",
              .request = "FlowText",
              .response = "Flow",
              .status = 201,
              .made = "/api/v1/flows/{name}",
              .is_idempotent_by_key = true,
              .handler = [&api](const Request& request, Desk& desk) {
                return store_sent(api, request, desk, {});
              }});
  router.add({.method = "POST",
              .path = "/api/v1/flows/check",
              .summary = "All mistakes of a flow with their places; nothing is stored",
              .tag = "flows",
              .request = "FlowText",
              .response = "CheckedFlow",
              .handler = [&api](const Request& request, Desk& desk) {
                const service::FlowText text{.shown = "the flow", .source = request.body};
                return json_response(
                    checked_json(text, service::check_flow_text(text, surroundings(api, desk))));
              }});
  router.add({.method = "GET",
              .path = "/api/v1/flows/{id}",
              .summary = "A flow with its compiled steps, or its text (Accept: application/yaml)",
              .tag = "flows",
              .query = {{"version", "integer", "a version of it; the latest where not said"}},
              .response = "Flow",
              .handler = [&api](const Request& request, Desk& desk) {
                return get_flow(api, request, desk);
              }});
  router.add({.method = "PUT",
              .path = "/api/v1/flows/{id}",
              .scope = Scope::run,
              .summary = "Stores a new version of a flow; sessions keep the one they began with",
              .tag = "flows",
              .request = "FlowText",
              .response = "Flow",
              .handler = [&api](const Request& request, Desk& desk) {
                auto name = name_of(request, desk);
                if (!name) return problem(name.error());
                return store_sent(api, request, desk, *name);
              }});
  router.add({.method = "DELETE",
              .path = "/api/v1/flows/{id}",
              .scope = Scope::run,
              .summary = "Deletes a stored flow that no session has",
              .tag = "flows",
              .status = 204,
              .handler = [&api](const Request& request, Desk& desk) {
                auto name = name_of(request, desk);
                if (!name) return problem(name.error());
                auto done = write(api, [&](db::Connection& connection) {
                  return store::delete_flow(connection, *name);
                });
                if (!done) return problem(done.error());
                return Response{.status = 204, .content_type = ""};
              }});
  router.add(
      {.method = "GET",
       .path = "/api/v1/flows/{id}/versions",
       .summary = "A flow's versions, oldest first",
       .tag = "flows",
       .response = "FlowVersionPage",
       .handler = [](const Request& request, Desk& desk) { return list_versions(request, desk); }});
  router.add({.method = "POST",
              .path = "/api/v1/flows/{id}/preview",
              .summary = "The request that a step would make, after a history that is made up",
              .tag = "flows",
              .request = "PreviewWish",
              .response = "Preview",
              .handler = [&api](const Request& request, Desk& desk) {
                return preview(api, request, desk);
              }});
  router.add({.method = "POST",
              .path = "/api/v1/flows/{id}/rehearse",
              .summary = "What a session of the flow would be like, and which of its ways it takes",
              .tag = "flows",
              .request = "RehearsalWish",
              .response = "Rehearsal",
              .handler = [&api](const Request& request, Desk& desk) {
                return rehearse(api, request, desk);
              }});
}

}  // namespace tertulia::server
