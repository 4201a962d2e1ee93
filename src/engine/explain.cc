#include "engine/explain.h"

#include <fmt/format.h>

#include <map>

#include "db/read_transaction.h"
#include "flow/asked.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

// All of a session's messages and outputs, as they stand in the database.
class WholeRecord final : public flow::Record, public flow::History {
 public:
  WholeRecord(const std::vector<flow::Said>& messages,
              const std::vector<model::StepExecutionLog>& log, const std::string& topic,
              std::uint64_t seed)
      : messages_(messages), topic_(topic), seed_(seed) {
    std::map<Id, const flow::Said*> by_id;
    for (const flow::Said& said : messages) {
      by_id.emplace(said.id, &said);
      if (said.position < 0) by_order_.emplace(-said.position, &said);
    }
    for (const auto& row : log) {
      if (!row.result_data) continue;
      auto parsed = base::parse_json(*row.result_data);
      if (!parsed) continue;  // replay reports it
      if (const json::value* output = base::at_pointer(*parsed, "/output"))
        outputs_.emplace(row.execution_order, *output);
      if (const json::value* id = base::at_pointer(*parsed, "/message_id"); id && id->is_int64())
        if (const auto said = by_id.find(id->get_int64()); said != by_id.end())
          by_order_.emplace(row.execution_order, said->second);
    }
  }
  std::optional<std::string_view> message(std::int64_t key) const override {
    const flow::Said* said = find(key);
    return said == nullptr ? std::nullopt : std::optional<std::string_view>(said->text);
  }
  const json::value* output(std::int64_t order) const override {
    const auto found = outputs_.find(order);
    return found == outputs_.end() ? nullptr : &found->second;
  }
  std::string_view topic() const override { return topic_; }
  std::uint64_t seed() const override { return seed_; }
  base::Result<const flow::Said*> at(std::int64_t key) const override {
    if (const flow::Said* said = find(key)) return said;
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("there is no message {}", key)};
  }

 private:
  // A message by its position; by minus the order of its row also after it was placed, as its
  // branch knew it.
  [[nodiscard]] const flow::Said* find(std::int64_t key) const {
    if (key >= 1 && key <= static_cast<std::int64_t>(messages_.size()))
      return &messages_[static_cast<size_t>(key - 1)];
    const auto said = by_order_.find(-key);
    return said == by_order_.end() ? nullptr : said->second;
  }

  const std::vector<flow::Said>& messages_;
  const std::string& topic_;
  std::uint64_t seed_;
  std::map<std::int64_t, json::value> outputs_;
  std::map<std::int64_t, const flow::Said*> by_order_;
};

std::string recorded_sha256(const model::StepExecutionLog& row) {
  if (!row.context_snapshot) return {};
  auto parsed = base::parse_json(*row.context_snapshot);
  if (!parsed) return {};
  const json::value* sha256 = base::at_pointer(*parsed, "/request_sha256");
  return sha256 != nullptr && sha256->is_string() ? std::string(sha256->get_string())
                                                  : std::string();
}

struct Recorded {
  SessionData session;
  flow::ReplayInput input;  // borrows the programs of `session`
};

// Of one moment: a session that goes on meanwhile would else have a log that is ahead of its state.
base::Result<Recorded> load_recorded(db::Connection& connection, FlowCache& flows, Id session) {
  auto moment = db::ReadTransaction::begin(connection);
  if (!moment) return moment.error();
  auto data = load_session_data(connection, flows, session);
  if (!data) return data.error();
  auto stored = store::load_machine_state(connection, session);
  if (!stored) return stored.error();
  auto state = flow::State::from_text(stored->state);
  if (!state) return state.error();
  auto log = store::load_log(connection, session);
  if (!log) return log.error();
  auto messages = store::load_messages(connection, session);
  if (!messages) return messages.error();
  auto unplaced = store::load_unplaced_messages(connection, session);
  if (!unplaced) return unplaced.error();
  messages->insert(messages->end(), unplaced->begin(), unplaced->end());
  flow::ReplayInput input = replay_input(*data, *std::move(state), *std::move(log), *messages);
  return Recorded{.session = *std::move(data), .input = std::move(input)};
}

}  // namespace

base::Result<Explanation> explain(db::Connection& connection, FlowCache& flows, Id session,
                                  const ProviderSource& providers,
                                  const std::function<void(const RebuiltRequest&)>& rebuilt) {
  auto recorded = load_recorded(connection, flows, session);
  if (!recorded) return recorded.error();
  const SessionData* const data = &recorded->session;
  const flow::ReplayInput& input = recorded->input;

  Explanation explanation;
  const WholeRecord record(input.messages, input.log, data->topic, data->seed);
  const auto at_step = [&](const flow::State& at, const flow::Strand& strand) {
    const auto order = strand.open->order;
    // No request of the older system is known, and an adopted session's next row was opened without
    // one.
    if (order <= data->snapshot.adopted_rows) return;
    // Another session made these requests, with another topic or cast.
    if (order <= data->snapshot.inherited_rows) return;
    const auto index = static_cast<size_t>(strand.open->instruction);
    const auto disagree = [&](std::string what) {
      explanation.request_disagreements.push_back({order, std::move(what)});
    };
    const auto& step = data->program().steps[index];
    if (flow::waits_for_person(data->program(), at, strand)) return;  // no request is made of them
    const flow::Asked asked(data->program(), at, strand, data->cast, record);
    const flow::Speak& speak = asked.speak();
    const flow::CastRole* role = data->cast.find(speak.role);
    if (role == nullptr) return disagree("the cast lacks the role '" + speak.role + "'");
    auto provider = providers(*model_in_force(*data, speak, *role).model);
    if (!provider) return disagree(provider.error().message);
    auto prepared = prepare_request(*data, at, strand, record, record, **provider);
    if (!prepared) return disagree(prepared.error().message);
    ++explanation.requests_rebuilt;
    const auto row = std::find_if(input.log.begin(), input.log.end(),
                                  [&](const auto& each) { return each.execution_order == order; });
    if (row != input.log.end() && recorded_sha256(*row) != prepared->sha256)
      disagree(fmt::format("request_sha256: log has {}, rebuilt is {}", recorded_sha256(*row),
                           prepared->sha256));
    if (rebuilt) rebuilt({order, step.label(), *std::move(prepared)});
  };
  explanation.replay = flow::replay(input, {.opened = at_step});
  return explanation;
}

}  // namespace tertulia::engine
