// A session as one JSON document that holds all of it: what `session export --format json` writes
// and `session import` reads. docs/cli.md has its members.
//
// The document ends with the SHA-256 of its content, so that a file that was cut or changed is told
// from one that is as it was exported. White space and the order of members do not count.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/session_data.h"
#include "store/whole_session.h"

namespace tertulia::service {

struct ArchivedVersion {
  model::FlowVersion version;
  std::vector<model::FlowStep> steps;
};

struct ArchivedFlow {
  model::FlowTemplate flow;
  ArchivedVersion current;
  std::vector<ArchivedVersion> earlier;  // as in the session's FlowSnapshot::earlier
};

struct ArchivedSession {
  store::WholeSession whole;
  ArchivedFlow flow;
};

// `head` is put first: what readers of the document look for.
[[nodiscard]] base::json::object to_archive(base::json::object head,
                                            const store::WholeSession& whole,
                                            const ArchivedFlow& flow,
                                            const engine::SessionData& session);

// Invalid where the text is no such document, or not as it was exported: says what, and where in
// it. Ids in what it gives are those of the database that it came from.
[[nodiscard]] base::Result<ArchivedSession> read_archive(std::string_view text);

}  // namespace tertulia::service
