#include "base/failpoint.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace tertulia::base {
namespace {

struct Armed {
  std::string action;
  long at = 0;  // the passage at which to act; 0 for each
  long passed = 0;
};

std::mutex mutex;
std::map<std::string, Armed, std::less<>> armed;

bool is_action(std::string_view action) {
  return action == "error" || action == "kill" || action == "abort" || action == "enospc" ||
         action == "eio" || action.starts_with("delay:");
}

Error bad(std::string_view part) {
  return {.code = Code::invalid,
          .message = fmt::format("failpoint '{}' is not NAME=ACTION or NAME=ACTION@N", part),
          .remedy = "use one of the actions error, kill, abort, enospc, eio, delay:MS"};
}

}  // namespace

namespace internal {

std::atomic<bool> failpoints_armed = false;

Result<void> pass_armed_failpoint(std::string_view name) {
  std::string action;
  {
    const std::lock_guard lock(mutex);
    const auto found = armed.find(name);
    if (found == armed.end()) return {};
    Armed& point = found->second;
    ++point.passed;
    if (point.at != 0 && point.passed != point.at) return {};
    action = point.action;
  }
  if (action == "kill") ::kill(::getpid(), SIGKILL);
  if (action == "abort") std::abort();
  if (action.starts_with("delay:")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(action.c_str() + 6)));
    return {};
  }
  const char* reason = action == "enospc" ? "no space left on the device"
                       : action == "eio"  ? "input/output error"
                                          : "failure asked for by a failpoint";
  return Error{.code = action == "enospc" ? Code::storage_full : Code::storage,
               .message = fmt::format("{} (failpoint {})", reason, name)};
}

}  // namespace internal

Result<void> arm_failpoints(std::string_view text) {
  std::map<std::string, Armed, std::less<>> wanted;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return bad(part);
    std::string_view action = part.substr(equals + 1);
    Armed point;
    if (const size_t at = action.find('@'); at != std::string_view::npos) {
      const std::string_view count = action.substr(at + 1);
      const auto [end, status] =
          std::from_chars(count.data(), count.data() + count.size(), point.at);
      if (status != std::errc() || end != count.data() + count.size() || point.at < 1)
        return bad(part);
      action = action.substr(0, at);
    }
    if (!is_action(action)) return bad(part);
    point.action = action;
    wanted[std::string(part.substr(0, equals))] = point;
  }
  const std::lock_guard lock(mutex);
  armed = std::move(wanted);
  internal::failpoints_armed = !armed.empty();
  return {};
}

}  // namespace tertulia::base
