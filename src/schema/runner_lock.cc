#include "schema/runner_lock.h"

#include <fmt/format.h>

#include <thread>
#include <utility>

#include "base/log.h"

namespace tertulia::schema::internal {
namespace {

constexpr std::int64_t kLockKey = 0x74657274756c6961;  // "tertulia"
constexpr std::chrono::milliseconds kPoll{50};

}  // namespace

base::Result<RunnerLock> RunnerLock::take(db::Connection& connection, const RunOptions& options) {
  return wait_for(connection, options, "");
}

base::Result<RunnerLock> RunnerLock::share(db::Connection& connection) {
  return wait_for(connection, RunOptions(), "_shared");
}

base::Result<RunnerLock> RunnerLock::wait_for(db::Connection& connection, const RunOptions& options,
                                              std::string_view mode) {
  if (connection.engine() == db::Engine::sqlite) return RunnerLock(nullptr, mode);
  const auto deadline = options.clock->steady() + options.lock_patience;
  for (;;) {
    bool taken = false;
    auto asked =
        connection.each_text(fmt::format("SELECT pg_try_advisory_lock{}({})", mode, kLockKey), {},
                             [&](const db::Row& row) -> base::Result<void> {
                               taken = row.boolean(0);
                               return {};
                             });
    if (!asked) return asked.error();
    if (taken) return RunnerLock(&connection, mode);
    if (options.clock->steady() >= deadline)
      return base::Error{.code = base::Code::timeout,
                         .message = "another program has been migrating this database for long",
                         .remedy = "wait for it, then run: tertulia db status"};
    std::this_thread::sleep_for(kPoll);
  }
}

RunnerLock::RunnerLock(RunnerLock&& other) noexcept
    : held_by_(std::exchange(other.held_by_, nullptr)), mode_(other.mode_) {}

RunnerLock::~RunnerLock() {
  if (held_by_ == nullptr) return;
  auto released =
      held_by_->each_text(fmt::format("SELECT pg_advisory_unlock{}({})", mode_, kLockKey), {},
                          [](const db::Row&) -> base::Result<void> { return {}; });
  // The server releases it with the connection at the latest.
  if (!released) spdlog::warn("the migration lock was not released: {}", released.error().message);
}

}  // namespace tertulia::schema::internal
