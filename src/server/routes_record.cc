// What sessions have recorded: messages, the step log, documents, exports, proofs, comparisons.
#include <fmt/format.h>

#include "engine/explain.h"
#include "server/api.h"
#include "server/body.h"
#include "service/flow_preview.h"
#include "service/session_compare.h"
#include "service/session_export.h"
#include "service/session_import.h"
#include "service/session_proof.h"
#include "service/session_view.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

bool is_true(const Request& request, std::string_view name) {
  const auto found = request.query.find(name);
  return found != request.query.end() && (found->second == "true" || found->second == "1");
}

Response list_messages(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  auto wish = page_of(request);
  if (!wish) return problem(wish.error());
  auto page = service::list_messages_json(*desk.reader, api.flows, *id, wish->cursor.value_or(0),
                                          wish->limit);
  if (!page) return problem(page.error());
  return page_response(std::move(page->items), page->next);
}

Response list_log(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  auto wish = page_of(request);
  if (!wish) return problem(wish.error());
  auto page =
      service::list_log_json(*desk.reader, api.flows, *id, wish->cursor.value_or(0), wish->limit,
                             {.snapshots = is_true(request, "snapshots"),
                              .words = is_true(request, "words"),
                              .calls = is_true(request, "calls")});
  if (!page) return problem(page.error());
  return page_response(std::move(page->items), page->next);
}

Response get_log_row(const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  auto order = id_of(request, "step", 1);
  if (!order) return problem(order.error());
  return respond_with(service::log_row_with_calls_json(*desk.reader, *id, *order));
}

Response get_document(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  std::int64_t version = 0;
  if (const auto asked = request.query.find("version"); asked != request.query.end()) {
    const auto number = parse_id(asked->second);
    if (!number)
      return problem(400, "invalid", fmt::format("version is '{}'", asked->second),
                     "it is a number from 1 on");
    version = *number;
  }
  return respond_with(
      service::document_json(*desk.reader, api.flows, *id, request.captured[1], version));
}

Response export_one(const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  const auto asked = request.query.find("format");
  const std::string format = asked == request.query.end() ? "json" : asked->second;
  const std::map<std::string, std::string, std::less<>> kTypes = {
      {"md", "text/markdown; charset=utf-8"},
      {"html", "text/html; charset=utf-8"},
      {"json", "application/json"},
      {"jsonl", "application/jsonl"}};
  const auto type = kTypes.find(format);
  if (type == kTypes.end())
    return problem(400, "invalid", fmt::format("there is no format '{}'", format),
                   "the formats are md, html, json and jsonl");
  auto text = service::export_session(*desk.reader, *id, format);
  if (!text) return problem(text.error());
  Response response{.content_type = type->second, .body = *std::move(text)};
  response.fields.emplace_back("Content-Disposition",
                               fmt::format("attachment; filename=\"session-{}.{}\"", *id, format));
  // What models said is shown as what it is, and can do nothing.
  response.fields.emplace_back("Content-Security-Policy",
                               "default-src 'none'; style-src 'unsafe-inline'; sandbox");
  return response;
}

Response prove(const Api& api, const Request& request, Desk& desk) {
  auto id = id_of(request, "session");
  if (!id) return problem(id.error());
  auto explanation = engine::explain(*desk.reader, api.flows, *id, api.providers);
  if (!explanation) return problem(explanation.error());
  return json_response(service::proof_json(*id, *explanation));
}

Response compare(const Api& api, const Request& request, Desk& desk) {
  const auto one = [&](std::string_view name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::nullopt : parse_id(found->second);
  };
  const auto first = one("first");
  const auto second = one("second");
  if (!first || !second)
    return problem(400, "invalid", "two sessions are wanted", "send ?first=ID&second=ID");
  auto comparison = service::compare_sessions(*desk.reader, api.flows, *first, *second);
  if (!comparison) return problem(comparison.error());
  return json_response(service::comparison_json(*comparison));
}

Response import(const Api& api, const Request& request) {
  std::optional<service::ImportedSession> imported;
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    auto result = service::import_session(connection, request.body, api.providers, api.profiles);
    if (!result) return result.error();
    imported = *std::move(result);
    return {};
  });
  if (!done) return Body::refuse(done.error(), "");
  return json_response(service::imported_json(*imported), 201);
}

Response search(const Request& request, Desk& desk) {
  auto wish = page_of(request);
  if (!wish) return problem(wish.error());
  const auto text = request.query.find("q");
  if (text == request.query.end() || text->second.empty())
    return problem(400, "invalid", "nothing is searched for", "send ?q=TEXT");
  auto page = service::search_messages_json(*desk.reader, text->second, wish->cursor, wish->limit);
  if (!page) return problem(page.error());
  return page_response(std::move(page->items), page->next);
}

}  // namespace

void add_record_routes(Router& router, const Api& api) {
  router.add({.method = "GET",
              .path = "/api/v1/sessions/{id}/messages",
              .summary = "What was said, by position",
              .tag = "record",
              .query = page_parameters(),
              .response = "MessagePage",
              .handler = [&api](const Request& request, Desk& desk) {
                return list_messages(api, request, desk);
              }});
  router.add({.method = "GET",
              .path = "/api/v1/sessions/{id}/log",
              .summary = "The step log, by execution order",
              .tag = "record",
              .query = page_parameters(
                  {{"snapshots", "boolean", "with step_snapshot and context_snapshot"},
                   {"words", "boolean", "with step_words: the step in words"},
                   {"calls", "boolean", "with model_calls"}}),
              .response = "LogPage",
              .handler = [&api](const Request& request, Desk& desk) {
                return list_log(api, request, desk);
              }});
  router.add(
      {.method = "GET",
       .path = "/api/v1/sessions/{id}/log/{order}",
       .summary = "One row of the step log in full, with its calls to models",
       .tag = "record",
       .response = "LogRow",
       .handler = [](const Request& request, Desk& desk) { return get_log_row(request, desk); }});
  router.add({.method = "GET",
              .path = "/api/v1/sessions/{id}/documents",
              .summary = "The session's documents",
              .tag = "record",
              .response = "DocumentPage",
              .handler = [](const Request& request, Desk& desk) {
                auto id = id_of(request, "session");
                if (!id) return problem(id.error());
                auto documents = service::list_documents_json(*desk.reader, *id);
                if (!documents) return problem(documents.error());
                return page_response(*std::move(documents), {});
              }});
  router.add({.method = "GET",
              .path = "/api/v1/sessions/{id}/documents/{name}",
              .summary = "A document, as it is or as it was",
              .tag = "record",
              .query = {{"version", "integer", "from 1 on; the latest where not said"}},
              .response = "Document",
              .handler = [&api](const Request& request, Desk& desk) {
                return get_document(api, request, desk);
              }});
  router.add(
      {.method = "GET",
       .path = "/api/v1/sessions/{id}/export",
       .summary = "The whole session as md, html, json or jsonl",
       .tag = "record",
       .query = {{"format", "string", "md, html, json (which can be imported) or jsonl"}},
       .response = "Archive",
       .handler = [](const Request& request, Desk& desk) { return export_one(request, desk); }});
  router.add({.method = "POST",
              .path = "/api/v1/sessions/{id}/replay",
              .summary = "Proves that the log explains the session's state and its requests",
              .tag = "record",
              .response = "Proof",
              .handler = [&api](const Request& request, Desk& desk) {
                return prove(api, request, desk);
              }});
  router.add({.method = "GET",
              .path = "/api/v1/sessions/compare",
              .summary = "Where two sessions part, and what each took",
              .tag = "record",
              .query = {{"first", "integer", "a session"}, {"second", "integer", "another one"}},
              .response = "Comparison",
              .handler = [&api](const Request& request, Desk& desk) {
                return compare(api, request, desk);
              }});
  router.add({.method = "POST",
              .path = "/api/v1/sessions/import",
              .scope = Scope::run,
              .summary = "Takes a session that was exported as json",
              .tag = "record",
              .request = "Archive",
              .response = "Imported",
              .status = 201,
              .made = "/api/v1/sessions/{session_id}",
              .is_idempotent_by_key = true,
              .max_body = std::size_t{64} << 20,
              .handler = [&api](const Request& request, Desk&) { return import(api, request); }});
  router.add({.method = "GET",
              .path = "/api/v1/search",
              .summary = "Messages that hold a text, newest first",
              .tag = "record",
              .query = page_parameters({{"q", "string", "the text, in any case of letters"}}),
              .response = "FoundPage",
              .handler = [](const Request& request, Desk& desk) { return search(request, desk); }});
}

}  // namespace tertulia::server
