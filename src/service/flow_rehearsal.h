// A rehearsal of a flow that leaves no session behind: what would be said, and which of the flow's
// steps and ways are come to.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/casting.h"
#include "engine/request.h"
#include "service/new_session.h"

namespace tertulia::service {

// {flow, seed, status, stop_reason?, calls, said: [{order, step, speaker, text}],
//  ways: [{step, kind, path, way?, reached}], sessions, cut_short}. With `cover` the ways are those
// that the flow comes to where its conditions are forced, in so many sessions; what is said is the
// unforced one's. A way that is not given is the step itself.
[[nodiscard]] base::Result<base::json::object> rehearse_json(
    db::Connection& reader, const flow::Program& program, const SessionWishes& wishes, bool cover,
    const engine::ProviderSource& providers);

}  // namespace tertulia::service
