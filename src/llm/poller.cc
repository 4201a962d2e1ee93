#include "llm/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <new>

#include "base/log.h"

namespace tertulia::llm {
namespace {

void report(CURLMcode code) {
  if (code != CURLM_OK) spdlog::error("transport: {}", curl_multi_strerror(code));
}

}  // namespace

Poller::Poller(CURLM* multi)
    : multi_(multi),
      poll_(::epoll_create1(EPOLL_CLOEXEC)),
      woken_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = woken_;
  if (poll_ < 0 || woken_ < 0 || ::epoll_ctl(poll_, EPOLL_CTL_ADD, woken_, &event) != 0) {
    ::close(poll_);
    ::close(woken_);
    throw std::bad_alloc();
  }
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Poller::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
}

Poller::~Poller() {
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, nullptr);
  ::close(poll_);
  ::close(woken_);
}

void Poller::wake() {
  const std::uint64_t one = 1;
  // Full only where it was woken very often and has not looked yet.
  [[maybe_unused]] const ssize_t written = ::write(woken_, &one, sizeof one);
}

int Poller::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
  const int poll = static_cast<Poller*>(self)->poll_;
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(poll, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  event.data.fd = socket;
  if (what != CURL_POLL_OUT) event.events |= EPOLLIN;
  if (what != CURL_POLL_IN) event.events |= EPOLLOUT;
  if (::epoll_ctl(poll, EPOLL_CTL_MOD, socket, &event) == 0) return 0;
  if (errno == ENOENT && ::epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) == 0) return 0;
  return -1;  // the exchange fails, with libcurl's word for it
}

long Poller::curl_wait() const {
  long left = -1;
  report(curl_multi_timeout(multi_, &left));
  return left;
}

void Poller::wait_and_perform(int longest) {
  const long timer = curl_wait();
  const int wait = timer < 0 ? longest : static_cast<int>(std::min<long>(timer, longest));
  std::array<epoll_event, 128> ready{};
  const int count = ::epoll_wait(poll_, ready.data(), static_cast<int>(ready.size()), wait);
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready[static_cast<std::size_t>(i)];
    if (event.data.fd == woken_) {
      std::uint64_t times = 0;
      [[maybe_unused]] const ssize_t taken = ::read(woken_, &times, sizeof times);
      continue;
    }
    int what = 0;
    if ((event.events & (EPOLLIN | EPOLLHUP)) != 0) what |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
    if ((event.events & EPOLLERR) != 0) what |= CURL_CSELECT_ERR;
    report(curl_multi_socket_action(multi_, event.data.fd, what, &running));
  }
  if (curl_wait() == 0) report(curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running));
}

}  // namespace tertulia::llm
