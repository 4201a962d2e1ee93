// Connection is one peer's: it reads requests one after the other and writes their answers, within
// limits of size and time. Lives on the I/O thread, held by its own pending operations.
#pragma once

#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "server/door.h"
#include "server/listener.h"

namespace tertulia::server {

// What a listener does with its connections, whatever they are made of.
class AnyConnection {
 public:
  virtual ~AnyConnection() = default;
  virtual void run() = 0;
  // Ends as soon as nothing is being answered.
  virtual void finish() = 0;
  // Ends now.
  virtual void abort() = 0;
};

// Stream: boost::beast::tcp_stream, or a TLS stream over one.
template <class Stream>
class Connection final : public AnyConnection,
                         public std::enable_shared_from_this<Connection<Stream>> {
 public:
  // `gone` is called when it has ended. The others outlive it.
  Connection(Stream stream, const ConnectionLimits& limits, Door& door, std::function<void()> gone);
  ~Connection() override;

  void run() override;
  void finish() override;
  void abort() override;

 private:
  using Error = boost::beast::error_code;

  void read_head();
  void on_head(Error error);
  void read_body();
  void on_body(Error error);
  void refuse_unread(Error error);
  void wait_at_most(std::chrono::milliseconds time);
  [[nodiscard]] Error stop_waiting(Error error);
  // `given`: when the door gave the answer; none of its own.
  void write(Response response, bool keep,
             std::optional<std::chrono::steady_clock::time_point> given = {});
  void start_stream(Response response);
  void write_pieces();
  void watch_reader();
  void beat();
  void linger();
  void drop_input();
  void close();

  Stream stream_;
  const ConnectionLimits& limits_;
  Door& door_;
  std::function<void()> gone_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::shared_ptr<Request> request_;
  bool is_head_ = false;    // the present request's method is HEAD
  unsigned version_ = 11;   // of the present request
  bool answering_ = false;  // a request was begun and its answer is not written
  bool finishing_ = false;
  // What is read must be there in time. The stream's own limit would close the socket, and leave
  // nothing to say so on.
  boost::asio::steady_timer deadline_;
  std::uint64_t wait_ = 0;  // the number of the present wait
  bool is_late_ = false;
  // Of a streamed answer.
  std::shared_ptr<Outlet> outlet_;
  boost::asio::steady_timer heartbeat_;
  bool writing_ = false;
  char unexpected_ = 0;
};

}  // namespace tertulia::server
