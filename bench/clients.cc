#include "bench/clients.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "bench/served.h"
#include "bench/stream_model.h"

namespace tertulia::bench {

struct Clients::Connection {
  int socket = -1;
  std::string in;
  bool has_head = false;
  bool is_chunked = false;
  int status = 0;
  std::size_t length = 0;
  Answered answered;
  // Of a reader.
  Take take;
  std::function<void(int)> ended;
  std::string text;  // of events that are not whole yet
  std::int64_t read_ns = 0;
};

Clients::Clients(std::uint16_t port) : port_(port), poll_(::epoll_create1(EPOLL_CLOEXEC)) {}

Clients::~Clients() {
  for (const auto& [socket, connection] : connections_) ::close(socket);
  ::close(poll_);
}

Clients::Connection& Clients::connect() {
  if (!idle_.empty()) {
    const int socket = idle_.back();
    idle_.pop_back();
    return *connections_.at(socket);
  }
  auto made = std::make_unique<Connection>();
  made->socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(made->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(made->socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    give_up("no connection to the server");
  epoll_event event{.events = EPOLLIN, .data = {.fd = made->socket}};
  ::epoll_ctl(poll_, EPOLL_CTL_ADD, made->socket, &event);
  Connection& connection = *made;
  connections_.emplace(connection.socket, std::move(made));
  return connection;
}

void Clients::put(Connection& connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // noticed when it is read
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Clients::send(std::string_view method, std::string_view target, std::string_view body,
                   Answered answered, std::string_view type) {
  Connection& connection = connect();
  connection.answered = std::move(answered);
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", method, target, port_);
  if (method != "GET")
    text += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", type, body.size());
  put(connection, fmt::format("{}\r\n{}", text, body));
}

std::string Clients::ask(std::string_view method, std::string_view target, std::string_view body,
                         std::string_view type) {
  std::optional<std::string> got;
  send(
      method, target, body,
      [&](int status, std::string_view answer) {
        if (status < 200 || status >= 300)
          give_up(fmt::format("{} {}: {} {}", method, target, status, answer));
        got = std::string(answer);
      },
      type);
  if (!run(StreamModel::now_ns() + 60'000'000'000, [&] { return got.has_value(); }))
    give_up(fmt::format("{} {}: no answer", method, target));
  return *got;
}

void Clients::follow(std::string_view target, std::string_view last_id, Take take,
                     std::function<void(int)> ended) {
  Connection& connection = connect();
  connection.take = std::move(take);
  connection.ended = std::move(ended);
  std::string text = fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", target, port_);
  if (!last_id.empty()) text += fmt::format("Last-Event-ID: {}\r\n", last_id);
  put(connection, text + "\r\n");
}

bool Clients::run(std::int64_t until_ns, const std::function<bool()>& is_over) {
  std::vector<epoll_event> ready(512);
  for (;;) {
    if (is_over && is_over()) return true;
    const std::int64_t left = until_ns - StreamModel::now_ns();
    if (left <= 0) return false;
    const timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    const int count =
        ::epoll_pwait2(poll_, ready.data(), static_cast<int>(ready.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto found = connections_.find(ready[static_cast<std::size_t>(i)].data.fd);
      if (found == connections_.end()) continue;
      Connection& connection = *found->second;
      if (!read(connection)) close(connection);
    }
  }
}

bool Clients::read(Connection& connection) {
  char bytes[65536];
  const ssize_t got = ::recv(connection.socket, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return true;
  if (got <= 0) return false;
  connection.read_ns = StreamModel::now_ns();
  connection.in.append(bytes, static_cast<std::size_t>(got));
  return take_bytes(connection);
}

bool Clients::take_bytes(Connection& connection) {
  std::string& in = connection.in;
  if (!connection.has_head) {
    const auto end = in.find("\r\n\r\n");
    if (end == std::string::npos) return true;
    connection.status = std::atoi(in.c_str() + in.find(' '));
    connection.length = 0;
    connection.is_chunked = false;
    for (std::size_t line = 0; line < end; line = in.find("\r\n", line) + 2) {
      if (::strncasecmp(in.c_str() + line, "content-length:", 15) == 0)
        connection.length = std::strtoull(in.c_str() + line + 15, nullptr, 10);
      if (::strncasecmp(in.c_str() + line, "transfer-encoding:", 18) == 0)
        connection.is_chunked = true;
    }
    in.erase(0, end + 4);
    connection.has_head = true;
  }
  if (!connection.is_chunked) {
    if (in.size() < connection.length) return true;
    if (!connection.answered) return false;  // a reader that was answered with no stream
    const std::string body = in.substr(0, connection.length);
    in.erase(0, connection.length);
    connection.has_head = false;
    idle_.push_back(connection.socket);
    std::exchange(connection.answered, {})(connection.status, body);
    return true;
  }
  std::size_t at = 0;
  for (;;) {
    const auto line = in.find("\r\n", at);
    if (line == std::string::npos) break;
    const std::size_t size = std::strtoull(in.c_str() + at, nullptr, 16);
    if (size == 0) return false;
    if (in.size() < line + 2 + size + 2) break;
    if (!take_body(connection, std::string_view(in).substr(line + 2, size))) return false;
    at = line + 2 + size + 2;
  }
  in.erase(0, at);
  return true;
}

bool Clients::take_body(Connection& connection, std::string_view bytes) {
  std::string& text = connection.text;
  text.append(bytes);
  std::size_t at = 0;
  for (;;) {
    const auto end = text.find("\n\n", at);
    if (end == std::string::npos) break;
    ReadEvent event{.id = {}, .type = {}, .data = {}, .read_ns = connection.read_ns};
    std::string_view rest = std::string_view(text).substr(at, end - at);
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.starts_with("id: ")) event.id = line.substr(4);
      if (line.starts_with("event: ")) event.type = line.substr(7);
      if (line.starts_with("data: ")) event.data = line.substr(6);
    }
    at = end + 2;
    if (!event.type.empty() && !connection.take(event)) return false;
  }
  text.erase(0, at);
  return true;
}

void Clients::close(Connection& connection) {
  const int socket = connection.socket;
  const auto answered = std::move(connection.answered);
  const auto ended = std::move(connection.ended);
  const int status = connection.status;
  std::erase(idle_, socket);
  ::close(socket);
  connections_.erase(socket);
  if (answered) answered(0, {});
  if (ended) ended(status);
}

}  // namespace tertulia::bench
