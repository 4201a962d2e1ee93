// Clients are any number of HTTP callers on one thread, with epoll: requests on kept connections,
// and readers of Server-Sent Events. Not thread-safe; nothing happens outside `run`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tertulia::bench {

struct ReadEvent {
  std::string_view id;  // empty: none
  std::string_view type;
  std::string_view data;
  std::int64_t read_ns = 0;  // when its bytes were read
};

class Clients final {
 public:
  explicit Clients(std::uint16_t port);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  using Answered = std::function<void(int status, std::string_view body)>;
  // Status 0: the connection ended before.
  void send(std::string_view method, std::string_view target, std::string_view body,
            Answered answered, std::string_view type = "application/json");
  // As `send`, and waits for it; gives up where the answer is not of 2xx.
  std::string ask(std::string_view method, std::string_view target, std::string_view body = {},
                  std::string_view type = "application/json");

  // `take` returns whether it goes on; where not, the connection is closed, as `ended` is told.
  using Take = std::function<bool(const ReadEvent& event)>;
  void follow(std::string_view target, std::string_view last_id, Take take,
              std::function<void(int status)> ended);

  // Does what there is to do until that time (of StreamModel::now_ns), or until `is_over` says so
  // after a turn. False: the time came first.
  bool run(std::int64_t until_ns, const std::function<bool()>& is_over = {});

  [[nodiscard]] std::size_t open() const { return connections_.size(); }

 private:
  struct Connection;
  Connection& connect();
  void put(Connection& connection, std::string_view bytes);
  // False where it is to be closed.
  bool read(Connection& connection);
  bool take_bytes(Connection& connection);
  bool take_body(Connection& connection, std::string_view bytes);
  void close(Connection& connection);

  const std::uint16_t port_;
  int poll_ = -1;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<int> idle_;
};

}  // namespace tertulia::bench
