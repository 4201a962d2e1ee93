#include "cli/session_log_view.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "base/utf8.h"
#include "cli/terminal.h"
#include "service/log_words.h"
#include "service/row_json.h"

namespace tertulia::cli {

namespace json = base::json;

namespace {

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

struct Line {
  model::StepExecutionLog row;
  std::string step;
  std::vector<model::ModelCall> calls;
};

base::Result<Line> line_of(const json::value& item) {
  Line line;
  auto row = service::row_from_json<model::StepExecutionLog>(item, "step_execution_logs");
  if (!row) return row.error();
  line.row = *std::move(row);
  if (const json::value* words = base::at_pointer(item, "/step_words"); words && words->is_string())
    line.step = words->get_string();
  const json::value* calls = base::at_pointer(item, "/model_calls");
  if (calls == nullptr || !calls->is_array()) return line;
  for (const json::value& each : calls->get_array()) {
    auto call = service::row_from_json<model::ModelCall>(each, "model_calls");
    if (!call) return call.error();
    line.calls.push_back(*std::move(call));
  }
  return line;
}

void print_full(const Line& log, std::size_t indent) {
  const std::string margin(indent, ' ');
  const auto line = [&](std::string_view name, const std::optional<std::string>& text) {
    if (text) fmt::print("{}{}: {}\n", margin, styled(name, Style::dim), safe_for_terminal(*text));
  };
  line("result_data", log.row.result_data);
  line("context_snapshot", log.row.context_snapshot);
  line("step_snapshot", log.row.step_snapshot);
  for (const model::ModelCall& call : log.calls)
    fmt::print("{}{}: attempt {} {} by {} {} ({}+{} tokens, {} ms){}\n", margin,
               styled("model call", Style::dim), call.attempt, call.outcome, call.provider,
               call.model, call.prompt_tokens.value_or(0), call.completion_tokens.value_or(0),
               call.duration_ms.value_or(0),
               call.error_message ? ": " + safe_for_terminal(*call.error_message) : std::string());
}

}  // namespace

base::Result<void> print_log(const json::array& log, const LogViewOptions& options) {
  std::map<model::Id, std::size_t> depth;
  if (!options.tree)
    fmt::print("{}\n", styled(fmt::format("{:>5}  {:>5} {:>4}  {}  {}", "order", "round", "iter",
                                          pad("step", 34), "outcome"),
                              Style::bold));
  for (const json::value& item : log) {
    auto line = line_of(item);
    if (!line) return line.error();
    const model::StepExecutionLog& row = line->row;
    const auto parent = row.parent_log_id ? depth.find(*row.parent_log_id) : depth.end();
    depth[row.id] = parent == depth.end() ? 0 : parent->second + 1;
    const std::size_t level = options.tree ? depth[row.id] : 0;
    const std::string step = base::shorten(safe_for_terminal(line->step), 34);
    const std::string tail = styled(service::log_outcome_words(row), style_of(row)) + "  " +
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
    if (options.full) print_full(*line, 8 + level * 3);
  }
  return {};
}

}  // namespace tertulia::cli
