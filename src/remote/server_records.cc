#include "remote/server_records.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

namespace tertulia::remote {

namespace json = base::json;
using model::Id;
using service::JsonPage;
using service::SessionSelection;

namespace {

constexpr std::int64_t kPage = 1000;
constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();

std::string query_of(const SessionSelection& selection) {
  std::string query;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) query += fmt::format("&{}={}", name, encoded(value));
  };
  add("ids", fmt::format("{}", fmt::join(selection.ids, ",")));
  add("status", fmt::format("{}", fmt::join(selection.statuses, ",")));
  add("flow", selection.flow);
  if (selection.batch > 0) add("batch", std::to_string(selection.batch));
  add("older_than", selection.older_than);
  if (!query.empty()) query.front() = '?';
  return query;
}

base::Result<json::array> items_of(base::Result<JsonPage> page) {
  if (!page) return page.error();
  return std::move(page->items);
}

}  // namespace

std::string session_path(Id id, std::string_view more) {
  return fmt::format("/api/v1/sessions/{}{}", id, more);
}

json::object selection_json(const SessionSelection& selection) {
  json::object out;
  if (!selection.ids.empty()) out["ids"] = json::array(selection.ids.begin(), selection.ids.end());
  if (!selection.statuses.empty())
    out["status"] = json::array(selection.statuses.begin(), selection.statuses.end());
  if (!selection.flow.empty()) out["flow"] = selection.flow;
  if (selection.batch > 0) out["batch"] = selection.batch;
  if (!selection.older_than.empty()) out["older_than"] = selection.older_than;
  return out;
}

base::Result<JsonPage> ServerRecords::list(const std::string& target, std::int64_t cursor,
                                           std::int64_t limit) const {
  JsonPage all;
  for (;;) {
    const auto have = static_cast<std::int64_t>(all.items.size());
    std::string page_target =
        fmt::format("{}{}limit={}", target, target.find('?') == std::string::npos ? '?' : '&',
                    std::min(kPage, limit - have));
    if (cursor > 0) page_target += fmt::format("&cursor={}", cursor);
    auto page = client_.get(page_target);
    if (!page) return page.error();
    json::value* items = page->if_contains("items");
    if (items == nullptr || !items->is_array())
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}{} answers with no list", client_.url(), target),
                         .remedy = "see that the server is a Tertulia of this version"};
    for (json::value& item : items->get_array()) all.items.push_back(std::move(item));
    const json::value* next = page->if_contains("next_cursor");
    // A page may be empty and not the last: no page looks at more than so much.
    if (next == nullptr || !next->is_int64() || next->get_int64() == cursor) return all;
    cursor = next->get_int64();
    if (static_cast<std::int64_t>(all.items.size()) >= limit) {
      all.next = cursor;
      return all;
    }
  }
}

base::Result<JsonPage> ServerRecords::sessions(const SessionSelection& selection, Id below,
                                               std::int64_t limit) {
  return list("/api/v1/sessions" + query_of(selection), below, limit);
}

base::Result<json::object> ServerRecords::session(Id id) {
  return client_.get(session_path(id));
}

base::Result<json::array> ServerRecords::messages(Id id) {
  return items_of(list(session_path(id, "/messages"), 0, kAll));
}

base::Result<json::array> ServerRecords::log(Id id, service::LogDetail detail) {
  return items_of(list(session_path(id, fmt::format("/log?snapshots={}&words={}&calls={}",
                                                    detail.snapshots, detail.words, detail.calls)),
                       0, kAll));
}

base::Result<json::object> ServerRecords::document(Id id, const std::string& name,
                                                   std::int64_t version) {
  std::string target = session_path(id, "/documents/" + encoded(name));
  if (version > 0) target += fmt::format("?version={}", version);
  return client_.get(target);
}

base::Result<json::object> ServerRecords::proof(Id id) {
  auto value =
      client_.ask({.method = "POST", .target = session_path(id, "/replay"), .is_keyed = false});
  if (!value) return value.error();
  return value->is_object() ? value->get_object() : json::object();
}

base::Result<json::object> ServerRecords::comparison(Id first, Id second) {
  return client_.get(fmt::format("/api/v1/sessions/compare?first={}&second={}", first, second));
}

base::Result<json::object> ServerRecords::stats(const SessionSelection& selection) {
  return client_.get("/api/v1/sessions/stats" + query_of(selection));
}

base::Result<json::array> ServerRecords::search(const std::string& text, std::int64_t limit) {
  return items_of(list("/api/v1/search?q=" + encoded(text), 0, limit));
}

base::Result<std::string> ServerRecords::exported(Id id, const std::string& format) {
  auto reply = client_.send({.target = session_path(id, "/export?format=" + format)});
  if (!reply) return reply.error();
  return std::move(reply->body);
}

base::Result<std::int64_t> ServerRecords::count(const SessionSelection& selection) {
  std::int64_t count = 0;
  auto done = each(selection, [&](Id) -> base::Result<void> {
    ++count;
    return {};
  });
  if (!done) return done.error();
  return count;
}

}  // namespace tertulia::remote
