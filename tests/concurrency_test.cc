// Several processes on one database: nothing is lost, nothing is performed twice, and one process
// can steer what another performs.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/json.h"
#include "support/flows.h"
#include "support/model_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace json = base::json;

int count_lines(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

constexpr const char* kShortFlow = R"(tertulia: 1
name: short
roles: { a: { prompt: You speak. }, b: { prompt: You answer. } }
steps:
  - loop: { max: 5, steps: [ { speak: a }, { speak: b } ] }
)";

TEST(ConcurrencyTest, TwoTerminalsBesideTenWriters) {
  constexpr int kWriters = 10, kSessionsEach = 6, kMessages = 10;
  World world;
  const std::string looping = world.write("looping.yaml", kLoopingFlow);
  const std::string brief = world.write("short.yaml", kShortFlow);
  ASSERT_EQ(world.run({"db", "init"}).status, 0);
  std::vector<Running> terminals;
  for (int i = 0; i < 2; ++i)
    terminals.push_back(world.start(
        {"run", looping, "--seed", "11", "--json", "--model", "rehearsal?latency=50ms"}));
  // Each writer performs sessions one after another, as fast as they go.
  std::deque<Running> writers;
  int started = 0, finished = 0;
  const auto start_one = [&] {
    writers.push_back(world.start({"run", brief, "--json", "--model", "rehearsal"}));
    ++started;
  };
  for (int i = 0; i < kWriters; ++i) start_one();
  while (!writers.empty()) {
    Finished done = writers.front().finish();
    EXPECT_EQ(done.status, 0) << done.err;
    ++finished;
    writers.pop_front();
    if (started < kWriters * kSessionsEach) start_one();
  }
  EXPECT_EQ(finished, kWriters * kSessionsEach);
  for (Running& terminal : terminals) {
    const Finished done = terminal.finish();
    EXPECT_EQ(done.status, 0) << done.err;
  }
  const Finished list = world.run({"session", "list", "--json", "--limit", "1000"});
  auto sessions = base::parse_json(list.out);
  ASSERT_TRUE(sessions) << list.out << list.err;
  const auto& items = sessions->get_object().at("items").get_array();
  EXPECT_EQ(items.size(), static_cast<size_t>(kWriters * kSessionsEach + 2));
  for (const auto& item : items) {
    EXPECT_EQ(item.get_object().at("status").get_string(), "finished");
    if (item.get_object().at("flow").get_string() == "short") {
      EXPECT_EQ(item.get_object().at("messages").get_int64(), kMessages);
    }
  }
  const Finished verify = world.run({"db", "verify"});
  EXPECT_EQ(verify.status, 0) << verify.out << verify.err;
}

// A model that answers so many requests, and holds the next: so long the session is under way,
// however slow the machine is.
class HeldModel final {
 public:
  HeldModel() = default;
  HeldModel(const HeldModel&) = delete;
  HeldModel& operator=(const HeldModel&) = delete;
  ~HeldModel() { answer(kAll); }

  static constexpr int kAll = 1'000'000;
  [[nodiscard]] std::string profile() const { return "openai/any@" + server_.base_url(); }
  // Answers the first so many; at the beginning, one.
  void answer(int most) {
    const std::lock_guard lock(mutex_);
    most_ = most;
    more_.notify_all();
  }
  [[nodiscard]] int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  int most_ = 1;
  int asked_ = 0;
  ModelServer server_{[this](const ReceivedRequest&, Reply& reply) {
    {
      std::unique_lock lock(mutex_);
      const int number = ++asked_;
      more_.wait(lock, [&] { return number <= most_; });
    }
    reply.begin();
    reply.chunk(sse_completion({"Said."}));
    reply.end();
  }};
};

TEST(ConcurrencyTest, ASessionIsWatchedNotPerformedTwice) {
  World world;
  HeldModel model;
  const std::string flow = world.write("flow.yaml", kShortFlow);
  Running first = world.start({"run", flow, "--json", "--model", model.profile()});
  ASSERT_TRUE(first.wait_for("\"message\""));
  const Finished stepping = world.run({"session", "step", "1"});
  EXPECT_EQ(stepping.status, 2) << stepping.err;
  EXPECT_NE(stepping.err.find("another process"), std::string::npos) << stepping.err;
  const Finished deleting = world.run({"session", "delete", "1"});
  EXPECT_EQ(deleting.status, 2) << "a session in flight is not deleted";
  Running watcher = world.start({"session", "resume", "1"});
  ASSERT_TRUE(watcher.wait_for("session 1"));
  model.answer(HeldModel::kAll);
  const Finished performed = first.finish();
  EXPECT_EQ(performed.status, 0) << performed.err;
  const Finished watched = watcher.finish();
  EXPECT_EQ(watched.status, 0) << watched.err;
  EXPECT_NE(watched.out.find("Said."), std::string::npos) << watched.out;
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
}

TEST(ConcurrencyTest, AnotherProcessPausesAndCancels) {
  World world;
  HeldModel model;
  // So long that it is not over before another process's wish is seen.
  const std::string flow = world.write("flow.yaml", R"(tertulia: 1
name: long
roles: { a: { prompt: You speak. }, b: { prompt: You answer. } }
limits: { steps: 9000, rounds: 9000 }
steps:
  - loop: { max: 2000, steps: [ { speak: a, context: last }, { speak: b, context: last } ] }
)");
  Running first = world.start({"run", flow, "--json", "--model", model.profile()});
  ASSERT_TRUE(first.wait_for("\"message\""));
  EXPECT_EQ(world.run({"session", "pause", "1"}).status, 0);
  model.answer(HeldModel::kAll);
  const Finished paused = first.finish();
  EXPECT_EQ(paused.status, 5) << paused.err;

  model.answer(model.asked() + 1);
  Running again = world.start({"session", "resume", "1", "--json"});
  ASSERT_TRUE(again.wait_for("\"message\""));
  EXPECT_EQ(world.run({"session", "cancel", "1"}).status, 0);
  const Finished cancelled = again.finish();
  EXPECT_EQ(cancelled.status, 0) << cancelled.err;
  const Finished shown = world.run({"session", "show", "1", "--json"});
  EXPECT_NE(shown.out.find("\"terminated\""), std::string::npos) << shown.out;
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
  EXPECT_EQ(world.run({"session", "resume", "1"}).status, 2) << "a cancelled session stays so";
}

TEST(ConcurrencyTest, StepRetryAndSkipMoveOneStep) {
  World world;
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  ASSERT_EQ(
      world.run({"run", flow, "--create-only", "--seed", "11", "--model", "rehearsal"}).status, 0);
  for (int said = 1; said <= 2; ++said) {
    EXPECT_EQ(world.run({"session", "step", "1"}).status, 5);
    EXPECT_EQ(count_lines(world.run({"session", "messages", "1", "--json"}).out), said);
  }
  EXPECT_EQ(world.run({"session", "skip", "1"}).status, 5);
  EXPECT_EQ(count_lines(world.run({"session", "messages", "1", "--json"}).out), 2);
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
  EXPECT_EQ(world.run({"session", "retry", "1"}).status, 2) << "nothing has failed";
  EXPECT_EQ(world.run({"session", "resume", "1"}).status, 0);
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);

  // A step that fails for good pauses the session; retry tries the same row again.
  ASSERT_EQ(world
                .run({"run", world.write("short.yaml", kShortFlow), "--create-only", "--model",
                      "rehearsal?fail=1&kind=refused"})
                .status,
            0);
  EXPECT_EQ(world.run({"session", "resume", "2"}).status, 5);
  EXPECT_EQ(world.run({"session", "replay", "2"}).status, 0);
  EXPECT_EQ(world.run({"session", "retry", "2"}).status, 5);
  EXPECT_EQ(world.run({"session", "skip", "2"}).status, 5);
  EXPECT_EQ(world.run({"session", "replay", "2"}).status, 0);
  EXPECT_EQ(world.run({"session", "cancel", "2"}).status, 0);
  EXPECT_EQ(world.run({"session", "replay", "2"}).status, 0);
}

TEST(ConcurrencyTest, LimitsPauseAndCanBeRaised) {
  World world;
  const std::string flow = world.write("short.yaml", kShortFlow);
  const Finished limited = world.run({"run", flow, "--max-steps", "3", "--model", "rehearsal"});
  EXPECT_EQ(limited.status, 5) << limited.err;
  EXPECT_NE(limited.err.find("limit_steps"), std::string::npos);
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
  EXPECT_EQ(world.run({"session", "resume", "1"}).status, 5) << "the limit stands";
  EXPECT_EQ(world.run({"session", "resume", "1", "--max-steps", "50"}).status, 0);
  EXPECT_EQ(world.run({"session", "replay", "1"}).status, 0);
  EXPECT_EQ(world.run({"session", "resume", "1"}).status, 0) << "finished: says so";
}

}  // namespace
}  // namespace tertulia::test
