// PostgresServer is a PostgreSQL that the tests start for themselves: a private data folder, a Unix
// socket in it, no TCP. It is stopped and removed at the end, and dies with the test program.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tertulia::test {

class PostgresServer final {
 public:
  // The test program's server, started at the first call. Throws std::runtime_error where
  // PostgreSQL is not installed or does not start: a test must not pass without it.
  static PostgresServer& shared();

  // Another server, with more in its environment ("NAME=VALUE").
  explicit PostgresServer(const std::vector<std::string>& environment);
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  // A fresh, empty database; the URI to reach it.
  std::string create_database();

 private:
  std::string uri(const std::string& database) const;

  std::string folder_;
  pid_t server_ = -1;
  int databases_ = 0;
};

}  // namespace tertulia::test
