#include "engine/batch_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/failpoint.h"

namespace tertulia::engine {

base::Result<BatchOutput> BatchOutput::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: {}", path, std::strerror(errno)),
                       .remedy = "name a file that can be written with --out"};
  BatchOutput output(path, file);
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return output.failed("cannot be locked");
    return base::Error{.code = base::Code::conflict,
                       .message = fmt::format("{} is being written by another process", path),
                       .remedy = "wait for it, or stop it; it says how to go on"};
  }
  if (auto read = output.read_through(); !read) return read.error();
  return output;
}

BatchOutput::BatchOutput(BatchOutput&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      lines_(other.lines_),
      last_line_(std::move(other.last_line_)),
      torn_line_(std::move(other.torn_line_)),
      is_synced_(other.is_synced_) {}

BatchOutput::~BatchOutput() {
  if (file_ >= 0) ::close(file_);
}

base::Result<void> BatchOutput::read_through() {
  std::vector<char> bytes(1 << 16);
  for (;;) {
    const ssize_t got = ::read(file_, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("cannot be read");
    if (got == 0) return {};
    std::string_view rest(bytes.data(), static_cast<std::size_t>(got));
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos;) {
      torn_line_ += rest.substr(0, end);
      rest.remove_prefix(end + 1);
      ++lines_;
      last_line_ = std::exchange(torn_line_, {});
    }
    torn_line_ += rest;
  }
}

base::Result<void> BatchOutput::cut_torn_line() {
  if (torn_line_.empty()) return {};
  const off_t whole =
      ::lseek(file_, -static_cast<off_t>(std::exchange(torn_line_, {}).size()), SEEK_END);
  if (whole < 0 || ::ftruncate(file_, whole) != 0) return failed("cannot be written");
  return {};
}

base::Result<void> BatchOutput::append(std::string_view line) {
  std::string text(line);
  text.push_back('\n');
  std::string_view rest = text;
  is_synced_ = false;
  if (auto passed = base::failpoint("batch.append"); !passed) return passed;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("cannot be written");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  ++lines_;
  return {};
}

base::Result<void> BatchOutput::sync() {
  if (is_synced_) return {};
  if (::fdatasync(file_) != 0) return failed("cannot be written");
  is_synced_ = true;
  return {};
}

base::Error BatchOutput::failed(std::string_view what) const {
  return {.code = base::Code::storage,
          .message = fmt::format("{}: {}: {}", path_, what, std::strerror(errno)),
          .remedy = "make room, then say the same again: what is done is kept"};
}

}  // namespace tertulia::engine
