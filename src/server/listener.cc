#include "server/listener.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <charconv>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "server/connection.h"

namespace tertulia::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

base::Result<ListenAddress> parse_listen(std::string_view text) {
  const auto wrong = [text](std::string_view why) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("'{}' is no address to listen on: {}", text, why),
                       .remedy = "write ADDRESS:PORT, such as 127.0.0.1:5010 or [::1]:5010"};
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("it has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  ListenAddress address;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (digits.empty() || read.ec != std::errc() || read.ptr != digits.data() + digits.size())
    return wrong(fmt::format("'{}' is no port", digits));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong("an IPv6 address stands in brackets");
  }
  if (host == "localhost") host = "127.0.0.1";
  beast::error_code failed;
  const auto parsed = asio::ip::make_address(std::string(host), failed);
  if (failed) return wrong(fmt::format("'{}' is no IP address", host));
  address.host = parsed.to_string();
  return address;
}

bool is_loopback(const ListenAddress& address) {
  beast::error_code failed;
  return asio::ip::make_address(address.host, failed).is_loopback();
}

struct Listener::Impl {
  explicit Impl(ListenerOptions wanted)
      : options(std::move(wanted)), acceptor(context), retry(context) {}

  void accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (error) {
        // Out of file descriptors, most likely: those that end give some back.
        spdlog::warn("a connection could not be accepted: {}", error.message());
        retry.expires_after(std::chrono::milliseconds(100));
        retry.async_wait([this](beast::error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      take(std::move(socket));
      accept();
    });
  }

  void take(tcp::socket socket) {
    beast::error_code ignored;
    if (open >= options.limits.connections) {
      static constexpr std::string_view kBusy =
          "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
          "Content-Length: 0\r\n\r\n";
      socket.non_blocking(true, ignored);
      socket.write_some(asio::buffer(kBusy.data(), kBusy.size()), ignored);
      return;
    }
    socket.set_option(tcp::no_delay(true), ignored);
    ++open;
    const std::uint64_t number = ++last;
    const auto gone = [this, number] {
      --open;
      const std::lock_guard lock(mutex);
      connections.erase(number);
    };
    std::shared_ptr<AnyConnection> made;
    if (tls) {
      made = std::make_shared<Connection<asio::ssl::stream<beast::tcp_stream>>>(
          asio::ssl::stream<beast::tcp_stream>(beast::tcp_stream(std::move(socket)), *tls),
          options.limits, *door, gone);
    } else {
      made = std::make_shared<Connection<beast::tcp_stream>>(beast::tcp_stream(std::move(socket)),
                                                             options.limits, *door, gone);
    }
    {
      const std::lock_guard lock(mutex);
      connections.emplace(number, made);
    }
    made->run();
  }

  void each(void (AnyConnection::*what)()) {
    const auto all = [this] {  // one that ends leaves the map
      const std::lock_guard lock(mutex);
      return connections;
    }();
    for (const auto& [number, weak] : all)
      if (const auto connection = weak.lock()) ((*connection).*what)();
  }

  const ListenerOptions options;
  Door* door = nullptr;
  std::optional<asio::ssl::context> tls;
  std::mutex mutex;  // a connection ends on the thread that lets go of it last, maybe a worker
  std::map<std::uint64_t, std::weak_ptr<AnyConnection>> connections;
  std::uint64_t last = 0;  // the I/O thread's
  std::atomic<std::size_t> open = 0;
  std::uint16_t port = 0;
  asio::io_context context{1};  // after what connections touch as they go with it
  tcp::acceptor acceptor;
  asio::steady_timer retry;
  std::thread thread;
};

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

base::Result<std::unique_ptr<Listener>> Listener::bind(ListenerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  const ListenerOptions& wanted = impl->options;
  const std::string shown = fmt::format("{}:{}", wanted.address.host, wanted.address.port);
  beast::error_code failed;
  if (!wanted.certificate_file.empty()) {
    impl->tls.emplace(asio::ssl::context::tls_server);
    const auto unusable = [](const std::string& file, const beast::error_code& why) {
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("{} cannot be used for TLS: {}", file, why.message()),
          .remedy = "give a certificate with its chain and its key, both PEM"};
    };
    impl->tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                               asio::ssl::context::no_tlsv1_1,
                           failed);
    impl->tls->use_certificate_chain_file(wanted.certificate_file, failed);
    if (failed) return unusable(wanted.certificate_file, failed);
    impl->tls->use_private_key_file(wanted.key_file, asio::ssl::context::pem, failed);
    if (failed) return unusable(wanted.key_file, failed);
  }
  const tcp::endpoint endpoint(asio::ip::make_address(wanted.address.host), wanted.address.port);
  const auto unavailable = [&] {
    return base::Error{.code = base::Code::unavailable,
                       .message = fmt::format("cannot listen on {}: {}", shown, failed.message()),
                       .remedy =
                           "another program has the port, or the address is not this "
                           "machine's; name another with --listen ADDRESS:PORT"};
  };
  impl->acceptor.open(endpoint.protocol(), failed);
  if (failed) return unavailable();
  impl->acceptor.set_option(tcp::acceptor::reuse_address(true), failed);
  impl->acceptor.bind(endpoint, failed);
  if (failed) return unavailable();
  impl->acceptor.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) return unavailable();
  impl->port = impl->acceptor.local_endpoint().port();
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

void Listener::run(Door& door) {
  impl_->door = &door;
  impl_->accept();
  impl_->thread = std::thread([impl = impl_.get()] {
    const auto work = asio::make_work_guard(impl->context);
    impl->context.run();
  });
}

void Listener::close() {
  asio::post(impl_->context, [impl = impl_.get()] {
    beast::error_code ignored;
    impl->acceptor.close(ignored);
    impl->each(&AnyConnection::finish);
  });
}

Listener::~Listener() {
  stop(std::chrono::milliseconds(0));
}

std::uint16_t Listener::port() const {
  return impl_->port;
}

std::size_t Listener::open_connections() const {
  return impl_->open;
}

void Listener::stop(std::chrono::milliseconds grace) {
  if (!impl_->thread.joinable()) return;
  Impl& impl = *impl_;
  auto deadline = std::make_shared<asio::steady_timer>(impl.context);
  auto look = std::make_shared<std::function<void()>>();
  const auto end = std::chrono::steady_clock::now() + grace;
  // Looks every few milliseconds: connections end one by one, by many ways.
  *look = [&impl, deadline, end, weak = std::weak_ptr(look)] {
    if (impl.open == 0 || std::chrono::steady_clock::now() >= end) {
      impl.each(&AnyConnection::abort);
      impl.context.stop();
      return;
    }
    deadline->expires_after(std::chrono::milliseconds(5));
    deadline->async_wait([again = weak.lock()](beast::error_code) { (*again)(); });
  };
  close();
  asio::post(impl.context, [look] { (*look)(); });
  impl.thread.join();
  impl.context.restart();
  impl.context.poll();  // what was posted meanwhile goes
}

}  // namespace tertulia::server
