#include "server/http.h"

namespace tertulia::server {

std::string_view scope_name(Scope scope) {
  switch (scope) {
    case Scope::none:
      return "none";
    case Scope::read:
      return "read";
    case Scope::run:
      return "run";
    case Scope::admin:
      return "admin";
  }
  return "";
}

std::string_view Request::field(std::string_view name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

Response json_response(const base::json::value& value, int status) {
  return {.status = status, .body = base::to_text(value)};
}

}  // namespace tertulia::server
