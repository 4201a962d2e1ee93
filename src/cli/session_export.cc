#include "cli/session_export.h"

#include <fmt/format.h>

#include "cli/live_view.h"
#include "cli/session_log_view.h"
#include "store/flows.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

struct Whole {
  model::Session row;
  engine::SessionData session;
  std::vector<model::Message> messages;
  std::vector<model::StepExecutionLog> log;
  std::vector<store::CallOfStep> calls;
};

base::Result<Whole> load_whole(db::Connection& reader, model::Id id) {
  engine::FlowCache flows;
  auto row = store::load_session(reader, id);
  if (!row) return row.error();
  auto session = engine::load_session_data(reader, flows, id);
  if (!session) return session.error();
  auto messages = store::load_messages(reader, id);
  if (!messages) return messages.error();
  auto log = store::load_log(reader, id);
  if (!log) return log.error();
  auto calls = store::load_model_calls(reader, id);
  if (!calls) return calls.error();
  return Whole{*std::move(row), *std::move(session), *std::move(messages), *std::move(log),
               *std::move(calls)};
}

json::object head_json(const Whole& whole) {
  json::object out;
  out["session_id"] = whole.row.id;
  out["flow"] = whole.session.flow_name;
  out["flow_version"] = whole.session.flow_version;
  out["topic"] = whole.session.topic;
  out["status"] = model::to_text(whole.row.status);
  if (whole.row.stop_reason) out["stop_reason"] = model::to_text(*whole.row.stop_reason);
  out["rehearsal"] = is_rehearsed(whole.session);
  out["seed"] = whole.row.seed.value_or(0);
  out["created_at"] = base::to_iso8601(whole.row.created_at);
  if (whole.row.ended_at) out["ended_at"] = base::to_iso8601(*whole.row.ended_at);
  if (whole.row.result)
    if (auto result = base::parse_json(*whole.row.result)) out["result"] = *std::move(result);
  return out;
}

std::string as_json_document(const Whole& whole) {
  json::object out = head_json(whole);
  if (auto cast = base::parse_json(whole.row.roles_snapshot.value_or("null")))
    out["cast"] = *std::move(cast);
  if (auto flow = base::parse_json(whole.row.flow_snapshot.value_or("null")))
    out["flow_snapshot"] = *std::move(flow);
  json::array messages, log, calls;
  for (const auto& message : whole.messages)
    messages.push_back(message_json(message, whole.session));
  for (const auto& row : whole.log) log.push_back(log_row_json(row));
  for (const auto& call : whole.calls) calls.push_back(model_call_json(call));
  out["messages"] = std::move(messages);
  out["step_execution_logs"] = std::move(log);
  out["model_calls"] = std::move(calls);
  return base::to_pretty_text(out) + "\n";
}

std::string as_json_lines(const Whole& whole) {
  std::string text;
  const auto line = [&](std::string_view type, const json::object& of) {
    json::object out;
    out["type"] = type;
    for (const auto& member : of) out[member.key()] = member.value();
    text += base::to_text(out) + "\n";
  };
  line("session", head_json(whole));
  for (const auto& message : whole.messages) line("message", message_json(message, whole.session));
  for (const auto& row : whole.log) line("step", log_row_json(row));
  for (const auto& call : whole.calls) line("model_call", model_call_json(call));
  return text;
}

std::string as_markdown(const Whole& whole) {
  const flow::Program& program = whole.session.program();
  std::string text = fmt::format("# {}\n\n", program.title);
  if (!whole.session.topic.empty()) text += whole.session.topic + "\n\n";
  if (is_rehearsed(whole.session))
    text += "> Rehearsal: spoken by the built-in stand-in, not by a model.\n\n";
  text += fmt::format("Session {} of the flow {} (version {}), {}.\n", whole.row.id,
                      whole.session.flow_name, whole.session.flow_version,
                      model::to_text(whole.row.status));
  std::int64_t round = 0;
  for (const auto& message : whole.messages) {
    if (message.round_index != round) {
      round = message.round_index;
      text += fmt::format("\n## Round {}\n", round);
    }
    const flow::Said said = engine::to_said(message, whole.session);
    const flow::CastRole* role = whole.session.cast.find(said.role);
    text += fmt::format("\n**{}**", role != nullptr ? role->name : said.role);
    if (said.document_version > 0)
      text += fmt::format(" (document {}, version {})", said.document, said.document_version);
    text += "\n\n";
    auto value = base::parse_json(said.text);
    text += value && value->is_object() ? "```json\n" + base::to_pretty_text(*value) + "\n```\n"
                                        : said.text + "\n";
  }
  return text;
}

}  // namespace

bool is_rehearsed(const engine::SessionData& session) {
  const auto rehearses = [](const json::object& model) {
    const json::value* provider = model.if_contains("provider");
    return provider && provider->is_string() && provider->get_string() == "rehearsal";
  };
  for (const auto& role : session.cast.roles)
    if (rehearses(role.model)) return true;
  for (const auto& [name, model] : session.snapshot.models)
    if (rehearses(model)) return true;
  return false;
}

base::Result<std::string> export_session(db::Connection& reader, model::Id session,
                                         const std::string& format) {
  auto whole = load_whole(reader, session);
  if (!whole) return whole.error();
  if (format == "json") return as_json_document(*whole);
  if (format == "jsonl") return as_json_lines(*whole);
  return as_markdown(*whole);
}

}  // namespace tertulia::cli
