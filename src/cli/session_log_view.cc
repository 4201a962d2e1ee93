#include "cli/session_log_view.h"

#include <fmt/format.h>

#include <map>

#include "base/utf8.h"
#include "cli/row_json.h"
#include "cli/terminal.h"

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
  const auto& ids = session.flow->step_ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != row.step_id) continue;
    const flow::Instruction& step = session.program().steps[i];
    if (!step.says()) return step.label();
    const flow::CastRole* role = session.cast.find(step.role());
    return fmt::format("{}{}", role != nullptr ? role->name : step.role(),
                       step.name.empty() ? std::string() : " (" + step.name + ")");
  }
  return fmt::format("step {}", row.step_id);
}

std::string log_outcome_words(const model::StepExecutionLog& row) {
  std::string words(row.status ? model::to_text(*row.status) : "?");
  if (row.result_type) words += fmt::format(" {}", model::to_text(*row.result_type));
  if (row.condition_evaluation)
    words += *row.condition_evaluation ? " (holds)" : " (does not hold)";
  if (row.loop_check_result) words += *row.loop_check_result ? " (round again)" : " (go on)";
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
  json::object out = row_json(row);
  open_json(out, {"result_data", "step_snapshot", "context_snapshot"});
  return out;
}

json::object model_call_json(const store::CallOfStep& call) {
  json::object out;
  out["execution_order"] = call.order;
  const json::object columns = row_json(call.call);
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
