#include "support/model_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <set>
#include <stdexcept>
#include <thread>

namespace tertulia::test {
namespace {

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string chunk_json(std::string_view delta, std::string_view finish_reason) {
  const std::string reason = finish_reason.empty() ? "null" : quoted(finish_reason);
  return fmt::format(
      R"({{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"scripted-1",)"
      R"("choices":[{{"index":0,"delta":{},"finish_reason":{}}}],"usage":null}})",
      delta, reason);
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// Reads requests from one connection, keeping what came early for the next.
class RequestReader final {
 public:
  explicit RequestReader(int socket) : socket_(socket) {}

  std::optional<ReceivedRequest> next() {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return {};
    ReceivedRequest request = parse_head(std::string_view(buffer_).substr(0, end + 2));
    buffer_.erase(0, end + 4);
    std::size_t length = 0;
    const std::string given = request.header("content-length");
    std::from_chars(given.data(), given.data() + given.size(), length);
    while (buffer_.size() < length)
      if (!more()) return {};
    request.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return request;
  }

 private:
  bool more() {
    char bytes[16384];
    const ssize_t got = recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  static ReceivedRequest parse_head(std::string_view head) {
    ReceivedRequest request;
    bool first = true;
    while (!head.empty()) {
      const std::size_t end = head.find("\r\n");
      const std::string_view line = head.substr(0, end);
      head.remove_prefix(end + 2);
      if (first) {
        const std::size_t blank = line.find(' ');
        request.method = line.substr(0, blank);
        request.target = line.substr(blank + 1, line.rfind(' ') - blank - 1);
        first = false;
      } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        request.headers.emplace_back(line.substr(0, colon), value);
      }
    }
    return request;
  }

  int socket_;
  std::string buffer_;
};

}  // namespace

void Gate::open() {
  const std::scoped_lock lock(mutex_);
  open_ = true;
  opened_.notify_all();
}

void Gate::wait() {
  std::unique_lock lock(mutex_);
  opened_.wait(lock, [this] { return open_; });
}

std::string ReceivedRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (same_ignoring_case(key, name)) return value;
  return {};
}

void Reply::raw(std::string_view bytes) {
  while (!closed_ && !bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      closed_ = true;
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Reply::answer(int status, std::string_view body, std::string_view content_type,
                   std::string_view headers) {
  raw(fmt::format("HTTP/1.1 {} Scripted\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n{}",
                  status, content_type, body.size(), headers, body));
}

void Reply::begin(int status, std::string_view content_type, std::string_view headers) {
  raw(fmt::format(
      "HTTP/1.1 {} Scripted\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n{}\r\n", status,
      content_type, headers));
}

void Reply::chunk(std::string_view bytes) {
  if (!bytes.empty()) raw(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes));
}

void Reply::end() {
  raw("0\r\n\r\n");
}

void Reply::close() {
  if (!closed_) shutdown(socket_, SHUT_RDWR);
  closed_ = true;
}

void Reply::reset() {
  // With no time to linger, close(2) sends a reset; the connection's thread closes soon after.
  const linger none{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  closed_ = true;
}

void Reply::wait_until_client_leaves() {
  char byte = 0;
  while (!closed_ && recv(socket_, &byte, 1, 0) > 0) {
  }
  closed_ = true;
}

class ModelServer::Shared final {
 public:
  explicit Shared(Handler handler) : handler_(std::move(handler)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || bind(listener_, any, size) != 0 || listen(listener_, 4096) != 0 ||
        getsockname(listener_, any, &size) != 0)
      throw std::runtime_error("ModelServer: no loopback socket");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~Shared() {
    shutdown(listener_, SHUT_RDWR);  // accept(2) returns
    acceptor_.join();
    ::close(listener_);
    {
      const std::scoped_lock lock(mutex_);
      for (const int open : open_) shutdown(open, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<ReceivedRequest> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }
  [[nodiscard]] std::size_t connections() const {
    const std::scoped_lock lock(mutex_);
    return threads_.size();
  }

 private:
  void accept_all() {
    for (;;) {
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      const int yes = 1;
      setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      const std::scoped_lock lock(mutex_);
      open_.insert(connection);
      threads_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    RequestReader reader(connection);
    while (auto request = reader.next()) {
      {
        const std::scoped_lock lock(mutex_);
        requests_.push_back(*request);
      }
      Reply reply(connection);
      handler_(*request, reply);
      if (reply.closed_) break;
    }
    const std::scoped_lock lock(mutex_);
    open_.erase(connection);
    ::close(connection);
  }

  const Handler handler_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread acceptor_;
  mutable std::mutex mutex_;  // guards the rest; threads_ is joined after the acceptor has ended
  std::vector<ReceivedRequest> requests_;
  std::set<int> open_;
  std::vector<std::thread> threads_;
};

ModelServer::ModelServer(Handler handler) : shared_(std::make_shared<Shared>(std::move(handler))) {}
ModelServer::~ModelServer() = default;

std::uint16_t ModelServer::port() const {
  return shared_->port();
}
std::string ModelServer::address() const {
  return fmt::format("http://127.0.0.1:{}", shared_->port());
}
std::string ModelServer::base_url() const {
  return address() + "/v1";
}
std::vector<ReceivedRequest> ModelServer::requests() const {
  return shared_->requests();
}
std::size_t ModelServer::connections() const {
  return shared_->connections();
}

std::string sse_event(std::string_view data) {
  return fmt::format("data: {}\n\n", data);
}

std::string sse_word(std::string_view word) {
  return sse_event(chunk_json(fmt::format(R"({{"content":{}}})", quoted(word)), {}));
}

std::string sse_completion(const std::vector<std::string>& words, std::string_view finish_reason,
                           std::optional<CompletionUsage> usage) {
  std::string out = sse_event(chunk_json(R"({"role":"assistant","content":""})", {}));
  for (const std::string& word : words) out += sse_word(word);
  if (!finish_reason.empty()) out += sse_event(chunk_json("{}", finish_reason));
  if (usage)
    out += sse_event(fmt::format(
        R"({{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"scripted-1",)"
        R"("choices":[],"usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
        R"("prompt_tokens_details":{{"cached_tokens":{}}},)"
        R"("completion_tokens_details":{{"reasoning_tokens":{}}}}}}})",
        usage->prompt_tokens, usage->completion_tokens,
        usage->prompt_tokens + usage->completion_tokens, usage->cached_tokens,
        usage->reasoning_tokens));
  return out + sse_event("[DONE]");
}

ModelServer::Handler always_stream(std::string bytes, std::string_view content_type) {
  return [bytes = std::move(bytes), type = std::string(content_type)](const ReceivedRequest&,
                                                                      Reply& reply) {
    reply.begin(200, type);
    reply.chunk(bytes);
    reply.end();
  };
}

}  // namespace tertulia::test
