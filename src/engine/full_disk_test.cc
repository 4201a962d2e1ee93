// A disk that has no room for a session's commits: the session is paused with that reason, at once
// or as soon as that can be written, and goes on when there is room.
#include "engine/full_disk.h"

#include <gmock/gmock.h>

#include <future>

#include "base/failpoint.h"
#include "engine/engine_fixture.h"
#include "support/flows.h"

namespace tertulia::engine {
namespace {

using model::SessionStatus;
using model::StopReason;
using tertulia::test::kLongFlow;
using test::EngineFixture;
using testing::ElementsAre;
using testing::HasSubstr;
using Type = Event::Type;

class FullDiskTest : public testing::Test {
 protected:
  ~FullDiskTest() override { static_cast<void>(base::arm_failpoints("")); }

  void run(const std::string& script) {
    engine_->writer().run([&](db::Connection& connection) {
      const auto done = connection.run_script(script);
      ASSERT_TRUE(done) << done.error().message;
    });
  }
  static void fill_disk() { ASSERT_TRUE(base::arm_failpoints("db.commit.before=enospc")); }
  static void make_room() { ASSERT_TRUE(base::arm_failpoints("")); }

  // Performs it and fills the disk once something was said.
  Outcome perform_until_full(model::Id session) {
    const auto events = engine_->bus().subscribe();
    std::promise<Outcome> ended;
    const auto begun = engine_->perform(
        session, {}, [&ended](const Outcome& outcome) { ended.set_value(outcome); });
    EXPECT_TRUE(begun);
    while (events->next()->type != Type::message) {
    }
    fill_disk();
    const Outcome outcome = ended.get_future().get();
    EXPECT_TRUE(engine_->wait_until_left(session, std::chrono::minutes(1)));
    return outcome;
  }
  // Who heard of an end may be a moment before the engine lets go of the session.
  base::Result<Outcome> perform(model::Id session) {
    auto outcome = engine_->perform_and_wait(session, {});
    EXPECT_TRUE(engine_->wait_until_left(session, std::chrono::minutes(1)));
    return outcome;
  }
  std::vector<std::string> row_of(model::Id session) {
    return fixture_.rows("SELECT status, coalesce(stop_reason, '-') FROM sessions WHERE id = " +
                         std::to_string(session));
  }
  void expect_paused_for_room(const Outcome& outcome) {
    EXPECT_FALSE(outcome.error) << outcome.error->message;
    EXPECT_EQ(outcome.status, SessionStatus::paused);
    EXPECT_EQ(outcome.stop_reason, StopReason::storage_full);
    EXPECT_THAT(outcome.stop_text, HasSubstr("no space left"));
  }
  void expect_goes_on(model::Id session) {
    const auto outcome = test::must(perform(session));
    EXPECT_FALSE(outcome.error);
    EXPECT_EQ(outcome.status, SessionStatus::finished);
    EXPECT_FALSE(engine_->lack_of_room(session));
    // What was said by then is there once, and the call whose answer was lost was made again.
    const std::string where = " WHERE session_id = " + std::to_string(session);
    EXPECT_THAT(fixture_.rows("SELECT count(*), max(position) FROM messages" + where),
                ElementsAre("600|600"));
    EXPECT_THAT(
        fixture_.rows("SELECT max(execution_order) - count(*) FROM step_execution_logs" + where),
        ElementsAre("0"));
    EXPECT_THAT(fixture_.rows("SELECT outcome, error_message FROM model_calls WHERE outcome <> "
                              "'ok'"),
                ElementsAre(testing::AllOf(testing::StartsWith("interrupted|"),
                                           HasSubstr("could not be stored"))));
  }

  EngineFixture fixture_;
  std::unique_ptr<Engine> engine_ = fixture_.start(nullptr);
};

// SQLite's own limit: small commits, as the pause is, find room in pages there are.
TEST_F(FullDiskTest, AFullDatabasePausesTheSession) {
  const model::Id session = fixture_.make_session(*engine_, kLongFlow);
  int pages = std::stoi(fixture_.rows("PRAGMA page_count").front());
  run("PRAGMA max_page_count = " + std::to_string(pages + 30));
  Outcome outcome = test::must(perform(session));
  expect_paused_for_room(outcome);
  // Full again, and again: each time with a little room.
  for (int i = 0; i < 5; ++i) {
    pages = std::stoi(fixture_.rows("PRAGMA page_count").front());
    run("PRAGMA max_page_count = " + std::to_string(pages + 5 + i));
    const auto more = perform(session);
    ASSERT_TRUE(more) << more.error().message;
    expect_paused_for_room(*more);
  }
  run("PRAGMA max_page_count = 1000000");
  const auto last = test::must(perform(session));
  EXPECT_EQ(last.status, SessionStatus::finished);
  EXPECT_THAT(fixture_.rows("SELECT count(*), max(position) FROM messages"),
              ElementsAre("600|600"));
}

TEST_F(FullDiskTest, APauseThatCannotBeWrittenIsToldAndWrittenLater) {
  const model::Id session = fixture_.make_session(*engine_, kLongFlow);
  const auto events = engine_->bus().subscribe();
  events->want_tokens(false);
  expect_paused_for_room(perform_until_full(session));
  EXPECT_THAT(row_of(session), ElementsAre("running|-"));
  ASSERT_TRUE(engine_->lack_of_room(session));
  EXPECT_THAT(*engine_->lack_of_room(session), HasSubstr("no space left"));

  auto refused = perform(session);
  // Whether there is room may just be being looked for.
  while (!refused && refused.error().code == base::Code::conflict) refused = perform(session);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::storage_full);
  EXPECT_TRUE(engine_->lack_of_room(session));

  make_room();
  std::vector<std::int64_t> pauses;
  while (pauses.empty() || pauses.back() == 0) {
    const auto event = events->next();
    ASSERT_TRUE(event);
    if (event->type != Type::session_paused) continue;
    EXPECT_EQ(event->data.at("stop_reason").as_string(), "storage_full");
    pauses.push_back(event->id);
  }
  ASSERT_EQ(pauses.size(), 2u);
  EXPECT_TRUE(engine_->wait_until_left(session, std::chrono::minutes(1)));
  EXPECT_THAT(row_of(session), ElementsAre("paused|storage_full"));
  EXPECT_FALSE(engine_->lack_of_room(session));
  expect_goes_on(session);
}

TEST_F(FullDiskTest, WhoResumesNeedNotWaitForThePause) {
  const model::Id session = fixture_.make_session(*engine_, kLongFlow);
  expect_paused_for_room(perform_until_full(session));
  make_room();
  // It may be being written at this moment.
  EXPECT_TRUE(engine_->wait_until_left(session, std::chrono::minutes(1)));
  expect_goes_on(session);
}

TEST_F(FullDiskTest, AnotherProcessTakesItUpWhereThePauseWasNeverWritten) {
  const model::Id session = fixture_.make_session(*engine_, kLongFlow);
  expect_paused_for_room(perform_until_full(session));
  engine_.reset();
  make_room();
  EXPECT_THAT(row_of(session), ElementsAre("running|-"));
  engine_ = fixture_.start(nullptr);
  const auto outcome = test::must(perform(session));
  EXPECT_EQ(outcome.status, SessionStatus::finished);
}

TEST_F(FullDiskTest, SeveralAreWrittenAsSoonAsThereIsRoom) {
  std::vector<std::promise<Outcome>> ended(5);
  const auto events = engine_->bus().subscribe();
  std::vector<model::Id> sessions;
  for (auto& each : ended) {
    sessions.push_back(fixture_.make_session(*engine_, kLongFlow));
    ASSERT_TRUE(engine_->perform(sessions.back(), {},
                                 [&each](const Outcome& outcome) { each.set_value(outcome); }));
  }
  fill_disk();
  int unwritten = 0;
  for (auto& each : ended) {
    const Outcome outcome = each.get_future().get();
    // One of which nothing was stored has not begun.
    if (!outcome.error) {
      expect_paused_for_room(outcome);
      ++unwritten;
    }
  }
  EXPECT_GT(unwritten, 0);
  make_room();
  for (int written = 0; written < unwritten;) {
    const auto event = events->next();
    ASSERT_TRUE(event);
    if (event->type == Type::session_paused && event->id > 0) ++written;
  }
  engine_->wait_until_idle();
  for (const model::Id session : sessions)
    EXPECT_THAT(row_of(session),
                ElementsAre(testing::AnyOf("paused|storage_full", "not_started|-")));
}

TEST_F(FullDiskTest, OneThatHasNotBegunStaysSo) {
  const model::Id session = fixture_.make_session(*engine_, kLongFlow);
  std::promise<Outcome> ended;
  // The claim finds room, the first commit does not.
  engine_->perform_soon(
      session, {},
      [](const base::Result<void>& begun) {
        ASSERT_TRUE(begun);
        fill_disk();
      },
      [&ended](const Outcome& outcome) { ended.set_value(outcome); });
  const Outcome outcome = ended.get_future().get();
  EXPECT_TRUE(engine_->wait_until_left(session, std::chrono::minutes(1)));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, base::Code::storage_full);
  EXPECT_TRUE(engine_->lack_of_room(session));
  make_room();
  EXPECT_THAT(row_of(session), ElementsAre("not_started|-"));
  EXPECT_EQ(test::must(perform(session)).status, SessionStatus::finished);
  EXPECT_FALSE(engine_->lack_of_room(session));
}

}  // namespace
}  // namespace tertulia::engine
