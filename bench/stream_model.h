// StreamModel is a model server for benchmarks that is not itself what is measured: one thread with
// epoll speaks OpenAI's chat completions, streamed, to any number of callers. Every word of an
// answer is a stamp, "~NANOSECONDS~ ", of when it was written (CLOCK_MONOTONIC): whoever reads it
// knows how long it was on its way.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "bench/spread.h"

namespace tertulia::bench {

struct Pace {
  std::chrono::microseconds first{100'000};   // from the request to the first word
  std::chrono::microseconds between{40'000};  // words
  int words = 100;
};

class StreamModel final {
 public:
  explicit StreamModel(Pace pace);
  ~StreamModel();
  StreamModel(const StreamModel&) = delete;
  StreamModel& operator=(const StreamModel&) = delete;

  // For `--model`.
  [[nodiscard]] std::string profile() const;
  [[nodiscard]] std::uint64_t words() const { return words_; }
  [[nodiscard]] std::uint64_t answers() const { return answers_; }
  // By how much each word was written after its time, since asked last: where it is much, it is the
  // benchmark that has too little of the machine.
  [[nodiscard]] Spread take_lateness();

  [[nodiscard]] static std::int64_t now_ns();

 private:
  void work();

  const Pace pace_;
  int listener_ = -1;
  int poll_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_ = false;
  std::atomic<std::uint64_t> words_ = 0;
  std::atomic<std::uint64_t> answers_ = 0;
  std::mutex mutex_;
  Spread lateness_;  // ms
  std::thread thread_;
};

}  // namespace tertulia::bench
