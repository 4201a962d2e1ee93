// HttpClient speaks to a server byte by byte, so that tests can say what no library would: it sends
// what it is given, and reads one answer after the other from the same connection.
//
// Whatever does not come within kPatience throws std::runtime_error: a test that waits in vain
// ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace tertulia::test {

inline constexpr std::chrono::seconds kPatience{60};

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpAnswer {
  std::string version;  // "HTTP/1.1"
  int status = 0;
  HttpFields fields;  // names in lower case, in their order
  std::string body;   // chunks put together

  // The first field of that name (in lower case), or "".
  [[nodiscard]] std::string field(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  // The body as an object; empty, and a failure of the test, where it is none.
  [[nodiscard]] base::json::object json() const;
};

class HttpClient final {
 public:
  // Connects to "http://127.0.0.1:PORT" (or "[::1]").
  explicit HttpClient(const std::string& url);
  HttpClient(HttpClient&& other) noexcept;
  HttpClient& operator=(HttpClient&&) = delete;
  ~HttpClient();

  // "127.0.0.1:PORT"
  [[nodiscard]] const std::string& host() const { return host_; }

  // False where the peer takes no more.
  bool send(std::string_view bytes);
  // No more is sent; answers may still come.
  void end_sending();

  // The next answer; nothing where the peer ends before a whole one. `head_only`: the request was a
  // HEAD, so the answer has no body.
  [[nodiscard]] std::optional<HttpAnswer> read(bool head_only = false);
  // The start line and the fields alone; the body is taken by `read_body` or `read_chunk`.
  [[nodiscard]] std::optional<HttpAnswer> read_head();
  // Takes the body of an answer whose head was read; false where the peer ends before its end.
  bool read_body(HttpAnswer& answer, bool head_only = false);
  // The next chunk of a chunked body; nothing at its end, or where the peer ends.
  [[nodiscard]] std::optional<std::string> read_chunk();
  // Whether the peer ends the connection, after nothing more.
  [[nodiscard]] bool ends();
  // Whatever the peer still sends until it ends the connection.
  [[nodiscard]] std::string rest();

  // A well-formed request and its answer. Host, and Content-Length and Content-Type where there is
  // a body, are added unless `fields` has them. An answer that does not come is one of status 0.
  HttpAnswer ask(std::string_view method, std::string_view target, std::string_view body = {},
                 const HttpFields& fields = {});
  // The same as text, not sent.
  [[nodiscard]] std::string request(std::string_view method, std::string_view target,
                                    std::string_view body = {},
                                    const HttpFields& fields = {}) const;

 private:
  bool fill();  // reads more; false at the end
  std::optional<std::string> line();
  std::optional<std::string> exactly(std::size_t bytes);

  int socket_ = -1;
  std::string host_;
  std::string buffer_;
};

struct SseEvent {
  std::string id;  // "" where it has none
  std::string type;
  std::string data;
};

// EventStream reads Server-Sent Events.
class EventStream final {
 public:
  EventStream(const std::string& url, std::string_view target, const std::string& last_id = {},
              HttpFields fields = {});

  [[nodiscard]] int status() const { return head_.status; }
  [[nodiscard]] const HttpAnswer& head() const { return head_; }
  // Nothing at the stream's end.
  [[nodiscard]] std::optional<SseEvent> next();
  // Comments seen so far.
  [[nodiscard]] int comments() const { return comments_; }

 private:
  HttpClient client_;
  HttpAnswer head_;
  std::string text_;
  int comments_ = 0;
};

}  // namespace tertulia::test
