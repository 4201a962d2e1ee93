#include "engine/dry_run.h"

#include <fmt/format.h>

#include "engine/cost.h"
#include "engine/session_record.h"
#include "flow/output_schema.h"

namespace tertulia::engine {
namespace {

constexpr int kMostSteps = 2'000;

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

flow::Answered words_of_a_person(const flow::AskPerson& ask) {
  const std::string words = !ask.otherwise.empty() ? ask.otherwise
                            : ask.choices.empty()  ? "(A person's words.)"
                                                   : ask.choices.front();
  return {.text = words, .output = {}, .duration_ms = 0, .data = {}};
}

base::Result<flow::Answered> answer_to(const flow::Speak& speak, const llm::Answer& answer) {
  flow::Answered answered{.text = answer.text, .output = {}, .duration_ms = 0, .data = {}};
  if (!speak.output) return answered;
  auto schema = flow::OutputSchema::compile(*speak.output);
  if (!schema) return schema.error();
  auto output = schema->parse_output(answer.text);
  if (!output) return output.error();
  answered.output = *std::move(output);
  return answered;
}

// A request of the invented session, and what rehearsal said to it.
struct DryCall {
  const flow::Instruction& instruction;
  const flow::State& state;
  const base::json::object& model;  // the profile in force
  const llm::Provider& provider;
  PreparedRequest& request;
  const llm::Answer& answer;
};
// True ends the run.
using See = std::function<bool(const DryCall&)>;

// True where `see` ended it, false where the flow did, or its limits.
base::Result<bool> perform_dry(const CastingCall& call, const ProfileSource& profiles,
                               const RoleSource& roles, const ProviderSource& providers,
                               const See& see) {
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

  SessionRecord record(session->topic, [](std::int64_t, std::int64_t) {
    return base::Result<std::vector<flow::Said>>(
        base::Error{.code = base::Code::not_found, .message = "no older message"});
  });
  flow::State state;
  flow::Limits no_limits = session->snapshot.limits;
  no_limits.steps = kMostSteps;
  flow::Event event = flow::Start{.variables = session->snapshot.variables, .limits = no_limits};
  for (;;) {
    auto effects = flow::advance(session->program(), state, event, record);
    if (!effects) return effects.error();
    for (const flow::Effect& effect : *effects)
      if (const auto* say = std::get_if<flow::Say>(&effect))
        record.add({.position = say->position,
                    .role = say->role,
                    .text = say->text,
                    .round = say->round,
                    .document = say->document,
                    .document_version = say->document_version});
    if (state.status == model::SessionStatus::waiting) {
      const auto& asked = session->program().steps[static_cast<size_t>(state.open->instruction)];
      event = words_of_a_person(std::get<flow::AskPerson>(asked.step));
      continue;
    }
    if (state.status != model::SessionStatus::running || !state.open) return false;
    const auto& instruction =
        session->program().steps[static_cast<size_t>(state.open->instruction)];
    const auto& speak = std::get<flow::Speak>(instruction.step);
    const flow::CastRole* role = session->cast.find(speak.role);
    if (role == nullptr)
      return base::Error{.code = base::Code::internal, .message = "a role without a cast"};
    const base::json::object& model = *model_in_force(*session, speak, *role).model;
    auto provider = providers(model);
    if (!provider) return provider.error();
    auto prepared = prepare_request(*session, state, record, record, **provider);
    if (!prepared) return prepared.error();
    const llm::Answer answer = rehearse(**rehearsal, prepared->request);
    if (see({instruction, state, model, **provider, *prepared, answer})) return true;
    auto answered = answer_to(speak, answer);
    if (!answered) return answered.error();
    if (answered->output) record.put_out(state.open->order, *answered->output);
    event = *std::move(answered);
  }
}

}  // namespace

base::Result<DryStep> dry_run(const CastingCall& call, const ProfileSource& profiles,
                              const RoleSource& roles, const ProviderSource& providers,
                              const std::string& step, std::int64_t visit) {
  DryStep found;
  auto ended = perform_dry(call, profiles, roles, providers, [&](const DryCall& each) {
    const auto& speak = std::get<flow::Speak>(each.instruction.step);
    const std::string& called = each.instruction.name.empty() ? speak.role : each.instruction.name;
    if (called != step || each.state.open->visit != visit) return false;
    found = {each.state.open->order, std::move(each.request)};
    return true;
  });
  if (!ended) return ended.error();
  if (*ended) return found;
  return base::Error{
      .code = base::Code::not_found,
      .message = fmt::format("an invented session comes to its end before the step '{}' has run "
                             "{} times",
                             step, visit),
      .remedy = "tertulia flow show FLOW lists the steps; try another --seed or --visit"};
}

base::Result<SessionEstimate> estimate_session(const CastingCall& call,
                                               const ProfileSource& profiles,
                                               const RoleSource& roles,
                                               const ProviderSource& providers) {
  SessionEstimate sum;
  sum.cost_usd = 0;
  auto ended = perform_dry(call, profiles, roles, providers, [&](const DryCall& each) {
    const llm::Request& request = each.request.request;
    llm::Usage usage;
    usage.prompt_tokens = each.provider.estimate_tokens(request.system);
    for (const llm::Turn& turn : request.turns)
      usage.prompt_tokens += each.provider.estimate_tokens(turn.text);
    usage.completion_tokens = each.provider.estimate_tokens(each.answer.text);
    ++sum.calls;
    sum.prompt_tokens += usage.prompt_tokens;
    sum.completion_tokens += usage.completion_tokens;
    const auto cost = price_of(each.model, usage);
    if (cost && sum.cost_usd) {
      *sum.cost_usd += *cost;
    } else {
      sum.cost_usd.reset();
    }
    return false;
  });
  if (!ended) return ended.error();
  return sum;
}

}  // namespace tertulia::engine
