// SIGKILL at any instant, and failures of every kind at every failpoint: after a resume the session
// is the one that an uninterrupted run gives, and its log explains it.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/json.h"
#include "support/flows.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

namespace json = base::json;

std::vector<json::object> json_lines(const std::string& text) {
  std::vector<json::object> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    auto value = base::parse_json(line);
    EXPECT_TRUE(value) << line;
    if (value) lines.push_back(value->get_object());
  }
  return lines;
}

// What was said, without ids and times.
std::string transcript(const World& world, const std::string& session) {
  std::string text;
  for (const auto& message : json_lines(world.run({"session", "messages", session, "--json"}).out))
    text += base::to_text(message.at("position")) + base::to_text(message.at("role")) +
            base::to_text(message.at("round")) + base::to_text(message.at("text")) + "\n";
  return text;
}

void expect_explained(const World& world, const std::string& session) {
  std::int64_t order = 0;
  for (const auto& row : json_lines(world.run({"session", "log", session, "--json"}).out)) {
    EXPECT_EQ(row.at("execution_order").get_int64(), ++order) << "orders have no gaps";
    EXPECT_EQ(row.at("status").get_string(), "completed");
  }
  EXPECT_GT(order, 8);
  const Finished replay = world.run({"session", "replay", session});
  EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
  const Finished verify = world.run({"db", "verify"});
  EXPECT_EQ(verify.status, 0) << verify.out << verify.err;
}

// The transcript of an undisturbed run with the seed.
const std::string& undisturbed() {
  static const std::string text = [] {
    World world;
    const std::string flow = world.write("flow.yaml", kLoopingFlow);
    const Finished run = world.run({"run", flow, "--seed", "11", "--model", "rehearsal"});
    EXPECT_EQ(run.status, 0) << run.err;
    expect_explained(world, "1");
    return transcript(world, "1");
  }();
  return text;
}

// Resumes until the session is finished.
void resume_to_end(const World& world) {
  Finished resumed;
  for (int i = 0; i < 10; ++i) {
    resumed = world.run({"session", "resume", "1"});
    if (resumed.status == 0) return;
  }
  FAIL() << "status " << resumed.status << "\n" << resumed.out << resumed.err;
}

int kills_wanted() {
  const char* wanted = std::getenv("TERTULIA_KILLS");
  return wanted != nullptr ? std::atoi(wanted) : 25;
}

void survive_kills(World& world, int kills) {
  const std::string expected = undisturbed();
  std::mt19937 random(20261124);
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  int killed = 0;
  while (killed < kills) {
    World fresh = world;
    Finished made = fresh.run({"run", flow, "--seed", "11", "--create-only", "--json", "--model",
                               "rehearsal?latency=20ms"});
    ASSERT_EQ(made.status, 0) << made.err;
    const std::string session = base::to_text(json_lines(made.out).front().at("session_id"));
    // Killed again and again on its way, at random instants, until it gets to its end.
    for (bool finished = false; !finished;) {
      Running running = fresh.start({"session", "resume", session, "--json"});
      const auto instant = std::chrono::microseconds(random() % 160'000);
      if (killed < kills) {
        // The instant of the kill is the test's input; nothing is waited for.
        std::this_thread::sleep_for(instant);
        running.signal(SIGKILL);
      }
      const Finished ended = running.finish();
      if (ended.signal == SIGKILL) {
        ++killed;
        continue;
      }
      ASSERT_EQ(ended.status, 0) << ended.out << ended.err;
      finished = true;
    }
    EXPECT_EQ(transcript(fresh, session), expected);
    expect_explained(fresh, session);
  }
  std::printf("%d kills survived\n", killed);
}

TEST(CrashTest, KilledAtRandomInstantsOnSqlite) {
  World world;
  survive_kills(world, kills_wanted());
}

TEST(CrashTest, KilledAtRandomInstantsOnPostgres) {
  World world;
  world.database = PostgresServer::shared().create_database();
  survive_kills(world, kills_wanted() / 4);
}

class FailpointTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FailpointTest, TheSessionIsWholeAfterAResume) {
  World world;
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  ASSERT_EQ(
      world.run({"run", flow, "--seed", "11", "--create-only", "--model", "rehearsal"}).status, 0);
  World struck = world;
  struck.environment["TERTULIA_FAILPOINTS"] = GetParam();
  const Finished hit = struck.run({"session", "resume", "1"});
  if (GetParam().find("kill") != std::string::npos) {
    EXPECT_EQ(hit.signal, SIGKILL) << "the failpoint was not passed: " << hit.err;
  }
  resume_to_end(world);
  EXPECT_EQ(transcript(world, "1"), undisturbed());
  expect_explained(world, "1");
}

std::vector<std::string> matrix() {
  std::vector<std::string> cases;
  for (const char* point : {"db.begin", "db.commit.before", "db.commit.after"})
    for (const char* action : {"kill", "error", "enospc", "eio"})
      for (const char* passage : {"4", "9"})
        cases.push_back(std::string(point) + "=" + action + "@" + passage);
  for (const char* point : {"request.before", "request.after"})
    for (const char* action : {"kill@2", "error@3"})
      cases.push_back(std::string(point) + "=" + action);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Matrix, FailpointTest, ::testing::ValuesIn(matrix()),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

TEST(CrashTest, ACommitThatWasReportedAsFailedIsNotMadeTwice) {
  World world;
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  ASSERT_EQ(
      world.run({"run", flow, "--seed", "11", "--create-only", "--model", "rehearsal"}).status, 0);
  World struck = world;
  // The commit takes place, and its success is lost: the engine must find out and go on.
  struck.environment["TERTULIA_FAILPOINTS"] = "db.commit.after=error@5";
  const Finished run = struck.run({"session", "resume", "1"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(transcript(world, "1"), undisturbed());
  expect_explained(world, "1");
  for (const auto& row : json_lines(world.run({"session", "log", "1", "--json"}).out))
    EXPECT_EQ(row.at("attempt_count").get_int64(), 1) << "no step was performed twice";
}

TEST(CrashTest, InterruptedAttemptsAreInTheLog) {
  World world;
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  ASSERT_EQ(
      world.run({"run", flow, "--seed", "11", "--create-only", "--model", "rehearsal"}).status, 0);
  World struck = world;
  struck.environment["TERTULIA_FAILPOINTS"] = "request.after=kill@2";
  ASSERT_EQ(struck.run({"session", "resume", "1"}).signal, SIGKILL);
  resume_to_end(world);
  bool found = false;
  for (const auto& session :
       json_lines(world.run({"session", "export", "1", "--format", "jsonl"}).out))
    for (const auto& call : session.at("model_calls").as_array())
      found = found || call.at("outcome").get_string() == "interrupted";
  EXPECT_TRUE(found);
}

TEST(CrashTest, CtrlCPausesAndResumeGoesOn) {
  World world;
  const std::string flow = world.write("flow.yaml", kLoopingFlow);
  Running running =
      world.start({"run", flow, "--seed", "11", "--json", "--model", "rehearsal?latency=200ms"});
  ASSERT_TRUE(running.wait_for("\"message\""));
  running.signal(SIGINT);
  const Finished paused = running.finish();
  EXPECT_EQ(paused.status, 130) << paused.err;
  EXPECT_NE(paused.err.find("tertulia session resume 1"), std::string::npos) << paused.err;
  resume_to_end(world);
  EXPECT_EQ(transcript(world, "1"), undisturbed());
  expect_explained(world, "1");
}

}  // namespace
}  // namespace tertulia::test
