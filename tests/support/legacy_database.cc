#include "support/legacy_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <stdexcept>

namespace tertulia::test {
namespace {

class Database final {
 public:
  explicit Database(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) throw std::runtime_error(path);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { sqlite3_close(handle_); }

  void run(const std::string& sql) {
    char* words = nullptr;
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &words) == SQLITE_OK) return;
    const std::string message = fmt::format("{}: {}", words == nullptr ? "" : words, sql);
    sqlite3_free(words);
    throw std::runtime_error(message);
  }

  std::vector<std::string> query(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      throw std::runtime_error(fmt::format("{}: {}", sqlite3_errmsg(handle_), sql));
    std::vector<std::string> rows;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      std::string row;
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        row += (i > 0 ? "|" : "") + std::string(text == nullptr ? "NULL" : text);
      }
      rows.push_back(std::move(row));
    }
    sqlite3_finalize(statement);
    return rows;
  }

 private:
  sqlite3* handle_ = nullptr;
};

std::string time(int minute) {
  return fmt::format("'2025-03-{:02} {:02}:{:02}:00.123456'", 1 + minute / 1440 % 28,
                     minute / 60 % 24, minute % 60);
}

class Builder final {
 public:
  Builder(const std::string& path, const LegacyShape& shape) : database_(path), shape_(shape) {}

  void build() {
    database_.run("BEGIN");
    make_tables();
    roles_and_templates();
    founding_sessions();
    other_sessions();
    if (shape_.has_log_rows) log_rows();
    if (shape_.has_decay) decay();
    for (const auto& table : shape_.lost) database_.run("DROP TABLE " + table);
    database_.run("COMMIT");
  }

 private:
  void make_tables() {
    database_.run(R"(
      CREATE TABLE roles (id INTEGER NOT NULL, name VARCHAR(100) NOT NULL, prompt TEXT NOT NULL,
        created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id), UNIQUE (name));
      CREATE INDEX ix_roles_id ON roles (id);
      CREATE TABLE sessions (id INTEGER NOT NULL, user_id INTEGER, topic TEXT NOT NULL,
        flow_template_id INTEGER NOT NULL, flow_snapshot JSON, roles_snapshot JSON,
        status VARCHAR(50), current_step_id INTEGER, current_round INTEGER,
        executed_steps_count INTEGER, error_reason TEXT, created_at DATETIME, updated_at DATETIME,
        ended_at DATETIME, PRIMARY KEY (id),
        FOREIGN KEY(flow_template_id) REFERENCES flow_templates (id));
      CREATE TABLE session_roles (id INTEGER NOT NULL, session_id INTEGER NOT NULL,
        role_ref VARCHAR(50) NOT NULL, role_id INTEGER, created_at DATETIME, PRIMARY KEY (id),
        FOREIGN KEY(session_id) REFERENCES sessions (id),
        FOREIGN KEY(role_id) REFERENCES roles (id));
      CREATE TABLE messages (id INTEGER NOT NULL, session_id INTEGER NOT NULL,
        speaker_session_role_id INTEGER NOT NULL, target_session_role_id INTEGER,
        reply_to_message_id INTEGER, content TEXT NOT NULL, content_summary TEXT,
        round_index INTEGER, section VARCHAR(50), created_at DATETIME, PRIMARY KEY (id),
        FOREIGN KEY(session_id) REFERENCES sessions (id),
        FOREIGN KEY(speaker_session_role_id) REFERENCES session_roles (id)))");
    database_.run(fmt::format(
        "CREATE TABLE flow_templates (id INTEGER NOT NULL, name VARCHAR(200) NOT NULL, {} "
        "type VARCHAR(50), description TEXT, version VARCHAR(20), is_active BOOLEAN, "
        "termination_config JSON, created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id))",
        shape_.has_topic ? "topic VARCHAR(200)," : ""));
    database_.run(fmt::format(
        "CREATE TABLE flow_steps (id INTEGER NOT NULL, flow_template_id INTEGER NOT NULL, "
        "\"order\" INTEGER NOT NULL, speaker_role_ref VARCHAR(50) NOT NULL, "
        "target_role_ref VARCHAR(50), task_type VARCHAR(50), context_scope TEXT, "
        "context_param JSON, logic_config JSON, next_step_id INTEGER, description TEXT{}{}, "
        "PRIMARY KEY (id), FOREIGN KEY(flow_template_id) REFERENCES flow_templates (id))",
        shape_.has_leftover_columns ? ", loop_config JSON, condition_config JSON" : "",
        shape_.has_knowledge_column ? ", _knowledge_base_config JSON" : ""));
    if (shape_.has_alembic)
      database_.run(
          "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
          "INSERT INTO alembic_version VALUES ('281ca6b9ad00')");
    if (shape_.has_knowledge_tables)
      database_.run(
          "CREATE TABLE knowledge_bases (id INTEGER NOT NULL, ragflow_dataset_id VARCHAR(100), "
          "name TEXT, updated_at DATETIME, PRIMARY KEY (id), UNIQUE (ragflow_dataset_id));"
          "INSERT INTO knowledge_bases VALUES (1, 'ds-1', '资料（一）', NULL);"
          "CREATE TABLE role_knowledge_bases (id INTEGER NOT NULL, role_id INTEGER REFERENCES "
          "roles "
          "(id), knowledge_base_id INTEGER REFERENCES knowledge_bases (id), PRIMARY KEY (id));"
          "INSERT INTO role_knowledge_bases VALUES (1, 1, 1)");
    if (shape_.has_triggers)
      database_.run(
          "CREATE TRIGGER touch_sessions AFTER UPDATE ON sessions BEGIN "
          "UPDATE sessions SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id; END");
    if (shape_.has_log) make_log();
  }

  void make_log() {
    database_.run(
        "CREATE TABLE step_execution_logs (id INTEGER NOT NULL, session_id INTEGER NOT NULL, "
        "step_id INTEGER NOT NULL, parent_log_id INTEGER, execution_order INTEGER NOT NULL, "
        "round_index INTEGER, loop_iteration INTEGER, attempt_count INTEGER, status VARCHAR(20), "
        "result_type VARCHAR(50), result_data JSON, condition_evaluation BOOLEAN, "
        "loop_check_result BOOLEAN, error_message TEXT, duration_ms INTEGER, memory_usage_mb "
        "FLOAT, "
        "created_at DATETIME, started_at DATETIME, completed_at DATETIME, step_snapshot JSON, "
        "context_snapshot JSON, PRIMARY KEY (id))");
    if (!shape_.has_log_indexes) return;
    for (const char* index : {"session_execution_order (session_id, execution_order)",
                              "step_id (step_id)", "status (status)", "parent_log (parent_log_id)",
                              "round_loop (round_index, loop_iteration)", "created_at (created_at)",
                              "duration (duration_ms)", "result_type (result_type)"}) {
      const std::string text = index;
      database_.run(fmt::format("CREATE INDEX idx_step_logs_{} ON step_execution_logs {}",
                                text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)));
    }
  }

  void role(int id, const std::string& name) {
    database_.run(fmt::format("INSERT INTO roles VALUES ({}, '{}', 'You are {}.', {}, {})", id,
                              name, name, time(id), time(id)));
  }

  void flow_template(int id, const std::string& name, const std::string& topic) {
    database_.run(
        fmt::format("INSERT INTO flow_templates (id, name, type, description, version, "
                    "is_active, termination_config, created_at, updated_at) VALUES ({}, "
                    "'{}', 'custom', 'what {} is for', '1.0.0', 1, '{{}}', {}, {})",
                    id, name, name, time(id), time(id)));
    if (shape_.has_topic && !topic.empty())
      database_.run(fmt::format("UPDATE flow_templates SET topic = '{}' WHERE id = {}", topic, id));
  }

  // `rest`: target_role_ref, task_type, context_scope, context_param, logic_config.
  void step(int id, int flow, int order, const std::string& speaker, const std::string& rest) {
    database_.run(fmt::format(
        "INSERT INTO flow_steps (id, flow_template_id, \"order\", speaker_role_ref, "
        "target_role_ref, task_type, context_scope, context_param, logic_config) VALUES ({}, {}, "
        "{}, '{}', {})",
        id, flow, order, speaker, rest));
    if (shape_.has_leftover_columns && id % 2 == 0)
      database_.run(
          fmt::format("UPDATE flow_steps SET loop_config = '{{\"old\": {0}}}' WHERE id = {0}", id));
  }

  void roles_and_templates() {
    role(1, "Jonh");
    role(2, "Mason");
    role(3, "Tom");
    role(4, "研究员（高级）");
    role(5, "评审专家（首席）");
    role(6, "Reviewer of papers");
    flow_template(1, "Jonh and Mason and Tom", std::string(230, 'w'));
    step(1, 1, 1, "Jonh", "'Mason', 'ask_question', 'all', NULL, NULL");
    step(2, 1, 2, "Mason",
         "'Jonh', 'answer_question', 'all', '', "
         "'{\"next_step_order\": 1, \"max_loops\": 3, \"exit_condition\": \"when all agree\"}'");
    step(3, 1, 3, "Tom", "NULL, 'summarize', 'all', '{}', '{}'");
    flow_template(2, "Until it is accepted", "");
    step(4, 2, 1, "Jonh", "'', 'suggest', '[\"all\", \"__TOPIC__\"]', NULL, NULL");
    step(5, 2, 2, "Reviewer",
         "'Jonh', 'review_answer', 'last_message', NULL, '{\"next_step_order\": 1, "
         "\"max_loops\": 5, \"exit_condition\": {\"type\": \"llm_accept_flag\"}}'");
    step(6, 2, 3, "Tom", "NULL, 'conclude', 'all', NULL, NULL");
    flow_template(3, "中文讨论（完整）", "如何保存会话？");
    step(7, 3, 10, "研究员", "'__TOPIC__', 'ask_question', '__TOPIC__', NULL, NULL");
    step(8, 3, 20, "评审专家", "'研究员', 'question', '[\"研究员\", \"__TOPIC__\"]', NULL, NULL");
    step(9, 3, 30, "研究员",
         "'研究员', 'answer_question', 'last_n_messages', '{\"n\": 2}', "
         "'{\"next_step_order\": 2}'");
    step(10, 3, 40, "评审专家", "NULL, 'evaluate', 'none', NULL, NULL");
    step(11, 3, 50, "研究员", "NULL, 'conclude', 'last_round', NULL, 'not JSON'");
    flow_template(4, "Without steps", "");
  }

  void session(int id, int flow, const std::string& status, const std::vector<std::string>& cast) {
    database_.run(
        fmt::format("INSERT INTO sessions VALUES ({}, 1, 'Topic {}', {}, '{{\"steps\": []}}', "
                    "'[]', '{}', NULL, "
                    "1, 0, NULL, {}, {}, NULL)",
                    id, id, flow, status, time(id * 30), time(id * 30)));
    for (const auto& ref : cast) {
      const auto role = database_.query(
          fmt::format("SELECT id FROM roles WHERE name LIKE '%{}%' ORDER BY id LIMIT 1", ref));
      database_.run(
          fmt::format("INSERT INTO session_roles (session_id, role_ref, role_id, "
                      "created_at) VALUES ({}, '{}', {}, {})",
                      id, ref, role.empty() ? "NULL" : role.front(), time(id * 30)));
    }
  }

  void message(int session, const std::string& speaker, const std::string& text) {
    database_.run(fmt::format(
        "INSERT INTO messages (session_id, speaker_session_role_id, content, round_index, section, "
        "created_at) VALUES ({0}, (SELECT id FROM session_roles WHERE session_id = {0} AND "
        "role_ref = '{1}'), '{2}', 1, 'asking', {3})",
        session, speaker, text, time(session * 30 + ++said_)));
  }

  void founding_sessions() {
    for (int stopped = 1; stopped <= 9; ++stopped) {
      session(stopped, 1, "running", {"Jonh", "Mason", "Tom"});
      for (int i = 0; i < stopped; ++i)
        message(stopped, kFoundingSpeakers[static_cast<std::size_t>(i)],
                fmt::format("Message {} of {}.", i + 1, stopped));
      database_.run(
          fmt::format("UPDATE sessions SET executed_steps_count = {0} WHERE id = {0}", stopped));
    }
    session(10, 1, "not_started", {"Jonh", "Mason", "Tom"});
  }

  void other_sessions() {
    std::string long_text = "# 题目\n\n";
    while (long_text.size() < 25'000) long_text += "- 一行 Markdown `code` **bold**\n";
    for (int id = 11; id <= 30; ++id) {
      session(id, 3, id % 10 == 0 ? "finished" : "running", {"研究员", "评审专家"});
      const int count = id % 10 == 0 ? 5 : id % 5;
      for (int i = 0; i < count; ++i)
        message(id, i % 2 == 0 ? "研究员" : "评审专家", i == 1 ? long_text : "好的。");
    }
    for (int id = 31; id <= 36; ++id) {
      session(id, 2, "running", {"Jonh", "Reviewer", "Tom"});
      message(id, "Jonh", "A suggestion.");
      message(id, "Reviewer",
              id % 2 == 0 ? R"({"accept": true, "why": {"score": [9]}})"
                          : R"({"accept": false, "inner": {"accept": true}})");
    }
    session(37, 1, "failed", {"Jonh", "Mason", "Tom"});
    database_.run("UPDATE sessions SET error_reason = 'the model said no' WHERE id = 37");
    message(37, "Jonh", "Hello.");
    session(38, 1, "terminated", {"Jonh", "Mason", "Tom"});
    message(38, "Jonh", "Hello.");
    session(39, 1, "finished", {"Jonh", "Mason", "Tom"});
    message(39, "Jonh", "Finished long before its end.");
    session(40, 4, "running", {"Jonh"});
    message(40, "Jonh", "Of a template without steps.");
  }

  void log_rows() {
    for (int id = 1; id <= 9; ++id) {
      for (int i = 0; i < id; ++i) {
        const int step = kFoundingSpeakers[static_cast<std::size_t>(i)] == "Jonh"    ? 1
                         : kFoundingSpeakers[static_cast<std::size_t>(i)] == "Mason" ? 2
                                                                                     : 3;
        // Its off-by-one: 0, 0, 1, 2 for the step that looped.
        database_.run(fmt::format(
            "INSERT INTO step_execution_logs (session_id, step_id, execution_order, round_index, "
            "loop_iteration, attempt_count, status, result_type, created_at, started_at, "
            "completed_at) VALUES ({}, {}, {}, 1, {}, 1, 'completed', 'success', {}, {}, {})",
            id, step, i + 1, step == 2 ? std::max(0, i / 2 - 1) : 0, time(id), time(id), time(id)));
      }
    }
  }

  void decay() {
    // A speaker of another session, one that is nowhere, a step that was deleted, a topic that is
    // wider than its column, and a session whose messages do not follow its flow.
    database_.run(
        "UPDATE messages SET speaker_session_role_id = (SELECT id FROM session_roles WHERE "
        "session_id = 1 AND role_ref = 'Jonh') WHERE session_id = 5 AND id = (SELECT min(id) FROM "
        "messages WHERE session_id = 5);"
        "UPDATE messages SET speaker_session_role_id = 99999 WHERE session_id = 14 AND id = "
        "(SELECT min(id) FROM messages WHERE session_id = 14);"
        "UPDATE sessions SET current_step_id = 777 WHERE id = 3;"
        "INSERT INTO session_roles (session_id, role_ref, role_id) VALUES (6, 'Mason', 404)");
    session(41, 1, "running", {"Jonh", "Mason", "Tom"});
    message(41, "Tom", "The template was edited later.");
    session(42, 55, "running", {"Jonh"});
    message(42, "Jonh", "Its template is gone.");
  }

  Database database_;
  const LegacyShape& shape_;
  int said_ = 0;
};

}  // namespace

void build_legacy_database(const std::string& path, const LegacyShape& shape) {
  Builder(path, shape).build();
}

void execute_sql(const std::string& path, const std::string& sql) {
  Database(path).run(sql);
}

std::vector<std::string> query_sql(const std::string& path, const std::string& sql) {
  return Database(path).query(sql);
}

}  // namespace tertulia::test
