#include "bench/many_sessions.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>

#include "bench/served.h"

namespace tertulia::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFlow = R"(tertulia: 1
name: NAME
topic: Should the town keep its old bridge?
roles:
  a: { name: Ann, prompt: You are for it. }
  b: { name: Bob, prompt: You are against it. }
  c: { name: Cyd, prompt: You weigh what the others say. }
steps:
  - { speak: a, task: Open the talk about the topic. }
  - { speak: b, task: Answer what was said. }
  - { speak: c, task: Say what weighs most. }
  - { speak: a, task: Answer what was said. }
  - { speak: b, task: Say the last word against it. }
  - { speak: c, task: Sum up. }
)";

class Sqlite final {
 public:
  explicit Sqlite(const std::string& path) {
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) fail();
    run("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000");
  }
  ~Sqlite() { sqlite3_close(db_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void run(const std::string& sql) {
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }
  std::string text(const std::string& sql) {
    std::string found;
    const auto take = [](void* into, int, char** values, char**) {
      if (values[0] != nullptr) *static_cast<std::string*>(into) = values[0];
      return 0;
    };
    if (sqlite3_exec(db_, sql.c_str(), take, &found, nullptr) != SQLITE_OK) fail();
    return found;
  }
  int number(const std::string& sql) { return std::atoi(text(sql).c_str()); }

 private:
  [[noreturn]] void fail() { give_up(sqlite3_errmsg(db_)); }
  sqlite3* db_ = nullptr;
};

// Copies all rows of a table so many times. Its own id, and the columns that hold ids of other
// copied tables, are moved on by what the named table has for each copy.
void copy_rows(Sqlite& db, const std::string& table, int copies,
               const std::map<std::string, std::string>& changed) {
  std::string columns, values;
  const int count = db.number(fmt::format("SELECT count(*) FROM pragma_table_info('{}')", table));
  for (int i = 0; i < count; ++i) {
    const std::string name =
        db.text(fmt::format("SELECT name FROM pragma_table_info('{}') WHERE cid = {}", table, i));
    const auto found = changed.find(name);
    columns += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", name);
    values += (i == 0 ? "" : ", ") +
              (found != changed.end() ? found->second : fmt::format("t.\"{}\"", name));
  }
  db.run(fmt::format(
      "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {}) "
      "INSERT INTO {} ({}) SELECT {} FROM n CROSS JOIN (SELECT * FROM {}) t ORDER BY n.k",
      copies, table, columns, values, table));
}

void copy_sessions(Sqlite& db, int copies) {
  const auto moved = [&](const char* column, const char* table, const char* key = "id") {
    return fmt::format("t.{} + n.k * {}", column,
                       db.number(fmt::format("SELECT max({}) FROM {}", key, table)));
  };
  const std::string session = moved("session_id", "sessions");
  const std::string log = moved("id", "step_execution_logs");
  const std::string message = moved("id", "messages");
  const std::string role = moved("id", "session_roles");
  const std::string call = moved("id", "model_calls");
  const std::string event = moved("id", "session_events");
  const std::string message_id = fmt::format(
      "CASE WHEN t.result_data LIKE '{{\"message_id\":%' THEN json_set(t.result_data, "
      "'$.message_id', json_extract(t.result_data, '$.message_id') + n.k * {}) ELSE "
      "t.result_data END",
      db.number("SELECT max(id) FROM messages"));
  const std::string parent = moved("parent_log_id", "step_execution_logs", "id");
  const std::string log_id = moved("log_id", "step_execution_logs", "id");
  const std::string speaker = moved("speaker_session_role_id", "session_roles", "id");
  const std::string target = moved("target_session_role_id", "session_roles", "id");
  // What the copies' ids were counted from must not change meanwhile: all of it was read above.
  const std::string own = moved("id", "sessions");
  copy_rows(db, "sessions", copies,
            {{"id", own},
             {"topic", "t.topic || ' No ' || n.k"},
             {"status", "CASE WHEN n.k % 20 = 0 THEN 'paused' ELSE t.status END"},
             {"stop_reason", "CASE WHEN n.k % 20 = 0 THEN 'asked' ELSE t.stop_reason END"}});
  copy_rows(db, "session_roles", copies, {{"id", role}, {"session_id", session}});
  copy_rows(db, "machine_states", copies, {{"session_id", session}});
  copy_rows(db, "messages", copies,
            {{"id", message},
             {"session_id", session},
             {"speaker_session_role_id", speaker},
             {"target_session_role_id", target}});
  copy_rows(db, "step_execution_logs", copies,
            {{"id", log},
             {"session_id", session},
             {"parent_log_id", parent},
             {"result_data", message_id}});
  copy_rows(db, "model_calls", copies, {{"id", call}, {"log_id", log_id}});
  copy_rows(db, "session_events", copies, {{"id", event}, {"session_id", session}});
}

}  // namespace

void end_left_sessions(const std::string& path) {
  Sqlite(path).run(
      "UPDATE sessions SET status = 'terminated', stop_reason = 'cancelled' WHERE status IN "
      "('running', 'not_started') OR stop_reason = 'shutdown'");
}

ManySessions make_many_sessions(const std::string& folder, int sessions) {
  fs::create_directories(folder);
  ManySessions made{.path = fmt::format("{}/sessions-{}.db", folder, sessions)};
  // Written last: a database that is half made is not kept.
  const std::string marker = made.path + ".made";
  const std::string schema = folder + "/schema.db";
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(schema + end);
  run_program(schema, {"db", "migrate"});
  const std::string version = Sqlite(schema).text(
      "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)");
  std::string known;
  if (std::ifstream file(marker); file) std::getline(file, known, '\0');
  if (known != version) {
    for (const char* end : {"", "-wal", "-shm", ".made"}) fs::remove(made.path + end);
    const auto begin = std::chrono::steady_clock::now();
    for (const char* name : {"bridge", "river"}) {
      std::string text = kFlow;
      text.replace(text.find("NAME"), 4, name);
      const std::string file = fmt::format("{}/{}.yaml", folder, name);
      std::ofstream(file) << text;
      run_program(made.path, {"run", file, "--model", "rehearsal"});
    }
    {
      Sqlite db(made.path);
      copy_sessions(db, sessions / 2 - 1);
      db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    std::ofstream(marker) << version;
    fmt::print("  made in {:.0f} s\n",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  end_left_sessions(made.path);  // of a benchmark that was broken off
  Sqlite db(made.path);
  made.sessions = db.number("SELECT count(*) FROM sessions");
  made.steps = db.number("SELECT count(*) FROM step_execution_logs");
  fmt::print("  a database of {} sessions, {} log rows, {} messages: {:.2f} GB\n", made.sessions,
             made.steps, db.number("SELECT count(*) FROM messages"),
             static_cast<double>(fs::file_size(made.path)) / 1e9);
  return made;
}

}  // namespace tertulia::bench
