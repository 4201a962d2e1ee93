#include "engine/dry_session.h"

#include <fmt/format.h>

#include "engine/session_data.h"
#include "engine/session_record.h"
#include "flow/asked.h"
#include "flow/output_schema.h"

namespace tertulia::engine {
namespace {

// The session that casting would have made, without its rows.
base::Result<SessionData> invented_session(const CastingCall& call, const store::NewSession& made) {
  auto snapshot = FlowSnapshot::from_text(made.flow_snapshot);
  if (!snapshot) return snapshot.error();
  auto cast = flow::Cast::from_text(made.roles_snapshot);
  if (!cast) return cast.error();
  auto flow = std::make_shared<PerformableFlow>();
  flow->program = *call.program;
  SessionData session;
  session.topic = made.topic;
  session.seed = static_cast<std::uint64_t>(made.seed);
  session.flow_name = snapshot->flow;
  session.flow = std::move(flow);
  session.snapshot = *std::move(snapshot);
  session.cast = *std::move(cast);
  return session;
}

// What rehearsal says to the request; it answers before `start` returns.
llm::Answer rehearse(llm::Provider& rehearsal, const llm::Request& request) {
  llm::Answer answer;
  llm::Listener listener;
  listener.on_done = [&](llm::Answer given) { answer = std::move(given); };
  const auto call =
      rehearsal.start(request, rehearsal.wire_body(request), llm::Deadlines(), std::move(listener));
  return answer;
}

flow::Answered words_of_a_person(const flow::Instruction& step, std::int64_t order) {
  flow::Answered answered;
  const auto* ask = std::get_if<flow::AskPerson>(&step.step);
  answered.text = ask == nullptr || (ask->otherwise.empty() && ask->choices.empty())
                      ? "(A person's words.)"
                  : !ask->otherwise.empty() ? ask->otherwise
                                            : ask->choices.front();
  answered.order = order;
  return answered;
}

base::Result<flow::Answered> answer_to(const flow::Asked& asked, std::int64_t order,
                                       const llm::Answer& answer) {
  flow::Answered answered;
  answered.text = answer.text;
  answered.order = order;
  if (!asked.speak().output) return answered;
  auto schema = flow::OutputSchema::compile(*asked.speak().output);
  if (!schema) return schema.error();
  auto output = schema->parse_output(answer.text);
  if (!output) return output.error();
  answered.output =
      asked.kind() == flow::Asked::Kind::choice ? asked.chosen(*output) : *std::move(output);
  return answered;
}

}  // namespace

base::Result<DryEnd> perform_dry(const CastingCall& call, const ProfileSource& profiles,
                                 const RoleSource& roles, const ProviderSource& providers,
                                 const DryWatch& watch) {
  auto made = cast(call, profiles, roles);
  if (!made) return made.error();
  auto session = invented_session(call, *made);
  if (!session) return session.error();
  base::json::object rehearsal_profile;
  rehearsal_profile["provider"] = "rehearsal";
  rehearsal_profile["name"] = "rehearsal";
  rehearsal_profile["model"] = "rehearsal";
  auto rehearsal = providers(rehearsal_profile);
  if (!rehearsal) return rehearsal.error();

  SessionRecord record(session->topic, session->seed, [](std::int64_t, std::int64_t) {
    return base::Result<std::vector<flow::Said>>(
        base::Error{.code = base::Code::not_found, .message = "no older message"});
  });
  const flow::Program& program = session->program();
  flow::State state;
  flow::Limits no_limits;
  no_limits.steps = no_limits.rounds = kMostDrySteps;
  flow::Event event = flow::Start{.variables = session->snapshot.variables,
                                  .limits = no_limits,
                                  .played = session->snapshot.played};
  std::int64_t calls = 0;
  for (;;) {
    auto effects = flow::advance(program, state, event, record);
    if (!effects) return effects.error();
    for (const flow::Effect& effect : *effects) {
      record.keep(effect);
      if (watch.note) watch.note(effect);
    }
    const auto open = state.open_strands();
    const bool goes_on = state.status == model::SessionStatus::running ||
                         state.status == model::SessionStatus::waiting;
    if (!goes_on || open.empty())
      return DryEnd{
          .is_stopped = false, .status = state.status, .reason = state.stop_reason, .calls = calls};
    // Branches are performed one after the other.
    const flow::Strand& strand = *open.front();
    const std::int64_t order = strand.open->order;
    const auto& instruction = program.steps[static_cast<size_t>(strand.open->instruction)];
    if (flow::waits_for_person(program, state, strand)) {
      event = words_of_a_person(instruction, order);
      continue;
    }
    const flow::Asked asked(program, state, strand, session->cast, record);
    const flow::Speak& speak = asked.speak();
    const flow::CastRole* role = session->cast.find(speak.role);
    if (role == nullptr)
      return base::Error{.code = base::Code::internal, .message = "a role without a cast"};
    const base::json::object& model = *model_in_force(*session, speak, *role).model;
    auto provider = providers(model);
    if (!provider) return provider.error();
    auto prepared = prepare_request(*session, state, strand, record, record, **provider);
    if (!prepared) return prepared.error();
    const llm::Answer answer = rehearse(**rehearsal, prepared->request);
    ++calls;
    if (watch.see &&
        watch.see({instruction, strand, speak.role, model, **provider, *prepared, answer}))
      return DryEnd{
          .is_stopped = true, .status = state.status, .reason = state.stop_reason, .calls = calls};
    auto answered = answer_to(asked, order, answer);
    if (!answered) return answered.error();
    event = *std::move(answered);
  }
}

}  // namespace tertulia::engine
