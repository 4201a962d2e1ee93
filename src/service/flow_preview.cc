#include "service/flow_preview.h"

#include <fmt/format.h>

#include "engine/explain.h"
#include "service/role_library.h"

namespace tertulia::service {

base::Result<PreviewedRequest> preview_in_session(db::Connection& reader, engine::FlowCache& flows,
                                                  model::Id session, const PreviewedStep& wanted,
                                                  const engine::ProviderSource& providers) {
  std::optional<PreviewedRequest> found;
  std::int64_t visit = 0;
  auto explained = engine::explain(
      reader, flows, session, providers, [&](const engine::RebuiltRequest& rebuilt) {
        const bool is_wanted = wanted.order > 0
                                   ? rebuilt.order == wanted.order
                                   : (rebuilt.step == wanted.step ||
                                      rebuilt.request.request.hints.step == wanted.step) &&
                                         ++visit == wanted.visit;
        if (is_wanted) found = PreviewedRequest{rebuilt.step, rebuilt.order, rebuilt.request};
      });
  if (!explained) return explained.error();
  if (found) return *std::move(found);
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format("session {} has made no such request", session),
                     .remedy = fmt::format("tertulia session log {} shows its steps", session)};
}

base::Result<PreviewedRequest> preview_invented(db::Connection& reader,
                                                const flow::Program& program,
                                                const SessionWishes& wishes,
                                                const PreviewedStep& wanted,
                                                const engine::ProfileSource& profiles,
                                                const engine::ProviderSource& providers) {
  const model::FlowVersion version;
  auto found = engine::dry_run(casting_call(program, version, wishes, {}), profiles,
                               roles_of(reader), providers, wanted.step, wanted.visit);
  if (!found) return found.error();
  return PreviewedRequest{wanted.step, found->order, std::move(found->request)};
}

base::json::object preview_json(const PreviewedRequest& preview) {
  base::json::object out;
  out["step"] = preview.step;
  out["order"] = preview.order;
  out["request_sha256"] = preview.request.sha256;
  out["body"] = preview.request.body;
  out["context_snapshot"] = preview.request.context_snapshot;
  return out;
}

}  // namespace tertulia::service
