// What sessions hold, as JSON: how one stands, what was said, its step log, its documents.
//
// Any thread, each with a connection of its own that reads. `flows` may be shared by all of them.
// Each answer is of one moment: what it tells fits together while the session goes on.
// not_found where there is no such session, row or document.
#pragma once

#include <limits>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/session_data.h"
#include "store/sessions.h"

namespace tertulia::service {

// A part of a list. `next` is the cursor of the part that follows; absent where nothing does.
struct JsonPage {
  base::json::array items = {};
  std::optional<std::int64_t> next = {};
};

// Newest first; the cursor goes into SessionPage::below. Where rows are to be looked at that do not
// fit (store::needs_looking), no page looks at more than `most`, whatever there are: it may be
// short, or empty, and have a next one all the same.
inline constexpr std::int64_t kSessionsAPage = 2000;
[[nodiscard]] base::Result<JsonPage> list_sessions_json(
    db::Connection& reader, store::SessionPage page,
    std::int64_t most = std::numeric_limits<std::int64_t>::max());
// How a session stands: flow, topic, status, usage, cast, result, and whom it waits for.
[[nodiscard]] base::Result<base::json::object> session_json(db::Connection& reader,
                                                            engine::FlowCache& flows,
                                                            model::Id session);
// A session that found no room on the disk (Engine::lack_of_room), where its row does not say so.
void add_lack_of_room(base::json::object& session, const std::string& why);
// What has its place in the conversation: messages with a position above `after`.
[[nodiscard]] base::Result<JsonPage> list_messages_json(db::Connection& reader,
                                                        engine::FlowCache& flows, model::Id session,
                                                        std::int64_t after, std::int64_t limit);
// Rows with an order above `after`. What each has beside its columns is added for who wants it.
struct LogDetail {
  bool snapshots = false;
  bool words = false;  // `step_words`: its step, and who spoke, for people
  bool calls = false;  // `model_calls`
};
[[nodiscard]] base::Result<JsonPage> list_log_json(db::Connection& reader, engine::FlowCache& flows,
                                                   model::Id session, std::int64_t after,
                                                   std::int64_t limit, LogDetail detail);
// One row in full, with `model_calls`: every call that it made.
[[nodiscard]] base::Result<base::json::object> log_row_with_calls_json(db::Connection& reader,
                                                                       model::Id session,
                                                                       std::int64_t order);
// [{name, versions, updated_at}], by name.
[[nodiscard]] base::Result<base::json::array> list_documents_json(db::Connection& reader,
                                                                  model::Id session);
struct DocumentVersion {
  std::int64_t number = 0;
  std::int64_t count = 0;  // the document's versions are 1 to this
  std::string text;
  std::optional<std::string> before;  // the text of the version before
};
// Version 0 is the latest.
[[nodiscard]] base::Result<DocumentVersion> load_document(db::Connection& reader, model::Id session,
                                                          const std::string& name,
                                                          std::int64_t version);
// {name, version, versions, rehearsal, text}.
[[nodiscard]] base::Result<base::json::object> document_json(db::Connection& reader,
                                                             engine::FlowCache& flows,
                                                             model::Id session,
                                                             const std::string& name,
                                                             std::int64_t version);
// Whom the session waits for, by order (waiting_json); empty where for nobody.
[[nodiscard]] base::Result<base::json::array> list_waiting_json(db::Connection& reader,
                                                                engine::FlowCache& flows,
                                                                model::Id session);
// [{session_id, position, role, text}]: messages that hold the text, newest first. The
// cursor goes into `below`. No page looks at more messages than `most`, whatever there are: it may
// be short, or empty, and have a next one all the same.
inline constexpr std::int64_t kMessagesAPage = 1000;
[[nodiscard]] base::Result<JsonPage> search_messages_json(db::Connection& reader,
                                                          std::string_view text,
                                                          std::optional<model::Id> below,
                                                          std::int64_t limit,
                                                          std::int64_t most = kMessagesAPage);

}  // namespace tertulia::service
