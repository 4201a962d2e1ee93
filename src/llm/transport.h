// Transport performs HTTP exchanges and timed work on one thread of its own, however many there
// are: libcurl's multi interface, HTTP/1.1, connections kept and used again. The thread starts with
// the first work. What may be called: http and https; redirects are not followed; proxies as the
// environment names them (as libcurl does), but never for loopback; addresses that are link-local
// or a cloud's metadata service are refused when the socket is opened, whatever name led there.
//
// `post` and `tick` are safe from any thread. Receivers and tickers are called on the transport's
// thread and destroyed there. The destructor ends everything under way as cancelled, and joins.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "llm/provider.h"

namespace tertulia::llm {

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  Deadlines deadlines;
};

struct ResponseHead {
  int status = 0;
  std::string content_type;
  std::string retry_after;
  std::string retry_after_ms;
  std::string request_id;
};

struct Ending {
  enum class Why {
    finished,       // the response is whole, as far as HTTP can say
    no_connection,  // broke before the first byte of the response
    broken,         // broke after it
    timeout,
    cancelled,
    not_http,  // not HTTP, or an encoding that cannot be undone
    too_large,
    forbidden_address,
  };
  Why why = Why::finished;
  std::string error;  // for people; names a limit or what libcurl said
};

class Receiver {
 public:
  // What the receiver makes of the bytes it was given.
  enum class Took {
    nothing,     // nothing meaningful: the idle deadline runs on
    meaningful,  // the idle deadline starts anew
    finishing,   // all but afterwords has come: these have Transport::kAfterwords
    complete,    // the receiver has reported; the rest is read only to keep the connection
    hopeless,    // the receiver has reported; the connection is closed
  };
  virtual ~Receiver() = default;
  virtual void on_head(const ResponseHead& head) = 0;
  virtual Took on_bytes(std::string_view bytes) = 0;
  // Exactly once, and nothing after it.
  virtual void on_end(const Ending& ending) = 0;
};

// Work that is done at times.
class Ticker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  virtual ~Ticker() = default;
  // Returns when to be called next, or nothing when done.
  virtual std::optional<Time> on_tick() = 0;
  virtual void on_cancel() = 0;
};

class Transport final {
 public:
  static constexpr std::size_t kMaxResponse = 64 * 1024 * 1024;  // after decompression
  static constexpr std::chrono::milliseconds kAfterwords{5'000};
  static constexpr std::chrono::milliseconds kDrain{1'000};

  Transport();
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  [[nodiscard]] std::unique_ptr<Call> post(HttpRequest request, std::unique_ptr<Receiver> receiver);
  [[nodiscard]] std::unique_ptr<Call> tick(Ticker::Time first, std::unique_ptr<Ticker> ticker);

 private:
  class Loop;
  const std::shared_ptr<Loop> loop_;
};

}  // namespace tertulia::llm
