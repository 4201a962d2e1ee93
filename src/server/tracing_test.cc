#include "server/tracing.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "engine/engine_fixture.h"
#include "support/flows.h"
#include "support/model_server.h"

namespace tertulia::server {
namespace {

using engine::test::EngineFixture;
using engine::test::must;

namespace json = base::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kBranchingFlow = R"(tertulia: 1
name: branching
title: Branching
topic: Which way?
roles:
  a: { name: Ann, prompt: You go left. }
  b: { name: Bob, prompt: You go right. }
steps:
  - loop:
      max: 2
      steps:
        - parallel:
            - - { speak: a, task: Go left. }
              - { speak: a, task: Go on. }
            - - { speak: b, task: Go right. }
  - speak: b
    task: Say who was right.
)";

struct Seen {
  std::string trace, id, parent, name;
  int kind = 0;
  bool is_error = false;
  std::int64_t start = 0, end = 0;
  std::map<std::string, std::string> attributes;  // as JSON
};

Variable variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return {};
    return found->second;
  };
}

// The spans of all bodies that a collector got, by id; none twice.
std::map<std::string, Seen> read_spans(const test::ModelServer& collector) {
  std::map<std::string, Seen> spans;
  for (const auto& request : collector.requests()) {
    const json::value body = must(base::parse_json(request.body));
    for (const auto& resource : body.at("resourceSpans").as_array()) {
      EXPECT_EQ(resource.at("schemaUrl").as_string(), Tracing::kSchemaUrl);
      for (const auto& scope : resource.at("scopeSpans").as_array()) {
        for (const auto& span : scope.at("spans").as_array()) {
          const json::object& object = span.as_object();
          Seen seen;
          seen.trace = object.at("traceId").as_string();
          seen.id = object.at("spanId").as_string();
          if (const auto* parent = object.if_contains("parentSpanId"))
            seen.parent = parent->as_string();
          seen.name = object.at("name").as_string();
          seen.kind = static_cast<int>(object.at("kind").as_int64());
          seen.is_error = object.contains("status");
          seen.start = std::stoll(std::string(object.at("startTimeUnixNano").as_string()));
          seen.end = std::stoll(std::string(object.at("endTimeUnixNano").as_string()));
          for (const auto& attribute : object.at("attributes").as_array())
            seen.attributes[std::string(attribute.at("key").as_string())] =
                base::to_text(attribute.at("value"));
          EXPECT_EQ(seen.trace.size(), 32u);
          EXPECT_EQ(seen.id.size(), 16u);
          EXPECT_LE(seen.start, seen.end);
          EXPECT_TRUE(spans.emplace(seen.id, seen).second) << "twice: " << seen.name;
        }
      }
    }
  }
  return spans;
}

class TracingTest : public testing::Test {
 protected:
  void perform(const std::string& flow, const engine::Wish& wish = {}) {
    Tracing tracing(options(), "1.2.3", "node-1");
    const auto engine = fixture_.start(&tracing);
    if (session_ == 0) session_ = fixture_.make_session(*engine, flow);
    must(engine->perform_and_wait(session_, wish));
  }
  TracingOptions options() {
    auto common = must(tracing_options(variables({
        {"OTEL_EXPORTER_OTLP_ENDPOINT", collector_.address() + "/"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret, x-tenant = a%2Cb"},
        {"OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other"},
        {"OTEL_SERVICE_NAME", "talks"},
    })));
    common.has_content = has_content_;
    return common;
  }
  double count(const std::string& query) { return std::stod(fixture_.rows(query).at(0)); }
  // Every span's parent was seen too, but for `roots` that have none.
  static void expect_tree(const std::map<std::string, Seen>& spans, std::size_t roots) {
    std::set<std::string> traces;
    std::size_t without = 0;
    for (const auto& entry : spans) {
      const Seen& span = entry.second;
      traces.insert(span.trace);
      if (span.parent.empty()) {
        ++without;
        EXPECT_THAT(span.name, HasSubstr("session "));
      } else {
        EXPECT_EQ(spans.count(span.parent), 1u) << span.name << " hangs in the air";
      }
    }
    EXPECT_EQ(without, roots);
    EXPECT_EQ(traces.size(), 1u);
  }

  EngineFixture fixture_{"rehearsal"};
  test::ModelServer collector_{
      [](const test::ReceivedRequest&, test::Reply& reply) { reply.answer(200, "{}"); }};
  model::Id session_ = 0;
  bool has_content_ = false;
};

TEST_F(TracingTest, WhatIsSaidIsSentWhereThatIsAskedFor) {
  has_content_ = true;
  perform(kBranchingFlow);
  std::vector<std::string> answers;
  for (const auto& [id, span] : read_spans(collector_)) {
    const auto text = [&span = span](const char* attribute) {
      const json::value value = must(base::parse_json(span.attributes.at(attribute)));
      return must(base::parse_json(std::string(value.at("stringValue").as_string())));
    };
    if (!span.name.starts_with("chat ")) {
      EXPECT_EQ(span.attributes.count("gen_ai.input.messages"), 0u);
      continue;
    }
    EXPECT_THAT(base::to_text(text("gen_ai.system_instructions")),
                HasSubstr(R"([{"type":"text","content":")"));
    const json::value asked = text("gen_ai.input.messages");
    EXPECT_EQ(asked.at(0).at("role"), "user");
    EXPECT_EQ(asked.at(0).at("parts").at(0).at("type"), "text");
    const json::value answer = text("gen_ai.output.messages");
    EXPECT_EQ(answer.at(0).at("role"), "assistant");
    EXPECT_EQ(answer.at(0).at("finish_reason"), "stop");
    answers.emplace_back(answer.at(0).at("parts").at(0).at("content").as_string());
  }
  EXPECT_THAT(answers, testing::IsSupersetOf(fixture_.rows("SELECT content FROM messages")));
  EXPECT_EQ(answers.size(), count("SELECT count(*) FROM model_calls"));
}

TEST_F(TracingTest, ASessionIsATreeOfStepsAndCalls) {
  perform(kBranchingFlow);
  const auto spans = read_spans(collector_);
  expect_tree(spans, 1);
  std::size_t steps = 0, calls = 0;
  for (const auto& entry : spans) {
    const Seen& span = entry.second;
    const auto& attributes = span.attributes;
    EXPECT_EQ(attributes.at("gen_ai.conversation.id"),
              fmt::format(R"({{"stringValue":"{}"}})", session_));
    if (attributes.count("tertulia.step.kind") > 0) {
      ++steps;
      const std::string order =
          attributes.at("tertulia.step.order").substr(std::string(R"({"intValue":")").size());
      const auto parent = fixture_.rows(fmt::format(
          "SELECT coalesce(p.execution_order, 0) FROM step_execution_logs l LEFT JOIN "
          "step_execution_logs p ON p.id = l.parent_log_id WHERE l.execution_order = {}",
          std::stoi(order)));
      const Seen& above = spans.at(span.parent);
      if (parent.at(0) == "0") {
        EXPECT_TRUE(above.parent.empty());
      } else {
        EXPECT_EQ(above.attributes.at("tertulia.step.order"),
                  fmt::format(R"({{"intValue":"{}"}})", parent.at(0)));
        EXPECT_LE(above.start, span.start) << span.name;
      }
    } else if (!span.parent.empty()) {
      ++calls;
      EXPECT_EQ(span.kind, 3);
      EXPECT_THAT(span.name, HasSubstr("chat "));
      EXPECT_EQ(attributes.at("gen_ai.operation.name"), R"({"stringValue":"chat"})");
      EXPECT_EQ(attributes.at("gen_ai.provider.name"), R"({"stringValue":"rehearsal"})");
      EXPECT_EQ(attributes.at("gen_ai.response.finish_reasons"),
                R"({"arrayValue":{"values":[{"stringValue":"stop"}]}})");
      EXPECT_EQ(attributes.count("gen_ai.usage.input_tokens"), 1u);
      EXPECT_EQ(attributes.count("gen_ai.usage.output_tokens"), 1u);
      EXPECT_EQ(attributes.count("error.type"), 0u);
      EXPECT_EQ(attributes.at("gen_ai.agent.name"),
                spans.at(span.parent).attributes.at("gen_ai.agent.name"));
    } else {
      EXPECT_EQ(span.name, "session branching");
      EXPECT_EQ(attributes.at("gen_ai.operation.name"), R"({"stringValue":"invoke_workflow"})");
    }
  }
  EXPECT_EQ(steps, count("SELECT count(*) FROM step_execution_logs"));
  EXPECT_EQ(calls, count("SELECT count(*) FROM model_calls"));
}

TEST_F(TracingTest, WhatIsSentIsAsTheVariablesSay) {
  perform(test::kLoopingFlow);
  ASSERT_FALSE(collector_.requests().empty());
  for (const auto& request : collector_.requests()) {
    EXPECT_EQ(request.target, "/v1/traces");
    EXPECT_EQ(request.header("content-type"), "application/json");
    EXPECT_EQ(request.header("authorization"), "Bearer secret");
    EXPECT_EQ(request.header("x-tenant"), "a,b");
    EXPECT_THAT(request.body,
                HasSubstr(R"({"key":"service.name","value":{"stringValue":"talks"}})"));
    EXPECT_THAT(request.body, HasSubstr("deployment.environment.name"));
    // Nothing of what was said or asked.
    EXPECT_THAT(request.body, Not(HasSubstr("Should we store sessions")));
    for (const std::string& said : fixture_.rows("SELECT substr(content, 1, 20) FROM messages"))
      EXPECT_THAT(request.body, Not(HasSubstr(said)));
  }
}

TEST_F(TracingTest, AResumedSessionStaysInItsTrace) {
  perform(kBranchingFlow, {.action = engine::Action::step});
  perform(kBranchingFlow, {.action = engine::Action::step});
  perform(kBranchingFlow);
  const auto spans = read_spans(collector_);
  expect_tree(spans, 3);
  EXPECT_EQ(spans.size(), 3 + count("SELECT count(*) FROM step_execution_logs") +
                              count("SELECT count(*) FROM model_calls"));
}

TEST_F(TracingTest, AStepThatIsTriedAgainHangsUnderItsFailure) {
  engine::ObservedSession session;
  session.id = 7;
  {
    Tracing tracing(options(), "1.2.3", "node-1");
    engine::ObservedStep step;
    step.order = 3;
    step.attempt = 2;
    step.status = model::StepStatus::failed;
    tracing.step_closed(session, step);
    step.attempt = 3;
    step.again = true;
    step.status = model::StepStatus::completed;
    tracing.step_closed(session, step);
    engine::ObservedCall call;
    call.order = 3;
    call.call.outcome = "rate_limited";
    tracing.call_ended(session, call);
    tracing.session_ended(session, {.status = model::SessionStatus::paused,
                                    .stop_reason = model::StopReason::step_failed,
                                    .given_up = false,
                                    .time = {}});
  }
  const auto spans = read_spans(collector_);
  ASSERT_EQ(spans.size(), 4u);
  expect_tree(spans, 1);
  std::map<std::string, std::string> errors;
  for (const auto& [id, span] : spans)
    if (span.is_error) errors[span.name] = span.attributes.at("error.type");
  EXPECT_THAT(errors, ElementsAre(std::pair("chat ", R"({"stringValue":"rate_limited"})"),
                                  std::pair("session ", R"({"stringValue":"step_failed"})"),
                                  std::pair("step 3", R"({"stringValue":"failed"})")));
}

json::object numbered(int number) {
  return {{"name", fmt::format("{}", number)}};
}

TEST(SpanExporter, ADeadCollectorHarmsNothing) {
  std::string address;
  {
    const test::ModelServer gone([](const test::ReceivedRequest&, test::Reply&) {});
    address = gone.address();
  }
  EngineFixture fixture;
  Tracing tracing(must(tracing_options(variables({{"OTEL_EXPORTER_OTLP_ENDPOINT", address}}))),
                  "1.2.3", "node-1");
  const auto engine = fixture.start(&tracing);
  const auto outcome =
      must(engine->perform_and_wait(fixture.make_session(*engine, test::kLoopingFlow), {}));
  EXPECT_EQ(outcome.status, model::SessionStatus::finished);
  EXPECT_EQ(tracing.exporter().sent(), 0u);
}

TEST(SpanExporter, ACollectorThatHangsCostsSpansButNoTime) {
  test::Gate gate;
  test::ModelServer collector([&](const test::ReceivedRequest&, test::Reply& reply) {
    gate.wait();
    reply.answer(200, "{}");
  });
  {
    SpanExporter exporter({.url = collector.address() + "/v1/traces",
                           .is_loopback = true,
                           .headers = {},
                           .resource = {},
                           .scope = {},
                           .schema_url = {},
                           .most_waiting = 600});
    // None of these waits for the collector; at most one batch is on its way.
    for (int i = 0; i < 5000; ++i) exporter.add(numbered(i));
    EXPECT_GE(exporter.dropped(), 5000u - 600 - 512);
    EXPECT_EQ(exporter.sent(), 0u);
    gate.open();
  }
}

TEST(SpanExporter, WhatTheCollectorRefusesForNowIsSentOnceMore) {
  std::atomic<int> requests = 0;
  std::vector<int> answers = {503, 200, 400, 429, 503};
  test::ModelServer collector([&](const test::ReceivedRequest&, test::Reply& reply) {
    reply.answer(answers[static_cast<std::size_t>(requests++)], "{}");
  });
  const SpanExporter::Options options = {.url = collector.address() + "/v1/traces",
                                         .is_loopback = true,
                                         .headers = {},
                                         .resource = {},
                                         .scope = {},
                                         .schema_url = {}};
  {
    SpanExporter exporter(options);
    exporter.add(numbered(1));
  }
  EXPECT_EQ(requests, 2);
  {
    SpanExporter exporter(options);
    exporter.add(numbered(2));
  }
  EXPECT_EQ(requests, 3);
  {
    SpanExporter exporter(options);
    exporter.add(numbered(3));
  }
  EXPECT_EQ(requests, 5);
}

TEST(TracingOptions, AreOffWithoutAnEndpoint) {
  EXPECT_EQ(must(tracing_options(variables({}))).url, "");
  EXPECT_EQ(must(tracing_options(variables({{"OTEL_SDK_DISABLED", "true"},
                                            {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}})))
                .url,
            "");
}

TEST(TracingOptions, ContentIsSentOnlyWhereItIsAskedFor) {
  const auto has_content = [](const char* value) {
    return must(tracing_options(
                    variables({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"},
                               {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value}})))
        .has_content;
  };
  EXPECT_FALSE(has_content(""));
  EXPECT_FALSE(has_content("false"));
  EXPECT_TRUE(has_content("true"));
}

TEST(TracingOptions, TheOwnEndpointIsTakenAsItIs) {
  const auto options =
      must(tracing_options(variables({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"},
                                      {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://d/otel/x"},
                                      {"OTEL_EXPORTER_OTLP_HEADERS", "a=b"},
                                      {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "c=d"}})));
  EXPECT_EQ(options.url, "https://d/otel/x");
  EXPECT_THAT(options.headers, ElementsAre("c: d"));
  EXPECT_THAT(options.resource, ElementsAre(std::pair("service.name", "tertulia")));
}

TEST(TracingOptions, SayWhichVariableHasNoSenseAndNotItsValue) {
  const auto refuse = [](const char* name, const char* value) {
    std::map<std::string, std::string> all = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}};
    all[name] = value;
    const auto options = tracing_options(variables(all));
    ASSERT_FALSE(options) << name << "=" << value;
    EXPECT_THAT(options.error().message, HasSubstr(name));
    EXPECT_THAT(options.error().message, Not(HasSubstr("s3cret")));
  };
  refuse("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318/s3cret");
  refuse("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector/s3cret");
  refuse("OTEL_EXPORTER_OTLP_HEADERS", "s3cret");
  refuse("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret%0d%0aHost: x");
  refuse("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret%zz");
  refuse("OTEL_RESOURCE_ATTRIBUTES", "=s3cret");
  refuse("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "s3cret");
}

}  // namespace
}  // namespace tertulia::server
