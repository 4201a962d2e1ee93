#include "engine/request.h"

#include "base/json_members.h"
#include "base/sha256.h"
#include "flow/asked.h"
#include "flow/standing_words.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

llm::Parameters parameters_of(const json::object& model, const json::object& over) {
  llm::Parameters parameters;
  if (const json::value* set = model.if_contains("parameters"))
    if (auto read = llm::Parameters::from_json(*set)) parameters = *std::move(read);
  if (auto read = llm::Parameters::from_json(json::value(over)))
    parameters = parameters.with(*read);
  return parameters;
}

// What the model said before, and what it is told about it.
void add_earlier_attempts(std::vector<llm::Turn>& turns, const flow::Strand::Open& open,
                          const flow::Program& program) {
  if (open.part.empty() && open.wrong.empty()) return;
  const flow::StandingWords words(program.language, program.format);
  const auto exchange = [&](const std::string& said, std::string told) {
    turns.push_back({llm::Turn::Kind::assistant, said});
    turns.push_back({llm::Turn::Kind::user, std::move(told)});
  };
  if (!open.part.empty()) exchange(open.part, words.fill("go_on"));
  if (!open.wrong.empty())
    exchange(open.wrong, words.fill("wrong_output", {{"errors", open.wrong_why}}));
}

std::string name_of(const flow::Cast& cast, const std::string& ref) {
  const flow::CastRole* role = cast.find(ref);
  return role != nullptr ? role->name : ref;
}

}  // namespace

ModelInForce model_in_force(const SessionData& session, const flow::Speak& speak,
                            const flow::CastRole& role, std::int64_t fallback) {
  const auto count = static_cast<std::int64_t>(speak.fallback.size());
  const std::string& name = fallback > 0 && fallback <= count
                                ? speak.fallback[static_cast<size_t>(fallback - 1)]
                                : speak.model;
  if (!name.empty()) {
    const auto found = session.snapshot.models.find(name);
    if (found != session.snapshot.models.end()) return {name, &found->second};
  }
  return {role.profile, &role.model};
}

base::Result<PreparedRequest> prepare_request(const SessionData& session, const flow::State& state,
                                              const flow::Strand& strand,
                                              const flow::History& history,
                                              const flow::Record& record,
                                              const llm::Provider& provider) {
  const flow::Program& program = session.program();
  const flow::Strand::Open& open = *strand.open;
  const flow::Instruction& instruction = program.steps[static_cast<size_t>(open.instruction)];
  const flow::Asked asked(program, state, strand, session.cast, record);
  const flow::Speak& speak = asked.speak();
  const flow::CastRole* role = session.cast.find(speak.role);
  if (role == nullptr)
    return base::Error{.code = base::Code::internal,
                       .message = "the cast lacks the role '" + speak.role + "'"};
  const ModelInForce force = model_in_force(session, speak, *role, open.profile);
  auto prompt =
      flow::make_prompt(program, state, strand, session.cast, session.topic, history, record,
                        [&](std::string_view text) { return provider.estimate_tokens(text); });
  if (!prompt) return prompt.error();

  PreparedRequest prepared;
  llm::Request& request = prepared.request;
  if (const json::value* model = force.model->if_contains("model"); model && model->is_string())
    request.model = model->get_string();
  request.system = std::move(prompt->system);
  for (auto& turn : prompt->turns)
    request.turns.push_back(
        {turn.own ? llm::Turn::Kind::assistant : llm::Turn::Kind::user, std::move(turn.text)});
  add_earlier_attempts(request.turns, open, program);
  request.schema = std::move(prompt->schema);
  request.server_schema = base::flag_at(*force.model, "json_schema");
  request.parameters = parameters_of(*force.model, speak.parameters);
  llm::Hints& hints = request.hints;
  hints.seed = session.seed;
  hints.path = flow::execution_path(program, strand);
  hints.attempt = static_cast<int>(open.attempt);
  hints.step = instruction.name.empty() ? speak.role : instruction.name;
  hints.iteration = open.visit;
  hints.speaker = role->name;
  if (!speak.to.empty()) hints.addressee = name_of(session.cast, speak.to);
  hints.topic = strand.topic ? *strand.topic : session.topic;
  hints.task = std::move(prompt->task);
  hints.language = program.language;
  hints.shown_speakers = std::move(prompt->shown_speakers);
  hints.last_shown = std::move(prompt->last_shown);
  hints.documents = std::move(prompt->documents);

  prepared.body = provider.wire_body(request);
  prepared.sha256 = base::sha256_hex(prepared.body);
  prepared.context_snapshot = prompt->shown.to_json(speak.context);
  prepared.context_snapshot["request_sha256"] = prepared.sha256;
  prepared.estimated_tokens = prompt->shown.estimated_tokens;
  return prepared;
}

json::object question_snapshot(const SessionData& session, const flow::State& state,
                               const flow::Strand& strand, const flow::Record& record) {
  // A person may read the whole conversation.
  json::object shown;
  shown["rule"] = "all";
  if (strand.last_position > 0) {
    shown["first"] = 1;
    shown["last"] = strand.last_position;
  }
  shown["count"] = strand.last_position;
  shown["question"] = flow::question_for_person(session.program(), state, strand, session.cast,
                                                session.topic, record);
  return shown;
}

}  // namespace tertulia::engine
