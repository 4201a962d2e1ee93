#include "service/session_json.h"

#include "service/row_json.h"

namespace tertulia::service {

namespace json = base::json;

namespace {

// Columns whose text is JSON, as JSON.
void open_json(json::object& row, std::initializer_list<const char*> columns) {
  for (const char* column : columns) {
    json::value& value = row[column];
    if (!value.is_string()) continue;
    if (auto parsed = base::parse_json(value.get_string())) value = *std::move(parsed);
  }
}

}  // namespace

json::object session_item_json(const store::SessionSummary& session) {
  json::object out;
  out["id"] = session.id;
  out["flow"] = session.flow.value_or("");
  out["flow_version"] = session.flow_version.value_or(0);
  out["topic"] = session.topic.value_or("");
  out["status"] = model::to_text(session.status);
  if (session.stop_reason) out["stop_reason"] = model::to_text(*session.stop_reason);
  out["round"] = session.round;
  out["steps"] = session.executed_steps;
  out["messages"] = session.messages;
  out["created_at"] = base::to_iso8601(session.created_at);
  if (session.ended_at) out["ended_at"] = base::to_iso8601(*session.ended_at);
  return out;
}

json::object log_row_json(const model::StepExecutionLog& row) {
  json::object out = row_json(row);
  open_json(out, {"result_data", "step_snapshot", "context_snapshot"});
  return out;
}

json::object log_row_brief_json(const model::StepExecutionLog& row) {
  json::object out = row_json(row);
  out.erase("step_snapshot");
  out.erase("context_snapshot");
  open_json(out, {"result_data"});
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

json::object found_message_json(const store::FoundMessage& message) {
  json::object out;
  out["session_id"] = message.session;
  out["position"] = message.position;
  out["role"] = message.role_ref;
  out["text"] = message.content;
  return out;
}

json::object waiting_json(const engine::Waiting& waiting) {
  json::object out;
  out["order"] = waiting.order;
  out["role"] = waiting.role;
  out["name"] = waiting.name;
  out["question"] = waiting.question;
  json::array choices;
  for (const std::string& choice : waiting.choices) choices.emplace_back(choice);
  out["choices"] = std::move(choices);
  if (waiting.schema) out["schema"] = *waiting.schema;
  out["since"] = base::to_iso8601(waiting.since);
  if (waiting.until) {
    out["until"] = base::to_iso8601(*waiting.until);
    out["otherwise"] = waiting.otherwise;
  }
  return out;
}

base::Result<engine::Waiting> waiting_from_json(const json::value& value) {
  const auto text = [&](const char* pointer) {
    const json::value* found = base::at_pointer(value, pointer);
    return found != nullptr && found->is_string() ? std::string(found->get_string())
                                                  : std::string();
  };
  const json::value* order = base::at_pointer(value, "/order");
  const auto since = base::parse_iso8601(text("/since"));
  if (order == nullptr || !order->is_int64() || !since)
    return base::Error{.code = base::Code::invalid,
                       .message = "what a session waits for has no order, or no time"};
  engine::Waiting waiting{.order = order->get_int64(),
                          .role = text("/role"),
                          .name = text("/name"),
                          .question = text("/question"),
                          .choices = {},
                          .schema = {},
                          .since = *since,
                          .until = base::parse_iso8601(text("/until")),
                          .otherwise = text("/otherwise")};
  if (const json::value* choices = base::at_pointer(value, "/choices");
      choices != nullptr && choices->is_array())
    for (const json::value& choice : choices->get_array())
      if (choice.is_string()) waiting.choices.emplace_back(choice.get_string());
  if (const json::value* schema = base::at_pointer(value, "/schema");
      schema != nullptr && schema->is_object())
    waiting.schema = schema->get_object();
  return waiting;
}

}  // namespace tertulia::service
