// TestDatabase is an empty database of either engine for one test: a SQLite file or a database on
// the tests' own PostgreSQL, with the statements a test needs in one call each.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "db/connection.h"
#include "schema/migration.h"
#include "schema/proof.h"
#include "schema/runner.h"
#include "support/postgres_server.h"
#include "support/temp_dir.h"

namespace tertulia::schema {

class TestDatabase final {
 public:
  explicit TestDatabase(db::Engine engine) {
    if (engine == db::Engine::sqlite) {
      folder_.emplace();
      location_ = {engine, folder_->file("test.db")};
    } else {
      location_ = {engine, test::PostgresServer::shared().create_database()};
    }
    connection_ = open();
  }
  // A database of another server than the shared one.
  explicit TestDatabase(test::PostgresServer& server)
      : location_{db::Engine::postgres, server.create_database()}, connection_(open()) {}

  [[nodiscard]] db::Engine engine() const { return location_.engine; }
  [[nodiscard]] const db::Location& location() const { return location_; }
  [[nodiscard]] db::Connection& connection() { return *connection_; }
  [[nodiscard]] std::span<const Migration> all() const { return migrations(engine()); }
  [[nodiscard]] int head() const { return static_cast<int>(all().size()); }

  void close() { connection_.reset(); }
  void reopen() {
    close();
    connection_ = open();
  }

  void run(std::string_view script) {
    auto done = connection_->run_script(script);
    ASSERT_TRUE(done) << script << "\n" << done.error().message << "\n" << done.error().detail;
  }

  void migrate_to(int version) {
    auto done = migrate(*connection_, version, all());
    ASSERT_TRUE(done) << done.error().message << "\n" << done.error().detail;
  }

  // All rows of a query, columns joined by '|'; an error's message where it fails.
  std::vector<std::string> rows(std::string_view query) {
    std::vector<std::string> all_rows;
    auto done = connection_->each_text(query, {}, [&](const db::Row& row) -> base::Result<void> {
      std::string text;
      for (int i = 0; i < row.size(); ++i)
        text += (i > 0 ? "|" : "") + std::string(row.is_null(i) ? "NULL" : row.text(i));
      all_rows.push_back(std::move(text));
      return {};
    });
    if (!done) all_rows.push_back(done.error().message + " " + done.error().detail);
    return all_rows;
  }

  // By a connection that can only read, as the program does at its start.
  Proof proof() {
    auto proved = prove_at(location_);
    EXPECT_TRUE(proved) << proved.error().message << "\n" << proved.error().detail;
    return proved ? *proved : Proof();
  }

 private:
  std::unique_ptr<db::Connection> open() const {
    auto opened = db::open(location_, {.access = db::Access::write, .create = true});
    if (!opened) throw std::runtime_error(opened.error().message);
    return *std::move(opened);
  }

  std::optional<test::TempDir> folder_;
  db::Location location_;
  std::unique_ptr<db::Connection> connection_;
};

// A suite that runs on both engines: INSTANTIATE_TEST_SUITE_P(, SUITE, kBothEngines, engine_of).
class OnBothEngines : public testing::TestWithParam<db::Engine> {
 protected:
  TestDatabase database_{GetParam()};
};

inline const auto kBothEngines = testing::Values(db::Engine::sqlite, db::Engine::postgres);
inline std::string engine_of(const testing::TestParamInfo<db::Engine>& info) {
  return std::string(db::engine_name(info.param));
}

}  // namespace tertulia::schema
