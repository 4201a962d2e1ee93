#include "server/outlet.h"

#include <utility>

namespace tertulia::server {

bool Outlet::push(Piece piece) {
  std::function<void()> ready;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    bytes_ += piece->size();
    if (bytes_ >= kFullAt) was_full_ = true;
    if (pieces_.empty()) ready = on_ready_;
    pieces_.push_back(std::move(piece));
  }
  if (ready) ready();
  return true;
}

bool Outlet::offer(Piece piece) {
  return !is_full() && push(std::move(piece));
}

bool Outlet::is_full() const {
  const std::lock_guard lock(mutex_);
  return bytes_ >= kFullAt;
}

void Outlet::close() {
  std::function<void()> ready;
  std::function<void()> drained;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    ready = on_ready_;
    drained = on_drained_;
  }
  if (ready) ready();
  if (drained) drained();
}

bool Outlet::is_closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

Outlet::Taken Outlet::take() {
  Taken taken;
  std::function<void()> drained;
  {
    const std::lock_guard lock(mutex_);
    taken.pieces = std::exchange(pieces_, {});
    taken.ended = closed_;
    bytes_ = 0;
    if (std::exchange(was_full_, false)) drained = on_drained_;
  }
  if (drained) drained();
  return taken;
}

void Outlet::set_on_ready(std::function<void()> on_ready) {
  bool has_something = false;
  {
    const std::lock_guard lock(mutex_);
    on_ready_ = on_ready;
    has_something = !pieces_.empty() || closed_;
  }
  if (has_something && on_ready) on_ready();
}

void Outlet::set_on_drained(std::function<void()> on_drained) {
  const std::lock_guard lock(mutex_);
  on_drained_ = std::move(on_drained);
}

}  // namespace tertulia::server
