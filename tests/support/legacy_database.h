// A database of the older system, built from what is known of its files (no file of it is needed):
// its tables as its ORM declared them, a few hundred rows, and the decay that real files show.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace tertulia::test {

struct LegacyShape {
  bool has_log = false;          // step_execution_logs
  bool has_log_indexes = false;  // its eleven
  bool has_log_rows = false;     // of the sessions of the founding flow
  bool has_topic = true;
  bool has_knowledge_column = true;
  bool has_alembic = true;
  bool has_leftover_columns = true;  // loop_config, condition_config, with values
  bool has_triggers = true;
  bool has_knowledge_tables = true;
  bool has_decay = true;
  std::set<std::string> lost = {};  // tables that are not there
};

// Templates: 1 the founding flow (Jonh; Mason, who goes back to 1 three times; Tom), 2 one that
// ends when its reviewer accepts, 3 a Chinese one that uses every scope, 4 one without steps.
// Sessions 1 to 9 of the founding flow have stopped after that many of its nine messages, session
// 10 has not begun; then sessions 11 to 40 of all kinds.
void build_legacy_database(const std::string& path, const LegacyShape& shape = {});

// The speakers of the founding flow, in order.
inline const std::vector<std::string> kFoundingSpeakers = {
    "Jonh", "Mason", "Jonh", "Mason", "Jonh", "Mason", "Jonh", "Mason", "Tom"};

// Statements and queries on a file, outside of the program.
void execute_sql(const std::string& path, const std::string& sql);
// Columns joined by '|'.
[[nodiscard]] std::vector<std::string> query_sql(const std::string& path, const std::string& sql);

}  // namespace tertulia::test
