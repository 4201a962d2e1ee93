// ApiClient asks a Tertulia server over its HTTP API (docs/http-api.md), with libcurl. Redirects
// are not followed, TLS certificates are verified, only http and https are spoken.
//
// A request that broke off is sent again for a while where that can do nothing twice: what reads,
// what never got a connection, and a POST with an Idempotency-Key (each has one of its own unless
// it is given one). 429 and 503 are obeyed likewise. What the server says is wrong comes as the
// Error that the command would have had on the server's own machine: same code, message, remedy.
//
// Any thread; requests of several threads do not wait for each other.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "remote/server_address.h"

namespace tertulia::remote {

struct Ask {
  std::string method = "GET";
  std::string target;  // "/api/v1/...", with its query
  std::string body = {};
  std::string content_type = "application/json";
  std::string accept = {};
  std::string key = {};        // the Idempotency-Key of a POST; empty: a fresh one
  bool is_keyed = true;        // false: a POST that the API does not take a key for
  bool is_repeatable = false;  // a POST that does no more when it is sent twice; it has no key
};

struct Reply {
  int status = 0;
  std::string content_type;
  std::string retry_after;
  std::string location;
  std::string body;
};

struct ClientOptions {
  // How long requests that break off are sent again, and how long one may take.
  std::chrono::milliseconds patience = std::chrono::seconds(30);
  std::chrono::milliseconds timeout = std::chrono::minutes(5);
};

class ApiClient final {
 public:
  // Checks the address; nothing is sent yet.
  [[nodiscard]] static base::Result<std::unique_ptr<ApiClient>> make(ServerAddress address,
                                                                     ClientOptions options = {});
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  // The answer, where its status is a good one.
  [[nodiscard]] base::Result<Reply> send(const Ask& ask) const;
  // The same as JSON; an answer without a body is null.
  [[nodiscard]] base::Result<base::json::value> ask(const Ask& ask) const;
  [[nodiscard]] base::Result<base::json::object> get(const std::string& target) const;
  [[nodiscard]] base::Result<base::json::object> post(const std::string& target,
                                                      const base::json::object& body = {}) const;

  // A request is given up when this becomes true, as cancelled. Set before other threads ask.
  void stop_when(std::function<bool()> stop) { stop_ = std::move(stop); }

  [[nodiscard]] const std::string& url() const { return address_.url; }
  [[nodiscard]] bool has_token() const { return !address_.token.empty(); }

 private:
  friend class EventFollower;
  ApiClient(ServerAddress address, ClientOptions options);

  struct Attempt {
    Reply reply;
    int failure = 0;        // libcurl's code; 0: an answer came
    bool was_sent = false;  // the server may have had it
    std::string error;
  };
  [[nodiscard]] Attempt attempt(const Ask& ask) const;
  // What every request has, set on a handle (CURL*); gives the fields that were set (curl_slist*).
  void* set_up(void* easy, const Ask& ask) const;
  [[nodiscard]] base::Error unreachable(const std::string& why) const;
  [[nodiscard]] base::Error refusal(const Reply& reply) const;

  const ServerAddress address_;
  const ClientOptions options_;
  std::function<bool()> stop_;
  mutable std::atomic<bool> has_answered_ = false;
  mutable std::mutex mutex_;
  mutable std::vector<void*> idle_;  // handles with their connections, for the next request
};

// A word as a part of a path or of a query.
[[nodiscard]] std::string encoded(std::string_view word);

// How long to wait before the n-th repetition (from 0): longer each time, at most two seconds.
[[nodiscard]] std::chrono::milliseconds back_off(int repetition);

}  // namespace tertulia::remote
