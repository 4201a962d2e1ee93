// Is it alive, is it ready, what does it count: outside /api/v1, for supervisors and collectors.
#include <fmt/format.h>

#include "server/api.h"
#include "server/metrics.h"

namespace tertulia::server {

namespace json = base::json;

void add_health_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/healthz",
              .scope = Scope::none,
              .summary = "Is the process alive?",
              .tag = "health",
              .response = "Health",
              .needs_database = false,
              .handler = [](const Request&, Desk&) {
                json::object out;
                out["status"] = "ok";
                return json_response(out);
              }});
  router.add({.method = "GET",
              .path = "/readyz",
              .scope = Scope::none,
              .summary = "Is the database proved, and can it be written?",
              .tag = "health",
              .response = "Health",
              .answers_in_trouble = true,
              .handler = [&api](const Request&, Desk&) {
                // A trouble is looked at anew: who repaired it need not wait for the next proof.
                if (api.readiness.trouble())
                  if (const auto trouble = api.readiness.look()) return problem(*trouble);
                json::object out;
                out["status"] = "ok";
                return json_response(out);
              }});
  router.add({.method = "GET",
              .path = "/metrics",
              .scope = Scope::read,
              .summary = "What the server counts, for Prometheus",
              .tag = "health",
              .response = "Page",
              .media = "text/plain",
              .answers_in_trouble = true,
              .handler = [&api](const Request&, Desk& desk) {
                if (!api.metrics)
                  return problem(404, "not_found", "this server does not count anything");
                return Response{.content_type = std::string(Metrics::kContentType),
                                .body = api.metrics(desk.reader)};
              }});
}

}  // namespace tertulia::server
