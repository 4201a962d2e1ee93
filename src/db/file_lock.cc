#include "db/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace tertulia::db {
namespace {

base::Error failed(const std::string& path, const char* doing) {
  const int reason = errno;
  return {.code = base::Code::storage,
          .message = fmt::format("cannot {} {}: {}", doing, path, std::strerror(reason)),
          .remedy = "see that the folder exists and may be written"};
}

}  // namespace

base::Result<FileLock> FileLock::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return failed(path, "open the lock file");
  return FileLock(path, file);
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      held_(std::exchange(other.held_, false)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(held_, other.held_);
  return *this;
}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);  // and with it the lock
}

base::Result<bool> FileLock::try_lock() {
  while (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return false;
    return failed(path_, "lock");
  }
  held_ = true;
  return true;
}

base::Result<void> FileLock::lock(std::chrono::milliseconds patience,
                                  const std::atomic<bool>& stop) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  // Writers hold the lock for about one fsync: short naps first, so that a turn is not missed.
  std::chrono::microseconds nap{50};
  for (;;) {
    auto got = try_lock();
    if (!got) return got.error();
    if (*got) return {};
    if (stop.load())
      return base::Error{.code = base::Code::cancelled, .message = "waiting for the lock ended"};
    if (std::chrono::steady_clock::now() >= deadline)
      return base::Error{.code = base::Code::timeout,
                         .message = fmt::format("another process has held {} for {} s", path_,
                                                std::chrono::duration<double>(patience).count()),
                         .remedy = fmt::format("find it with: fuser {}", path_)};
    std::this_thread::sleep_for(nap);
    nap = std::min(nap * 2, std::chrono::microseconds{2000});
  }
}

void FileLock::unlock() {
  if (std::exchange(held_, false)) ::flock(file_, LOCK_UN);
}

}  // namespace tertulia::db
