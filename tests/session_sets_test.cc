// Many sessions at once, by the real program on both engines: listed, exported and imported as JSON
// Lines, counted, compared, deleted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/json.h"
#include "db/connection.h"
#include "support/flows.h"
#include "support/places.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace json = base::json;

class SessionSetsTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
  }
  // Sessions 1 and 2 of talk are finished, 3 is paused; 4 of looping is finished; 5 is cancelled.
  void perform_five() {
    run_talk({"--seed", "1"}, 0);
    run_talk({"--seed", "2"}, 0);
    run_talk({"--seed", "3", "--max-steps", "1"}, 5);
    ASSERT_EQ(world_
                  .run({"run", world_.write("looping.yaml", kLoopingFlow), "--model", "rehearsal",
                        "--seed", "4"})
                  .status,
              0);
    run_talk({"--create-only"}, 0);
    ASSERT_EQ(world_.run({"session", "cancel", "5"}).status, 0);
  }
  void run_talk(const std::vector<std::string>& more, int status) {
    std::vector<std::string> arguments = {"run", world_.write("talk.yaml", kTalk), "--model",
                                          "rehearsal"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished run = world_.run(arguments);
    ASSERT_EQ(run.status, status) << run.err;
  }
  json::object object(std::vector<std::string> arguments, const World& world) const {
    arguments.insert(arguments.begin(), {"--json", "session"});
    const Finished done = world.run(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    auto parsed = base::parse_json(done.out);
    EXPECT_TRUE(parsed && parsed->is_object()) << done.out;
    return parsed && parsed->is_object() ? parsed->as_object() : json::object();
  }
  json::object object(const std::vector<std::string>& arguments) const {
    return object(arguments, world_);
  }
  std::vector<std::int64_t> listed(std::vector<std::string> filters = {}) const {
    filters.insert(filters.begin(), "list");
    std::vector<std::int64_t> ids;
    const json::object found = object(filters);
    for (const auto& each : found.at("items").as_array()) ids.push_back(each.at("id").as_int64());
    return ids;
  }
  // Nothing was done with these sessions for years.
  void age(const std::string& ids) {
    auto connection =
        db::open(db::Location::parse(world_.database).value(), {.access = db::Access::write});
    ASSERT_TRUE(connection) << connection.error().message;
    auto done = (*connection)
                    ->run_script(
                        "UPDATE sessions SET updated_at = '2020-01-01T00:00:00.000000Z' "
                        "WHERE id IN (" +
                        ids + ")");
    ASSERT_TRUE(done) << done.error().message << done.error().detail;
  }
  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  World world_;
};
std::string engine_name(const testing::TestParamInfo<bool>& on_postgres) {
  return on_postgres.param ? "PostgreSQL" : "SQLite";
}
INSTANTIATE_TEST_SUITE_P(, SessionSetsTest, testing::Bool(), engine_name);

using Ids = std::vector<std::int64_t>;

TEST_P(SessionSetsTest, FiltersSayWhichAreMeant) {
  perform_five();
  age("1,4");
  EXPECT_EQ(listed(), (Ids{5, 4, 3, 2, 1}));
  EXPECT_EQ(listed({"--status", "finished"}), (Ids{4, 2, 1}));
  EXPECT_EQ(listed({"--status", "finished,terminated", "--flow", "talk"}), (Ids{5, 2, 1}));
  EXPECT_EQ(listed({"--older-than", "90d"}), (Ids{4, 1}));
  EXPECT_EQ(listed({"--older-than", "90d", "--flow", "looping"}), Ids{4});
  EXPECT_EQ(listed({"3", "1"}), (Ids{3, 1}));
  EXPECT_EQ(listed({"3", "1", "--status", "paused"}), Ids{3});
  EXPECT_EQ(listed({"--limit", "2", "--below", "4"}), (Ids{3, 2}));
  for (const std::string wrong : {"90", "d", "-1d", "1y", "1.5h", "99999999999w", ""})
    EXPECT_EQ(world_.run({"session", "list", "--older-than=" + wrong}).status, 2) << wrong;
  EXPECT_EQ(world_.run({"session", "list", "--status", "done"}).status, 2);
  EXPECT_EQ(world_.run({"session", "list", "99"}).status, 2);
}

TEST_P(SessionSetsTest, JsonLinesHoldWholeSessionsForAnotherDatabase) {
  perform_five();
  const Finished exported =
      world_.run({"session", "export", "--flow", "talk", "--format", "jsonl"});
  ASSERT_EQ(exported.status, 0) << exported.err;
  const auto lines = lines_of(exported.out);
  ASSERT_EQ(lines.size(), 4u);
  std::vector<std::int64_t> ids;
  for (const std::string& line : lines)
    ids.push_back(base::at_pointer(base::parse_json(line).value(), "/session/id")->as_int64());
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << "oldest first";
  World there = world_;
  there.database = there.path("there.db");
  const Finished imported =
      there.run({"--json", "session", "import", there.write("all.jsonl", exported.out)});
  ASSERT_EQ(imported.status, 0) << imported.out << imported.err;
  EXPECT_EQ(lines_of(imported.out).size(), 4u);
  EXPECT_THAT(imported.err, HasSubstr("4 sessions imported"));
  EXPECT_EQ(there.run({"db", "verify"}).status, 0);
  const Finished again = there.run({"session", "export", "--flow", "talk", "--format", "jsonl"});
  EXPECT_EQ(lines_of(again.out).size(), 4u);

  // One line alone is one session too.
  ASSERT_EQ(there.run({"session", "import", there.write("one.jsonl", lines[0] + "\n")}).status, 0);
  EXPECT_EQ(there.run({"session", "show", "5"}).status, 0);

  EXPECT_EQ(world_.run({"session", "export", "1", "2", "--format", "json"}).status, 2);
  EXPECT_EQ(world_.run({"session", "export", "--format", "jsonl"}).status, 2);
  EXPECT_EQ(world_.run({"session", "export", "1", "99", "--format", "jsonl"}).status, 2);
  const Finished pages = world_.run({"session", "export", "1", "2"});
  EXPECT_EQ(pages.status, 0);
  EXPECT_THAT(pages.out, HasSubstr("Session 1 of the flow talk"));
  EXPECT_THAT(pages.out, HasSubstr("Session 2 of the flow talk"));
  EXPECT_LT(pages.out.find("Session 1 of"), pages.out.find("Session 2 of"));
}

TEST_P(SessionSetsTest, AWrongLineIsNamedAndTheOthersAreImported) {
  perform_five();
  auto lines = lines_of(world_.run({"session", "export", "1", "2", "4", "--format", "jsonl"}).out);
  ASSERT_EQ(lines.size(), 3u);
  std::string changed = lines[1];
  changed.replace(changed.find("\"text\":\"") + 8, 1, "#");
  const std::string torn = lines[2].substr(0, lines[2].size() / 2);
  World there = world_;
  there.database = GetParam() ? PostgresServer::shared().create_database() : there.path("there.db");
  const std::string file = there.write(
      "bad.jsonl", lines[0] + "\n" + changed + "\n\n{\"a\":1}\n" + lines[1] + "\n" + torn);
  const Finished imported = there.run({"session", "import", file});
  EXPECT_EQ(imported.status, 1) << imported.err;
  EXPECT_THAT(imported.err, HasSubstr(file + ", line 2: it was changed since it was exported"));
  EXPECT_THAT(imported.err, HasSubstr(file + ", line 4: it is no exported session"));
  EXPECT_THAT(imported.err, HasSubstr(file + ", line 6: it is not one whole JSON document"));
  EXPECT_THAT(imported.err, HasSubstr("2 sessions imported, 3 lines refused"));
  EXPECT_EQ(object({"list"}, there).at("items").as_array().size(), 2u);
  EXPECT_EQ(there.run({"db", "verify"}).status, 0);
}

TEST_P(SessionSetsTest, DeletingManyAsksFirst) {
  perform_five();
  const Finished asked = world_.run({"session", "delete", "--flow", "talk"});
  EXPECT_EQ(asked.status, 2);
  EXPECT_THAT(asked.err, HasSubstr("4 sessions would be deleted"));
  EXPECT_THAT(asked.err, HasSubstr("--yes"));
  EXPECT_EQ(world_.run({"session", "delete"}).status, 2);
  EXPECT_EQ(world_.run({"session", "delete", "--yes"}).status, 2);
  EXPECT_EQ(listed().size(), 5u);
  EXPECT_EQ(object({"delete", "--status", "finished", "--dry-run"}).at("would_delete"), 3);
  EXPECT_EQ(listed().size(), 5u);

  const json::object done = object({"delete", "--status", "finished", "--flow", "talk", "--yes"});
  EXPECT_EQ(done.at("deleted"), 2);
  EXPECT_EQ(listed(), (Ids{5, 4, 3}));
  const Finished named = world_.run({"session", "delete", "3", "5"});
  EXPECT_EQ(named.status, 0) << named.err;
  EXPECT_EQ(listed(), Ids{4});
  EXPECT_EQ(world_.run({"db", "verify"}).status, 0);
}

// At a terminal it is asked, and only a yes deletes.
TEST_P(SessionSetsTest, AtTheTerminalAYesDeletes) {
  perform_five();
  for (const std::string answer : {"n\n", "\n", "y\n"}) {
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::setenv("TERTULIA_DB", world_.database.c_str(), 1);
      ::execl(program_path(), program_path(), "session", "delete", "--flow", "talk", nullptr);
      ::_exit(127);
    }
    std::string screen;
    char bytes[4096];
    bool answered = false;
    for (ssize_t count = 0; (count = ::read(terminal, bytes, sizeof bytes)) > 0;) {
      screen.append(bytes, static_cast<std::size_t>(count));
      if (answered || screen.find("[y/N]") == std::string::npos) continue;
      ASSERT_EQ(::write(terminal, answer.data(), answer.size()),
                static_cast<ssize_t>(answer.size()));
      answered = true;
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ::close(terminal);
    EXPECT_THAT(screen, HasSubstr("Delete 4 sessions"));
    const bool yes = answer == "y\n";
    EXPECT_EQ(WEXITSTATUS(status), yes ? 0 : 1) << screen;
    EXPECT_EQ(listed().size(), yes ? 1u : 5u) << answer;
  }
}

TEST_P(SessionSetsTest, PruningTakesWhatIsOverAndOld) {
  perform_five();
  age("1,3,5");
  EXPECT_EQ(world_.run({"session", "prune"}).status, 2) << "an age is wanted";
  EXPECT_EQ(object({"prune", "--older-than", "30d", "--dry-run"}).at("would_delete"), 2);
  EXPECT_EQ(world_.run({"session", "prune", "--older-than", "30d"}).status, 2);
  EXPECT_EQ(listed().size(), 5u);
  const Finished pruned = world_.run({"session", "prune", "--older-than", "30d", "--yes"});
  EXPECT_EQ(pruned.status, 0) << pruned.err;
  EXPECT_THAT(pruned.err, HasSubstr("2 sessions are deleted"));
  EXPECT_EQ(listed(), (Ids{4, 3, 2})) << "a paused session is gone on with, whatever its age";
  EXPECT_EQ(object({"prune", "--older-than", "30d", "--status", "paused", "--yes"}).at("deleted"),
            1);
  EXPECT_EQ(listed(), (Ids{4, 2}));
}

TEST_P(SessionSetsTest, WhatIsBeingPerformedIsLeftOut) {
  run_talk({"--seed", "1"}, 0);
  Running running = world_.start(
      {"run", world_.path("talk.yaml"), "--model", "rehearsal?latency=300ms", "--json"});
  ASSERT_TRUE(running.wait_for("\"message\""));
  const Finished deleted = world_.run({"session", "delete", "--flow", "talk", "--yes"});
  EXPECT_EQ(deleted.status, 0) << deleted.err;
  EXPECT_THAT(deleted.err, HasSubstr("left out, because another process performs them: 2"));
  EXPECT_THAT(deleted.err, HasSubstr("1 session is deleted"));
  EXPECT_EQ(running.finish().status, 0);
  EXPECT_EQ(world_.run({"session", "replay", "2"}).status, 0);
}

TEST_P(SessionSetsTest, StatisticsAddUp) {
  perform_five();
  const json::object all = object({"stats"});
  const json::object& total = all.at("total").as_object();
  EXPECT_EQ(total.at("sessions"), 5);
  std::int64_t steps = 0, calls = 0, prompt = 0, completion = 0;
  for (const char* id : {"1", "2", "3", "4", "5"}) {
    const json::object shown = object({"show", id});
    steps += shown.at("steps").as_int64();
    calls += shown.at("model_calls").as_int64();
    prompt += shown.at("prompt_tokens").as_int64();
    completion += shown.at("completion_tokens").as_int64();
  }
  EXPECT_EQ(total.at("steps"), steps);
  for (const char* group : {"by_flow", "by_role", "by_model", "by_status"}) {
    std::int64_t counted = 0, in = 0, out = 0;
    for (const auto& line : all.at(group).as_array()) {
      counted += line.at("calls").as_int64();
      in += line.at("prompt_tokens").as_int64();
      out += line.at("completion_tokens").as_int64();
    }
    EXPECT_EQ(counted, calls) << group;
    EXPECT_EQ(in, prompt) << group;
    EXPECT_EQ(out, completion) << group;
  }
  const auto line = [](const json::object& of, const char* group, const char* name) {
    for (const auto& each : of.at(group).as_array())
      if (each.as_object().contains("name") && each.at("name") == name) return each.as_object();
    return json::object();
  };
  EXPECT_EQ(line(all, "by_flow", "talk").at("sessions"), 4);
  EXPECT_EQ(line(all, "by_flow", "talk").at("steps"), 8) << "with the one that a limit holds";
  EXPECT_EQ(line(all, "by_status", "finished").at("sessions"), 3);
  EXPECT_EQ(line(all, "by_status", "terminated").at("calls"), 0);
  EXPECT_EQ(line(all, "by_role", "b").at("steps"), 3);
  EXPECT_EQ(line(all, "by_role", "b").at("sessions"), 3);

  const json::object some = object({"stats", "--flow", "talk", "--status", "paused"});
  EXPECT_EQ(some.at("total").at("sessions"), 1);
  EXPECT_EQ(some.at("total").at("steps"), 2);
  EXPECT_EQ(some.at("by_role").as_array().size(), 2u);

  // A branch inherits what was said, not what it cost.
  ASSERT_EQ(world_.run({"session", "branch", "4", "--at", "9"}).status, 0);
  EXPECT_EQ(object({"stats"}).at("total").at("calls"), calls);
  EXPECT_EQ(object({"stats"}).at("total").at("sessions"), 6);
  const Finished told = world_.run({"session", "stats"});
  EXPECT_THAT(told.out, HasSubstr("looping"));
}

TEST_P(SessionSetsTest, ComparingSaysWhereTwoPart) {
  perform_five();
  ASSERT_EQ(world_
                .run({"session", "branch", "1", "--at", "2", "--edit",
                      "I would rather have 咖啡 than tea."})
                .status,
            0);
  ASSERT_EQ(world_.run({"session", "resume", "6"}).status, 0);
  const json::object parted = object({"compare", "1", "6"});
  EXPECT_EQ(parted.at("part_at"), 2);
  EXPECT_EQ(parted.at("same_flow"), true);
  EXPECT_EQ(parted.at("same_topic"), true);
  EXPECT_EQ(parted.at("messages").at(1).at("text"), "I would rather have 咖啡 than tea.");
  EXPECT_EQ(parted.at("sessions").at(0).at("model_calls"), 3);
  EXPECT_EQ(parted.at("sessions").at(1).at("model_calls"), 1);
  EXPECT_EQ(parted.at("sessions").at(1).at("messages"), 3);

  // Only the words that differ.
  const std::string file = world_.write("s.yaml", "second: 'We like green tea 很多 here'");
  run_talk({"--seed", "1", "--script", file}, 0);
  run_talk(
      {"--seed", "1", "--script", world_.write("t.yaml", "second: 'We like black tea 很少 here'")},
      0);
  const json::object words = object({"compare", "7", "8"});
  EXPECT_EQ(
      base::to_text(words.at("differing_words")),
      R"([{"only_first":"green"},{"only_second":"black"},{"only_first":"多"},{"only_second":"少"}])");

  // A structured output is compared by its members.
  const auto verdict = [&](const char* score) {
    EXPECT_EQ(world_
                  .run({"session", "branch", "4", "--at", "3", "--edit",
                        std::string("{\"approved\":false,\"score\":") + score + "}"})
                  .status,
              0);
  };
  verdict("2");
  verdict("3");
  EXPECT_EQ(base::to_text(object({"compare", "9", "10"}).at("differing_words")),
            R"([{"only_first":"2"},{"only_second":"3"}])");

  const json::object shorter = object({"compare", "7", "3"});
  EXPECT_EQ(shorter.at("same_flow"), true);
  const json::object branch = object({"compare", "3", "3"});
  EXPECT_TRUE(branch.at("part_at").is_null());
  EXPECT_EQ(object({"compare", "1", "4"}).at("same_flow"), false);
  EXPECT_EQ(object({"compare", "1", "4"}).at("same_topic"), false);
  const Finished told = world_.run({"session", "compare", "7", "8"});
  EXPECT_THAT(told.out, HasSubstr("they part at message 2"));
  EXPECT_THAT(told.out, HasSubstr("- green"));
  EXPECT_THAT(told.out, HasSubstr("+ black"));
  EXPECT_THAT(world_.run({"session", "compare", "3", "3"}).out, HasSubstr("they say the same"));
  EXPECT_EQ(world_.run({"session", "compare", "1", "99"}).status, 2);

  // One that stops earlier says nothing more.
  ASSERT_EQ(world_.run({"session", "branch", "1", "--at", "1"}).status, 0);
  const json::object stopped = object({"compare", "1", "11"});
  EXPECT_EQ(stopped.at("part_at"), 2);
  EXPECT_TRUE(stopped.at("messages").at(1).is_null());
}

}  // namespace
}  // namespace tertulia::test
