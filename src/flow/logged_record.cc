#include "flow/logged_record.h"

namespace tertulia::flow {

using model::StopReason;

LoggedRecord::LoggedRecord(const ReplayInput& input) : input_(input) {
  std::map<std::int64_t, const Said*> by_id;
  for (const Said& said : input.messages) {
    if (said.position < 0) by_order_.emplace(-said.position, &said);
    if (said.id != 0) by_id.emplace(said.id, &said);
  }
  for (const auto& row : input.log) {
    if (!row.result_data) continue;
    auto parsed = base::parse_json(*row.result_data);
    if (!parsed || !parsed->is_object()) continue;
    if (const json::value* id = parsed->get_object().if_contains("message_id");
        id != nullptr && id->is_int64())
      if (const auto said = by_id.find(id->get_int64()); said != by_id.end())
        by_order_.emplace(row.execution_order, said->second);
    data_.emplace(row.execution_order, std::move(*parsed));
  }
}

std::optional<std::string_view> LoggedRecord::message(std::int64_t key) const {
  if (key < 0) {
    const Said* said = said_by(-key);
    return said == nullptr ? std::nullopt : std::optional<std::string_view>(said->text);
  }
  if (key < 1 || static_cast<std::size_t>(key) > input_.messages.size()) return std::nullopt;
  const Said& said = input_.messages[static_cast<std::size_t>(key - 1)];
  return said.position < 0 ? std::nullopt : std::optional<std::string_view>(said.text);
}

const json::value* LoggedRecord::output(std::int64_t order) const {
  return data(order, "output");
}

std::optional<Record::Limit> LoggedRecord::finished_at(std::int64_t order) const {
  const auto reason = limit(order);
  if (!reason || data(order, "not_begun") == nullptr) return {};
  return Limit{.reason = *reason, .text = input_.stored.stop_text};
}

std::optional<StopReason> LoggedRecord::stopped_before(std::int64_t order) const {
  if (order <= static_cast<std::int64_t>(input_.log.size())) return {};
  const State& stored = input_.stored;
  const auto reason = stored.stop_reason;
  const bool by_limit = reason == StopReason::limit_steps || reason == StopReason::limit_rounds ||
                        reason == StopReason::limit_time;
  const bool stands =
      stored.resume_at || (stored.status == model::SessionStatus::finished && by_limit);
  return stands ? reason : std::nullopt;
}

const Said* LoggedRecord::said_by(std::int64_t order) const {
  const auto found = by_order_.find(order);
  return found == by_order_.end() ? nullptr : found->second;
}

const json::object* LoggedRecord::result_data(std::int64_t order) const {
  const auto found = data_.find(order);
  return found == data_.end() ? nullptr : &found->second.get_object();
}

const json::value* LoggedRecord::data(std::int64_t order, std::string_view name) const {
  const json::object* all = result_data(order);
  return all == nullptr ? nullptr : all->if_contains(name);
}

std::optional<Spent> LoggedRecord::spent(std::int64_t order) const {
  const json::object* data = result_data(order);
  return data == nullptr ? std::nullopt : spent_in(*data);
}

std::optional<StopReason> LoggedRecord::limit(std::int64_t order) const {
  const json::value* limit = data(order, "limit");
  if (limit == nullptr || !limit->is_string()) return {};
  return model::from_text<StopReason>(std::string_view(limit->get_string()));
}

}  // namespace tertulia::flow
