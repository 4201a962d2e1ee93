#include "llm/transport.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "llm/exchange.h"
#include "llm/poller.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Time = Ticker::Time;

// Set when a job has ended, so that dropping its Call does not wake the thread for nothing.
using Ended = std::shared_ptr<std::atomic<bool>>;

// Either an exchange or a ticker.
struct Job {
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<Ticker> ticker;
  Ended ended;
  Time armed;  // its entry among the alarms
};

struct Command {
  enum class Kind { post, tick, cancel };
  Kind kind = Kind::cancel;
  std::uint64_t id = 0;
  HttpRequest request = {};
  std::unique_ptr<Receiver> receiver = {};
  std::unique_ptr<Ticker> ticker = {};
  Time first = {};
  Ended ended = {};
};

void initialise_curl() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw std::bad_alloc();
}

}  // namespace

class Transport::Loop final : public std::enable_shared_from_this<Transport::Loop> {
 public:
  [[nodiscard]] std::unique_ptr<Call> submit(Command command);
  void enqueue(Command command);
  void stop();

 private:
  struct FreeMulti {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  void run();
  void perform_commands();
  void begin(Command command);
  void read_results();
  void rearm_hastened();
  void ring_alarms();
  void arm(std::uint64_t id, Job& job, Time time);
  void finish(std::uint64_t id, const Ending& ending);
  void cancel_all();
  [[nodiscard]] int wait_ms() const;

  std::mutex mutex_;  // guards the next four
  std::vector<Command> commands_;
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;
  std::thread thread_;

  // The thread's own; both are made before it starts, and the poller is woken under the mutex.
  std::unique_ptr<CURLM, FreeMulti> multi_;
  std::optional<Poller> poller_;
  std::unordered_map<std::uint64_t, Job> jobs_;
  std::set<std::pair<Time, std::uint64_t>> alarms_;
  std::vector<std::uint64_t> hastened_;  // exchanges whose deadline has moved nearer
};

namespace {

class JobCall final : public Call {
 public:
  JobCall(std::function<void()> cancel, Ended ended)
      : cancel_(std::move(cancel)), ended_(std::move(ended)) {}
  ~JobCall() override { stop(); }
  void cancel() override { stop(); }

 private:
  void stop() {
    if (!ended_->load(std::memory_order_acquire) && !asked_.exchange(true)) cancel_();
  }
  std::function<void()> cancel_;
  Ended ended_;
  std::atomic<bool> asked_ = false;
};

}  // namespace

std::unique_ptr<Call> Transport::Loop::submit(Command command) {
  Ended ended = std::make_shared<std::atomic<bool>>(false);
  command.ended = ended;
  std::uint64_t id = 0;
  {
    const std::scoped_lock lock(mutex_);
    id = command.id = ++last_id_;
    if (!thread_.joinable()) {
      initialise_curl();
      multi_.reset(curl_multi_init());
      if (!multi_) throw std::bad_alloc();
      poller_.emplace(multi_.get());
      thread_ = std::thread([this] { run(); });
    }
  }
  enqueue(std::move(command));
  auto cancel = [weak = weak_from_this(), id] {
    if (const auto loop = weak.lock()) loop->enqueue({.kind = Command::Kind::cancel, .id = id});
  };
  return std::make_unique<JobCall>(std::move(cancel), std::move(ended));
}

void Transport::Loop::enqueue(Command command) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return;  // then all jobs are being cancelled anyway
  const bool first = commands_.empty();
  commands_.push_back(std::move(command));
  if (first) poller_->wake();
}

void Transport::Loop::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    if (!thread_.joinable()) return;
    poller_->wake();
  }
  thread_.join();
}

void Transport::Loop::run() {
  for (;;) {
    perform_commands();
    {
      const std::scoped_lock lock(mutex_);
      if (stopping_) break;
    }
    poller_->wait_and_perform(wait_ms());
    read_results();
    rearm_hastened();
    ring_alarms();
  }
  perform_commands();
  cancel_all();
}

void Transport::Loop::perform_commands() {
  std::vector<Command> commands;
  {
    const std::scoped_lock lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) {
    if (command.kind != Command::Kind::cancel) {
      begin(std::move(command));
      continue;
    }
    // One that is drained has reported; to break it off would only cost its connection.
    const auto job = jobs_.find(command.id);
    if (job != jobs_.end() && !(job->second.exchange && job->second.exchange->is_draining()))
      finish(command.id, {.why = Ending::Why::cancelled, .error = "cancelled"});
  }
}

void Transport::Loop::begin(Command command) {
  const std::uint64_t id = command.id;
  Job& job = jobs_[id];
  job.ended = std::move(command.ended);
  if (command.kind == Command::Kind::tick) {
    job.ticker = std::move(command.ticker);
    arm(id, job, command.first);
    return;
  }
  job.exchange = std::make_unique<Exchange>(id, std::move(command.request),
                                            std::move(command.receiver), hastened_);
  arm(id, job, job.exchange->due());
  if (const CURLMcode code = curl_multi_add_handle(multi_.get(), job.exchange->easy());
      code != CURLM_OK)
    finish(id, {.why = Ending::Why::no_connection, .error = curl_multi_strerror(code)});
}

void Transport::Loop::read_results() {
  int left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const Exchange* exchange = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
    finish(exchange->id(), exchange->ending(message->data.result));
  }
}

// Deadlines that moved later are noticed when their old alarm rings; those that moved nearer here.
void Transport::Loop::rearm_hastened() {
  for (const std::uint64_t id : hastened_)
    if (const auto job = jobs_.find(id); job != jobs_.end())
      arm(id, job->second, job->second.exchange->due());
  hastened_.clear();
}

void Transport::Loop::ring_alarms() {
  const Time now = steady_clock::now();
  while (!alarms_.empty() && alarms_.begin()->first <= now) {
    const std::uint64_t id = alarms_.begin()->second;
    Job& job = jobs_.at(id);
    if (job.exchange) {
      const Time due = job.exchange->due();
      if (due > now)
        arm(id, job, due);
      else
        finish(id, job.exchange->overdue(now));
    } else if (const auto next = job.ticker->on_tick()) {
      arm(id, job, *next);
    } else {
      job.ended->store(true, std::memory_order_release);
      alarms_.erase({job.armed, id});
      jobs_.erase(id);
    }
  }
}

void Transport::Loop::arm(std::uint64_t id, Job& job, Time time) {
  alarms_.erase({job.armed, id});
  job.armed = time;
  alarms_.insert({time, id});
}

void Transport::Loop::finish(std::uint64_t id, const Ending& ending) {
  const auto node = jobs_.extract(id);
  const Job& job = node.mapped();
  alarms_.erase({job.armed, id});
  job.ended->store(true, std::memory_order_release);
  if (job.exchange) {
    curl_multi_remove_handle(multi_.get(), job.exchange->easy());
    job.exchange->end(ending);
  } else {
    job.ticker->on_cancel();
  }
}

void Transport::Loop::cancel_all() {
  while (!jobs_.empty())
    finish(jobs_.begin()->first, {.why = Ending::Why::cancelled, .error = "cancelled"});
}

int Transport::Loop::wait_ms() const {
  constexpr milliseconds kLongest{60'000};
  if (alarms_.empty()) return static_cast<int>(kLongest.count());
  const auto left = std::chrono::ceil<milliseconds>(alarms_.begin()->first - steady_clock::now());
  return static_cast<int>(std::clamp(left, milliseconds(0), kLongest).count());
}

Transport::Transport() : loop_(std::make_shared<Loop>()) {}

Transport::~Transport() {
  loop_->stop();
}

std::unique_ptr<Call> Transport::post(HttpRequest request, std::unique_ptr<Receiver> receiver) {
  return loop_->submit({.kind = Command::Kind::post,
                        .request = std::move(request),
                        .receiver = std::move(receiver)});
}

std::unique_ptr<Call> Transport::tick(Ticker::Time first, std::unique_ptr<Ticker> ticker) {
  return loop_->submit({.kind = Command::Kind::tick, .ticker = std::move(ticker), .first = first});
}

}  // namespace tertulia::llm
