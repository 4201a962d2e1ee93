#include "server/metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "base/log.h"
#include "store/sessions.h"
#include "store/size.h"

namespace tertulia::server {
namespace {

using prometheus::ClientMetric;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::size_t kMaxProfiles = 100;

// Seconds. Steps and calls take from a moment to the five minutes that a call has at most.
const Histogram::BucketBoundaries kCallSeconds = {0.01, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
                                                  5,    10,   20,  30,   60,  120, 300};
const Histogram::BucketBoundaries kCommitSeconds = {
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};
const Histogram::BucketBoundaries kRequestSeconds = {
    0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};
const Histogram::BucketBoundaries kGroupMembers = {1, 2, 4, 8, 16, 32, 64, 128, 256};

double to_seconds(std::int64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000.0;
}

std::string status_class(int status) {
  return status >= 100 && status <= 599 ? fmt::format("{}xx", status / 100) : "other";
}

std::string known_method(std::string_view method) {
  for (const std::string_view known : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
    if (method == known) return std::string(known);
  return "other";
}

// A family of values that stand as they are now.
MetricFamily family(std::string name, std::string help, MetricType type) {
  return {.name = std::move(name), .help = std::move(help), .type = type, .metric = {}};
}

void add(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

MetricFamily single(std::string name, std::string help, double value,
                    MetricType type = MetricType::Gauge) {
  MetricFamily made = family(std::move(name), std::move(help), type);
  add(made, value);
  return made;
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;

  Family<Counter>& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  prometheus::Gauge& performing = prometheus::BuildGauge()
                                      .Name("tertulia_sessions_performing")
                                      .Help("Sessions that this process performs now")
                                      .Register(registry)
                                      .Add({});
  Family<Counter>& performances =
      counter("tertulia_performances_ended_total",
              "Times that a session stopped being performed, by its status and why it stands");
  Family<Counter>& steps =
      counter("tertulia_steps_total", "Rows of the step log that were closed, by kind and status");
  Family<Histogram>& step_seconds =
      histogram("tertulia_step_duration_seconds",
                "Time that steps took which ask a model or a person, retries included");
  Family<Counter>& commits =
      counter("tertulia_commits_total", "Commits of sessions, durable or failed");
  Histogram& commit_seconds =
      histogram("tertulia_commit_duration_seconds",
                "Time from handing a session's commit to the writer until it was durable")
          .Add({}, kCommitSeconds);
  Histogram& group_members =
      histogram("tertulia_commit_group_members",
                "Commits and other work that shared a transaction of the writer")
          .Add({}, kGroupMembers);
  Family<Counter>& calls =
      counter("tertulia_model_calls_total", "Attempts at calls to models, by how they ended");
  Family<Histogram>& call_seconds =
      histogram("tertulia_model_call_duration_seconds", "Time that attempts at calls took");
  Family<Histogram>& first_token_seconds =
      histogram("tertulia_model_first_token_seconds", "Time from a call's start to its first text");
  Family<Counter>& tokens =
      counter("tertulia_model_tokens_total", "Tokens of calls, as reported or else estimated");
  Family<Counter>& cost = counter("tertulia_model_cost_usd_total",
                                  "US dollars that calls cost, by the prices of their profiles");
  Family<Counter>& requests =
      counter("tertulia_http_requests_total", "HTTP requests that were answered");
  Family<Histogram>& request_seconds =
      histogram("tertulia_http_request_duration_seconds", "Time until the answer began");
  Histogram& wait_seconds =
      histogram("tertulia_http_request_wait_seconds",
                "Time that requests waited for a worker, a part of their duration")
          .Add({}, kRequestSeconds);
  Histogram& write_seconds =
      histogram("tertulia_http_response_write_seconds",
                "Time from when an answer could begin until it was written whole")
          .Add({}, kRequestSeconds);
};

Metrics::Metrics(db::Location location, std::string_view version)
    : location_(std::move(location)), version_(version), families_(std::make_unique<Families>()) {
  for (const char* result : {"durable", "failed"}) families_->commits.Add({{"result", result}});
}

Metrics::~Metrics() = default;

void Metrics::answered(std::string_view route, std::string_view method, int status,
                       std::chrono::nanoseconds time, std::chrono::nanoseconds waited) {
  const std::string pattern(route.empty() ? "none" : route);
  const std::string verb = known_method(method);
  families_->requests.Add({{"route", pattern}, {"method", verb}, {"status", status_class(status)}})
      .Increment();
  families_->request_seconds.Add({{"route", pattern}, {"method", verb}}, kRequestSeconds)
      .Observe(std::chrono::duration<double>(time).count());
  families_->wait_seconds.Observe(std::chrono::duration<double>(waited).count());
}

void Metrics::written(std::chrono::nanoseconds after) {
  families_->write_seconds.Observe(std::chrono::duration<double>(after).count());
}

void Metrics::session_begun(const engine::ObservedSession&) {
  families_->performing.Increment();
}

void Metrics::session_ended(const engine::ObservedSession&, const engine::ObservedEnd& end) {
  families_->performing.Decrement();
  const std::string_view reason = end.given_up      ? "given_up"
                                  : end.stop_reason ? model::to_text(*end.stop_reason)
                                                    : "none";
  families_->performances
      .Add({{"status", std::string(model::to_text(end.status))}, {"reason", std::string(reason)}})
      .Increment();
}

void Metrics::step_closed(const engine::ObservedSession&, const engine::ObservedStep& step) {
  const std::string kind(step.kind.empty() ? "other" : step.kind);
  families_->steps.Add({{"kind", kind}, {"status", std::string(model::to_text(step.status))}})
      .Increment();
  // The others take no time of their own.
  if (kind == "speak" || kind == "choice" || kind == "ask" || step.duration_ms > 0)
    families_->step_seconds.Add({{"kind", kind}}, kCallSeconds)
        .Observe(to_seconds(step.duration_ms));
}

void Metrics::call_ended(const engine::ObservedSession&, const engine::ObservedCall& observed) {
  const model::ModelCall& call = observed.call;
  const std::string profile = bounded_profile(call.profile);
  families_->calls.Add({{"profile", profile}, {"outcome", call.outcome}}).Increment();
  if (call.duration_ms)
    families_->call_seconds.Add({{"profile", profile}}, kCallSeconds)
        .Observe(to_seconds(*call.duration_ms));
  if (call.first_token_ms)
    families_->first_token_seconds.Add({{"profile", profile}}, kCallSeconds)
        .Observe(to_seconds(*call.first_token_ms));
  const auto count = [&](const char* direction, const std::optional<std::int64_t>& tokens) {
    if (tokens && *tokens > 0)
      families_->tokens.Add({{"profile", profile}, {"direction", direction}})
          .Increment(static_cast<double>(*tokens));
  };
  count("input", call.prompt_tokens);
  count("output", call.completion_tokens);
  if (call.cost_usd && *call.cost_usd > 0)
    families_->cost.Add({{"profile", profile}}).Increment(*call.cost_usd);
}

void Metrics::group_ended(std::size_t members) {
  families_->group_members.Observe(static_cast<double>(members));
}

void Metrics::commit_ended(std::chrono::nanoseconds time, bool durable) {
  families_->commits.Add({{"result", durable ? "durable" : "failed"}}).Increment();
  if (durable) families_->commit_seconds.Observe(std::chrono::duration<double>(time).count());
}

std::string Metrics::bounded_profile(const std::string& profile) {
  const std::lock_guard lock(mutex_);
  if (profiles_.size() < kMaxProfiles) profiles_.insert(profile);
  return profiles_.count(profile) > 0 ? profile : "other";
}

std::string Metrics::render(db::Connection* reader, const Gauges& gauges) const {
  std::vector<MetricFamily> all;
  MetricFamily build =
      family("tertulia_build_info", "The program's version; always 1", MetricType::Gauge);
  add(build, 1, {{"version", version_}});
  all.push_back(std::move(build));
  all.push_back(single("tertulia_schema_ready",
                       "1 where the database is proved to be as the program needs it, else 0",
                       gauges.is_ready ? 1 : 0));
  if (reader != nullptr) {
    if (auto counts = store::count_sessions_by_status(*reader)) {
      MetricFamily sessions =
          family("tertulia_sessions", "Sessions in the database, by status", MetricType::Gauge);
      for (const auto& known : model::Names<model::SessionStatus>::all)
        add(sessions, static_cast<double>((*counts)[known.first]),
            {{"status", std::string(known.second)}});
      all.push_back(std::move(sessions));
    } else {
      spdlog::debug("metrics lack the sessions: {}", counts.error().message);
    }
    if (auto bytes = store::database_bytes(*reader))
      all.push_back(single("tertulia_database_size_bytes", "Size of the database",
                           static_cast<double>(*bytes)));
  }
  if (const auto bytes = store::wal_bytes(location_))
    all.push_back(single("tertulia_database_wal_size_bytes", "Size of SQLite's write-ahead log",
                         static_cast<double>(*bytes)));
  MetricFamily queues = family("tertulia_queue_depth", "What waits its turn", MetricType::Gauge);
  add(queues, static_cast<double>(gauges.writer_waiting), {{"queue", "writer"}});
  add(queues, static_cast<double>(gauges.workers_waiting), {{"queue", "workers"}});
  all.push_back(std::move(queues));
  all.push_back(single("tertulia_event_followers", "Readers of live events",
                       static_cast<double>(gauges.followers)));
  all.push_back(single("tertulia_event_tokens_dropped_total",
                       "Pieces of text that readers did not get who were too slow",
                       static_cast<double>(gauges.dropped_tokens), MetricType::Counter));
  if (gauges.spans) {
    MetricFamily spans =
        family("tertulia_spans_total", "Spans of traces, sent to the collector or dropped",
               MetricType::Counter);
    add(spans, static_cast<double>(gauges.spans->sent), {{"result", "sent"}});
    add(spans, static_cast<double>(gauges.spans->dropped), {{"result", "dropped"}});
    all.push_back(std::move(spans));
  }
  for (MetricFamily& counted : families_->registry.Collect())
    if (!counted.metric.empty()) all.push_back(std::move(counted));
  std::sort(all.begin(), all.end(),
            [](const MetricFamily& a, const MetricFamily& b) { return a.name < b.name; });
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace tertulia::server
