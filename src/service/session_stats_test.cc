// What sessions took is the same in however many slices it is read; and what is kept of flows.
#include "service/session_stats.h"

#include "service/test_sessions.h"
#include "support/flows.h"

namespace tertulia::service {
namespace {

namespace json = base::json;

// Only the rows tell who spoke in a turn.
constexpr const char* kTurns = R"(tertulia: 1
name: turns
topic: Tea
roles: { a: { name: Ann, prompt: p }, b: { name: Ben, prompt: q } }
steps: [ { discuss: { among: [a, b], max: 3 } } ]
)";

class SessionStatsTest : public test::OnBothEngines {
 protected:
  std::string shown(const store::SessionFilter& filter, const store::StatsSlice& slice = {}) {
    auto stats = store::load_stats(reader(), filter, slice);
    EXPECT_TRUE(stats) << stats.error().message;
    return base::to_text(stats_json(*stats));
  }
  json::object stats(const store::SessionFilter& filter = {}) {
    return base::parse_json(shown(filter))->as_object();
  }
};

TEST_P(SessionStatsTest, SlicesOfAnySizeAddUpToTheSame) {
  perform(kTurns);
  for (int i = 0; i < 3; ++i) perform(test::kTalk);
  make(test::kTalk);  // no steps: a session all the same
  perform(kTurns);
  const auto gone = perform(test::kTalk);
  perform(test::kTalk);
  ASSERT_TRUE(engine_->remove(gone));
  ASSERT_TRUE(engine_->remove(2));

  const std::string whole = shown({});
  for (std::int64_t sessions = 1; sessions < 6; ++sessions)
    for (std::int64_t rows = 1; rows < 8; ++rows)
      EXPECT_EQ(shown({}, {.sessions = sessions, .rows = rows}), whole) << sessions << ' ' << rows;
  const json::object all = stats();
  EXPECT_EQ(all.at("total").at("sessions"), 6);
  EXPECT_EQ(all.at("total").at("calls"), 3 * 3 + 2 * 3);
  // The largest first: by sessions, steps or calls.
  EXPECT_EQ(all.at("by_flow").at(0).at("name"), "talk");
  EXPECT_EQ(all.at("by_flow").at(0).at("sessions"), 4);
  EXPECT_EQ(all.at("by_flow").at(0).at("steps"), 9);
  EXPECT_EQ(all.at("by_flow").at(1).at("sessions"), 2);
  EXPECT_EQ(all.at("by_role").at(0).at("name"), "a");
  EXPECT_EQ(all.at("by_role").at(0).at("sessions"), 5);
  EXPECT_EQ(all.at("by_role").at(0).at("steps"), 3 * 2 + 2 * 2);
  EXPECT_EQ(all.at("by_role").at(1).at("steps"), 3 * 1 + 2 * 1);
  EXPECT_EQ(all.at("by_model").at(0).at("name"), "rehearsal/rehearsal");
  EXPECT_EQ(all.at("by_model").at(0).at("calls"), all.at("total").at("calls"));
  EXPECT_EQ(all.at("by_status").at(0).at("name"), "finished");
  EXPECT_EQ(all.at("by_status").at(1).at("name"), "not_started");
  EXPECT_EQ(all.at("by_status").at(1).at("steps"), 0);
}

TEST_P(SessionStatsTest, FiltersHoldInEverySlice) {
  for (int i = 0; i < 3; ++i) {
    perform(test::kTalk);
    perform(kTurns);
  }
  store::SessionFilter filter{.ids = {2, 3, 5}};
  for (std::int64_t sessions = 1; sessions < 5; ++sessions)
    EXPECT_EQ(shown(filter, {.sessions = sessions, .rows = 2}), shown(filter));
  EXPECT_EQ(stats(filter).at("total").at("sessions"), 3);
  filter.flow = "turns";
  EXPECT_EQ(stats(filter).at("total").at("sessions"), 1);
  EXPECT_EQ(stats({.statuses = {model::SessionStatus::paused}}).at("total").at("sessions"), 0);
  EXPECT_EQ(stats({.ids = {99}}).at("total").at("sessions"), 0);
}

TEST_P(SessionStatsTest, AFlowThatWasReadIsKeptAndBounded) {
  const auto id = perform(test::kTalk);
  std::weak_ptr<const engine::PerformableFlow> kept;
  {
    auto data = engine::load_session_data(reader(), flows_, id);
    ASSERT_TRUE(data) << data.error().message;
    kept = data->flow;
  }
  EXPECT_FALSE(kept.expired());
  const auto read_another = [&](std::size_t number) {
    std::string text = test::kTalk;
    text.replace(text.find("topic: Tea"), 10, "topic: Tea " + std::to_string(number));
    ASSERT_TRUE(engine::load_session_data(reader(), flows_, make(text)));
  };
  read_another(0);
  ASSERT_TRUE(engine::load_session_data(reader(), flows_, id));  // used again: it goes later
  for (std::size_t i = 1; i < engine::FlowCache::kKept; ++i) read_another(i);
  EXPECT_FALSE(kept.expired());
  read_another(engine::FlowCache::kKept);
  EXPECT_TRUE(kept.expired());
}

INSTANTIATE_TEST_SUITE_P(, SessionStatsTest, schema::kBothEngines, schema::engine_of);

}  // namespace
}  // namespace tertulia::service
