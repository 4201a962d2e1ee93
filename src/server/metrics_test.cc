#include "server/metrics.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <sstream>

#include "engine/engine_fixture.h"
#include "server/observers.h"
#include "support/flows.h"

namespace tertulia::server {
namespace {

using engine::test::EngineFixture;
using engine::test::must;

using testing::HasSubstr;
using testing::Not;

// Reads a page, holding every line against the format: samples by their name with labels.
std::map<std::string, double> read_page(const std::string& page) {
  static const std::regex comment(R"(# (HELP|TYPE) ([a-z_]+) (.+))");
  static const std::regex sample(
      R"(([a-z_]+)(\{[a-z_]+="([^"\\\n]|\\["\\n])*"(,[a-z_]+="([^"\\\n]|\\["\\n])*")*\})? (\S+))");
  std::map<std::string, std::string> types;
  std::map<std::string, double> samples;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_match(line, found, comment)) {
      const bool is_new = found[1] != "TYPE" || types.emplace(found[2], found[3]).second;
      EXPECT_TRUE(is_new) << "twice: " << line;
      continue;
    }
    EXPECT_TRUE(std::regex_match(line, found, sample)) << line;
    if (found.empty()) continue;
    const std::string name = found[1];
    std::string base = name;
    for (const char* ending : {"_bucket", "_sum", "_count"})
      if (name.ends_with(ending) && types.count(name) == 0)
        base = name.substr(0, name.size() - std::string(ending).size());
    EXPECT_EQ(types.count(base), 1u) << "no # TYPE before " << line;
    EXPECT_TRUE(name.starts_with("tertulia_")) << line;
    EXPECT_EQ(types[base] == "counter", name.ends_with("_total")) << line;
    const bool is_new = samples.emplace(name + found[2].str(), std::stod(found[6])).second;
    EXPECT_TRUE(is_new) << "twice: " << line;
  }
  return samples;
}

// The sum of all samples of that name.
double sum(const std::map<std::string, double>& samples, const std::string& name) {
  double all = 0;
  for (const auto& [key, value] : samples)
    if (key == name || key.starts_with(name + "{")) all += value;
  return all;
}

class MetricsTest : public testing::Test {
 protected:
  EngineFixture fixture_{"rehearsal?fail=0.2"};
  Metrics metrics_{fixture_.location(), "1.2.3"};

  std::string page(const Gauges& gauges = {}) {
    const auto reader = must(db::open(fixture_.location(), {.access = db::Access::read}));
    return metrics_.render(reader.get(), gauges);
  }
  double number(const std::string& query) { return std::stod("0" + fixture_.rows(query).at(0)); }
};

TEST_F(MetricsTest, ShowsWhatIsCountedBeforeAnythingHappened) {
  const auto samples = read_page(page({.is_ready = true, .writer_waiting = 3, .followers = 2}));
  EXPECT_EQ(samples.at(R"(tertulia_build_info{version="1.2.3"})"), 1);
  EXPECT_EQ(samples.at("tertulia_schema_ready"), 1);
  EXPECT_EQ(samples.at(R"(tertulia_queue_depth{queue="writer"})"), 3);
  EXPECT_EQ(samples.at("tertulia_event_followers"), 2);
  EXPECT_EQ(samples.at(R"(tertulia_sessions{status="running"})"), 0);
  EXPECT_EQ(samples.at(R"(tertulia_commits_total{result="failed"})"), 0);
  EXPECT_GT(samples.at("tertulia_database_size_bytes"), 0);
}

TEST_F(MetricsTest, CountsExactlyWhatTheLogSays) {
  std::vector<model::Id> ids;
  {
    const auto engine = fixture_.start(&metrics_);
    for (int seed = 1; seed <= 5; ++seed)
      ids.push_back(fixture_.make_session(*engine, test::kLoopingFlow, seed));
    for (const model::Id id : ids) must(engine->perform_and_wait(id, {}));
  }
  const auto samples = read_page(page());
  for (const std::string& row :
       fixture_.rows("SELECT f.kind, l.status, count(*) FROM step_execution_logs l JOIN flow_steps "
                     "f ON f.id = l.step_id WHERE l.status NOT IN ('pending', 'running') "
                     "GROUP BY f.kind, l.status")) {
    std::istringstream parts(row);
    std::string kind, status, count;
    std::getline(parts, kind, '|');
    std::getline(parts, status, '|');
    std::getline(parts, count);
    EXPECT_EQ(
        samples.at(fmt::format(R"(tertulia_steps_total{{kind="{}",status="{}"}})", kind, status)),
        std::stod(count))
        << row;
  }
  EXPECT_EQ(sum(samples, "tertulia_steps_total"),
            number("SELECT count(*) FROM step_execution_logs WHERE completed_at IS NOT NULL"));
  for (const std::string& row :
       fixture_.rows("SELECT outcome, count(*) FROM model_calls GROUP BY outcome")) {
    const auto bar = row.find('|');
    EXPECT_EQ(samples.at(fmt::format(R"(tertulia_model_calls_total{{outcome="{}",profile="main"}})",
                                     row.substr(0, bar))),
              std::stod(row.substr(bar + 1)));
  }
  EXPECT_GT(number("SELECT count(*) FROM model_calls WHERE outcome <> 'ok'"), 0);
  EXPECT_EQ(sum(samples, "tertulia_model_call_duration_seconds_count"),
            number("SELECT count(*) FROM model_calls"));
  EXPECT_EQ(samples.at(R"(tertulia_model_tokens_total{direction="input",profile="main"})"),
            number("SELECT sum(prompt_tokens) FROM model_calls"));
  EXPECT_EQ(samples.at(R"(tertulia_model_tokens_total{direction="output",profile="main"})"),
            number("SELECT sum(completion_tokens) FROM model_calls"));
  EXPECT_EQ(sum(samples, "tertulia_sessions"), 5);
  EXPECT_EQ(sum(samples, "tertulia_performances_ended_total"), 5);
  EXPECT_EQ(samples.at("tertulia_sessions_performing"), 0);
  EXPECT_EQ(samples.at(R"(tertulia_commits_total{result="durable"})"),
            samples.at("tertulia_commit_duration_seconds_count"));
  EXPECT_GE(samples.at("tertulia_commit_group_members_sum"),
            samples.at("tertulia_commit_duration_seconds_count"));
}

TEST_F(MetricsTest, ASessionThatIsGivenUpIsPerformedNoMore) {
  {
    const auto engine = fixture_.start(&metrics_);
    const model::Id id = fixture_.make_session(*engine, test::kLoopingFlow);
    must(engine->perform_and_wait(id, {.action = engine::Action::step}));
    EXPECT_THAT(page(), HasSubstr(R"({reason="single_step",status="paused"} 1)"));
  }
  EXPECT_EQ(read_page(page()).at("tertulia_sessions_performing"), 0);
}

TEST_F(MetricsTest, RequestsHaveFewLabels) {
  using std::chrono::milliseconds;
  metrics_.answered("/api/v1/sessions/{id}", "GET", 200, milliseconds(3), milliseconds(1));
  metrics_.answered("/api/v1/sessions/{id}", "GET", 204, milliseconds(3), milliseconds(1));
  metrics_.answered("", "BREW", 418, milliseconds(100), milliseconds(0));
  metrics_.written(milliseconds(2));
  const auto samples = read_page(page());
  EXPECT_EQ(
      samples.at(
          R"(tertulia_http_requests_total{method="GET",route="/api/v1/sessions/{id}",status="2xx"})"),
      2);
  EXPECT_EQ(samples.at(R"(tertulia_http_requests_total{method="other",route="none",status="4xx"})"),
            1);
  EXPECT_EQ(
      samples.at(
          R"(tertulia_http_request_duration_seconds_count{method="GET",route="/api/v1/sessions/{id}"})"),
      2);
  EXPECT_EQ(samples.at("tertulia_http_request_wait_seconds_count"), 3);
  EXPECT_DOUBLE_EQ(samples.at("tertulia_http_request_wait_seconds_sum"), 0.002);
  EXPECT_DOUBLE_EQ(samples.at("tertulia_http_response_write_seconds_sum"), 0.002);
}

TEST_F(MetricsTest, ProfilesBeyondAHundredAreCountedTogether) {
  engine::ObservedSession session;
  for (int i = 0; i < 150; ++i) {
    engine::ObservedCall call;
    call.call.profile = fmt::format("p\"{}\n", i);  // whatever an imported session calls it
    call.call.outcome = "ok";
    metrics_.call_ended(session, call);
  }
  const auto samples = read_page(page());
  EXPECT_EQ(samples.at(R"(tertulia_model_calls_total{outcome="ok",profile="other"})"), 50);
  EXPECT_EQ(sum(samples, "tertulia_model_calls_total"), 150);
}

TEST_F(MetricsTest, NoLabelHoldsAnId) {
  const auto engine = fixture_.start(&metrics_);
  const model::Id id = fixture_.make_session(*engine, test::kLoopingFlow);
  must(engine->perform_and_wait(id, {}));
  for (const auto& [name, value] : read_page(page())) {
    for (const char* label : {"id=", "session=", "order=", "step="})
      EXPECT_THAT(name, Not(HasSubstr(label)));
  }
}

TEST_F(MetricsTest, WithoutADatabaseTheRestIsShown) {
  const auto samples = read_page(metrics_.render(nullptr, {.is_ready = false}));
  EXPECT_EQ(samples.at("tertulia_schema_ready"), 0);
  EXPECT_EQ(samples.count("tertulia_database_size_bytes"), 0u);
}

TEST_F(MetricsTest, SeveralObserversHearTheSame) {
  Metrics other(fixture_.location(), "1.2.3");
  Observers both({&metrics_, &other});
  const auto engine = fixture_.start(&both);
  must(engine->perform_and_wait(fixture_.make_session(*engine, test::kLoopingFlow), {}));
  for (const char* name : {"tertulia_steps_total", "tertulia_model_calls_total"})
    EXPECT_EQ(sum(read_page(metrics_.render(nullptr, {})), name),
              sum(read_page(other.render(nullptr, {})), name));
}

}  // namespace
}  // namespace tertulia::server
