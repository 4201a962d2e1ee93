// BatchOutput is the file that the results of a batch are written to, a line each. The database
// knows which result is which line, and a line is assigned there before it is written here; so
// after a crash the file is at most some lines behind, with the last one torn. `open` reads it and
// changes nothing: whoever opened it sees whether it is theirs, cuts the torn line off, and writes
// what is missing.
// One process has the file at a time, by a flock that the kernel releases with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tertulia::engine {

class BatchOutput final {
 public:
  // Makes the file, or opens the one that is there. Conflict where another process has it, storage
  // where it cannot be written.
  [[nodiscard]] static base::Result<BatchOutput> open(const std::string& path);
  BatchOutput(BatchOutput&& other) noexcept;
  BatchOutput& operator=(BatchOutput&&) = delete;
  ~BatchOutput();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::int64_t lines() const { return lines_; }
  // The last line that was there when it was opened, and the piece of one after it.
  [[nodiscard]] const std::string& last_line() const { return last_line_; }
  [[nodiscard]] const std::string& torn_line() const { return torn_line_; }

  // Takes the torn line away. Before the first `append`.
  [[nodiscard]] base::Result<void> cut_torn_line();

  // Writes a line, with its end.
  [[nodiscard]] base::Result<void> append(std::string_view line);
  // What was written is on the disk.
  [[nodiscard]] base::Result<void> sync();

 private:
  BatchOutput(std::string path, int file) : path_(std::move(path)), file_(file) {}
  [[nodiscard]] base::Result<void> read_through();
  [[nodiscard]] base::Error failed(std::string_view what) const;

  std::string path_;
  int file_ = -1;
  std::int64_t lines_ = 0;
  std::string last_line_;
  std::string torn_line_;
  bool is_synced_ = true;
};

}  // namespace tertulia::engine
