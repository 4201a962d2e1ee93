#include "flow/cast.h"

#include <algorithm>

namespace tertulia::flow {
namespace {

base::Error invalid(std::string message) {
  return {.code = base::Code::invalid, .message = "not a cast: " + message};
}

}  // namespace

const CastRole* Cast::find(std::string_view ref) const {
  const auto found = std::find_if(roles.begin(), roles.end(),
                                  [&](const CastRole& role) { return role.ref == ref; });
  return found == roles.end() ? nullptr : &*found;
}

std::string Cast::to_text() const {
  json::array list;
  for (const CastRole& role : roles) {
    json::object out;
    out["ref"] = role.ref;
    out["name"] = role.name;
    out["prompt"] = role.prompt;
    out["profile"] = role.profile;
    out["model"] = role.model;
    out["context_window"] = role.context_window;
    list.push_back(std::move(out));
  }
  return base::to_text(list);
}

base::Result<Cast> Cast::from_text(std::string_view text) {
  const auto parsed = base::parse_json(text);
  if (!parsed) return invalid(parsed.error().message);
  const json::array* list = parsed->if_array();
  if (list == nullptr) return invalid("it is no list");
  Cast cast;
  for (const json::value& item : *list) {
    const json::object* object = item.if_object();
    if (object == nullptr) return invalid("a role is no object");
    CastRole role;
    for (const auto& [name, member] : {std::pair<const char*, std::string*>{"ref", &role.ref},
                                       {"name", &role.name},
                                       {"prompt", &role.prompt},
                                       {"profile", &role.profile}}) {
      const json::value* value = object->if_contains(name);
      if (value == nullptr || !value->is_string())
        return invalid(std::string("a role without ") + name);
      *member = value->get_string();
    }
    const json::value* model = object->if_contains("model");
    const json::value* window = object->if_contains("context_window");
    if (model == nullptr || !model->is_object()) return invalid("a role without model");
    if (window == nullptr || !window->is_int64()) return invalid("a role without context_window");
    role.model = model->get_object();
    role.context_window = window->get_int64();
    cast.roles.push_back(std::move(role));
  }
  return cast;
}

}  // namespace tertulia::flow
