#include "engine/engine.h"

#include <future>

#include "engine/engine_fixture.h"
#include "support/flows.h"

namespace tertulia::engine {
namespace {

using model::SessionStatus;
using model::StopReason;
using test::EngineFixture;
using test::must;

// An engine whose writer is held, so that nothing can be claimed meanwhile.
class EngineTest : public testing::Test {
 protected:
  void hold_writer() {
    std::promise<void> held;
    engine_->writer().submit(
        [this, &held](db::Connection&) -> base::Result<void> {
          held.set_value();
          go_on_.get_future().wait();
          return {};
        },
        [](const base::Result<void>&) {});
    held.get_future().wait();
  }
  void let_writer_go_on() { go_on_.set_value(); }
  model::Id make_session() { return fixture_.make_session(*engine_, tertulia::test::kLoopingFlow); }
  // Begins to perform it, as soon as the writer goes on.
  std::future<Outcome> perform_soon(model::Id session, Wish wish = {}) {
    auto ended = std::make_shared<std::promise<Outcome>>();
    engine_->perform_soon(session, std::move(wish),
                          [ended](const Outcome& outcome) { ended->set_value(outcome); });
    return ended->get_future();
  }

  EngineFixture fixture_;
  std::unique_ptr<Engine> engine_ = fixture_.start(nullptr);
  std::promise<void> go_on_;
};

struct Wanted {
  Engine::Request request;
  SessionStatus status;
  StopReason reason;
};
class AskedEarly : public EngineTest, public testing::WithParamInterface<Wanted> {};

TEST_P(AskedEarly, OfASessionThatIsBeingClaimedIsDoneOnceItHasBegun) {
  const model::Id session = make_session();
  hold_writer();
  auto ended = perform_soon(session);
  engine_->ask(session, GetParam().request);
  let_writer_go_on();
  const Outcome outcome = ended.get();
  EXPECT_FALSE(outcome.error);
  EXPECT_EQ(outcome.status, GetParam().status);
  EXPECT_EQ(outcome.stop_reason, GetParam().reason);
}
INSTANTIATE_TEST_SUITE_P(
    , AskedEarly,
    testing::Values(Wanted{Engine::Request::pause, SessionStatus::paused, StopReason::asked},
                    Wanted{Engine::Request::pause_now, SessionStatus::paused, StopReason::asked},
                    Wanted{Engine::Request::cancel, SessionStatus::terminated,
                           StopReason::cancelled}));

TEST_F(EngineTest, APauseOfAllIsAlsoForThoseThatAreBeingClaimed) {
  const model::Id first = make_session(), second = make_session();
  hold_writer();
  auto first_ended = perform_soon(first), second_ended = perform_soon(second);
  engine_->pause_all(true, StopReason::shutdown);
  let_writer_go_on();
  for (auto* ended : {&first_ended, &second_ended}) {
    const Outcome outcome = ended->get();
    EXPECT_EQ(outcome.status, SessionStatus::paused);
    EXPECT_EQ(outcome.stop_reason, StopReason::shutdown);
  }
}

TEST_F(EngineTest, WhatWasAskedOfAPerformanceThatDidNotBeginIsNotAskedOfTheNext) {
  const model::Id session = make_session();
  hold_writer();
  auto refused = perform_soon(session, {.action = Action::retry});
  engine_->ask(session, Engine::Request::cancel);
  let_writer_go_on();
  ASSERT_TRUE(refused.get().error);
  EXPECT_EQ(must(engine_->perform_and_wait(session, {})).status, SessionStatus::finished);
}

TEST_F(EngineTest, NothingIsKeptOfWhatIsAskedOfASessionThatNobodyPerforms) {
  const model::Id session = make_session();
  engine_->ask(session, Engine::Request::cancel);
  engine_->pause_all(true);
  EXPECT_EQ(must(engine_->perform_and_wait(session, {})).status, SessionStatus::finished);
}

}  // namespace
}  // namespace tertulia::engine
