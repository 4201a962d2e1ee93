// Poller waits for the sockets of a libcurl multi handle, whatever their number: only what is ready
// is looked at, where curl_multi_perform and curl_multi_poll look at all of them each time.
//
// Used by one thread; `wake` by any.
#pragma once

#include <curl/curl.h>

#include <chrono>

namespace tertulia::llm {

class Poller final {
 public:
  // Watches what the handle wants watched from now on. Outlived by the handle, whose sockets are
  // closed with it. Throws std::bad_alloc where the system gives no descriptors.
  explicit Poller(CURLM* multi);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Waits for that long at most, for a socket, a timer of libcurl's or `wake`, and has libcurl do
  // what is due. Milliseconds.
  void wait_and_perform(int longest);
  // A wait that is under way returns; so does the next, if none is.
  void wake();

 private:
  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self, void* known);
  [[nodiscard]] long curl_wait() const;

  CURLM* const multi_;
  int poll_ = -1;
  int woken_ = -1;  // an eventfd
};

}  // namespace tertulia::llm
