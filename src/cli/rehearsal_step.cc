#include "cli/rehearsal_step.h"

#include "cli/flow_source.h"
#include "service/new_session.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

const service::ShippedFlow& a_short_flow() {
  const service::ShippedFlow* debate = service::find_shipped_flow("debate");
  return debate != nullptr ? *debate : service::shipped_flows().front();
}

}  // namespace

base::Result<RehearsedStep> rehearse_step(const Context& context, const db::Location& copy) {
  // Another database, so another context; its engine ends with it.
  Context there;
  there.flags = context.flags;
  there.flags.database = copy.target;
  there.flags.model = "rehearsal";
  there.migrate = "refuse";

  const service::ShippedFlow& shipped = a_short_flow();
  auto flow = store_flow(there, service::text_of(shipped), true);
  if (!flow) return flow.error();
  service::SessionWishes wishes;
  wishes.profile = "rehearsal";
  wishes.topic = "Does a step work in this database?";
  wishes.seed = 1;
  auto reader = there.reader();
  if (!reader) return reader.error();
  auto wanted =
      service::cast_session(**reader, *flow, wishes, there.profiles(), base::Clock::system().now());
  if (!wanted) return wanted.error();
  RehearsedStep step{.flow = std::string(shipped.name)};
  auto made = there.write([&](db::Connection& connection) -> base::Result<void> {
    auto id = store::create_session(connection, *wanted);
    if (!id) return id.error();
    step.session_id = *id;
    return {};
  });
  if (!made) return made.error();
  auto engine = there.engine();
  if (!engine) return engine.error();
  auto outcome = (*engine)->perform_and_wait(step.session_id, {.action = engine::Action::step});
  if (!outcome) return outcome.error();
  if (outcome->error) return *outcome->error;
  auto log = store::load_log(**reader, step.session_id);
  if (!log) return log.error();
  step.log_rows = static_cast<std::int64_t>(log->size());
  if (log->empty())
    return base::Error{.code = base::Code::internal,
                       .message = "a step was performed and is not in the log"};
  return step;
}

}  // namespace tertulia::cli
