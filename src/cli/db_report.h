// How the db commands tell what they found and did: to programs as JSON, to people as a few lines
// and small tables.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/json.h"
#include "schema/backup.h"
#include "schema/proof.h"
#include "schema/runner.h"

namespace tertulia::cli {

[[nodiscard]] base::json::array json_list(const std::vector<std::string>& lines);
[[nodiscard]] base::json::array differences_json(
    const std::vector<schema::Difference>& differences);
[[nodiscard]] base::json::object proof_json(const schema::Proof& proof,
                                            const db::Location& location);
[[nodiscard]] base::json::object backup_json(const schema::Backup& backup);
[[nodiscard]] base::json::object plan_json(const schema::Plan& plan, bool with_sql);

// object, expected, found, remedy.
void print_differences(const std::vector<schema::Difference>& differences);
// "version 10, 12 tables with 345 rows, 1.2 MB"
[[nodiscard]] std::string backup_words(const schema::Backup& backup);
void print_plan(const schema::Plan& plan, bool with_sql);

// Says how the database stands; exit 0 only if the program could start.
[[nodiscard]] int say(const schema::Proof& proof, const db::Location& location, bool as_json);

// How far a long piece of work is: a line on standard error that is written over, where that is a
// terminal; it is gone when the work has ended.
class ProgressLine final {
 public:
  ProgressLine(std::string doing, std::string unit);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  void show(std::int64_t done, std::int64_t total);
  // For what reports progress; as long as this lives.
  [[nodiscard]] schema::Progress callback();

 private:
  const std::string doing_;
  const std::string unit_;
  const bool is_live_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace tertulia::cli
