#include "bench/stream_model.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <queue>
#include <utility>
#include <vector>

#include "bench/served.h"

namespace tertulia::bench {
namespace {

struct Caller {
  bool is_here = false;
  std::string in;
  std::uint64_t number = 0;  // of the answer under way
  int left = 0;              // words of it
};

struct Due {
  std::int64_t at = 0;
  int socket = -1;
  std::uint64_t number = 0;
  bool operator>(const Due& other) const { return at > other.at; }
};

void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // it has gone, and is noticed when it is read
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string chunk(std::string_view data) {
  return fmt::format("{:x}\r\ndata: {}\n\n\r\n", data.size() + 8, data);
}

// A word's bytes are always the same but for the stamp, whose digits are written into their place.
class Word final {
 public:
  Word()
      : bytes_(chunk(fmt::format(R"({{"choices":[{{"index":0,"delta":{{"content":"~{}~ "}}}}]}})",
                                 std::string(kDigits, '0')))),
        at_(bytes_.find('~') + 1) {}
  [[nodiscard]] std::string_view stamped(std::int64_t now) {
    for (std::size_t i = kDigits; i > 0; --i, now /= 10)
      bytes_[at_ + i - 1] = static_cast<char>('0' + now % 10);
    return bytes_;
  }

 private:
  static constexpr std::size_t kDigits = 19;
  std::string bytes_;
  std::size_t at_;
};

// Takes one whole request from what came; false where there is none yet.
bool take_request(std::string& in) {
  const auto head = in.find("\r\n\r\n");
  if (head == std::string::npos) return false;
  std::size_t length = 0;
  for (std::size_t line = 0; line < head; line = in.find("\r\n", line) + 2)
    if (::strncasecmp(in.c_str() + line, "content-length:", 15) == 0)
      length = std::strtoull(in.c_str() + line + 15, nullptr, 10);
  if (in.size() < head + 4 + length) return false;
  in.erase(0, head + 4 + length);
  return true;
}

}  // namespace

std::int64_t StreamModel::now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

StreamModel::StreamModel(Pace pace) : pace_(pace) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 4096) != 0)
    give_up("the model server cannot listen");
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  poll_ = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener_}};
  ::epoll_ctl(poll_, EPOLL_CTL_ADD, listener_, &event);
  thread_ = std::thread([this] { work(); });
}

StreamModel::~StreamModel() {
  ending_ = true;
  thread_.join();
  ::close(poll_);
  ::close(listener_);
}

std::string StreamModel::profile() const {
  return fmt::format("openai/bench@http://127.0.0.1:{}/v1", port_);
}

Spread StreamModel::take_lateness() {
  const std::lock_guard lock(mutex_);
  return std::exchange(lateness_, {});
}

void StreamModel::work() {
  go_first();
  std::vector<Caller> callers;  // by socket
  std::priority_queue<Due, std::vector<Due>, std::greater<>> dues;
  std::uint64_t last_number = 0;
  Word word;
  const std::string end =
      chunk(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})") +
      chunk(R"({"choices":[],"usage":{"prompt_tokens":120,"completion_tokens":100}})") +
      chunk("[DONE]") + "0\r\n\r\n";
  const auto caller_at = [&](int socket) -> Caller& {
    const auto at = static_cast<std::size_t>(socket);
    if (callers.size() <= at) callers.resize(at + 1);
    return callers[at];
  };
  const auto drop = [&](int socket) {
    ::close(socket);
    caller_at(socket) = {};
  };
  const auto begin = [&](int socket, Caller& caller) {
    caller.number = ++last_number;
    caller.left = pace_.words;
    dues.push({now_ns() + pace_.first.count() * 1000, socket, caller.number});
    send_all(socket,
             "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
             "chunked\r\n\r\n");
  };
  const auto say = [&](const Due& due) {
    Caller& caller = caller_at(due.socket);
    if (!caller.is_here || caller.number != due.number) return;
    const std::int64_t now = now_ns();
    {
      const std::lock_guard lock(mutex_);
      lateness_.add(static_cast<double>(now - due.at) / 1e6);
    }
    if (caller.left-- > 0) {
      send_all(due.socket, word.stamped(now));
      ++words_;
      dues.push({due.at + pace_.between.count() * 1000, due.socket, due.number});
      return;
    }
    send_all(due.socket, end);
    ++answers_;
  };
  std::vector<epoll_event> ready(256);
  while (!ending_) {
    std::int64_t wait = 50'000'000;
    if (!dues.empty()) wait = std::clamp<std::int64_t>(dues.top().at - now_ns(), 0, wait);
    const timespec timeout{.tv_sec = 0, .tv_nsec = wait};
    const int count =
        ::epoll_pwait2(poll_, ready.data(), static_cast<int>(ready.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const int socket = ready[static_cast<std::size_t>(i)].data.fd;
      if (socket == listener_) {
        const int accepted = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        const int on = 1;
        ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{.events = EPOLLIN, .data = {.fd = accepted}};
        ::epoll_ctl(poll_, EPOLL_CTL_ADD, accepted, &event);
        caller_at(accepted) = {.is_here = true};
        continue;
      }
      char bytes[65536];
      const ssize_t got = ::recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got <= 0) {
        drop(socket);
        continue;
      }
      Caller& caller = caller_at(socket);
      caller.in.append(bytes, static_cast<std::size_t>(got));
      if (take_request(caller.in)) begin(socket, caller);
    }
    while (!dues.empty() && dues.top().at <= now_ns()) {
      const Due due = dues.top();
      dues.pop();
      say(due);
    }
  }
  for (std::size_t socket = 0; socket < callers.size(); ++socket)
    if (callers[socket].is_here) drop(static_cast<int>(socket));
}

}  // namespace tertulia::bench
