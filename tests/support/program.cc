#include "support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "support/places.h"

namespace tertulia::test {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Running::Running(pid_t process, int out, std::string err_file)
    : process_(process), out_(out), err_file_(std::move(err_file)) {}

Running::Running(Running&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      out_(std::exchange(other.out_, -1)),
      err_file_(std::move(other.err_file_)),
      buffer_(std::move(other.buffer_)),
      seen_(std::move(other.seen_)) {}

Running::~Running() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  if (out_ >= 0) ::close(out_);
}

std::optional<std::string> Running::line() {
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string found = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      seen_ += found + "\n";
      return found;
    }
    char bytes[4096];
    const ssize_t count = ::read(out_, bytes, sizeof bytes);
    if (count <= 0) return {};
    buffer_.append(bytes, static_cast<size_t>(count));
  }
}

bool Running::wait_for(const std::string& text) {
  while (auto next = line())
    if (next->find(text) != std::string::npos) return true;
  return false;
}

void Running::signal(int number) {
  ::kill(process_, number);
}

Finished Running::finish() {
  while (line()) {
  }
  Finished finished;
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  finished.out = seen_ + buffer_;
  finished.err = read_file(err_file_);
  if (WIFEXITED(status)) finished.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) finished.signal = WTERMSIG(status);
  return finished;
}

World::World() : folder_(std::make_shared<TempDir>()) {
  database = folder_->file("tertulia.db");
  environment["HOME"] = folder_->path().string();
  environment["XDG_CONFIG_HOME"] = folder_->file("config");
  environment["XDG_DATA_HOME"] = folder_->file("data");
}

std::string World::write(const std::string& name, const std::string& text) const {
  std::ofstream(folder_->file(name), std::ios::binary) << text;
  return folder_->file(name);
}

Finished World::run(const std::vector<std::string>& arguments) const {
  return start(arguments).finish();
}

Running World::start(const std::vector<std::string>& arguments) const {
  static int number = 0;
  const std::string err_file = folder_->file("stderr-" + std::to_string(++number));
  std::vector<std::string> words = {program_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::map<std::string, std::string> all = environment;
  all["TERTULIA_DB"] = database;
  // Sanitizers of the program are told where their reports go (script/sanitize).
  for (const char* name : {"PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"})
    if (const char* value = std::getenv(name)) all[name] = value;
  std::vector<std::string> settings;
  for (const auto& [name, value] : all) settings.push_back(name + "=" + value);
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (auto& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  const auto argv = pointers(words), envp = pointers(settings);
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int err = ::open(err_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int in = ::open("/dev/null", O_RDONLY);
    ::dup2(in, 0);
    ::dup2(out[1], 1);
    ::dup2(err, 2);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(out[1]);
  return Running(child, out[0], err_file);
}

}  // namespace tertulia::test
