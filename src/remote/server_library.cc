#include "remote/server_library.h"

#include <fmt/format.h>

#include "base/json_members.h"

namespace tertulia::remote {

namespace json = base::json;
using service::FlowText;

namespace {

std::string flow_path(const std::string& name) {
  return "/api/v1/flows/" + encoded(name);
}

std::string role_path(const std::string& name) {
  return "/api/v1/roles/" + encoded(name);
}

std::string text_of(const json::value& value, std::string_view pointer) {
  const json::value* found = base::at_pointer(value, pointer);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

}  // namespace

base::Result<FlowText> find_flow_text(const ApiClient& client, const std::string& name) {
  auto told = client.get(flow_path(name));
  if (!told) return told.error();
  auto text = client.send({.target = flow_path(name), .accept = "application/yaml"});
  if (!text) return text.error();
  const bool is_shipped = base::flag_at(*told, "shipped");
  return FlowText{.shown = is_shipped ? fmt::format("{} (shipped)", name) : name,
                  .source = std::move(text->body),
                  .is_shipped = is_shipped};
}

base::Result<service::FlowSurroundings> surroundings_of(const ApiClient& client) {
  auto models = client.get("/api/v1/models");
  if (!models) return models.error();
  service::FlowSurroundings around;
  around.profiles.emplace();
  for (const json::object* item : base::objects_at(*models, "items"))
    around.profiles->emplace_back(base::text_at(*item, "name"));
  around.find_flow = [&client](const FlowText&, const std::string& name) {
    return find_flow_text(client, name);
  };
  return around;
}

base::Result<service::StoredFlow> store_flow(const ApiClient& client, const FlowText& text,
                                             const flow::CheckedFlow& checked) {
  if (!checked.ok()) return service::mistakes_error(text.shown, checked);
  auto reply = client.send({.method = "POST",
                            .target = "/api/v1/flows",
                            .body = text.source,
                            .content_type = "application/yaml"});  // of which JSON is a part
  if (!reply) return reply.error();
  auto told = base::parse_json(reply->body);
  if (!told) return told.error();
  service::StoredFlow stored{.program = *checked.program, .saved = {}};
  if (const json::value* number = base::at_pointer(*told, "/version"); number && number->is_int64())
    stored.saved.version.number = number->get_int64();
  stored.saved.is_new = reply->status == 201;
  return stored;
}

base::Result<std::string> load_flow_source(const ApiClient& client, const std::string& name,
                                           std::int64_t version) {
  auto text = client.send({.target = fmt::format("{}?version={}", flow_path(name), version),
                           .accept = "application/yaml"});
  if (!text) return text.error();
  return std::move(text->body);
}

base::Result<model::Role> find_role(const ApiClient& client, const std::string& name) {
  auto told = client.get(role_path(name));
  if (!told) return told.error();
  const json::value role(*std::move(told));
  model::Role found;
  found.name = text_of(role, "/name");
  found.prompt = text_of(role, "/prompt");
  if (const json::value* settings = base::at_pointer(role, "/settings"))
    found.settings = base::to_text(*settings);
  return found;
}

base::Result<void> save_role(const ApiClient& client, const model::Role& role) {
  json::object body{{"prompt", role.prompt}};
  if (role.settings) {
    auto settings = base::parse_json(*role.settings);
    if (!settings) return settings.error();
    body["settings"] = *std::move(settings);
  }
  auto done =
      client.send({.method = "PUT", .target = role_path(role.name), .body = base::to_text(body)});
  if (!done) return done.error();
  return {};
}

}  // namespace tertulia::remote
