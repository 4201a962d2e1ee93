#include "bare_sqlite.h"

#include <sqlite3.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace tertulia::bench {
namespace {

void check(sqlite3* db, int status) {
  if (status == SQLITE_OK || status == SQLITE_DONE || status == SQLITE_ROW) return;
  std::fprintf(stderr, "bare sqlite3: %s\n", sqlite3_errmsg(db));
  std::exit(1);
}

sqlite3_stmt* prepare(sqlite3* db, const char* text) {
  sqlite3_stmt* statement = nullptr;
  check(db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
  return statement;
}

void run(sqlite3* db, sqlite3_stmt* statement) {
  check(db, sqlite3_step(statement));
  sqlite3_reset(statement);
}

void bind(sqlite3_stmt* statement, int at, const char* text) {
  sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

// Values of the sizes that a rehearsed step of the benchmark's flow has.
constexpr const char* kTime = "2026-11-24T10:56:51.123456Z";
constexpr const char* kStepSnapshot =
    R"({"kind":"speak","path":"1.loop.7","role":"a","task":"Say the next thing about the topic.",)"
    R"("context":{"scope":"all","last":6},"loops":[0],"next":8})";
constexpr const char* kContextSnapshot =
    R"({"rule":{"scope":"all","last":6},"first":101,"last":106,"count":6,"estimated_tokens":421,)"
    R"("request_sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"})";
constexpr const char* kResult = R"({"message_id":107,"position":107,"tokens":[421,77]})";
constexpr const char* kMessage =
    "As Ann I stand in for a model during this rehearsal, and my part is \"Say the next thing "
    "about "
    "the topic\". 6 messages reached me, the newest from Bob: \"I grant the easy half of ...\". "
    "Nobody "
    "has yet named the cost of leaving it as it is. That is all this turn can carry.";
constexpr const char* kState =
    R"({"status":"running","frames":[[0,12,1]],"open":[120,7,13,1,0,"running"],"round":12,)"
    R"("round_start":100,"previous_round_start":90,"last_order":120,"last_position":107,)"
    R"("steps_used":107,"elapsed_ms":1200,"spoken":{"a":[40,105],"b":[33,106],"c":[34,104]},)"
    R"("visits":{"1":12,"2":12,"3":12},"limits":{"steps":1000000,"rounds":1000000}})";

constexpr const char* kEvents =
    R"([{"type":"step.completed","order":107,"status":"completed","result_type":"success",)"
    R"("attempt_count":1,"duration_ms":1},{"type":"message","message":{"position":107,"order":107,)"
    R"("role":"a","speaker":"Ann","round":12,"text":null}},{"type":"step.started","order":108,)"
    R"("step":"speak 8","kind":"speak","role":"b","round":12,"iteration":0}])";

}  // namespace

BareResult run_bare(const std::string& path, int sessions, int steps, int per_transaction,
                    bool with_events) {
  sqlite3* db = nullptr;
  check(db,
        sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr));
  check(db,
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                     "INSERT INTO flow_templates (id, name, is_active, created_at, updated_at)"
                     " VALUES (1, 'bare', 1, '2026', '2026');"
                     "INSERT INTO flow_versions (id, flow_template_id, number, source_format,"
                     " source, source_sha256, created_at) VALUES (1, 1, 1, 'yaml', '', '', '2026');"
                     "INSERT INTO flow_steps (id, flow_template_id, \"order\", flow_version_id)"
                     " VALUES (1, 1, 1, 1);",
                     nullptr, nullptr, nullptr));
  for (int id = 1; id <= sessions; ++id) {
    const std::string number = std::to_string(id);
    const std::string rows =
        "INSERT INTO sessions (id, topic, status, current_round, executed_steps_count, created_at,"
        " updated_at) VALUES (" +
        number +
        ", 't', 'running', 1, 0, '2026', '2026');"
        "INSERT INTO session_roles (id, session_id, role_ref, created_at)"
        " VALUES (" +
        number + ", " + number +
        ", 'a', '2026');"
        "INSERT INTO machine_states (session_id, state, updated_at)"
        " VALUES (" +
        number + ", '{}', '2026');";
    check(db, sqlite3_exec(db, rows.c_str(), nullptr, nullptr, nullptr));
  }
  sqlite3_stmt* open =
      prepare(db,
              "INSERT INTO step_execution_logs (session_id, step_id, execution_order, round_index,"
              " loop_iteration, attempt_count, status, created_at, started_at, step_snapshot,"
              " context_snapshot) VALUES (?6, 1, ?1, ?2, ?2, 1, 'running', ?3, ?3, ?4, ?5)");
  sqlite3_stmt* close = prepare(
      db,
      "UPDATE step_execution_logs SET status='completed', result_type='success', result_data=?2,"
      " duration_ms=?3, memory_usage_mb=30.5, completed_at=?4 WHERE id=?1");
  sqlite3_stmt* say = prepare(
      db,
      "INSERT INTO messages (session_id, speaker_session_role_id, content, round_index, created_at,"
      " position) VALUES (?5, ?5, ?1, ?2, ?3, ?4)");
  sqlite3_stmt* call = prepare(
      db,
      "INSERT INTO model_calls (log_id, attempt, outcome, profile, provider, model, finish_reason,"
      " prompt_tokens, completion_tokens, first_token_ms, duration_ms, started_at)"
      " VALUES (?1, 1, 'ok', 'rehearsal', 'rehearsal', 'rehearsal', 'stop', 421, 77, 0, 0, ?2)");
  sqlite3_stmt* session =
      prepare(db,
              "UPDATE sessions SET status='running', current_step_id=1, current_round=?1,"
              " executed_steps_count=?2, updated_at=?3 WHERE id=?4");
  sqlite3_stmt* state =
      prepare(db, "UPDATE machine_states SET state=?1, updated_at=?2 WHERE session_id=?3");
  sqlite3_stmt* events =
      prepare(db,
              "INSERT INTO session_events (session_id, last_number, events, created_at)"
              " VALUES (?1, ?2, ?3, ?4)");
  std::vector<sqlite3_int64> open_rows(static_cast<size_t>(sessions) + 1);
  const auto open_row = [&](int id, int order) {
    sqlite3_bind_int(open, 1, order);
    sqlite3_bind_int(open, 2, order / 10 + 1);
    bind(open, 3, kTime);
    bind(open, 4, kStepSnapshot);
    bind(open, 5, kContextSnapshot);
    sqlite3_bind_int(open, 6, id);
    run(db, open);
    open_rows[static_cast<size_t>(id)] = sqlite3_last_insert_rowid(db);
  };
  for (int id = 1; id <= sessions; ++id) open_row(id, 1);
  const auto begin = std::chrono::steady_clock::now();
  for (int count = 1; count <= steps; ++count) {
    const int id = (count - 1) % sessions + 1;
    const int step = (count - 1) / sessions + 1;
    if ((count - 1) % per_transaction == 0)
      check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr));
    sqlite3_bind_int(session, 1, step / 10 + 1);
    sqlite3_bind_int(session, 2, step);
    bind(session, 3, kTime);
    sqlite3_bind_int(session, 4, id);
    run(db, session);
    bind(say, 1, kMessage);
    sqlite3_bind_int(say, 2, step / 10 + 1);
    bind(say, 3, kTime);
    sqlite3_bind_int(say, 4, step);
    sqlite3_bind_int(say, 5, id);
    run(db, say);
    const sqlite3_int64 row = open_rows[static_cast<size_t>(id)];
    open_row(id, step + 1);
    sqlite3_bind_int64(call, 1, row);
    bind(call, 2, kTime);
    run(db, call);
    sqlite3_bind_int64(close, 1, row);
    bind(close, 2, kResult);
    sqlite3_bind_int(close, 3, step % 7);
    bind(close, 4, kTime);
    run(db, close);
    bind(state, 1, kState);
    bind(state, 2, kTime);
    sqlite3_bind_int(state, 3, id);
    run(db, state);
    if (with_events) {
      sqlite3_bind_int(events, 1, id);
      sqlite3_bind_int(events, 2, 3 * step);
      bind(events, 3, kEvents);
      bind(events, 4, kTime);
      run(db, events);
    }
    if (count % per_transaction == 0 || count == steps)
      check(db, sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr));
  }
  const auto end = std::chrono::steady_clock::now();
  for (sqlite3_stmt* each : {open, close, say, call, session, state, events})
    sqlite3_finalize(each);
  check(db, sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr));
  sqlite3_close(db);
  return {std::chrono::duration<double>(end - begin).count(),
          static_cast<double>(std::filesystem::file_size(path)) / steps};
}

}  // namespace tertulia::bench
