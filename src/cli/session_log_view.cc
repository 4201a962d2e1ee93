#include "cli/session_log_view.h"

#include <fmt/format.h>

#include <map>

#include "base/utf8.h"
#include "cli/terminal.h"
#include "service/row_json.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

// Columns whose text is JSON, as JSON.
void open_json(json::object& row, std::initializer_list<const char*> columns) {
  for (const char* column : columns) {
    json::value& value = row[column];
    if (!value.is_string()) continue;
    if (auto parsed = base::parse_json(value.get_string())) value = *std::move(parsed);
  }
}

std::string pad(std::string text, std::size_t columns) {
  const std::size_t width = base::display_width(text);
  if (width < columns) text.append(columns - width, ' ');
  return text;
}

Style style_of(const model::StepExecutionLog& row) {
  switch (row.status.value_or(model::StepStatus::pending)) {
    case model::StepStatus::completed:
      return Style::green;
    case model::StepStatus::failed:
    case model::StepStatus::timeout:
      return Style::red;
    default:
      return Style::yellow;
  }
}

std::string measure_words(const model::StepExecutionLog& row) {
  std::string words;
  if (row.duration_ms && *row.duration_ms > 0)
    words = base::duration_words(std::chrono::milliseconds(*row.duration_ms));
  if (row.attempt_count.value_or(1) > 1) words += fmt::format(" {} attempts", *row.attempt_count);
  return words;
}

void print_full(const model::StepExecutionLog& row, const std::vector<store::CallOfStep>& calls,
                std::size_t indent) {
  const std::string margin(indent, ' ');
  const auto line = [&](std::string_view name, const std::optional<std::string>& text) {
    if (text) fmt::print("{}{}: {}\n", margin, styled(name, Style::dim), safe_for_terminal(*text));
  };
  line("result_data", row.result_data);
  line("context_snapshot", row.context_snapshot);
  line("step_snapshot", row.step_snapshot);
  for (const auto& made : calls) {
    if (made.order != row.execution_order) continue;
    const model::ModelCall& call = made.call;
    fmt::print("{}{}: attempt {} {} by {} {} ({}+{} tokens, {} ms){}\n", margin,
               styled("model call", Style::dim), call.attempt, call.outcome, call.provider,
               call.model, call.prompt_tokens.value_or(0), call.completion_tokens.value_or(0),
               call.duration_ms.value_or(0),
               call.error_message ? ": " + safe_for_terminal(*call.error_message) : std::string());
  }
}

}  // namespace

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

void print_log(const engine::SessionData& session, const std::vector<model::StepExecutionLog>& log,
               const std::vector<store::CallOfStep>& calls, const LogViewOptions& options) {
  std::map<model::Id, std::size_t> depth;
  if (!options.tree)
    fmt::print("{}\n", styled(fmt::format("{:>5}  {:>5} {:>4}  {}  {}", "order", "round", "iter",
                                          pad("step", 34), "outcome"),
                              Style::bold));
  for (const auto& row : log) {
    const auto parent = row.parent_log_id ? depth.find(*row.parent_log_id) : depth.end();
    depth[row.id] = parent == depth.end() ? 0 : parent->second + 1;
    const std::size_t level = options.tree ? depth[row.id] : 0;
    const std::string step = base::shorten(safe_for_terminal(log_step_words(session, row)), 34);
    const std::string tail = styled(log_outcome_words(row), style_of(row)) + "  " +
                             styled(measure_words(row), Style::dim);
    if (options.tree) {
      std::string branch;
      for (std::size_t i = 0; i < level; ++i) branch += "│  ";
      fmt::print("{:>4} {}{} {}  {}\n", row.execution_order, branch,
                 pad(step, level * 3 < 36 ? 36 - level * 3 : 1),
                 styled(fmt::format("round {} iteration {}", row.round_index.value_or(0),
                                    row.loop_iteration.value_or(0)),
                        Style::dim),
                 tail);
    } else {
      fmt::print("{:>5}  {:>5} {:>4}  {}  {}\n", row.execution_order, row.round_index.value_or(0),
                 row.loop_iteration.value_or(0), pad(step, 34), tail);
    }
    if (options.full) print_full(row, calls, 8 + level * 3);
  }
}

json::object log_row_json(const model::StepExecutionLog& row) {
  json::object out = service::row_json(row);
  open_json(out, {"result_data", "step_snapshot", "context_snapshot"});
  return out;
}

json::object model_call_json(const store::CallOfStep& call) {
  json::object out;
  out["execution_order"] = call.order;
  const json::object columns = service::row_json(call.call);
  for (const auto& member : columns) out[member.key()] = member.value();
  return out;
}

json::object message_json(const model::Message& message, const engine::SessionData& session) {
  const flow::Said said = engine::to_said(message, session);
  json::object out;
  out["id"] = message.id;
  out["position"] = said.position;
  out["role"] = said.role;
  const flow::CastRole* role = session.cast.find(said.role);
  out["speaker"] = role != nullptr ? role->name : said.role;
  if (message.target_session_role_id) {
    const auto target = session.role_refs.find(*message.target_session_role_id);
    if (target != session.role_refs.end()) out["to"] = target->second;
  }
  out["round"] = said.round;
  out["text"] = said.text;
  if (!said.document.empty()) {
    out["document"] = said.document;
    out["document_version"] = said.document_version;
  }
  out["created_at"] = base::to_iso8601(message.created_at);
  return out;
}

}  // namespace tertulia::cli
