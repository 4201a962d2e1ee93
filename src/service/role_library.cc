#include "service/role_library.h"

#include <fmt/format.h>

#include "base/near_name.h"
#include "store/flows.h"

namespace tertulia::service {

namespace json = base::json;

base::Result<model::Role> find_role(db::Connection& reader, const std::string& name) {
  auto role = store::find_role(reader, name);
  if (!role) return role.error();
  if (*role) return **std::move(role);
  auto roles = store::list_roles(reader);
  if (!roles) return roles.error();
  std::vector<std::string> known;
  for (const auto& each : *roles) known.push_back(each.name);
  const std::string near = base::near_name(name, known);
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format(
                         "there is no stored role '{}'{}", name,
                         near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near)),
                     .remedy = "tertulia role list"};
}

engine::RoleSource roles_of(db::Connection& reader) {
  return [&reader](const std::string& name) { return store::find_role(reader, name); };
}

json::object role_json(const model::Role& role) {
  json::object out;
  out["name"] = role.name;
  out["prompt"] = role.prompt;
  if (role.settings)
    if (auto settings = base::parse_json(*role.settings)) out["settings"] = *std::move(settings);
  return out;
}

base::Result<json::object> list_roles_json(db::Connection& reader) {
  auto roles = store::list_roles(reader);
  if (!roles) return roles.error();
  json::array items;
  for (const auto& role : *roles) items.push_back(role_json(role));
  json::object out;
  out["items"] = std::move(items);
  return out;
}

}  // namespace tertulia::service
