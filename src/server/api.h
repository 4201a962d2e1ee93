// The routes of the HTTP API, by what they are about. Each function adds its own to the router.
// Handlers run on workers (router.h) and share what an Api borrows; all of it outlives the router.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/casting.h"
#include "engine/engine.h"
#include "engine/session_data.h"
#include "llm/profile.h"
#include "server/hub.h"
#include "server/problem.h"
#include "server/readiness.h"
#include "server/router.h"
#include "server/stage.h"
#include "server/token_book.h"
#include "server/workers.h"
#include "service/flow_library.h"

namespace tertulia::server {

struct Api {
  engine::Engine& engine;
  Stage& stage;
  Hub& hub;
  TokenBook& tokens;
  Readiness& readiness;
  engine::FlowCache& flows;
  const db::Location location;
  const engine::ProfileSource profiles;
  const engine::ProviderSource providers;
  const std::vector<std::string> profile_names;  // of the configuration
  const std::string default_profile;
  const std::string version;  // the program's
  std::function<std::string(db::Connection*)> metrics = {};
  std::function<bool(Workers::Job)> submit = {};  // what Workers::submit does
};

void add_health_routes(Router& router, const Api& api);
void add_flow_routes(Router& router, const Api& api);
void add_role_routes(Router& router, const Api& api);
void add_session_routes(Router& router, const Api& api);
void add_batch_routes(Router& router, const Api& api);
void add_steering_routes(Router& router, const Api& api);
void add_record_routes(Router& router, const Api& api);
void add_event_routes(Router& router, const Api& api);
void add_system_routes(Router& router, const Api& api);
void add_openai_routes(Router& router, const Api& api);

// What several of them need.

// The id in a path; nothing where it is none, which is a 404 like any other that is not there.
[[nodiscard]] base::Result<model::Id> id_of(const Request& request, std::string_view what,
                                            std::size_t captured = 0);
// A list's page: `limit` (1 to 1000; 50 where not said) and `cursor`.
struct PageWish {
  std::int64_t limit = 50;
  std::optional<std::int64_t> cursor = {};
};
[[nodiscard]] base::Result<PageWish> page_of(const Request& request);
// {items, next_cursor}.
[[nodiscard]] Response page_response(base::json::array items, std::optional<std::int64_t> next);
// Does a job on the connection that writes, and waits for it.
[[nodiscard]] base::Result<void> write(
    const Api& api, const std::function<base::Result<void>(db::Connection&)>& job);
// The JSON, or the problem.
template <class Json>
[[nodiscard]] Response respond_with(base::Result<Json> result, int status = 200) {
  if (!result) return problem(result.error());
  return json_response(base::json::value(*std::move(result)), status);
}

// The stored version of that number.
[[nodiscard]] base::Result<service::StoredFlow> flow_version(const Api& api, Desk& desk,
                                                             const std::string& name,
                                                             std::int64_t number);

// A query's list: "a,b" is two words.
[[nodiscard]] std::vector<std::string> words_of(std::string_view list);
// A query's member; empty where it is not there.
[[nodiscard]] std::string query_of(const Request& request, std::string_view name);

// The query parameters of lists.
[[nodiscard]] std::vector<Parameter> page_parameters(std::vector<Parameter> more = {});

}  // namespace tertulia::server
