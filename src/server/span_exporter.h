// SpanExporter sends spans to an OpenTelemetry collector: OTLP over HTTP, as JSON, in batches, on a
// thread of its own. It never holds up who gives it spans: they wait in a bounded queue, and what
// finds it full is dropped and counted. A batch that could not be delivered is tried once more if
// the collector may take it then, and dropped.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"

namespace tertulia::server {

class SpanExporter final {
 public:
  struct Options {
    std::string url;                   // whole: http://127.0.0.1:4318/v1/traces
    bool is_loopback = false;          // the URL's host is: no proxy
    std::vector<std::string> headers;  // "Name: value"; may hold a key, and is never shown
    base::json::object resource;       // {attributes: [...]}
    base::json::object scope;          // {name, version}
    std::string schema_url;            // of the conventions that the spans follow
    std::size_t most_waiting = 8192;
  };
  explicit SpanExporter(Options options);
  // Sends what waits, within two seconds, and joins.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Any thread.
  void add(base::json::object span);
  // Asks for what waits to be sent now rather than within a second. Any thread.
  void flush();

  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  // What became of a delivery.
  enum class Delivery { taken, later, refused };

  void work();
  void send(std::vector<base::json::object> spans);
  [[nodiscard]] Delivery deliver(const std::string& body, std::string& error);
  [[nodiscard]] bool is_out_of_time() const;
  static int on_progress(void* self, std::int64_t, std::int64_t, std::int64_t, std::int64_t);

  const Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<base::json::object> waiting_;
  bool flush_ = false;
  bool ending_ = false;
  std::atomic<std::chrono::steady_clock::time_point> end_by_{
      std::chrono::steady_clock::time_point::max()};
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<std::uint64_t> dropped_ = 0;
  bool has_complained_ = false;  // the thread's own
  std::thread thread_;
};

}  // namespace tertulia::server
