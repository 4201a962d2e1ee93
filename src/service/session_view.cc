#include "service/session_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "db/read_transaction.h"
#include "engine/waiting.h"
#include "service/log_words.h"
#include "service/session_json.h"
#include "store/session_events.h"
#include "store/step_log.h"

namespace tertulia::service {
namespace {

namespace json = base::json;
using model::Id;

// One more than is wanted is read: it tells whether anything follows.
std::int64_t one_more(std::int64_t limit) {
  return limit < std::numeric_limits<std::int64_t>::max() ? limit + 1 : limit;
}

// The first `limit` of the rows as items. The cursor is what `cursor` gives of the last of them.
template <class Row, class ToJson, class Cursor>
JsonPage page_of(const std::vector<Row>& rows, std::int64_t limit, ToJson to_json, Cursor cursor) {
  JsonPage page;
  const auto count = std::min(rows.size(), static_cast<std::size_t>(limit));
  for (std::size_t i = 0; i < count; ++i) page.items.push_back(to_json(rows[i]));
  if (rows.size() > count && count > 0) page.next = cursor(rows[count - 1]);
  return page;
}

// The first whom it waits for; `waiting` has all, for inside a parallel several may be asked.
void add_waiting(json::object& out, const std::vector<engine::Waiting>& waiting) {
  if (waiting.empty()) return;
  out["waits_for"] = waiting.front().role;
  out["question"] = waiting.front().question;
  if (waiting.front().until) out["until"] = base::to_iso8601(*waiting.front().until);
  json::array all;
  for (const engine::Waiting& each : waiting) all.push_back(waiting_json(each));
  out["waiting"] = std::move(all);
}

}  // namespace

base::Result<JsonPage> list_sessions_json(db::Connection& reader, store::SessionPage page,
                                          std::int64_t most) {
  const std::int64_t limit = page.limit;
  page.limit = one_more(limit);
  Id least = 1;  // none below it fits
  if (page.created_from || page.created_before) {
    auto made = store::sessions_created(reader, page.created_from, page.created_before);
    if (!made) return made.error();
    if (!*made) return JsonPage();
    least = (*made)->first;
    page.below = std::min(page.below.value_or((*made)->last + 1), (*made)->last + 1);
  }
  // By ids, not by rows: there is nothing to count, and gaps only make a page look at less.
  page.from = least;
  if (store::needs_looking(page)) {
    const Id end = page.below.value_or(std::numeric_limits<Id>::max());
    auto newest = store::newest_session_below(reader, end);
    if (!newest) return newest.error();
    if (*newest - least >= most) page.from = *newest - most + 1;
  }
  auto sessions = store::list_sessions(reader, page);
  if (!sessions) return sessions.error();
  JsonPage found =
      page_of(*sessions, limit, session_item_json, [](const auto& each) { return each.id; });
  if (found.next || *page.from <= least) return found;
  auto left = store::newest_session_below(reader, *page.from);
  if (!left) return left.error();
  if (*left >= least) found.next = *left + 1;
  return found;
}

base::Result<json::object> session_json(db::Connection& reader, engine::FlowCache& flows, Id id) {
  auto moment = db::ReadTransaction::begin(reader);
  if (!moment) return moment.error();
  auto row = store::load_session(reader, id);
  if (!row) return row.error();
  auto session = engine::load_session_data(reader, flows, id);
  if (!session) return session.error();
  auto usage = store::sum_usage(reader, id);
  if (!usage) return usage.error();
  auto last_event = store::last_event_number(reader, id);
  if (!last_event) return last_event.error();
  json::object out;
  out["id"] = id;
  out["flow"] = session->flow_name;
  out["flow_version"] = session->flow_version;
  out["topic"] = session->topic;
  out["status"] = model::to_text(row->status);
  if (row->stop_reason) out["stop_reason"] = model::to_text(*row->stop_reason);
  if (row->error_reason) out["reason"] = *row->error_reason;
  if (const auto& from = session->snapshot.branched_from)
    out["branched_from"] = json::object{{"session", from->session}, {"order", from->order}};
  out["rehearsal"] = session->is_rehearsed();
  out["seed"] = row->seed.value_or(0);
  out["round"] = row->current_round;
  out["steps"] = row->executed_steps_count;
  out["last_event"] = *last_event;
  out["model_calls"] = usage->calls;
  out["prompt_tokens"] = usage->prompt_tokens;
  out["completion_tokens"] = usage->completion_tokens;
  if (usage->cost_usd) out["cost_usd"] = *usage->cost_usd;
  out["created_at"] = base::to_iso8601(row->created_at);
  if (row->ended_at) out["ended_at"] = base::to_iso8601(*row->ended_at);
  json::array cast;
  for (const auto& role : session->cast.roles) {
    json::object one;
    one["ref"] = role.ref;
    one["name"] = role.name;
    one["profile"] = role.profile;
    cast.push_back(std::move(one));
  }
  out["cast"] = std::move(cast);
  if (row->status == model::SessionStatus::waiting) {
    auto waiting = engine::find_waiting(reader, flows, id);
    if (!waiting) return waiting.error();
    add_waiting(out, *waiting);
  }
  if (row->result)
    if (auto result = base::parse_json(*row->result)) out["result"] = *std::move(result);
  return out;
}

void add_lack_of_room(json::object& session, const std::string& why) {
  json::value& status = session["status"];
  if (status.is_string() && status.get_string() == model::to_text(model::SessionStatus::running))
    status = model::to_text(model::SessionStatus::paused);
  session["stop_reason"] = model::to_text(model::StopReason::storage_full);
  session["reason"] = why;
}

base::Result<JsonPage> list_messages_json(db::Connection& reader, engine::FlowCache& flows,
                                          Id session, std::int64_t after, std::int64_t limit) {
  auto data = engine::load_session_data(reader, flows, session);
  if (!data) return data.error();
  auto messages = store::load_messages(reader, session, after, one_more(limit));
  if (!messages) return messages.error();
  return page_of(
      *messages, limit, [&](const auto& message) { return message_json(message, *data); },
      [](const auto& message) { return message.position.value_or(0); });
}

base::Result<JsonPage> list_log_json(db::Connection& reader, engine::FlowCache& flows, Id session,
                                     std::int64_t after, std::int64_t limit, LogDetail detail) {
  auto moment = db::ReadTransaction::begin(reader);
  if (!moment) return moment.error();
  if (auto row = store::load_session(reader, session); !row) return row.error();
  std::optional<engine::SessionData> data;
  if (detail.words) {
    auto loaded = engine::load_session_data(reader, flows, session);
    if (!loaded) return loaded.error();
    data = *std::move(loaded);
  }
  auto log = store::load_log(reader, session, after, one_more(limit));
  if (!log) return log.error();
  std::map<std::int64_t, json::array> calls;  // by order
  if (detail.calls) {
    auto made = store::load_model_calls(reader, session);
    if (!made) return made.error();
    for (const auto& call : *made) calls[call.order].push_back(model_call_json(call));
  }
  const auto to_json = [&](const model::StepExecutionLog& row) {
    json::object out = detail.snapshots ? log_row_json(row) : log_row_brief_json(row);
    if (data) out["step_words"] = log_step_words(*data, row);
    if (detail.calls) out["model_calls"] = std::move(calls[row.execution_order]);
    return out;
  };
  return page_of(*log, limit, to_json, [](const auto& row) { return row.execution_order; });
}

base::Result<json::object> log_row_with_calls_json(db::Connection& reader, Id session,
                                                   std::int64_t order) {
  auto moment = db::ReadTransaction::begin(reader);
  if (!moment) return moment.error();
  if (auto row = store::load_session(reader, session); !row) return row.error();
  auto row = store::load_log_row(reader, session, order);
  if (!row) return row.error();
  auto calls = store::load_model_calls(reader, session, order);
  if (!calls) return calls.error();
  json::object out = log_row_json(*row);
  json::array made;
  for (const auto& call : *calls) made.push_back(model_call_json(call));
  out["model_calls"] = std::move(made);
  return out;
}

base::Result<json::array> list_documents_json(db::Connection& reader, Id session) {
  if (auto row = store::load_session(reader, session); !row) return row.error();
  auto documents = store::list_documents(reader, session);
  if (!documents) return documents.error();
  json::array out;
  for (const auto& document : *documents)
    out.push_back(json::object{{"name", document.name},
                               {"versions", document.versions},
                               {"updated_at", base::to_iso8601(document.updated_at)}});
  return out;
}

base::Result<DocumentVersion> load_document(db::Connection& reader, Id session,
                                            const std::string& name, std::int64_t version) {
  auto versions = store::load_document_versions(reader, session, name);
  if (!versions) return versions.error();
  const auto count = static_cast<std::int64_t>(versions->size());
  if (count == 0)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("session {} has no document '{}'", session, name),
                       .remedy = fmt::format("tertulia session messages {}", session)};
  const std::int64_t wanted = version == 0 ? count : version;
  if (wanted < 1 || wanted > count)
    return base::Error{
        .code = base::Code::not_found,
        .message = fmt::format("the document '{}' has versions 1 to {}", name, count)};
  DocumentVersion found;
  found.number = wanted;
  found.count = count;
  found.text = std::move((*versions)[static_cast<std::size_t>(wanted - 1)].content);
  if (wanted > 1)
    found.before = std::move((*versions)[static_cast<std::size_t>(wanted - 2)].content);
  return found;
}

base::Result<json::object> document_json(db::Connection& reader, engine::FlowCache& flows,
                                         Id session, const std::string& name,
                                         std::int64_t version) {
  auto data = engine::load_session_data(reader, flows, session);
  if (!data) return data.error();
  auto document = load_document(reader, session, name, version);
  if (!document) return document.error();
  json::object out;
  out["name"] = name;
  out["version"] = document->number;
  out["versions"] = document->count;
  out["rehearsal"] = data->is_rehearsed();
  out["text"] = document->text;
  return out;
}

base::Result<json::array> list_waiting_json(db::Connection& reader, engine::FlowCache& flows,
                                            Id session) {
  auto moment = db::ReadTransaction::begin(reader);
  if (!moment) return moment.error();
  auto row = store::load_session(reader, session);
  if (!row) return row.error();
  json::array out;
  if (row->status != model::SessionStatus::waiting) return out;
  auto waiting = engine::find_waiting(reader, flows, session);
  if (!waiting) return waiting.error();
  for (const engine::Waiting& each : *waiting) out.push_back(waiting_json(each));
  return out;
}

base::Result<JsonPage> search_messages_json(db::Connection& reader, std::string_view text,
                                            std::optional<Id> below, std::int64_t limit,
                                            std::int64_t most) {
  auto newest = store::newest_message_below(reader, below.value_or(std::numeric_limits<Id>::max()));
  if (!newest) return newest.error();
  // By ids, not by rows: there is nothing to count, and gaps only make a page look at less.
  const Id above = std::max<Id>(0, *newest - most);
  auto found = store::search_messages(reader, text, one_more(limit), *newest + 1, above);
  if (!found) return found.error();
  JsonPage page =
      page_of(*found, limit, found_message_json, [](const auto& each) { return each.id; });
  if (page.next) return page;
  auto left = store::newest_message_below(reader, above + 1);
  if (!left) return left.error();
  if (*left > 0) page.next = *left + 1;
  return page;
}

}  // namespace tertulia::service
