#include "server/workers.h"

#include <sys/resource.h>
#include <unistd.h>

namespace tertulia::server {

Workers::Workers(db::Location location, int threads, std::size_t most_waiting, int niceness)
    : location_(std::move(location)), most_waiting_(most_waiting), niceness_(niceness) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() {
  stop();
}

void Workers::stop() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
}

void Workers::drop_waiting() {
  std::deque<Job> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(jobs_);
}

bool Workers::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || jobs_.size() >= most_waiting_) return false;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

std::size_t Workers::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void Workers::work() {
  // Linux counts it for each thread. Where it is refused they are as all others.
  if (niceness_ > 0)
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness_));
  std::unique_ptr<db::Connection> connection;
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    if (!connection) {
      auto opened = db::open(location_, {.access = db::Access::read});
      if (!opened) {
        static_cast<void>(job(opened.error()));
        continue;
      }
      connection = *std::move(opened);
    }
    if (!job(connection.get())) connection.reset();
  }
}

}  // namespace tertulia::server
