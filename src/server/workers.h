// Workers run handlers, which may block, on a few threads with a read connection each. A request
// that finds the queue full is refused: waiting longer would help nobody.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "db/connection.h"

namespace tertulia::server {

class Workers final {
 public:
  // Gets the worker's connection, or why there is none; false where the database failed, so that
  // the next job gets another connection.
  using Job = std::function<bool(base::Result<db::Connection*>)>;

  // `niceness`: above 0, they give way to all other threads of the machine.
  Workers(db::Location location, int threads, std::size_t most_waiting, int niceness = 0);
  // Does what waits, closes the connections and joins.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False where the queue is full or the workers end. Safe from any thread.
  [[nodiscard]] bool submit(Job job);
  [[nodiscard]] std::size_t waiting() const;
  void stop();
  // Forgets what waits: nobody is there any more to be answered.
  void drop_waiting();

 private:
  void work();

  const db::Location location_;
  const std::size_t most_waiting_;
  const int niceness_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tertulia::server
