// Readiness keeps the answer to: may this server work with its database now? The schema is proved
// at the start, every few seconds, whenever a request met a database error, and each second while
// it is not as it must be, so that a repair is noticed without a restart.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "db/connection.h"

namespace tertulia::server {

class Readiness final {
 public:
  explicit Readiness(db::Location location);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // Begins to look; `each_second` is called on the looking thread while the database is ready,
  // `on_ready` when it has become so again. Both may block.
  void start(std::function<void()> each_second, std::function<void()> on_ready);
  void stop();

  // Why nothing can be done with the database; nothing where all is well. Any thread.
  [[nodiscard]] std::optional<base::Error> trouble() const;
  // Proves the schema now. Any thread; takes a few milliseconds.
  std::optional<base::Error> look();

 private:
  void watch();

  const db::Location location_;
  std::function<void()> each_second_;
  std::function<void()> on_ready_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<base::Error> trouble_;  // as the newest look saw it
  std::uint64_t looks_begun_ = 0;
  std::uint64_t newest_look_ = 0;  // of those that have ended, the last that began
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tertulia::server
