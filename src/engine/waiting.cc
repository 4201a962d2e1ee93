#include "engine/waiting.h"

#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::engine {

base::Result<std::string> Waiting::accept(std::string_view words) const {
  flow::AskPerson ask;
  ask.choices = choices;
  return ask.accept(words);
}

std::int64_t Waiting::waited_ms(base::Timestamp now) const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - since).count();
}

base::Result<std::optional<Waiting>> find_waiting(db::Connection& connection,
                                                  const SessionData& session,
                                                  const flow::State& state) {
  if (state.status != model::SessionStatus::waiting || !state.open) return std::optional<Waiting>();
  const auto& step = session.program().steps[static_cast<std::size_t>(state.open->instruction)];
  const auto& ask = std::get<flow::AskPerson>(step.step);
  auto row = store::load_log_row(connection, session.id, state.open->order);
  if (!row) return row.error();
  const flow::CastRole* role = session.cast.find(ask.role);
  Waiting waiting{.order = state.open->order,
                  .role = ask.role,
                  .name = role != nullptr ? role->name : ask.role,
                  .question = {},
                  .choices = ask.choices,
                  .since = row->started_at.value_or(row->created_at.value_or(base::Timestamp())),
                  .until = {},
                  .otherwise = ask.otherwise};
  if (ask.timeout_ms) waiting.until = waiting.since + std::chrono::milliseconds(*ask.timeout_ms);
  auto shown = base::parse_json(row->context_snapshot.value_or("null"));
  if (!shown) return shown.error();
  if (const auto* question = base::at_pointer(*shown, "/question");
      question != nullptr && question->is_string())
    waiting.question = question->get_string();
  return std::optional<Waiting>(std::move(waiting));
}

base::Result<std::optional<Waiting>> find_waiting(db::Connection& connection, FlowCache& flows,
                                                  Id session) {
  auto data = load_session_data(connection, flows, session);
  if (!data) return data.error();
  auto stored = store::load_machine_state(connection, session);
  if (!stored) return stored.error();
  auto state = flow::State::from_text(stored->state);
  if (!state) return state.error();
  return find_waiting(connection, *data, *state);
}

}  // namespace tertulia::engine
