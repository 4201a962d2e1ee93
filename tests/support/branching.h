// What tests of branches do with sessions, by the real program, on both engines.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/flows.h"
#include "support/postgres_server.h"
#include "support/program.h"

namespace tertulia::test {

namespace json = base::json;

inline json::object object_of(const std::string& text) {
  auto parsed = base::parse_json(text);
  EXPECT_TRUE(parsed && parsed->is_object()) << text;
  return parsed && parsed->is_object() ? parsed->as_object() : json::object();
}

class BranchFixture : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) world_.database = PostgresServer::shared().create_database();
  }
  void perform(const std::vector<std::string>& more = {}, int status = 0,
               const std::string& flow = kLoopingFlow) {
    std::vector<std::string> arguments = {"run", world_.write("flow.yaml", flow), "--seed", "7"};
    if (std::find(more.begin(), more.end(), "--model") == more.end())
      arguments.insert(arguments.end(), {"--model", "rehearsal"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished run = world_.run(arguments);
    ASSERT_EQ(run.status, status) << run.err;
  }
  json::object shown(const std::string& id) const {
    return object_of(world_.run({"--json", "session", "show", id}).out);
  }
  json::object document(const std::string& id) const {
    return object_of(world_.run({"session", "export", id, "--format", "json"}).out);
  }
  // The new session's id.
  std::string branch(const std::string& id, int order, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--json", "session", "branch",
                                          id,       "--at",    std::to_string(order)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished made = world_.run(arguments);
    EXPECT_EQ(made.status, 0) << made.out << made.err;
    return made.status == 0 ? base::to_text(object_of(made.out).at("session_id")) : "0";
  }
  void expect_explained(const std::string& id) const {
    const Finished replay = world_.run({"session", "replay", id});
    EXPECT_EQ(replay.status, 0) << replay.out << replay.err;
  }
  void resume(const std::string& id, int status = 0) const {
    const Finished resumed = world_.run({"session", "resume", id});
    EXPECT_EQ(resumed.status, status) << resumed.err;
  }
  // What happened, without ids and times: rows and messages.
  std::string told(const std::string& id) const {
    const json::object whole = document(id);
    std::ostringstream text;
    std::map<std::int64_t, std::int64_t> orders;
    for (const auto& each : whole.at("step_execution_logs").as_array()) {
      const json::object& row = each.as_object();
      orders[row.at("id").as_int64()] = row.at("execution_order").as_int64();
      text << row.at("execution_order") << " in "
           << (row.at("parent_log_id").is_null() ? 0
                                                 : orders.at(row.at("parent_log_id").as_int64()));
      for (const char* column :
           {"step_id", "round_index", "loop_iteration", "attempt_count", "status", "result_type",
            "condition_evaluation", "loop_check_result", "error_message", "context_snapshot"})
        text << ' ' << row.at(column);
      json::object data =
          row.at("result_data").is_object() ? row.at("result_data").as_object() : json::object();
      data.erase("message_id");
      text << ' ' << data << '\n';
    }
    for (const auto& each : whole.at("messages").as_array()) {
      const json::object& message = each.as_object();
      for (const char* member : {"position", "role", "round", "text"})
        text << message.at(member) << ' ';
      if (const auto* to = message.if_contains("to")) text << *to;
      if (const auto* document = message.if_contains("document_version")) text << *document;
      text << '\n';
    }
    return text.str();
  }
  // What was said, as readers see it, and the result.
  std::string conversation(const std::string& id) const {
    const json::object whole = document(id);
    std::ostringstream text;
    for (const auto& each : whole.at("messages").as_array()) {
      const json::object& message = each.as_object();
      for (const char* member : {"position", "role", "round", "text"})
        text << message.at(member) << ' ';
      text << '\n';
    }
    if (const auto* result = whole.if_contains("result")) text << *result;
    return text.str();
  }
  std::size_t sessions() const {
    return object_of(world_.run({"--json", "session", "list"}).out).at("items").as_array().size();
  }
  // What the session's last row asks.
  std::string next_request(const std::string& id) const {
    const json::object whole = document(id);
    const auto order = whole.at("step_execution_logs").as_array().size();
    return world_.run({"flow", "preview", "--session", id, "--order", std::to_string(order)}).out;
  }

  World world_;
};
inline std::string engine_name(const testing::TestParamInfo<bool>& on_postgres) {
  return on_postgres.param ? "PostgreSQL" : "SQLite";
}

}  // namespace tertulia::test
