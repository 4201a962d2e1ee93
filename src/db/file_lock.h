// FileLock is an exclusive flock(2) on a file: held by at most one holder on this host, released by
// the kernel when the holder's process dies. Not for network file systems.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "base/result.h"

namespace tertulia::db {

class FileLock final {
 public:
  // Makes the file if it is absent. Does not lock it.
  [[nodiscard]] static base::Result<FileLock> open(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

  // False where another holder has it.
  [[nodiscard]] base::Result<bool> try_lock();
  // Waits at most `patience`; ends early with cancelled once `stop` is true.
  [[nodiscard]] base::Result<void> lock(std::chrono::milliseconds patience,
                                        const std::atomic<bool>& stop);
  void unlock();
  [[nodiscard]] bool held() const { return held_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  FileLock(std::string path, int file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  int file_ = -1;
  bool held_ = false;
};

}  // namespace tertulia::db
