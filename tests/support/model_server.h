// ModelServer is a scripted model server for tests on a real loopback socket. It records every
// request exactly as it came; what it answers, in which pieces, after which gate and with which
// ending, is the test's handler's. A thread a connection; connections are kept as HTTP/1.1 says.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tertulia::test {

// A door that one side opens and the other waits at.
class Gate final {
 public:
  void open();
  void wait();

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

struct ReceivedRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // as sent
  std::string body;

  // The value of a header, its name in any case; empty if absent.
  [[nodiscard]] std::string header(std::string_view name) const;
};

// What the handler answers with. Writing to a client that has gone is not an error; the functions
// then do nothing.
class Reply final {
 public:
  explicit Reply(int socket) : socket_(socket) {}

  // Any bytes at all, at once.
  void raw(std::string_view bytes);

  // A whole answer with Content-Length. `headers`: lines "Name: value\r\n".
  void answer(int status, std::string_view body, std::string_view content_type = "application/json",
              std::string_view headers = {});

  // A chunked answer, piece by piece.
  void begin(int status = 200, std::string_view content_type = "text/event-stream",
             std::string_view headers = {});
  void chunk(std::string_view bytes);
  void end();

  // Ends the connection: orderly (FIN), or with a reset (RST).
  void close();
  void reset();

  // Whether either side has ended the connection, as far as writing has shown.
  [[nodiscard]] bool closed() const { return closed_; }

  // Returns when the client has closed its side, or the server is stopping.
  void wait_until_client_leaves();

 private:
  friend class ModelServer;
  int socket_;
  bool closed_ = false;
};

class ModelServer final {
 public:
  using Handler = std::function<void(const ReceivedRequest& request, Reply& reply)>;

  explicit ModelServer(Handler handler);
  // Stops: every open connection is shut down, then its thread joined. A handler that waits at a
  // gate must have been let through.
  ~ModelServer();
  ModelServer(const ModelServer&) = delete;
  ModelServer& operator=(const ModelServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string address() const;   // http://127.0.0.1:PORT
  [[nodiscard]] std::string base_url() const;  // the same with /v1, as OpenAI's clients want it
  [[nodiscard]] std::vector<ReceivedRequest> requests() const;
  [[nodiscard]] std::size_t connections() const;  // how many were ever accepted

 private:
  class Shared;
  const std::shared_ptr<Shared> shared_;
};

struct CompletionUsage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
  int reasoning_tokens = 0;
};

// The bytes of a stream as OpenAI sends it: a chunk with the role, one for each word, one with the
// finish_reason (left out if empty), one with the usage if given, and [DONE].
[[nodiscard]] std::string sse_completion(const std::vector<std::string>& words,
                                         std::string_view finish_reason = "stop",
                                         std::optional<CompletionUsage> usage = {});

// One event of such a stream, carrying a word.
[[nodiscard]] std::string sse_word(std::string_view word);
// One event with any data.
[[nodiscard]] std::string sse_event(std::string_view data);

// A handler that answers every request with these bytes as a stream.
[[nodiscard]] ModelServer::Handler always_stream(
    std::string bytes, std::string_view content_type = "text/event-stream");

}  // namespace tertulia::test
