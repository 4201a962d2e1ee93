// What is done with sessions as a whole, by the real program: exported as a page, carried to
// another database and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <map>
#include <set>

#include "base/json.h"
#include "support/flows.h"
#include "support/legacy_database.h"
#include "support/places.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace json = base::json;

json::object object_of(const std::string& text) {
  auto parsed = base::parse_json(text);
  EXPECT_TRUE(parsed && parsed->is_object()) << text;
  return parsed && parsed->is_object() ? parsed->as_object() : json::object();
}

class SessionToolsTest : public ::testing::Test {
 protected:
  // A session of the looping flow, to its end or to a limit.
  void perform(const std::vector<std::string>& more = {}, int status = 0) {
    std::vector<std::string> arguments = {
        "run", world_.write("flow.yaml", kLoopingFlow), "--model", "rehearsal", "--seed", "7"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished run = world_.run(arguments);
    ASSERT_EQ(run.status, status) << run.err;
  }
  std::string exported(const World& world, const std::string& id, const std::string& format) {
    const Finished done = world.run({"session", "export", id, "--format", format});
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out;
  }
  World at(const std::string& database) const {
    World other = world_;
    other.database = database;
    return other;
  }
  void expect_replays(const World& world, const std::string& id) {
    const Finished replay = world.run({"session", "replay", id});
    EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
  }

  World world_;
};

// ---- html ---------------------------------------------------------------------------------------

// The page as Python's own parser sees it.
json::object parsed_page(const World& world, const std::string& page) {
  const std::string command =
      "python3 " + in_source("tests/support/html_check.py") + " " + world.write("page.html", page);
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe))
    out.append(buffer, got);
  EXPECT_EQ(::pclose(pipe), 0) << "python3 could not parse the page";
  return object_of(out);
}

constexpr const char* kHostile =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" onmouseover=\"alert(3) ' "
    "&lt;b&gt; <!-- ]]> \u202Eevil\u2066 javascript:alert(4) <a href=http://evil.example>";

TEST_F(SessionToolsTest, APageHoldsHostileWordsAsTextOnly) {
  const std::string flow = world_.write("hostile.yaml", std::string(R"(tertulia: 1
name: hostile
title: "Title <script>alert(0)</script>"
roles:
  a: { name: "<b onclick=x>A'</b>", prompt: "<iframe src=//evil>" }
  b: { name: "\u202EB", prompt: p }
steps:
  - { id: first, speak: a, to: b, document: text }
  - { id: second, speak: b, output: { type: object, required: [x], properties: { x: { type: string } } } }
)"));
  json::object script;
  script["first"] = kHostile;
  script["second"] = json::object{{"x", kHostile}};
  const Finished run = world_.run({"run", flow, "--model", "rehearsal", "--topic", kHostile,
                                   "--script", world_.write("s.yaml", base::to_text(script))});
  ASSERT_EQ(run.status, 0) << run.err;
  const std::string page = exported(world_, "1", "html");

  const json::object seen = parsed_page(world_, page);
  const std::set<std::string> ours = {
      "html",   "head", "meta",  "title",   "style", "body",    "h1",   "h2",  "p",
      "dl",     "dt",   "dd",    "details", "bdi",   "summary", "span", "div", "article",
      "strong", "pre",  "table", "tr",      "th",    "td",      "br"};
  for (const auto& tag : seen.at("tags").as_object())
    EXPECT_TRUE(ours.contains(tag.key())) << tag.key();
  for (const auto& attribute : seen.at("attributes").as_array()) {
    const std::string text(attribute.as_string());
    EXPECT_THAT(text, Not(HasSubstr("alert")));
    EXPECT_THAT(text, Not(testing::ContainsRegex("^[a-z]+\\.(on|src|href|action)")));
  }
  // All of it is there to be read, but for what turns the text.
  std::string words = kHostile;
  for (const auto& [raw, told] : {std::pair("\u202E", "⟨U+202E⟩"), std::pair("\u2066", "⟨U+2066⟩")})
    words.replace(words.find(raw), 3, told);
  EXPECT_THAT(std::string(seen.at("text").as_string()), HasSubstr(words));
  EXPECT_THAT(std::string(seen.at("text").as_string()),
              HasSubstr("Rehearsal: spoken by the built-in stand-in"));
  EXPECT_THAT(page, Not(HasSubstr("\u202E")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST_F(SessionToolsTest, APageHoldsTheWholeSession) {
  perform();
  const json::object seen = parsed_page(world_, exported(world_, "1", "html"));
  const json::object tags = seen.at("tags").as_object();
  const json::object session = object_of(exported(world_, "1", "json"));
  EXPECT_EQ(tags.at("article").to_number<std::size_t>(), session.at("messages").as_array().size());
  EXPECT_EQ(tags.at("tr").to_number<std::size_t>(),
            session.at("step_execution_logs").as_array().size() + 1);
  const std::string text(seen.at("text").as_string());
  for (const char* words : {"Should we store sessions in SQLite?", "评论人（编辑） to Writer",
                            "Round 2", "document text, version", "Result", "rehearsal"})
    EXPECT_THAT(text, HasSubstr(words));
  EXPECT_EQ(world_.run({"session", "export", "1", "--format", "pdf"}).status, 2);
}

// ---- import -------------------------------------------------------------------------------------

// What an export says, without what is the database's own: ids and the number of the version.
std::string content_of(const std::string& text) {
  json::object document = object_of(text);
  for (const char* name :
       {"sha256", "session_id", "session", "flow", "flow_version", "flow_source", "session_roles"})
    document.erase(name);
  document["flow_snapshot"].as_object()["flow"] = "";
  document["flow_snapshot"].as_object()["version"] = 0;
  std::map<std::int64_t, std::int64_t> orders;
  for (auto& each : document["step_execution_logs"].as_array()) {
    json::object& row = each.as_object();
    orders[row.at("id").as_int64()] = row.at("execution_order").as_int64();
    for (const char* name : {"id", "session_id", "step_id"}) row.erase(name);
    if (row["parent_log_id"].is_int64())
      row["parent_log_id"] = orders.at(row["parent_log_id"].as_int64());
    if (row["result_data"].is_object()) row["result_data"].as_object().erase("message_id");
  }
  for (auto& each : document["messages"].as_array())
    for (const char* name : {"id", "speaker_session_role_id", "target_session_role_id"})
      each.as_object().erase(name);
  for (auto& each : document["model_calls"].as_array())
    for (const char* name : {"id", "log_id"}) each.as_object().erase(name);
  return base::to_text(document);
}

TEST_F(SessionToolsTest, AnExportedSessionIsTheSameOnEveryEngineAndGoesOn) {
  perform();
  perform({"--max-steps", "3"}, 5);
  std::string file = exported(world_, "2", "json");
  const std::string original = content_of(file);
  // From SQLite to PostgreSQL, from there to another SQLite file.
  for (const std::string& database :
       {PostgresServer::shared().create_database(), world_.path("back.db")}) {
    const World there = at(database);
    const Finished imported =
        there.run({"--json", "session", "import", world_.write("s.json", file)});
    ASSERT_EQ(imported.status, 0) << imported.out << imported.err;
    const json::object told = object_of(imported.out);
    EXPECT_EQ(told.at("session_id").as_int64(), 1);
    EXPECT_TRUE(told.at("flow_is_new").as_bool());
    expect_replays(there, "1");
    file = exported(there, "1", "json");
    EXPECT_EQ(content_of(file), original);
    EXPECT_EQ(there.run({"db", "verify"}).status, 0);
    const Finished resumed = there.run({"session", "resume", "1", "--max-steps", "100"});
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    expect_replays(there, "1");
    // A second copy finds the flow's version by its text.
    const Finished again = there.run({"--json", "session", "import", world_.path("s.json")});
    EXPECT_FALSE(object_of(again.out).at("flow_is_new").as_bool());
    EXPECT_EQ(object_of(again.out).at("session_id").as_int64(), 2);
  }
  // Gone on with, it says what the original says when it goes on.
  ASSERT_EQ(world_.run({"session", "resume", "2", "--max-steps", "100"}).status, 0);
  EXPECT_EQ(object_of(exported(at(world_.path("back.db")), "1", "json")).at("result"),
            object_of(exported(world_, "2", "json")).at("result"));
}

TEST_F(SessionToolsTest, AnImportDoesNotChangeWhatANamePerforms) {
  perform();
  const std::string file = world_.write("s.json", exported(world_, "1", "json"));
  const World there = at(world_.path("there.db"));
  const std::string own = world_.write(
      "own.yaml",
      "tertulia: 1\nname: looping\nroles: { a: { prompt: p } }\nsteps: [ { speak: a } ]\n");
  ASSERT_EQ(there.run({"flow", "import", own}).status, 0);
  const json::object told = object_of(there.run({"--json", "session", "import", file}).out);
  EXPECT_EQ(told.at("flow"), "looping-imported");
  const Finished run = there.run({"run", "looping", "--model", "rehearsal", "--create-only"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(
      object_of(there.run({"--json", "session", "show", "2"}).out).at("cast").as_array().size(),
      1u);
  expect_replays(there, "1");
}

TEST_F(SessionToolsTest, AFileThatWasCutOrChangedIsRefusedAndNothingIsImported) {
  perform();
  const std::string good = exported(world_, "1", "json");
  const auto changed = [&](const std::function<void(json::object&)>& change) {
    json::object document = object_of(good);
    change(document);
    return base::to_text(document);
  };
  const auto first = [](json::object& document, const char* list) -> json::object& {
    return document[list].as_array()[0].as_object();
  };
  struct Case {
    std::string file;
    std::string words;
  };
  const World there = at(world_.path("there.db"));
  ASSERT_EQ(there.run({"db", "init"}).status, 0);
  for (const Case& each : std::vector<Case>{
           {good.substr(0, good.size() / 2), "not one whole JSON document"},
           {good + good, "not one whole JSON document"},
           {"", "not one whole JSON document"},
           {"{}", "no exported session"},
           {changed([](json::object& d) { d["tertulia_session"] = 2; }), "version 2"},
           {changed([](json::object& d) { d.erase("messages"); }), "messages is missing"},
           {changed([](json::object& d) { d.erase("sha256"); }), "sha256 is missing"},
           {changed([&](json::object& d) { first(d, "messages")["text"] = "I never said it"; }),
            "changed since it was exported"},
           {changed(
                [&](json::object& d) { first(d, "messages")["text"] = std::string("a\0b", 3); }),
            "messages[0].content holds"},
           {changed([&](json::object& d) { first(d, "model_calls")["cost_usd"] = 0.5; }),
            "changed since it was exported"},
           {changed([&](json::object& d) { first(d, "step_execution_logs")["status"] = "done"; }),
            "step_execution_logs[0].status holds \"done\""},
           {changed([&](json::object& d) {
              auto& rows = d["step_execution_logs"].as_array();
              rows.erase(rows.begin() + 2);
            }),
            "step_execution_logs[2].execution_order is 4, 3 was expected"},
           {changed([](json::object& d) {
              d["flow_source"].as_object()["version"].as_object()["source"] = "x";
            }),
            "is not the text of its source_sha256"}}) {
    const std::string file = world_.write("bad.json", each.file);
    const Finished refused = there.run({"session", "import", file});
    EXPECT_EQ(refused.status, 2) << refused.out << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(file + ": "));
    EXPECT_THAT(refused.err, HasSubstr(each.words));
    EXPECT_THAT(refused.err, HasSubstr("nothing was imported"));
  }
  EXPECT_EQ(there.run({"session", "import", world_.path("absent.json")}).status, 2);
  for (const char* table : {"sessions", "messages", "flow_versions", "session_roles"})
    EXPECT_EQ(query_sql(there.database, std::string("SELECT count(*) FROM ") + table),
              std::vector<std::string>{"0"})
        << table;
  // Written anew with its members in another order and other white space, it is still itself.
  json::object turned;
  const json::object document = object_of(good);
  for (auto it = document.end(); it != document.begin();) {
    --it;
    turned[it->key()] = it->value();
  }
  EXPECT_EQ(there.run({"session", "import", world_.write("t.json", base::to_text(turned))}).status,
            0);
}

TEST_F(SessionToolsTest, ALogThatDoesNotExplainItsSessionIsNotImported) {
  perform();
  static_cast<void>(
      query_sql(world_.database,
                "UPDATE step_execution_logs SET loop_iteration = 9 WHERE execution_order = 4"));
  const std::string file = world_.write("s.json", exported(world_, "1", "json"));
  const World there = at(world_.path("there.db"));
  const Finished refused = there.run({"session", "import", file});
  EXPECT_EQ(refused.status, 2) << refused.out << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("step 4: loop_iteration: log has 9"));
  EXPECT_EQ(query_sql(there.database, "SELECT count(*) FROM flow_versions"),
            std::vector<std::string>{"0"});
}

TEST_F(SessionToolsTest, AKeyGoesOnlyWhereThisMachinesConfigurationSaysSo) {
  const auto config = [&](const char* url) {
    return world_.write("c.yaml",
                        std::string("models:\n  main:\n    provider: openai\n    model: m\n"
                                    "    base_url: ") +
                            url + "\n    key: { env: OTHER_SECRET }\n");
  };
  const std::string flow = world_.write(
      "one.yaml", "tertulia: 1\nname: one\nroles: { a: { prompt: p } }\nsteps: [ { speak: a } ]\n");
  const std::string file = config("http://127.0.0.1:9/v1");
  const Finished made =
      world_.run({"--config", file, "run", flow, "--model", "main", "--create-only"});
  ASSERT_EQ(made.status, 0) << made.err;
  const std::string archive = world_.write("s.json", exported(world_, "1", "json"));
  const World there = at(world_.path("there.db"));
  // Configured alike, the session keeps its key's source; elsewhere it has none.
  ASSERT_EQ(there.run({"--config", file, "session", "import", archive}).status, 0);
  const Finished stranger =
      there.run({"--config", config("http://127.0.0.1:10/v1"), "session", "import", archive});
  ASSERT_EQ(stranger.status, 0) << stranger.err;
  EXPECT_THAT(stranger.err, HasSubstr("main"));
  EXPECT_THAT(exported(there, "1", "json"), HasSubstr("OTHER_SECRET"));
  EXPECT_THAT(exported(there, "2", "json"), Not(HasSubstr("OTHER_SECRET")));
}

}  // namespace
}  // namespace tertulia::test
