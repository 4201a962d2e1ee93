// Tracing makes OpenTelemetry spans of what an engine does: one for each time that a session is
// performed, one for each step, one for each call to a model. They follow the semantic conventions
// for generative AI in the version of kSchemaUrl (docs/observability.md has names and attributes).
// What people and models say is in none of them unless that is asked for.
//
// All spans of a session are in one trace, also after it was resumed, on another day or by another
// process: trace and span ids are digests of the session's identity and of its log's numbers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/observer.h"
#include "server/span_exporter.h"

namespace tertulia::server {

struct TracingOptions {
  std::string url;  // that spans are posted to; empty: no tracing
  std::vector<std::string> headers;
  std::vector<std::pair<std::string, std::string>> resource;  // with service.name
  bool has_content = false;                                   // prompts and answers too
  // Sessions of different databases that have the same id and seed are told apart by it.
  std::string database;
};

// From OpenTelemetry's standard variables, which `variable` looks up: OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_SDK_DISABLED and OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT. Invalid where one has
// no sense; the error names it, never its value.
using Variable = std::function<std::optional<std::string>(const char* name)>;
[[nodiscard]] base::Result<TracingOptions> tracing_options(const Variable& variable);

class Tracing final : public engine::Observer {
 public:
  static constexpr std::string_view kSchemaUrl = "https://opentelemetry.io/schemas/1.41.0";

  // `options.url` is not empty. `version` is the program's, `node` this process's name.
  Tracing(TracingOptions options, std::string_view version, std::string_view node);

  [[nodiscard]] SpanExporter& exporter() { return exporter_; }

  [[nodiscard]] bool wants_content() const override { return has_content_; }
  void session_ended(const engine::ObservedSession& session,
                     const engine::ObservedEnd& end) override;
  void step_closed(const engine::ObservedSession& session,
                   const engine::ObservedStep& step) override;
  void call_ended(const engine::ObservedSession& session,
                  const engine::ObservedCall& call) override;

 private:
  // The identity that all ids of a session's spans are digests of.
  [[nodiscard]] std::string identity(const engine::ObservedSession& session) const;

  const std::string database_;
  const bool has_content_;
  SpanExporter exporter_;
};

}  // namespace tertulia::server
