#include "db/postgres_tools.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

extern char** environ;

namespace tertulia::db {
namespace {

// libpq's settings are secret where it would hide what is typed for them.
bool is_secret(const PQconninfoOption& option) {
  return option.dispchar != nullptr && std::string_view(option.dispchar) == "*";
}

// How a child reaches the database: nearly all through variables, the few settings that have none
// as a connection string.
struct Reach {
  std::map<std::string, std::string> environment;
  std::string connection;
};

std::string quoted(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

base::Result<Reach> reach(const Location& location) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(location.target.c_str(), nullptr), &PQconninfoFree);
  if (options == nullptr)
    return base::Error{.code = base::Code::invalid, .message = "the PostgreSQL URI cannot be read"};
  Reach reach;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    if (option->envvar != nullptr) {
      reach.environment[option->envvar] = option->val;
    } else if (is_secret(*option)) {
      return base::Error{
          .code = base::Code::unavailable,
          .message = fmt::format("{} cannot be passed on to PostgreSQL's programs without showing "
                                 "it to everybody on this machine",
                                 option->keyword),
          .remedy = "make the backup yourself, then say: tertulia db migrate --backup-done"};
    } else {
      reach.connection += fmt::format("{}={} ", option->keyword, quoted(option->val));
    }
  }
  // Without a name the programs take the user's for the database's, as libpq does; pg_restore needs
  // to be told that a database is meant at all.
  if (const auto name = reach.environment.find("PGDATABASE"); name != reach.environment.end())
    reach.connection += fmt::format("dbname={}", quoted(name->second));
  return reach;
}

std::vector<std::string> with(const std::map<std::string, std::string>& own) {
  std::vector<std::string> all;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view setting = *each;
    const std::string name(setting.substr(0, setting.find('=')));
    if (!own.contains(name)) all.emplace_back(setting);
  }
  for (const auto& [name, value] : own) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

base::Error not_installed(const std::string& program) {
  return {.code = base::Code::unavailable,
          .message = fmt::format("{} is not installed", program),
          .remedy =
              "install PostgreSQL's client programs, or make a backup yourself and then "
              "say: tertulia db migrate --backup-done"};
}

class Child final {
 public:
  Child(pid_t process, int words) : process_(process), words_(words) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { ::close(words_); }

  // What it said on standard error, and how it ended.
  std::pair<std::string, int> finish() {
    std::string words;
    char bytes[4096];
    for (;;) {
      const ssize_t count = ::read(words_, bytes, sizeof bytes);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      words.append(bytes, static_cast<std::size_t>(count));
    }
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    return {words, status};
  }

 private:
  pid_t process_;
  int words_;
};

base::Result<void> run(std::vector<std::string> words,
                       const std::map<std::string, std::string>& environment) {
  const std::string program = words.front();
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0)
    return base::Error{.code = base::Code::storage,
                       .message = fmt::format("cannot run {}: {}", program, std::strerror(errno))};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
  auto variables = with(environment);
  pid_t process = -1;
  const int failed = ::posix_spawnp(&process, program.c_str(), &actions, nullptr,
                                    pointers(words).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  if (failed != 0) {
    ::close(pipe[0]);
    if (failed == ENOENT) return not_installed(program);
    return base::Error{.code = base::Code::unavailable,
                       .message = fmt::format("cannot run {}: {}", program, std::strerror(failed))};
  }
  const auto [said, status] = Child(process, pipe[0]).finish();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string why = said;
  while (!why.empty() && why.back() == '\n') why.pop_back();
  if (WIFSIGNALED(status)) why += fmt::format("(ended by signal {})", WTERMSIG(status));
  return base::Error{.code = base::Code::storage,
                     .message = fmt::format("{} failed: {}", program, why)};
}

}  // namespace

bool has_pg_dump() {
  return run({"pg_dump", "--version"}, {}).ok();
}

base::Result<void> pg_dump(const Location& from, const std::string& snapshot,
                           const std::string& file) {
  auto where = reach(from);
  if (!where) return where.error();
  return run({"pg_dump", "--format=custom", "--no-password", "--snapshot=" + snapshot,
              "--file=" + file, "--dbname=" + where->connection},
             where->environment);
}

base::Result<void> pg_dump_is_readable(const std::string& file) {
  return run({"pg_restore", "--list", "--", file}, {});
}

base::Result<void> pg_restore(const std::string& file, const Location& to) {
  auto where = reach(to);
  if (!where) return where.error();
  return run(
      {"pg_restore", "--no-owner", "--no-privileges", "--no-password", "--single-transaction",
       "--exit-on-error", "--dbname=" + where->connection, "--", file},
      where->environment);
}

}  // namespace tertulia::db
