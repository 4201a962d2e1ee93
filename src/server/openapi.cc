#include "server/openapi.h"

namespace tertulia::server {

base::json::object openapi_document(const Router& router, const std::string& version) {
  base::json::object document;
  static_cast<void>(router);
  document["openapi"] = "3.1.0";
  base::json::object info;
  info["title"] = "Tertulia";
  info["version"] = version;
  document["info"] = std::move(info);
  return document;
}

}  // namespace tertulia::server
