// Commands through a server elsewhere: they say what they say on the server's own machine, go on
// when the server comes back, and keep the token to themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <csignal>
#include <regex>

#include "base/json.h"
#include "support/flows.h"
#include "support/model_server.h"
#include "support/postgres_server.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace json = base::json;
using Words = std::vector<std::string>;

// What differs between two runs of the same command: times, and how long something took.
std::string without_times(std::string text) {
  static const std::vector<std::pair<std::regex, std::string>> kForms = {
      {std::regex(R"(\d{4}-\d\d-\d\dT[0-9:.]+Z)"), "TIME"},
      {std::regex(R"re("(duration_ms|step_time_ms|first_token_ms)": ?\d+)re"), "\"$1\":0"},
      {std::regex(R"re("memory_usage_mb": ?[0-9.]+)re"), "\"memory_usage_mb\":0"},
      // Nothing is said of what took no time.
      {std::regex(R"( *\b\d+(\.\d+)? (ms|s|min)\b)"), ""},
      {std::regex(R"( +\n)"), "\n"},
      {std::regex(R"([0-9a-f]{64})"), "SHA256"}};
  for (const auto& [form, word] : kForms) text = std::regex_replace(text, form, word);
  return text;
}

// Durable events alone: tokens come in other pieces, or not at all.
std::string without_tokens(const std::string& lines) {
  std::string out;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);)
    if (line.find(R"("type":"token")") == std::string::npos) out += line + "\n";
  return out;
}

class RemoteCommands : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) return;
    here_.database = PostgresServer::shared().create_database();
    there_.database = PostgresServer::shared().create_database();
  }
  void serve(const Words& more = {"--model", "rehearsal"}) {
    served_ = std::make_unique<Serving>(there_, more);
    client_.environment["TERTULIA_SERVER"] = served_->url();
  }
  // The same command on a database and through the server; the second's end.
  Finished both(const Words& words) {
    const Finished here = here_.run(words);
    const Finished there = client_.run(words);
    std::string command;
    for (const auto& word : words) command += " " + word;
    EXPECT_EQ(there.status, here.status) << command << "\n" << here.err << there.err;
    EXPECT_EQ(without_times(without_tokens(there.out)), without_times(without_tokens(here.out)))
        << command;
    EXPECT_EQ(without_times(there.err), without_times(here.err)) << command;
    return there;
  }

  World here_;    // has a database
  World there_;   // is the server's
  World client_;  // has none
  std::unique_ptr<Serving> served_;
};
std::string engine_name(const testing::TestParamInfo<bool>& info) {
  return info.param ? "PostgreSQL" : "SQLite";
}
INSTANTIATE_TEST_SUITE_P(, RemoteCommands, testing::Bool(), engine_name);

TEST_P(RemoteCommands, SayTheSameOfASession) {
  serve();
  const std::string flow = here_.write("flow.yaml", kLoopingFlow);
  const Finished run = both({"run", flow, "--topic", "Tea", "--seed", "7", "--model", "rehearsal"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(both({"run", "debate", "--seed", "3", "--model", "rehearsal", "--json"}).status, 0);
  both({"run", flow, "--seed", "7", "--model", "rehearsal", "--max-steps", "2"});
  both({"run", "debate", "--seed", "4", "--model", "rehearsal", "--create-only", "--json"});
  for (const Words& words :
       std::vector<Words>{{"session", "list"},
                          {"session", "list", "--json", "--limit", "2"},
                          {"session", "list", "--status", "paused", "--flow", "looping"},
                          {"session", "list", "2"},
                          {"session", "show", "1"},
                          {"session", "show", "3", "--json"},
                          {"session", "show", "99"},
                          {"session", "messages", "1"},
                          {"session", "messages", "1", "--json"},
                          {"session", "log", "1"},
                          {"session", "log", "1", "--tree", "--full"},
                          {"session", "log", "1", "--json"},
                          {"session", "document", "1", "text"},
                          {"session", "document", "1", "text", "--diff"},
                          {"session", "document", "1", "text", "--json", "--version", "1"},
                          {"session", "document", "1", "nothing"},
                          {"session", "replay", "1"},
                          {"session", "replay", "1", "--json"},
                          {"session", "compare", "1", "3"},
                          {"session", "compare", "1", "2", "--json"},
                          {"session", "stats"},
                          {"session", "stats", "--flow", "debate", "--json"},
                          {"session", "search", "Rehears"},
                          {"session", "search", "Rehears", "--json", "--limit", "3"},
                          {"session", "export", "1"},
                          {"session", "export", "1", "2", "--format", "json"},
                          {"session", "export", "--flow", "looping"},
                          {"session", "pause", "1"},
                          {"session", "skip", "1"},
                          {"session", "delete"},
                          {"session", "delete", "--flow", "debate"},
                          {"session", "prune", "--older-than", "30d", "--dry-run", "--json"}})
    both(words);
}

TEST_P(RemoteCommands, SteerASessionTheSameWay) {
  serve();
  const std::string flow = here_.write("flow.yaml", kLoopingFlow);
  EXPECT_EQ(both({"run", flow, "--seed", "7", "--model", "rehearsal", "--max-steps", "2"}).status,
            5);
  EXPECT_EQ(both({"session", "resume", "1"}).status, 5);
  EXPECT_EQ(both({"session", "resume", "1", "--max-steps", "4", "--json"}).status, 5);
  EXPECT_EQ(both({"session", "step", "1"}).status, 5);
  both({"session", "branch", "1", "--at", "1", "--edit", "Other words.", "--topic", "Tea"});
  both({"session", "branch", "1", "--at", "1", "--json"});
  both({"session", "branch", "1", "--at", "77"});
  std::string changed = kLoopingFlow;
  changed.replace(changed.find("Thank the critic."), 17, "Thank nobody.");
  both({"session", "branch", "1", "--at", "1", "--flow", here_.write("changed.yaml", changed)});
  both({"session", "branch", "1", "--at", "1", "--flow-version", "latest"});
  both({"session", "rerun", "1", "--from", "1", "--json"});
  EXPECT_EQ(both({"session", "resume", "1", "--max-steps", "100"}).status, 0);
  EXPECT_EQ(both({"session", "resume", "1"}).status, 0);
  both({"session", "cancel", "2"});
  both({"session", "show", "2"});
  both({"session", "retry", "1"});

  const std::string asking = here_.write("asking.yaml", kAskingFlow);
  EXPECT_EQ(both({"run", asking, "--seed", "1", "--model", "rehearsal"}).status, 5);
  const std::string id = "7";
  both({"session", "resume", id});
  both({"session", "show", id, "--json"});
  EXPECT_EQ(both({"session", "answer", id, "Rye"}).status, 0);
  both({"session", "answer", id, "Rye"});

  both({"session", "delete", "3"});
  both({"session", "delete", "3"});
  both({"session", "delete", "--status", "finished", "--dry-run"});
  both({"session", "delete", "--status", "finished", "--yes"});
  both({"session", "list"});
}

TEST_P(RemoteCommands, HandleFlowsRolesAndImportsTheSameWay) {
  serve();
  const std::string flow = here_.write("flow.yaml", kLoopingFlow);
  const std::string wrong =
      here_.write("wrong.yaml", "tertulia: 1\nname: wrong\nsteps: [ { spoke: a } ]\n");
  const std::string role =
      here_.write("role.yaml", "name: Baker\nprompt: You bake.\ntemperature: 0.5\n");
  for (const Words& words : std::vector<Words>{{"flow", "list"},
                                               {"flow", "check", flow},
                                               {"flow", "check", wrong},
                                               {"flow", "check", wrong, "--json"},
                                               {"run", wrong},
                                               {"flow", "import", flow},
                                               {"flow", "import", flow, "--json"},
                                               {"flow", "list", "--json"},
                                               {"flow", "show", "looping"},
                                               {"flow", "show", "debate", "--json"},
                                               {"flow", "show", "debatte"},
                                               {"flow", "export", "looping"},
                                               {"flow", "export", "looping", "--version", "1"},
                                               {"flow", "export", "looping", "--version", "9"},
                                               {"role", "list"},
                                               {"role", "import", role},
                                               {"role", "list", "--json"},
                                               {"role", "show", "Baker"},
                                               {"role", "show", "Bakr"},
                                               {"role", "export", "Baker"}})
    both(words);

  ASSERT_EQ(here_.run({"run", flow, "--seed", "7", "--model", "rehearsal"}).status, 0);
  const std::string lines = here_.run({"session", "export", "1", "--format", "jsonl"}).out;
  const std::string file = here_.write("two.jsonl", lines + lines);
  const Finished imported = client_.run({"session", "import", file});
  EXPECT_EQ(imported.status, 0) << imported.err;
  EXPECT_EQ(imported.out, "session 1\nsession 2\n");
  EXPECT_THAT(imported.err, HasSubstr("2 sessions imported"));
  std::string spoilt = lines;
  spoilt.replace(spoilt.find("Should we store"), 15, "Should we shred");
  const Finished refused = client_.run({"session", "import", here_.write("spoilt.json", spoilt)});
  EXPECT_EQ(refused.status, 2) << refused.err;
  EXPECT_EQ(client_.run({"session", "replay", "2"}).status, 0);
}

TEST_P(RemoteCommands, ASessionGoesOnWhenTheServerComesBackAndNothingIsToldTwice) {
  for (const int number : {SIGKILL, SIGTERM}) {
    serve({"--model", "rehearsal?latency=60ms"});
    const std::uint16_t port = served_->port();
    Running run = client_.start({"run", here_.write("flow.yaml", kTalkingFlow), "--json"});
    ASSERT_TRUE(run.wait_for(R"("position":2)"));
    served_->signal(number);
    static_cast<void>(served_->finish());
    served_.reset();
    Serving again(there_, {"--model", "rehearsal?latency=60ms"}, port);
    const Finished finished = run.finish();
    EXPECT_EQ(finished.status, 0) << finished.err;
    std::int64_t last = 0, messages = 0;
    std::istringstream lines(without_tokens(finished.out));
    for (std::string line; std::getline(lines, line);) {
      const auto event = base::parse_json(line).value();
      EXPECT_EQ(event.at("id").as_int64(), ++last) << line;
      if (event.at("type").as_string() == "message") ++messages;
    }
    EXPECT_EQ(messages, 12);
    EXPECT_EQ(client_.run({"session", "replay", number == SIGKILL ? "1" : "2"}).status, 0);
    static_cast<void>(again.stop());
  }
}

TEST_P(RemoteCommands, APersonPlaysARoleThere) {
  serve();
  const Finished asked = both(
      {"run", "panel-interview", "--seed", "7", "--model", "rehearsal", "--play", "candidate"});
  EXPECT_EQ(asked.status, 5) << asked.err;
  EXPECT_EQ(both({"session", "answer", "1", "I would ask first."}).status, 5);
  EXPECT_EQ(both({"run", "panel-interview", "--model", "rehearsal", "--play", "nobody"}).status, 2);
}

TEST_P(RemoteCommands, CtrlCPausesTheSessionOnTheServer) {
  serve({"--model", "rehearsal?latency=60ms"});
  Running run = client_.start({"run", here_.write("flow.yaml", kTalkingFlow), "--json"});
  ASSERT_TRUE(run.wait_for(R"("position":1)"));
  run.signal(SIGINT);
  const Finished finished = run.finish();
  EXPECT_EQ(finished.status, 130) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr("tertulia session resume 1"));
  EXPECT_THAT(client_.run({"session", "show", "1", "--json"}).out,
              HasSubstr(R"("status":"paused","stop_reason":"asked")"));
  // With --server the words to go on have it too.
  World other;
  other.environment.erase("TERTULIA_SERVER");
  const Finished stepped = other.run({"session", "step", "1", "--server", served_->url()});
  EXPECT_EQ(stepped.status, 5) << stepped.err;
  EXPECT_THAT(stepped.err, HasSubstr("tertulia --server " + served_->url() + " session resume 1"));
  EXPECT_EQ(client_.run({"session", "resume", "1"}).status, 0);
}

TEST_P(RemoteCommands, WhatTheServerHasNoDatabaseForIsAnErrorOfTheDatabase) {
  if (GetParam()) GTEST_SKIP() << "a SQLite file is hurt";
  serve();
  ASSERT_EQ(client_.run({"run", "debate"}).status, 0);
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(there_.database.c_str(), &database), SQLITE_OK);
  sqlite3_busy_timeout(database, 10'000);
  EXPECT_EQ(
      sqlite3_exec(database, "PRAGMA foreign_keys = OFF; ALTER TABLE model_calls RENAME TO away;",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(database);
  const Finished refused = client_.run({"session", "log", "1", "--full"});
  EXPECT_EQ(refused.status, 3) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("table model_calls is missing"));
  EXPECT_THAT(refused.err, HasSubstr("tertulia db repair"));
  EXPECT_EQ(client_.run({"run", "debate"}).status, 3);
}

class RemoteAddress : public testing::Test {
 protected:
  Finished run(const Words& words, const std::map<std::string, std::string>& environment = {}) {
    World client = client_;
    for (const auto& [name, value] : environment) client.environment[name] = value;
    Finished finished = client.run(words);
    EXPECT_THAT(finished.out + finished.err, Not(HasSubstr("tt_secret")));
    return finished;
  }
  World client_;
};

TEST_F(RemoteAddress, ATokenIsTakenFromWhereItMayStandAndFromNowhereElse) {
  World there;
  const Finished made = there.run({"token", "create", "cli", "--scope", "run"});
  const std::string token = made.out.substr(0, made.out.find('\n'));
  there.write("config.yaml", "server: { require_token: true }\n");
  Serving served(there, {"--model", "rehearsal", "--config", there.path("config.yaml")});
  const Words list = {"session", "list", "--server", served.url()};

  const Finished without = run(list);
  EXPECT_EQ(without.status, 2);
  EXPECT_THAT(without.err, HasSubstr("TERTULIA_TOKEN, or --token-file FILE"));
  EXPECT_EQ(run(list, {{"TERTULIA_TOKEN", "tt_secret"}}).status, 2);
  EXPECT_EQ(run(list, {{"TERTULIA_TOKEN", token}}).status, 0);
  // It is another server's.
  EXPECT_EQ(
      run(list, {{"TERTULIA_TOKEN", token}, {"TERTULIA_SERVER", "http://127.0.0.1:1"}}).status, 2);
  Words with_file = list;
  with_file.insert(with_file.end(), {"--token-file", client_.write("token", token + "\n")});
  EXPECT_EQ(run(with_file).status, 0);
  with_file.back() = client_.write("empty", "\n");
  EXPECT_EQ(run(with_file).status, 2);
  // The configuration's goes to the configuration's own server.
  const std::string config =
      client_.write("config.yaml", "remote: { url: '" + served.url() + "', token: { file: '" +
                                       client_.path("token") + "' } }\n");
  EXPECT_EQ(run({"session", "list", "--config", config, "--server", served.url() + "/"}).status, 0);
  ModelServer other([](const ReceivedRequest& request, Reply& reply) {
    EXPECT_EQ(request.header("authorization"), "");
    reply.answer(302, "", "text/plain", "Location: https://elsewhere.example/\r\n");
  });
  const Finished redirected =
      run({"session", "list", "--config", config, "--server", other.address()});
  EXPECT_EQ(redirected.status, 2);
  EXPECT_THAT(redirected.err, HasSubstr("redirects are not followed"));
  const Finished doctor = run({"doctor", "--server", served.url()}, {{"TERTULIA_TOKEN", token}});
  EXPECT_EQ(doctor.status, 0) << doctor.err;
  EXPECT_THAT(doctor.out, HasSubstr("***"));
  EXPECT_THAT(doctor.out, Not(HasSubstr(token)));
  // A scope that does not reach is the server's word.
  const Finished pruned =
      run({"session", "prune", "--older-than", "1d", "--dry-run", "--server", served.url()},
          {{"TERTULIA_TOKEN", token}});
  EXPECT_EQ(pruned.status, 2);
  EXPECT_THAT(pruned.err, HasSubstr("scope admin"));
}

TEST_F(RemoteAddress, ATokenDoesNotGoInTheOpenOverANetwork) {
  const Words list = {"session", "list", "--server", "http://tertulia.invalid:5010"};
  const Finished refused = run(list, {{"TERTULIA_TOKEN", "tt_secret"}});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("is not encrypted"));
  EXPECT_THAT(refused.err, HasSubstr("https://"));
  Words allowed = list;
  allowed.emplace_back("--allow-plain-http");
  EXPECT_EQ(run(allowed, {{"TERTULIA_TOKEN", "tt_secret"}}).status, 4);
  EXPECT_EQ(run(list).status, 4);
  EXPECT_EQ(run({"session", "list", "--server", "http://me:tt_secret@127.0.0.1:1"}).status, 2);
  EXPECT_EQ(run({"session", "list", "--server", "ftp://127.0.0.1"}).status, 2);
}

TEST_F(RemoteAddress, WhatCannotWorkThereSaysSo) {
  ModelServer page([](const ReceivedRequest&, Reply& reply) {
    reply.answer(200, "<html></html>", "text/html");
  });
  const Finished wrong = run({"session", "list", "--server", page.address()});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("see that the address is right"));
  const Finished nobody = run({"session", "list", "--server", "http://127.0.0.1:1"});
  EXPECT_EQ(nobody.status, 4);
  EXPECT_THAT(nobody.err, HasSubstr("cannot be reached"));
  for (const Words& words : std::vector<Words>{{"db", "status"},
                                               {"token", "list"},
                                               {"db", "verify"},
                                               {"model", "test", "rehearsal"},
                                               {"run", "debate", "--script", "x.yaml"},
                                               {"run", "debate", "--record", "x.jsonl"},
                                               {"run", "debate", "--model", "replay:x"}}) {
    const Finished refused = run(words, {{"TERTULIA_SERVER", "http://127.0.0.1:1"}});
    EXPECT_EQ(refused.status, 2) << words.front();
    EXPECT_THAT(refused.err, HasSubstr("not through a server")) << words.front();
  }
  // To be a server oneself, another one is not needed.
  EXPECT_THAT(run({"serve", "--model", "rehearsal", "--listen", "nowhere"},
                  {{"TERTULIA_SERVER", "http://127.0.0.1:1"}})
                  .err,
              HasSubstr("nowhere"));
  EXPECT_THAT(run({"serve", "--model", "rehearsal", "--server", "http://127.0.0.1:1"}).err,
              HasSubstr("not through a server"));
  const Finished two =
      run({"session", "list", "--server", "http://127.0.0.1:1", "--db", client_.database});
  EXPECT_EQ(two.status, 2);
  // A database that is named nearer goes before.
  EXPECT_EQ(run({"session", "list", "--db", client_.database},
                {{"TERTULIA_SERVER", "http://127.0.0.1:1"}})
                .status,
            0);
}

}  // namespace
}  // namespace tertulia::test
