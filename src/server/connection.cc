#include "server/connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>

#include "base/log.h"
#include "server/problem.h"

namespace tertulia::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using PlainStream = beast::tcp_stream;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;

// Larger than a head, so that the parser's own limit is met first; it also bounds the trailers of a
// chunked body, which that limit does not count.
constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;

template <class Fields>
Head head_of(const http::request<http::string_body, Fields>& message) {
  Head head;
  head.method = std::string(message.method_string());
  head.target = std::string(message.target());
  head.version = static_cast<int>(message.version());
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    head.fields.emplace_back(std::move(name), std::string(field.value()));
  }
  return head;
}

// The answer to what could not be read; nothing where the peer is not to be answered.
std::optional<Response> answer_to(beast::error_code error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return problem(431, "invalid", "the request's header fields are too large");
  if (error == http::error::body_limit)
    return problem(413, "invalid", "the request's body is larger than is taken here");
  if (error == beast::error::timeout)
    return problem(408, "timeout", "the request did not arrive in time");
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {};
  if (error.category() == http::make_error_code(http::error::bad_method).category())
    return problem(400, "invalid", "this is no HTTP request: " + error.message());
  return {};
}

// What would end its line would be read as other fields: it is not sent, wherever it came from.
bool ends_line(std::string_view value) {
  return std::any_of(value.begin(), value.end(),
                     [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; });
}

template <class Body>
void put_fields(http::response<Body>& out, const Response& response) {
  out.set(http::field::server, "tertulia");
  if (!response.content_type.empty()) out.set(http::field::content_type, response.content_type);
  out.set("X-Content-Type-Options", "nosniff");
  out.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : response.fields) {
    if (ends_line(value)) continue;
    if (name == "Vary") {
      out.insert(name, value);
    } else {
      out.set(name, value);
    }
  }
}

}  // namespace

template <class Stream>
Connection<Stream>::Connection(Stream stream, const ConnectionLimits& limits, Door& door,
                               std::function<void()> gone)
    : stream_(std::move(stream)),
      limits_(limits),
      door_(door),
      gone_(std::move(gone)),
      buffer_(kBufferBytes),
      deadline_(stream_.get_executor()),
      heartbeat_(stream_.get_executor()) {}

template <class Stream>
Connection<Stream>::~Connection() {
  gone_();
}

template <class Stream>
void Connection<Stream>::run() {
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    beast::get_lowest_layer(stream_).expires_after(limits_.head);
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [self = this->shared_from_this()](Error error) {
                              if (error) return self->close();
                              self->read_head();
                            });
  } else {
    read_head();
  }
}

template <class Stream>
void Connection<Stream>::finish() {
  finishing_ = true;
  if (!answering_) close();
}

template <class Stream>
void Connection<Stream>::abort() {
  close();
}

template <class Stream>
void Connection<Stream>::close() {
  if (outlet_) outlet_->close();
  heartbeat_.cancel();
  deadline_.cancel();
  beast::error_code ignored;
  auto& socket = beast::get_lowest_layer(stream_).socket();
  socket.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  beast::get_lowest_layer(stream_).close();
}

// The one operation that is under way is cancelled once the time is over.
template <class Stream>
void Connection<Stream>::wait_at_most(std::chrono::milliseconds time) {
  is_late_ = false;
  beast::get_lowest_layer(stream_).expires_never();
  deadline_.expires_after(time);
  std::weak_ptr<Connection> weak = this->weak_from_this();
  deadline_.async_wait([weak, wait = ++wait_](Error error) {
    const auto self = weak.lock();
    // It may have been on its way here when what it waited for came.
    if (error || !self || self->wait_ != wait) return;
    self->is_late_ = true;
    beast::get_lowest_layer(self->stream_).cancel();
  });
}

template <class Stream>
typename Connection<Stream>::Error Connection<Stream>::stop_waiting(Error error) {
  ++wait_;
  deadline_.cancel();
  return error && is_late_ ? Error(beast::error::timeout) : error;
}

template <class Stream>
void Connection<Stream>::read_head() {
  answering_ = false;
  if (finishing_) return close();
  request_.reset();
  is_head_ = false;
  version_ = 11;
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
  parser_->body_limit(boost::none);  // until the head says who asks for what
  parser_->eager(false);
  wait_at_most(limits_.head);
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = this->shared_from_this()](Error error, std::size_t) {
                            self->on_head(self->stop_waiting(error));
                          });
}

// The rest of the connection is of no use once a request was not read to its end.
template <class Stream>
void Connection<Stream>::refuse_unread(Error error) {
  auto response = answer_to(error);
  // A connection that waits for its next request is closed without a word.
  const bool has_begun = request_ != nullptr || (parser_ && parser_->got_some());
  if (!response || !has_begun) return close();
  if (request_ && request_->path.starts_with("/v1/"))
    response = as_openai_error(*std::move(response));
  write(std::move(*response), false);
}

template <class Stream>
void Connection<Stream>::on_head(Error error) {
  if (error) return refuse_unread(error);
  answering_ = true;
  const Head head = head_of(parser_->get());
  version_ = parser_->get().version();
  is_head_ = head.method == "HEAD";
  Door::Admission admission = door_.admit(head);
  if (admission.refusal) {
    const bool has_body = parser_->get().count(http::field::transfer_encoding) > 0 ||
                          parser_->content_length().value_or(0) > 0;
    return write(std::move(*admission.refusal), !has_body && parser_->keep_alive());
  }
  request_ = std::move(admission.request);
  if (parser_->content_length().value_or(0) > admission.max_body)
    return refuse_unread(http::make_error_code(http::error::body_limit));
  parser_->body_limit(std::uint64_t{admission.max_body});
  wait_at_most(limits_.body + std::chrono::seconds(admission.max_body / (std::size_t{64} * 1024)));
  if (http::token_list(parser_->get()[http::field::expect]).exists("100-continue") &&
      version_ == 11) {
    auto go_on = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
    http::async_write(stream_, *go_on,
                      [self = this->shared_from_this(), go_on](Error failed, std::size_t) {
                        if (failed) return self->close();
                        self->read_body();
                      });
    return;
  }
  read_body();
}

template <class Stream>
void Connection<Stream>::read_body() {
  http::async_read(stream_, buffer_, *parser_,
                   [self = this->shared_from_this()](Error error, std::size_t) {
                     self->on_body(self->stop_waiting(error));
                   });
}

template <class Stream>
void Connection<Stream>::on_body(Error error) {
  if (error) return refuse_unread(error);
  request_->body = std::move(parser_->get().body());
  const bool keep = parser_->keep_alive();
  door_.answer(request_, [self = this->shared_from_this(), keep](Response response) {
    auto answer = std::make_shared<Response>(std::move(response));
    const auto given = std::chrono::steady_clock::now();
    asio::post(self->stream_.get_executor(), [self, keep, answer, given] {
      if (answer->outlet) {
        self->start_stream(std::move(*answer));
      } else {
        self->write(std::move(*answer), keep, given);
      }
    });
  });
}

template <class Stream>
void Connection<Stream>::write(Response response, bool keep,
                               std::optional<std::chrono::steady_clock::time_point> given) {
  auto out = std::make_shared<http::response<http::string_body>>(
      static_cast<http::status>(response.status), version_);
  out->reason(reason_phrase(response.status));
  put_fields(*out, response);
  const bool keeps = keep && !finishing_;
  out->keep_alive(keeps);
  const bool has_no_body = response.status == 204 || response.status == 304;
  if (!has_no_body) out->content_length(response.body.size());
  if (!is_head_ && !has_no_body) out->body() = std::move(response.body);
  beast::get_lowest_layer(stream_).expires_after(limits_.write);
  auto written = [self = this->shared_from_this(), out, keeps, given](Error error, std::size_t) {
    if (error) return self->close();
    if (given) self->door_.written(std::chrono::steady_clock::now() - *given);
    if (!keeps) return self->linger();
    self->read_head();
  };
  if (is_head_) {
    auto serializer = std::make_shared<http::response_serializer<http::string_body>>(*out);
    http::async_write_header(
        stream_, *serializer,
        [written, serializer](Error error, std::size_t size) { written(error, size); });
    return;
  }
  http::async_write(stream_, *out, written);
}

// A connection that is closed with bytes unread is reset, and the reset may overtake the answer: so
// what the peer still sends is taken, for a moment, and dropped.
template <class Stream>
void Connection<Stream>::linger() {
  answering_ = false;
  if (finishing_) return close();
  beast::error_code ignored;
  auto& lowest = beast::get_lowest_layer(stream_);
  lowest.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  lowest.expires_after(limits_.linger);
  drop_input();
}

template <class Stream>
void Connection<Stream>::drop_input() {
  buffer_.clear();
  beast::get_lowest_layer(stream_).async_read_some(
      buffer_.prepare(kBufferBytes / 4),
      [self = this->shared_from_this()](Error error, std::size_t) {
        if (error) return self->close();
        self->drop_input();
      });
}

// ---- streams -----------------------------------------------------------------------------------

template <class Stream>
void Connection<Stream>::start_stream(Response response) {
  auto out = std::make_shared<http::response<http::empty_body>>(
      static_cast<http::status>(response.status), version_);
  out->reason(reason_phrase(response.status));
  put_fields(*out, response);
  out->keep_alive(false);
  if (version_ == 11) out->chunked(true);
  outlet_ = std::move(response.outlet);
  auto serializer = std::make_shared<http::response_serializer<http::empty_body>>(*out);
  beast::get_lowest_layer(stream_).expires_after(limits_.write);
  writing_ = true;
  http::async_write_header(
      stream_, *serializer,
      [self = this->shared_from_this(), out, serializer](Error error, std::size_t) {
        self->writing_ = false;
        if (error || self->is_head_) return self->close();
        std::weak_ptr<Connection> weak = self;
        // A reader says nothing, for as long as it likes.
        beast::get_lowest_layer(self->stream_).expires_never();
        self->watch_reader();
        self->beat();
        self->outlet_->set_on_ready([weak, executor = self->stream_.get_executor()] {
          asio::post(executor, [weak] {
            if (const auto alive = weak.lock()) alive->write_pieces();
          });
        });
      });
}

template <class Stream>
void Connection<Stream>::write_pieces() {
  if (writing_ || !beast::get_lowest_layer(stream_).socket().is_open()) return;
  auto taken = std::make_shared<Outlet::Taken>(outlet_->take());
  if (taken->pieces.empty() && !taken->ended) return;
  auto text = std::make_shared<std::string>();
  std::size_t size = 0;
  for (const Piece& piece : taken->pieces) size += piece->size();
  text->reserve(size + 32);
  // A chunk, and the last one with it, in one buffer: one system call.
  if (version_ == 11 && size > 0) {
    char hexadecimal[20];
    const int digits = std::snprintf(hexadecimal, sizeof hexadecimal, "%zx\r\n", size);
    text->append(hexadecimal, static_cast<std::size_t>(digits));
  }
  for (const Piece& piece : taken->pieces) *text += *piece;
  if (version_ == 11) {
    if (size > 0) *text += "\r\n";
    if (taken->ended) *text += "0\r\n\r\n";
  }
  writing_ = true;
  beast::get_lowest_layer(stream_).expires_after(limits_.write);
  asio::async_write(stream_, asio::buffer(*text),
                    [self = this->shared_from_this(), text, taken](Error error, std::size_t) {
                      self->writing_ = false;
                      if (error || taken->ended) return self->close();
                      beast::get_lowest_layer(self->stream_).expires_never();
                      self->write_pieces();
                    });
}

// A reader that goes is noticed by its end of the connection, not only by the next write.
template <class Stream>
void Connection<Stream>::watch_reader() {
  stream_.async_read_some(asio::buffer(&unexpected_, 1),
                          [self = this->shared_from_this()](Error error, std::size_t) {
                            if (error) return self->close();
                            self->watch_reader();
                          });
}

template <class Stream>
void Connection<Stream>::beat() {
  heartbeat_.expires_after(limits_.heartbeat);
  std::weak_ptr<Connection> weak = this->weak_from_this();
  heartbeat_.async_wait([weak](Error error) {
    const auto self = weak.lock();
    if (error || !self) return;
    static const Piece comment = std::make_shared<const std::string>(": still here\n\n");
    self->outlet_->offer(comment);
    self->beat();
  });
}

template class Connection<PlainStream>;
template class Connection<TlsStream>;

}  // namespace tertulia::server
