// The server itself: its models, usage, schema, tokens, and what its API is.
#include <fmt/format.h>

#include "base/sha256.h"
#include "llm/profile.h"
#include "schema/proof.h"
#include "server/api.h"
#include "server/body.h"
#include "server/openapi.h"
#include "service/session_selection.h"
#include "service/session_stats.h"
#include "store/api_tokens.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

// What a client needs to choose one; never where its key comes from.
json::object model_json(const llm::ModelProfile& profile, bool is_default) {
  json::object out;
  out["name"] = profile.name;
  out["provider"] = profile.provider;
  out["model"] = profile.model;
  out["default"] = is_default;
  if (profile.context_window) out["context_window"] = *profile.context_window;
  if (profile.price) {
    json::object price;
    price["input"] = profile.price->input;
    price["output"] = profile.price->output;
    out["price"] = std::move(price);
  }
  return out;
}

Response list_models(const Api& api) {
  json::array items;
  std::vector<std::string> names = api.profile_names;
  if (!api.default_profile.empty() &&
      std::find(names.begin(), names.end(), api.default_profile) == names.end())
    names.push_back(api.default_profile);
  for (const std::string& name : names) {
    auto profile = api.profiles(name);
    if (profile) items.push_back(model_json(*profile, name == api.default_profile));
  }
  return page_response(std::move(items), {});
}

Response schema_state(const Api& api) {
  auto proof = schema::prove_at(api.location);
  if (!proof) return problem(proof.error());
  json::object out;
  out["state"] = schema::state_name(proof->state);
  out["version"] = proof->version;
  out["head"] = proof->head;
  out["engine"] = api.location.engine == db::Engine::sqlite ? "sqlite" : "postgresql";
  json::array pending;
  for (const auto& each : proof->pending) pending.emplace_back(each);
  out["pending"] = std::move(pending);
  json::array differences;
  if (!proof->may_run())
    for (const std::string& line : proof->lines()) differences.emplace_back(line);
  out["differences"] = std::move(differences);
  if (!proof->remedy.empty()) out["remedy"] = proof->remedy;
  return json_response(out);
}

json::object token_json(const model::ApiToken& token) {
  json::object out;
  out["id"] = token.id;
  out["name"] = token.name;
  out["scope"] = token.scopes;
  out["created_at"] = base::to_iso8601(token.created_at);
  const auto time = [](const std::optional<base::Timestamp>& at) {
    return at ? json::value(base::to_iso8601(*at)) : json::value(nullptr);
  };
  out["expires_at"] = time(token.expires_at);
  out["revoked_at"] = time(token.revoked_at);
  return out;
}

Response create_token(const Api& api, const Request& request, Desk& desk) {
  Body body(request.body);
  const auto name = body.text("name");
  const std::string scope = body.text("scope").value_or("run");
  const auto expires = body.text("expires_in");
  if (!name || name->empty()) body.mistake("name", "a name is wanted: what the token is for");
  if (auto known = parse_scope(scope); !known) body.mistake("scope", known.error().remedy);
  model::ApiToken row;
  row.name = name.value_or("");
  row.scopes = scope;
  row.created_at = base::Clock::system().now();
  if (expires) {
    auto age = service::parse_age(*expires);
    if (!age) {
      body.mistake("expires_in", age.error().message);
    } else {
      row.expires_at = row.created_at + *age;
    }
  }
  if (auto refusal = body.refusal()) return *std::move(refusal);
  const std::string token = make_token();
  if (token.empty()) return problem(500, "internal", "the operating system gave no random bytes");
  row.sha256 = base::sha256_hex(token);
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto id = store::insert_api_token(connection, row);
    if (!id) return id.error();
    row.id = *id;
    return {};
  });
  if (done) done = api.tokens.read(*desk.reader);
  if (!done) return problem(done.error());
  json::object out = token_json(row);
  out["token"] = token;
  return json_response(out, 201);
}

}  // namespace

void add_system_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/api/v1/openapi.json",
              .scope = Scope::none,
              .summary = "This document",
              .tag = "system",
              .response = "OpenApi",
              .needs_database = false,
              .handler = [&router, &api](const Request&, Desk&) {
                return json_response(openapi_document(router, api.version));
              }});
  router.add({.method = "GET",
              .path = "/api/v1/models",
              .summary = "The model profiles that are configured",
              .tag = "system",
              .response = "ModelPage",
              .handler = [&api](const Request&, Desk&) { return list_models(api); }});
  router.add({.method = "GET",
              .path = "/api/v1/usage",
              .summary = "What all sessions have used",
              .tag = "system",
              .response = "Stats",
              .reads_much = true,
              .handler = [](const Request&, Desk& desk) {
                auto stats = store::load_stats(*desk.reader, {});
                if (!stats) return problem(stats.error());
                return json_response(service::stats_json(*stats));
              }});
  router.add({.method = "GET",
              .path = "/api/v1/schema",
              .summary = "The state of the database's schema, and its migrations",
              .tag = "system",
              .response = "Schema",
              .needs_database = false,
              .handler = [&api](const Request&, Desk&) { return schema_state(api); }});
  router.add({.method = "GET",
              .path = "/api/v1/tokens",
              .scope = Scope::admin,
              .summary = "The tokens, without what makes them",
              .tag = "system",
              .response = "TokenPage",
              .handler = [](const Request&, Desk& desk) {
                auto tokens = store::load_api_tokens(*desk.reader);
                if (!tokens) return problem(tokens.error());
                json::array items;
                for (const auto& token : *tokens) items.push_back(token_json(token));
                return page_response(std::move(items), {});
              }});
  router.add({.method = "POST",
              .path = "/api/v1/tokens",
              .scope = Scope::admin,
              .summary = "Makes a token; it is shown this once",
              .tag = "system",
              .request = "NewToken",
              .response = "MadeToken",
              .status = 201,
              .handler = [&api](const Request& request, Desk& desk) {
                return create_token(api, request, desk);
              }});
  router.add({.method = "DELETE",
              .path = "/api/v1/tokens/{id}",
              .scope = Scope::admin,
              .summary = "Revokes a token",
              .tag = "system",
              .status = 204,
              .handler = [&api](const Request& request, Desk& desk) {
                auto id = id_of(request, "token");
                if (!id) return problem(id.error());
                auto done = write(api, [&](db::Connection& connection) {
                  return store::revoke_api_token(connection, *id, base::Clock::system().now());
                });
                if (done) done = api.tokens.read(*desk.reader);
                if (!done) return problem(done.error());
                return Response{.status = 204, .content_type = ""};
              }});
}

}  // namespace tertulia::server
