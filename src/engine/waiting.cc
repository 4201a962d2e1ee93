#include "engine/waiting.h"

#include "db/read_transaction.h"
#include "flow/output_schema.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::engine {

base::Result<Waiting::Accepted> Waiting::accept(std::string_view words) const {
  flow::AskPerson ask;
  ask.choices = choices;
  auto kept = ask.accept(words);
  if (!kept) return kept.error();
  Accepted accepted{.words = *std::move(kept), .output = {}};
  if (!schema) return accepted;
  auto compiled = flow::OutputSchema::compile(*schema);
  if (!compiled) return compiled.error();
  auto output = compiled->parse_output(accepted.words);
  if (!output) return output.error();
  accepted.output = *std::move(output);
  return accepted;
}

std::int64_t Waiting::waited_ms(base::Timestamp now) const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - since).count();
}

namespace {

base::Result<Waiting> waiting_at(db::Connection& connection, const SessionData& session,
                                 const flow::Strand& strand) {
  const auto& step = session.program().steps[static_cast<std::size_t>(strand.open->instruction)];
  // A speak step waits where a person plays its role.
  const auto* ask = std::get_if<flow::AskPerson>(&step.step);
  const std::string& role_ref = flow::speaker_of(session.program(), strand);
  auto row = store::load_log_row(connection, session.id, strand.open->order);
  if (!row) return row.error();
  const flow::CastRole* role = session.cast.find(role_ref);
  Waiting waiting{.order = strand.open->order,
                  .role = role_ref,
                  .name = role != nullptr ? role->name : role_ref,
                  .question = {},
                  .choices = {},
                  .schema = {},
                  .since = row->started_at.value_or(row->created_at.value_or(base::Timestamp())),
                  .until = {},
                  .otherwise = {}};
  if (ask != nullptr) {
    waiting.choices = ask->choices;
    waiting.otherwise = ask->otherwise;
    if (ask->timeout_ms)
      waiting.until = waiting.since + std::chrono::milliseconds(*ask->timeout_ms);
  }
  if (const auto* speak = std::get_if<flow::Speak>(&step.step)) waiting.schema = speak->output;
  auto shown = base::parse_json(row->context_snapshot.value_or("null"));
  if (!shown) return shown.error();
  if (const auto* question = base::at_pointer(*shown, "/question");
      question != nullptr && question->is_string())
    waiting.question = question->get_string();
  return waiting;
}

}  // namespace

base::Result<std::vector<Waiting>> find_waiting(db::Connection& connection,
                                                const SessionData& session,
                                                const flow::State& state) {
  std::vector<Waiting> all;
  for (const flow::Strand* strand : state.open_strands()) {
    if (strand->open->status != model::StepStatus::waiting) continue;
    auto waiting = waiting_at(connection, session, *strand);
    if (!waiting) return waiting.error();
    all.push_back(*std::move(waiting));
  }
  return all;
}

base::Result<std::vector<Waiting>> find_waiting(db::Connection& connection, FlowCache& flows,
                                                Id session) {
  auto moment = db::ReadTransaction::begin(connection);
  if (!moment) return moment.error();
  auto data = load_session_data(connection, flows, session);
  if (!data) return data.error();
  auto stored = store::load_machine_state(connection, session);
  if (!stored) return stored.error();
  auto state = flow::State::from_text(stored->state);
  if (!state) return state.error();
  return find_waiting(connection, *data, *state);
}

}  // namespace tertulia::engine
