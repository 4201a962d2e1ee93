// The API's own description, OpenAPI 3.1: paths from the router's table, rows from the declared
// tables, the rest from schemas that are written down here. The tests hold every answer against it.
#pragma once

#include <string>

#include "base/json.h"
#include "server/router.h"

namespace tertulia::server {

[[nodiscard]] base::json::object openapi_document(const Router& router, const std::string& version);

}  // namespace tertulia::server
