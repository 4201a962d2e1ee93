// Program runs the real program as its own process, as people and scripts do: arguments, standard
// streams, exit status, signals. Each World has a home, configuration and database of its own.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/temp_dir.h"

namespace tertulia::test {

struct Finished {
  int status = -1;  // exit status; -1 if a signal ended it
  int signal = 0;   // that signal
  std::string out;
  std::string err;
};

// A process that runs.
class Running final {
 public:
  Running(pid_t process, int out, std::string err_file);
  Running(Running&& other) noexcept;
  Running& operator=(Running&&) = delete;
  ~Running();  // kills it if it still runs

  // The next line of standard output, without its end; nothing once it has closed.
  [[nodiscard]] std::optional<std::string> line();
  // Reads lines until one holds the text; false where output ends before.
  [[nodiscard]] bool wait_for(const std::string& text);
  void signal(int number);
  // Reads the rest of its output and waits for its end.
  [[nodiscard]] Finished finish();

 private:
  pid_t process_;
  int out_;
  std::string err_file_;
  std::string buffer_;
  std::string seen_;
};

class World final {
 public:
  World();

  // The database that commands use: a SQLite file of this world, unless set.
  std::string database;
  std::map<std::string, std::string> environment;

  [[nodiscard]] Finished run(const std::vector<std::string>& arguments) const;
  [[nodiscard]] Running start(const std::vector<std::string>& arguments) const;
  // Writes a file and gives its path.
  std::string write(const std::string& name, const std::string& text) const;
  [[nodiscard]] std::string path(const std::string& name) const { return folder_->file(name); }

 private:
  std::shared_ptr<TempDir> folder_;
};

// A whole file.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace tertulia::test
