#include "service/records.h"

#include <limits>

#include "engine/explain.h"
#include "service/session_compare.h"
#include "service/session_export.h"
#include "service/session_proof.h"
#include "service/session_stats.h"
#include "store/sessions.h"

namespace tertulia::service {

namespace json = base::json;
using model::Id;

namespace {

constexpr std::int64_t kPage = 1000;
constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();

}  // namespace

base::Result<void> Records::each(const SessionSelection& selection,
                                 const std::function<base::Result<void>(Id session)>& visit) {
  std::vector<Id> newest_first;
  for (Id below = 0;;) {
    auto page = sessions(selection, below, kPage);
    if (!page) return page.error();
    for (const json::value& item : page->items)
      newest_first.push_back(item.at("id").to_number<Id>());
    if (!page->next) break;
    below = *page->next;
  }
  for (auto id = newest_first.rbegin(); id != newest_first.rend(); ++id)
    if (auto done = visit(*id); !done) return done;
  return {};
}

base::Result<JsonPage> StoredRecords::sessions(const SessionSelection& selection, Id below,
                                               std::int64_t limit) {
  auto filter = to_filter(reader_, selection, base::Clock::system().now());
  if (!filter) return filter.error();
  store::SessionPage page{.filter = *std::move(filter), .below = {}, .limit = limit};
  if (below > 0) page.below = below;
  return list_sessions_json(reader_, std::move(page));
}

base::Result<json::object> StoredRecords::session(Id id) {
  return session_json(reader_, flows_, id);
}

base::Result<json::array> StoredRecords::messages(Id id) {
  auto page = list_messages_json(reader_, flows_, id, 0, kAll);
  if (!page) return page.error();
  return std::move(page->items);
}

base::Result<json::array> StoredRecords::log(Id id, LogDetail detail) {
  auto page = list_log_json(reader_, flows_, id, 0, kAll, detail);
  if (!page) return page.error();
  return std::move(page->items);
}

base::Result<json::object> StoredRecords::document(Id id, const std::string& name,
                                                   std::int64_t version) {
  return document_json(reader_, flows_, id, name, version);
}

base::Result<json::object> StoredRecords::proof(Id id) {
  auto explanation = engine::explain(reader_, flows_, id, providers_);
  if (!explanation) return explanation.error();
  return proof_json(id, *explanation);
}

base::Result<json::object> StoredRecords::comparison(Id first, Id second) {
  auto found = compare_sessions(reader_, flows_, first, second);
  if (!found) return found.error();
  return comparison_json(*found);
}

base::Result<json::object> StoredRecords::stats(const SessionSelection& selection) {
  auto filter = to_filter(reader_, selection, base::Clock::system().now());
  if (!filter) return filter.error();
  auto found = store::load_stats(reader_, *filter);
  if (!found) return found.error();
  return stats_json(*found);
}

base::Result<json::array> StoredRecords::search(const std::string& text, std::int64_t limit) {
  json::array found;
  for (std::optional<Id> below;;) {
    const auto wanted = limit - static_cast<std::int64_t>(found.size());
    auto page = search_messages_json(reader_, text, below, wanted);
    if (!page) return page.error();
    for (json::value& item : page->items) found.push_back(std::move(item));
    if (!page->next || static_cast<std::int64_t>(found.size()) >= limit) return found;
    below = page->next;
  }
}

base::Result<std::string> StoredRecords::exported(Id id, const std::string& format) {
  return export_session(reader_, id, format);
}

base::Result<std::int64_t> StoredRecords::count(const SessionSelection& selection) {
  auto filter = to_filter(reader_, selection, base::Clock::system().now());
  if (!filter) return filter.error();
  return store::count_sessions(reader_, *filter);
}

}  // namespace tertulia::service
