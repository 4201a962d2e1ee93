// Stored roles, which any flow may use.
#include <fmt/format.h>

#include "server/api.h"
#include "server/body.h"
#include "service/role_library.h"
#include "store/flows.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

// A role's id in paths is its name: it is what flows and casts know it by.
Response save(const Api& api, const Request& request, const std::string& name, int status,
              bool must_be_new) {
  Body body(request.body);
  const auto prompt = body.text("prompt");
  const json::value* settings = body.any("settings");
  if (status == 201) static_cast<void>(body.text("name"));
  if (!prompt) body.mistake("prompt", "a role needs a prompt: who it is and how it speaks");
  if (name.empty()) body.mistake("name", "a role needs a name");
  if (settings != nullptr && !settings->is_object())
    body.mistake("settings", "an object is wanted here");
  if (auto refusal = body.refusal()) return *std::move(refusal);
  const auto text =
      settings != nullptr ? std::optional(base::to_text(*settings)) : std::optional<std::string>();
  std::optional<json::object> saved;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto known = store::find_role(connection, name);
    if (!known) return known.error();
    if (must_be_new && *known)
      return base::Error{.code = base::Code::conflict,
                         .message = fmt::format("there is a role '{}' already", name),
                         .remedy = "change it with PUT /api/v1/roles/{name}"};
    auto stored = store::save_role(connection, name, *prompt, text, base::Clock::system().now());
    if (!stored) return stored;
    auto role = service::find_role(connection, name);
    if (!role) return role.error();
    saved = service::role_json(*role);
    return {};
  });
  if (!done) return problem(done.error());
  return json_response(*saved, status);
}

}  // namespace

void add_role_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/api/v1/roles",
              .summary = "The stored roles, by name",
              .tag = "roles",
              .response = "RolePage",
              .handler = [](const Request&, Desk& desk) {
                auto roles = service::list_roles_json(*desk.reader);
                if (!roles) return problem(roles.error());
                return page_response(roles->at("items").as_array(), {});
              }});
  router.add({.method = "POST",
              .path = "/api/v1/roles",
              .scope = Scope::run,
              .summary = "Makes a role",
              .tag = "roles",
              .request = "NewRole",
              .response = "Role",
              .status = 201,
              .made = "/api/v1/roles/{name}",
              .is_idempotent_by_key = true,
              .handler = [&api](const Request& request, Desk&) {
                Body body(request.body);
                return save(api, request, body.text("name").value_or(""), 201, true);
              }});
  router.add({.method = "GET",
              .path = "/api/v1/roles/{name}",
              .summary = "One role",
              .tag = "roles",
              .response = "Role",
              .handler = [](const Request& request, Desk& desk) {
                auto role = service::find_role(*desk.reader, request.captured[0]);
                if (!role) return problem(role.error());
                return json_response(service::role_json(*role));
              }});
  router.add({.method = "PUT",
              .path = "/api/v1/roles/{name}",
              .scope = Scope::run,
              .summary = "Replaces a role, or makes it",
              .tag = "roles",
              .request = "RoleBody",
              .response = "Role",
              .handler = [&api](const Request& request, Desk&) {
                return save(api, request, request.captured[0], 200, false);
              }});
  router.add({.method = "DELETE",
              .path = "/api/v1/roles/{name}",
              .scope = Scope::run,
              .summary = "Deletes a role; sessions that have it keep what they made of it",
              .tag = "roles",
              .status = 204,
              .handler = [&api](const Request& request, Desk&) {
                auto done = write(api, [&](db::Connection& connection) {
                  return store::delete_role(connection, request.captured[0]);
                });
                if (!done) return problem(done.error());
                return Response{.status = 204, .content_type = ""};
              }});
}

}  // namespace tertulia::server
