// A session as one text: Markdown and HTML for people, JSON for programs.
#pragma once

#include <string>

#include "base/result.h"
#include "db/connection.h"
#include "engine/session_data.h"

namespace tertulia::service {

// `format`: md, html, json (which `session import` reads) or jsonl (the same on one line).
[[nodiscard]] base::Result<std::string> export_session(db::Connection& reader, model::Id session,
                                                       const std::string& format);

}  // namespace tertulia::service
