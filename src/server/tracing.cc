#include "server/tracing.h"

#include <fmt/format.h>

#include <boost/url/parse.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/url_view.hpp>

#include "base/sha256.h"
#include "llm/address_policy.h"

namespace tertulia::server {
namespace {

namespace json = base::json;

enum class Kind { internal = 1, client = 3 };  // OTLP's numbers
constexpr int kStatusError = 2;

std::string span_id(const std::string& identity, std::string_view what) {
  return base::sha256_hex(fmt::format("span\n{}\n{}", identity, what)).substr(0, 16);
}

std::string step_id(const std::string& identity, std::int64_t order) {
  return span_id(identity, fmt::format("step {}", order));
}

std::string performance_id(const std::string& identity, const engine::ObservedSession& session) {
  return span_id(identity, fmt::format("performance {}", session.token));
}

// Messages as the conventions' JSON schemas have them.
json::object text_part(const std::string& text) {
  return {{"type", "text"}, {"content", text}};
}

json::object message(std::string_view role, const std::string& text) {
  return {{"role", role}, {"parts", json::array{text_part(text)}}};
}

std::string nanoseconds(base::Timestamp time) {
  return fmt::format(
      "{}", std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

// OTLP's JSON writes 64-bit integers as text.
class Attributes final {
 public:
  void text(std::string_view key, std::string_view value) {
    if (!value.empty()) put(key, {{"stringValue", value}});
  }
  void integer(std::string_view key, std::int64_t value) {
    put(key, {{"intValue", std::to_string(value)}});
  }
  void integer(std::string_view key, const std::optional<std::int64_t>& value) {
    if (value) integer(key, *value);
  }
  void real(std::string_view key, double value) { put(key, {{"doubleValue", value}}); }
  void texts(std::string_view key, std::string_view only) {
    json::array values;
    values.push_back(json::object{{"stringValue", only}});
    put(key, {{"arrayValue", json::object{{"values", std::move(values)}}}});
  }
  [[nodiscard]] json::array take() { return std::move(all_); }

 private:
  void put(std::string_view key, json::object value) {
    all_.push_back(json::object{{"key", key}, {"value", std::move(value)}});
  }
  json::array all_;
};

struct Span {
  std::string name;
  std::string id;
  std::string parent;  // empty: a root
  Kind kind = Kind::internal;
  base::Timestamp start;
  base::Timestamp end;
  Attributes attributes;
  std::string error;  // its type; empty: none

  [[nodiscard]] json::object to_json(const std::string& identity) {
    if (!error.empty()) attributes.text("error.type", error);
    json::object span;
    span["traceId"] = base::sha256_hex("trace\n" + identity).substr(0, 32);
    span["spanId"] = id;
    if (!parent.empty()) span["parentSpanId"] = parent;
    span["name"] = name;
    span["kind"] = static_cast<int>(kind);
    span["startTimeUnixNano"] = nanoseconds(start);
    span["endTimeUnixNano"] = nanoseconds(std::max(start, end));
    span["attributes"] = attributes.take();
    if (!error.empty()) span["status"] = json::object{{"code", kStatusError}};
    return span;
  }
};

void put_session(Attributes& attributes, const engine::ObservedSession& session) {
  attributes.text("gen_ai.conversation.id", std::to_string(session.id));
  attributes.integer("tertulia.session.id", session.id);
}

// "a=1,b=2" with percent-encoded values, as the variables have it.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_pairs(std::string_view text) {
  const auto trim = [](std::string_view part) {
    while (!part.empty() && (part.front() == ' ' || part.front() == '\t')) part.remove_prefix(1);
    while (!part.empty() && (part.back() == ' ' || part.back() == '\t')) part.remove_suffix(1);
    return part;
  };
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = trim(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) return {};
    const auto value = boost::urls::make_pct_string_view(trim(part.substr(equals + 1)));
    if (!value) return {};
    std::string decoded;
    value->decode({}, boost::urls::string_token::assign_to(decoded));
    pairs.emplace_back(trim(part.substr(0, equals)), std::move(decoded));
  }
  return pairs;
}

// The prompt and the answer, as attributes of JSON text.
void put_content(Attributes& attributes, const engine::CallContent& content,
                 const std::optional<std::string>& finish_reason) {
  if (!content.system.empty())
    attributes.text("gen_ai.system_instructions",
                    base::to_text(json::array{text_part(content.system)}));
  json::array asked;
  for (const llm::Turn& turn : content.turns)
    asked.push_back(message(turn.kind == llm::Turn::Kind::user ? "user" : "assistant", turn.text));
  attributes.text("gen_ai.input.messages", base::to_text(std::move(asked)));
  if (content.answer.empty()) return;
  json::object answer = message("assistant", content.answer);
  answer["finish_reason"] = finish_reason.value_or("error");
  attributes.text("gen_ai.output.messages", base::to_text(json::array{std::move(answer)}));
}

base::Error no_sense(std::string_view name, std::string_view wanted) {
  return {.code = base::Code::invalid,
          .message = fmt::format("the environment variable {} must be {}", name, wanted),
          .remedy = fmt::format("mend or unset {}", name)};
}

SpanExporter::Options exporter_options(const TracingOptions& options, std::string_view version,
                                       std::string_view node) {
  Attributes resource;
  for (const auto& pair : options.resource) resource.text(pair.first, pair.second);
  resource.text("service.version", version);
  resource.text("service.instance.id", node);
  const boost::urls::url_view url(options.url);
  return {.url = options.url,
          .is_loopback = llm::is_loopback_host(url.encoded_host()),
          .headers = options.headers,
          .resource = {{"attributes", resource.take()}},
          .scope = {{"name", "tertulia"}, {"version", version}},
          .schema_url = std::string(Tracing::kSchemaUrl)};
}

}  // namespace

base::Result<TracingOptions> tracing_options(const Variable& variable) {
  const auto value = [&](const char* name) { return variable(name).value_or(""); };
  TracingOptions options;
  if (value("OTEL_SDK_DISABLED") == "true") return options;
  const char* source = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  options.url = value(source);
  if (options.url.empty()) {
    source = "OTEL_EXPORTER_OTLP_ENDPOINT";
    options.url = value(source);
    if (options.url.empty()) return options;
    while (options.url.ends_with('/')) options.url.pop_back();
    options.url += "/v1/traces";
  }
  const auto url = boost::urls::parse_uri(options.url);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty())
    return no_sense(source, "a URL that begins with http:// or https://");

  const char* headers = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
  if (value(headers).empty()) headers = "OTEL_EXPORTER_OTLP_HEADERS";
  const auto fields = parse_pairs(value(headers));
  if (!fields) return no_sense(headers, "a list name=value,name=value with encoded values");
  for (const auto& field : *fields) {
    if (field.second.find_first_of("\r\n") != std::string::npos ||
        field.first.find_first_of("\r\n: ") != std::string::npos)
      return no_sense(headers, "a list of HTTP header fields");
    options.headers.push_back(field.first + ": " + field.second);
  }

  auto resource = parse_pairs(value("OTEL_RESOURCE_ATTRIBUTES"));
  if (!resource)
    return no_sense("OTEL_RESOURCE_ATTRIBUTES", "a list name=value,name=value with encoded values");
  std::string service = value("OTEL_SERVICE_NAME");
  for (auto& pair : *resource) {
    if (pair.first != "service.name") {
      options.resource.push_back(std::move(pair));
    } else if (service.empty()) {
      service = std::move(pair.second);
    }
  }
  options.resource.emplace_back("service.name", service.empty() ? "tertulia" : service);

  const char* content = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
  const std::string wanted = value(content);
  if (!wanted.empty() && wanted != "true" && wanted != "false")
    return no_sense(content, "true or false");
  options.has_content = wanted == "true";
  return options;
}

Tracing::Tracing(TracingOptions options, std::string_view version, std::string_view node)
    : database_(options.database),
      has_content_(options.has_content),
      exporter_(exporter_options(options, version, node)) {}

std::string Tracing::identity(const engine::ObservedSession& session) const {
  return fmt::format("{}\n{}\n{}", database_, session.id, session.seed);
}

void Tracing::session_ended(const engine::ObservedSession& session,
                            const engine::ObservedEnd& end) {
  const std::string whole = identity(session);
  Span span{.name = "session " + session.flow,
            .id = performance_id(whole, session),
            .parent = {},
            .start = session.began,
            .end = end.time,
            .attributes = {},
            .error = {}};
  span.attributes.text("gen_ai.operation.name", "invoke_workflow");
  span.attributes.text("gen_ai.workflow.name", session.flow);
  put_session(span.attributes, session);
  span.attributes.integer("tertulia.flow.version", session.flow_version);
  span.attributes.text("tertulia.session.status", model::to_text(end.status));
  if (end.stop_reason)
    span.attributes.text("tertulia.session.stop_reason", model::to_text(*end.stop_reason));
  if (end.given_up) {
    span.error = "given_up";
  } else if (end.stop_reason && (end.status == model::SessionStatus::failed ||
                                 *end.stop_reason == model::StopReason::step_failed ||
                                 *end.stop_reason == model::StopReason::step_timeout ||
                                 *end.stop_reason == model::StopReason::model_unavailable ||
                                 *end.stop_reason == model::StopReason::storage_full)) {
    span.error = model::to_text(*end.stop_reason);
  }
  exporter_.add(span.to_json(whole));
}

void Tracing::step_closed(const engine::ObservedSession& session,
                          const engine::ObservedStep& step) {
  const std::string whole = identity(session);
  Span span{.name = step.step.empty() ? fmt::format("step {}", step.order) : step.step,
            .id = step_id(whole, step.order),
            .parent = step.parent_order ? step_id(whole, *step.parent_order)
                                        : performance_id(whole, session),
            .start = step.started_at,
            .end = step.completed_at,
            .attributes = {},
            .error = {}};
  // What was tried again after it had failed hangs under the failed one, whose id is the row's.
  if (step.again) {
    span.parent = span.id;
    span.id = span_id(whole, fmt::format("step {} attempt {}", step.order, step.attempt));
  }
  put_session(span.attributes, session);
  span.attributes.text("gen_ai.agent.name", step.role);
  span.attributes.integer("tertulia.step.order", step.order);
  span.attributes.text("tertulia.step.kind", step.kind);
  span.attributes.text("tertulia.step.status", model::to_text(step.status));
  span.attributes.integer("tertulia.step.attempts", step.attempt);
  if (step.status == model::StepStatus::failed || step.status == model::StepStatus::timeout)
    span.error = model::to_text(step.status);
  exporter_.add(span.to_json(whole));
}

void Tracing::call_ended(const engine::ObservedSession& session,
                         const engine::ObservedCall& observed) {
  const model::ModelCall& call = observed.call;
  const std::string whole = identity(session);
  Span span{.name = "chat " + observed.requested_model,
            // An attempt may have several calls: judges, and answers that were gone on with.
            .id = span_id(whole, fmt::format("call {} {} {}", observed.order, call.attempt,
                                             base::to_iso8601(call.started_at))),
            .parent = step_id(whole, observed.order),
            .kind = Kind::client,
            .start = call.started_at,
            .end = call.started_at + std::chrono::milliseconds(call.duration_ms.value_or(0)),
            .attributes = {},
            .error = call.outcome == "ok" ? std::string() : call.outcome};
  Attributes& attributes = span.attributes;
  attributes.text("gen_ai.operation.name", "chat");
  attributes.text("gen_ai.provider.name", call.provider);
  attributes.text("gen_ai.request.model", observed.requested_model);
  put_session(attributes, session);
  attributes.text("gen_ai.agent.name", observed.role);
  if (call.outcome == "ok") attributes.text("gen_ai.response.model", call.model);
  if (call.finish_reason) attributes.texts("gen_ai.response.finish_reasons", *call.finish_reason);
  attributes.integer("gen_ai.usage.input_tokens", call.prompt_tokens);
  attributes.integer("gen_ai.usage.output_tokens", call.completion_tokens);
  attributes.integer("gen_ai.usage.cache_read.input_tokens", call.cached_tokens);
  attributes.integer("http.response.status_code", call.http_status);
  attributes.integer("tertulia.step.order", observed.order);
  attributes.integer("tertulia.call.attempt", call.attempt);
  attributes.text("tertulia.call.profile", call.profile);
  if (call.request_id) attributes.text("tertulia.call.request_id", *call.request_id);
  if (call.first_token_ms)
    attributes.real("tertulia.call.first_token_seconds",
                    static_cast<double>(*call.first_token_ms) / 1000.0);
  if (call.cost_usd) attributes.real("tertulia.call.cost_usd", *call.cost_usd);
  if (observed.content) put_content(attributes, *observed.content, call.finish_reason);
  exporter_.add(span.to_json(whole));
}

}  // namespace tertulia::server
