// Loop runs closures one after another on one thread: the engine's. Sessions, their machines and
// limits live on it, so they need no locks. Nothing that runs on it may block.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

namespace tertulia::engine {

class Loop final {
 public:
  using Task = std::function<void()>;
  using Time = std::chrono::steady_clock::time_point;

  Loop();
  // Runs what has been posted by then, forgets what is due later, and joins.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Safe from any thread. Tasks run in the order in which they were posted.
  void post(Task task);
  // Runs the task at about `due`. Safe from any thread.
  void post_at(Time due, Task task);

 private:
  struct Timed {
    Time due;
    std::uint64_t number;  // keeps the order of equal times
    Task task;
    bool operator>(const Timed& other) const {
      return due != other.due ? due > other.due : number > other.number;
    }
  };
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> posted_;
  std::priority_queue<Timed, std::vector<Timed>, std::greater<>> timed_;
  std::uint64_t next_number_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tertulia::engine
