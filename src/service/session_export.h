// A session as one text: Markdown and HTML for people, JSON for programs.
#pragma once

#include <string>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::service {

// `format`: md, html, json (which an import reads, session_archive.h) or jsonl (the same on one
// line); others are invalid. not_found names the session. Any thread, with a
// connection of its own that reads; what is read is of one moment.
[[nodiscard]] base::Result<std::string> export_session(db::Connection& reader, model::Id session,
                                                       const std::string& format);

}  // namespace tertulia::service
