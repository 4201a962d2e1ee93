#include "engine/loop.h"

namespace tertulia::engine {

Loop::Loop() : thread_([this] { run(); }) {}

Loop::~Loop() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Loop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // the loop has been woken for the first
  }
  wake_.notify_one();
}

void Loop::post_at(Time due, Task task) {
  {
    const std::lock_guard lock(mutex_);
    timed_.push({due, next_number_++, std::move(task)});
  }
  wake_.notify_one();
}

void Loop::run() {
  std::vector<Task> tasks;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      for (;;) {
        const auto now = std::chrono::steady_clock::now();
        while (!timed_.empty() && timed_.top().due <= now) {
          posted_.push_back(timed_.top().task);
          timed_.pop();
        }
        if (!posted_.empty()) break;
        if (ending_) return;
        if (timed_.empty()) {
          wake_.wait(lock);
        } else {
          wake_.wait_until(lock, timed_.top().due);
        }
      }
      tasks.swap(posted_);
    }
    for (Task& task : tasks) task();
    tasks.clear();
  }
}

}  // namespace tertulia::engine
