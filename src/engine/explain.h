// Explaining a session from its log: replay proves that the rows give the stored state; rebuilding
// makes the requests anew from references alone, and holds each against the SHA-256 that the
// context snapshot kept of what was sent.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/session_data.h"
#include "flow/replay.h"

namespace tertulia::engine {

struct Explanation {
  flow::ReplayReport replay;
  std::int64_t requests_rebuilt = 0;
  std::vector<flow::Disagreement> request_disagreements;

  [[nodiscard]] bool agrees() const {
    return replay.disagreements.empty() && request_disagreements.empty();
  }
};

struct RebuiltRequest {
  std::int64_t order = 0;
  std::string step;
  PreparedRequest request;
};

// Replays the session's log, as it stands at one moment: also while the session is performed.
// `providers` gives what makes the wire bytes; nothing is sent. Each
// request is handed to `rebuilt` as it is made, if given.
[[nodiscard]] base::Result<Explanation> explain(
    db::Connection& connection, FlowCache& flows, Id session, const ProviderSource& providers,
    const std::function<void(const RebuiltRequest&)>& rebuilt = {});

}  // namespace tertulia::engine
