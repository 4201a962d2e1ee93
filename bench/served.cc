#include "bench/served.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>

namespace tertulia::bench {
namespace {

// Of the benchmark as it was started: the program has it, whoever starts it.
const int kUsualNiceness = ::getpriority(PRIO_PROCESS, 0);

// Standard output goes to `out`; all else that it says into a file next to the database.
pid_t spawn(const std::string& database, std::vector<std::string> words, int out) {
  ::setenv("TERTULIA_DB", database.c_str(), 1);
  words.insert(words.begin(), TERTULIA_PROGRAM);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = database + ".log";
  const pid_t child = ::fork();
  if (child < 0) give_up("no process");
  if (child == 0) {
    // It ends with the benchmark, however that ends.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpriority(PRIO_PROCESS, 0, kUsualNiceness);
    ::dup2(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), STDERR_FILENO);
    ::dup2(out >= 0 ? out : STDERR_FILENO, STDOUT_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return child;
}

}  // namespace

void give_up(const std::string& why) {
  fmt::print(stderr, "bench: {}\n", why);
  std::exit(1);
}

Served::Served(const std::string& database, const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up("no pipe");
  std::vector<std::string> words = {"--json", "serve", "--listen", "127.0.0.1:0"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto begin = std::chrono::steady_clock::now();
  process_ = spawn(database, words, ends[1]);
  ::close(ends[1]);
  out_ = ends[0];
  std::string line;
  char byte = 0;
  while (::read(out_, &byte, 1) == 1 && byte != '\n') line += byte;
  start_ms_ =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  const auto at = line.find("http://127.0.0.1:");
  if (at == std::string::npos)
    give_up(fmt::format("the server did not start: see {}.log", database));
  port_ = static_cast<std::uint16_t>(std::atoi(line.c_str() + at + 17));
}

Served::~Served() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  ::close(out_);
}

double Served::memory_mb(const char* name) const {
  std::ifstream status(fmt::format("/proc/{}/status", process_));
  for (std::string line; std::getline(status, line);)
    if (line.rfind(std::string(name) + ":", 0) == 0)
      return std::atof(line.c_str() + line.find(':') + 1) / 1024;
  return 0;
}

double Served::cpu_seconds() const {
  std::ifstream file(fmt::format("/proc/{}/stat", process_));
  std::string text;
  std::getline(file, text);
  // The fields after the name in brackets: the 12th and 13th are user and system ticks.
  long user = 0, system = 0;
  std::sscanf(text.c_str() + text.rfind(')') + 1,
              " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system);
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

void Served::stop() {
  ::kill(process_, SIGTERM);
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = 0;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) give_up("the server did not end well");
}

double machine_cpu_seconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  long user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0;
  file >> name >> user >> nice >> system >> idle >> waiting >> interrupts >> soft;
  return static_cast<double>(user + nice + system + interrupts + soft) /
         static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double own_cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void go_first() {
  static std::atomic<bool> is_said = false;
  constexpr int kFirst = -15;
  if (::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kFirst) != 0 &&
      !is_said.exchange(true))
    fmt::print("  the benchmark may not go before the program: it may be late\n");
}

void run_program(const std::string& database, const std::vector<std::string>& arguments) {
  const pid_t child = spawn(database, arguments, -1);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    give_up(fmt::format("tertulia {} failed: see {}.log", arguments.front(), database));
}

}  // namespace tertulia::bench
