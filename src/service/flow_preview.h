// The exact request that a step makes: in a session that was performed, or in an invented one.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/dry_run.h"
#include "engine/request.h"
#include "engine/session_data.h"
#include "service/new_session.h"

namespace tertulia::service {

// Which execution of a step is meant.
struct PreviewedStep {
  std::string step = {};   // its id, or its role where it has none
  std::int64_t visit = 1;  // its n-th execution
  std::int64_t order = 0;  // in a session: this execution order, whatever its step
};

struct PreviewedRequest {
  std::string step;
  std::int64_t order = 0;
  engine::PreparedRequest request;
};

// As it was sent, rebuilt from the log. not_found where the session has made no such request.
[[nodiscard]] base::Result<PreviewedRequest> preview_in_session(
    db::Connection& reader, engine::FlowCache& flows, model::Id session,
    const PreviewedStep& wanted, const engine::ProviderSource& providers);
// As it would be sent, after a history that rehearsal invents. not_found where the flow does not
// come to the step.
[[nodiscard]] base::Result<PreviewedRequest> preview_invented(
    db::Connection& reader, const flow::Program& program, const SessionWishes& wishes,
    const PreviewedStep& wanted, const engine::ProfileSource& profiles,
    const engine::ProviderSource& providers);

// {step, order, request_sha256, body, context_snapshot}; the body is the text that is sent.
[[nodiscard]] base::json::object preview_json(const PreviewedRequest& preview);

}  // namespace tertulia::service
