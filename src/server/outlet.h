// Outlet is the bounded queue between who makes a streamed answer and the connection that writes
// it. Safe from any thread.
//
// A maker that has more than fits waits for `on_drained`, so that a reader that is slow costs a
// bounded amount of memory and nobody else's time; what is best effort is dropped instead. A reader
// that takes nothing for a while is cut off by its connection.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace tertulia::server {

using Piece = std::shared_ptr<const std::string>;  // shared by all who are sent the same

class Outlet final {
 public:
  static constexpr std::size_t kFullAt = std::size_t{256} * 1024;  // bytes

  // Takes the piece whatever the fill: a maker looks at `is_full` first. False once closed.
  bool push(Piece piece);
  // Takes it only where there is room and nothing was closed.
  bool offer(Piece piece);
  [[nodiscard]] bool is_full() const;
  // No more comes; what is queued is still written. Also how a connection says that its reader has
  // gone.
  void close();
  [[nodiscard]] bool is_closed() const;

  // For the connection: what is queued, at most about kFullAt bytes, and whether that was the end.
  struct Taken {
    std::deque<Piece> pieces;
    bool ended = false;
  };
  [[nodiscard]] Taken take();

  // Each is called without a lock held, on the thread of what caused it: `on_ready` when there is
  // something to take after there was nothing, `on_drained` when there is room again after it was
  // full, or the outlet was closed.
  void set_on_ready(std::function<void()> on_ready);
  void set_on_drained(std::function<void()> on_drained);

 private:
  mutable std::mutex mutex_;
  std::deque<Piece> pieces_;
  std::size_t bytes_ = 0;
  bool closed_ = false;
  bool was_full_ = false;
  std::function<void()> on_ready_;
  std::function<void()> on_drained_;
};

}  // namespace tertulia::server
