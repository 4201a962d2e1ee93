#include "support/postgres_server.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

namespace tertulia::test {
namespace {

namespace fs = std::filesystem;

std::string find_programs() {
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql"))
    if (fs::exists(entry.path() / "bin/initdb")) return (entry.path() / "bin").string();
  throw std::runtime_error("PostgreSQL is not installed: run script/bootstrap");
}

// Starts a program as the user postgres where we are root (initdb and postgres refuse root).
pid_t start(const std::vector<std::string>& words, const std::string& log,
            const std::vector<std::string>& environment = {}) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::geteuid() == 0) {
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0) ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing the user has cleared it
  }
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  ::dup2(out, 1);
  ::dup2(out, 2);
  for (const auto& each : environment) ::putenv(const_cast<char*>(each.c_str()));
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

using Handle = std::unique_ptr<PGconn, decltype(&PQfinish)>;

Handle connect(const std::string& uri) {
  return Handle(PQconnectdb(uri.c_str()), &PQfinish);
}

}  // namespace

PostgresServer& PostgresServer::shared() {
  static PostgresServer server({});
  return server;
}

PostgresServer::PostgresServer(const std::vector<std::string>& environment) {
  const std::string programs = find_programs();
  std::string pattern = (fs::temp_directory_path() / "tertulia-pg-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  folder_ = pattern;
  if (::geteuid() == 0) {
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error("there is no user postgres: run script/bootstrap");
  }
  const std::string log = folder_ + "/log", data = folder_ + "/data";
  int status = 0;
  ::waitpid(start({programs + "/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                   "--locale=C.UTF-8", "--no-sync"},
                  log),
            &status, 0);
  if (status != 0) throw std::runtime_error("initdb failed: " + content(log));
  server_ = start({programs + "/postgres", "-D", data, "-k", folder_, "-c",
                   "listen_addresses=", "-c", "max_connections=100", "-c", "shared_buffers=64MB"},
                  log, environment);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (PQstatus(connect(uri("postgres")).get()) != CONNECTION_OK) {
    if (::waitpid(server_, &status, WNOHANG) == server_ ||
        std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error("PostgreSQL did not start: " + content(log));
    // A foreign program gives no signal of its readiness but answering.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

PostgresServer::~PostgresServer() {
  if (server_ > 0) {
    ::kill(server_, SIGINT);  // fast shutdown
    int status = 0;
    ::waitpid(server_, &status, 0);
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string PostgresServer::uri(const std::string& database) const {
  return "postgresql://postgres@/" + database + "?host=" + folder_;
}

std::string PostgresServer::create_database() {
  const std::string name =
      "test_" + std::to_string(::getpid()) + "_" + std::to_string(++databases_);
  const Handle connection = connect(uri("postgres"));
  PGresult* result = PQexec(connection.get(), ("CREATE DATABASE " + name).c_str());
  const bool made = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  if (!made) throw std::runtime_error(PQerrorMessage(connection.get()));
  return uri(name);
}

}  // namespace tertulia::test
