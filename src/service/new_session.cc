#include "service/new_session.h"

#include "base/random.h"
#include "service/role_library.h"

namespace tertulia::service {

engine::CastingCall casting_call(const flow::Program& program, const model::FlowVersion& version,
                                 const SessionWishes& wishes, base::Timestamp now) {
  engine::CastingCall call;
  call.program = &program;
  call.flow_template_id = version.flow_template_id;
  call.version = &version;
  call.profile = wishes.profile;
  call.topic = wishes.topic;
  call.roles = wishes.roles;
  call.variables = wishes.variables;
  call.played = wishes.played;
  if (!wishes.limits.empty()) call.limits = wishes.limits.over(program.limits);
  call.seed = wishes.seed ? *wishes.seed : static_cast<std::int64_t>(base::fresh_seed());
  call.now = now;
  return call;
}

base::Result<store::NewSession> cast_session(db::Connection& reader, const StoredFlow& flow,
                                             const SessionWishes& wishes,
                                             const engine::ProfileSource& profiles,
                                             base::Timestamp now) {
  return engine::cast(casting_call(flow.program, flow.saved.version, wishes, now), profiles,
                      roles_of(reader));
}

base::Result<model::Id> make_session(db::Connection& writer, const FlowText& text,
                                     const flow::CheckedFlow& checked, const SessionWishes& wishes,
                                     const engine::ProfileSource& profiles, base::Timestamp now) {
  auto flow = store_flow(writer, text, checked, now);
  if (!flow) return flow.error();
  auto wanted = cast_session(writer, *flow, wishes, profiles, now);
  if (!wanted) return wanted.error();
  return store::create_session(writer, *wanted);
}

}  // namespace tertulia::service
