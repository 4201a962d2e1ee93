#include "service/log_words.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/utf8.h"

namespace tertulia::service {

namespace json = base::json;

std::string log_step_words(const engine::SessionData& session, const model::StepExecutionLog& row) {
  const flow::Instruction* found_step = session.step_of(row);
  if (found_step == nullptr) return fmt::format("step {}", row.step_id);
  const flow::Instruction& step = *found_step;
  const auto data = base::parse_json(row.result_data.value_or("{}"));
  const auto named = [&](const std::string& ref) {
    const flow::CastRole* role = session.cast.find(ref);
    return role != nullptr ? role->name : ref;
  };
  const auto text = [&](std::string_view pointer) {
    const json::value* found = data ? base::at_pointer(*data, pointer) : nullptr;
    return found != nullptr && found->is_string() ? std::string(found->get_string())
                                                  : std::string();
  };
  if (const std::string chosen = text("/chosen"); !chosen.empty())
    return fmt::format("{} chooses {}", named(step.role()), named(chosen));
  if (!step.says()) return step.label();
  // Of a turn, or in a branch of each, the row knows who spoke.
  std::string ref = step.role().empty() ? text("/role") : step.role();
  if (ref.empty()) ref = text("/each");
  return fmt::format("{}{}", ref.empty() ? step.label() : named(ref),
                     step.name.empty() ? std::string() : " (" + step.name + ")");
}

namespace {

// " by Chair: the costs are open" of a row of which judges decided; " (limit_steps)" of one that a
// limit closed.
std::string judgement_words(const model::StepExecutionLog& row) {
  const auto data = base::parse_json(row.result_data.value_or("{}"));
  if (!data) return {};
  std::string words;
  if (const json::value* limit = base::at_pointer(*data, "/limit"); limit && limit->is_string())
    words += fmt::format(" ({})", std::string_view(limit->get_string()));
  const json::value* judges = base::at_pointer(*data, "/judges");
  if (judges == nullptr || !judges->is_array()) return words;
  for (const json::value& judge : judges->get_array()) {
    const json::value* role = base::at_pointer(judge, "/role");
    const json::value* reason = base::at_pointer(judge, "/reason");
    if (role != nullptr && role->is_string())
      words += fmt::format(" by {}", std::string_view(role->get_string()));
    if (reason != nullptr && reason->is_string())
      words += ": " + base::shorten(std::string(reason->get_string()), 60);
  }
  return words;
}

}  // namespace

std::string log_outcome_words(const model::StepExecutionLog& row) {
  std::string words(row.status ? model::to_text(*row.status) : "?");
  if (row.result_type) words += fmt::format(" {}", model::to_text(*row.result_type));
  if (row.condition_evaluation)
    words += *row.condition_evaluation ? " (holds)" : " (does not hold)";
  if (row.loop_check_result) words += *row.loop_check_result ? " (round again)" : " (go on)";
  words += judgement_words(row);
  if (row.error_message) words += ": " + base::shorten(*row.error_message, 60);
  return words;
}

}  // namespace tertulia::service
