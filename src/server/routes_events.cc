// Live events as Server-Sent Events: of one session, and of all.
#include <fmt/format.h>

#include <charconv>

#include "server/api.h"
#include "server/body.h"
#include "store/session_events.h"
#include "store/sessions.h"

namespace tertulia::server {

namespace {

Response stream(const std::shared_ptr<Outlet>& outlet) {
  Response response{.content_type = "text/event-stream", .outlet = outlet};
  // Proxies that collect answers before they pass them on are asked not to.
  response.fields.emplace_back("X-Accel-Buffering", "no");
  return response;
}

// The header's value, or the query's for who cannot send the header first.
std::string last_event_id(const Request& request) {
  if (const auto id = request.field("last-event-id"); !id.empty()) return std::string(id);
  const auto found = request.query.find("last_event_id");
  return found == request.query.end() ? std::string() : found->second;
}

Response wrong_id(std::string_view id) {
  return problem(400, "invalid",
                 fmt::format("Last-Event-ID is '{}', which this server did not give", id),
                 "send the id of the last event that you had, or none");
}

Response follow_session(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  auto row = store::load_session(*desk.reader, *id);
  if (!row) return problem(row.error());
  const std::string last = last_event_id(request);
  std::int64_t after = 0;
  if (!last.empty() && last != "0") {
    const auto number = parse_id(last);
    if (!number) return wrong_id(last);
    after = *number;
  }
  if (after > 0) {
    auto newest = store::last_event_number(*desk.reader, *id);
    if (!newest) return problem(newest.error());
    // It would wait for ever.
    if (after > *newest) return wrong_id(last);
    // Whoever has all of a session that is over is told not to come again (what EventSource does of
    // itself when a stream ends).
    const bool is_over = row->status == model::SessionStatus::finished ||
                         row->status == model::SessionStatus::terminated;
    if (is_over && after == *newest) return {.status = 204, .content_type = ""};
  }
  auto outlet = std::make_shared<Outlet>();
  outlet->set_on_drained([hub = &api.hub] { hub->look(); });
  api.hub.follow(std::make_shared<SseFollower>(outlet, true), *id, after);
  return stream(outlet);
}

Response follow_all(const Api& api, const Request& request) {
  const std::string last = last_event_id(request);
  std::optional<Hub::Place> after;
  if (!last.empty()) {
    const auto dot = last.find('.');
    const auto row = parse_id(std::string_view(last).substr(0, dot));
    const auto number =
        dot == std::string::npos ? std::nullopt : parse_id(std::string_view(last).substr(dot + 1));
    if (!row || !number) return wrong_id(last);
    after = Hub::Place{.row = *row, .number = *number};
  }
  auto outlet = std::make_shared<Outlet>();
  outlet->set_on_drained([hub = &api.hub] { hub->look(); });
  api.hub.follow_all(std::make_shared<SseFollower>(outlet, false), after);
  return stream(outlet);
}

}  // namespace

void add_event_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/api/v1/sessions/{id}/events",
              .summary = "The session's events as they happen, from the first or Last-Event-ID on",
              .tag = "events",
              .query = {{"last_event_id", "string", "instead of the field Last-Event-ID"}},
              .response = "EventStream",
              .media = "text/event-stream",
              .handler = [&api](const Request& request, Desk& desk) {
                return follow_session(api, request, desk);
              }});
  router.add(
      {.method = "GET",
       .path = "/api/v1/events",
       .summary = "The events of all sessions, from now or Last-Event-ID on",
       .tag = "events",
       .query = {{"last_event_id", "string", "instead of the field Last-Event-ID"}},
       .response = "EventStream",
       .media = "text/event-stream",
       .handler = [&api](const Request& request, Desk&) { return follow_all(api, request); }});
}

}  // namespace tertulia::server
