#include "support/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace tertulia::test {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool has(const HttpFields& fields, std::string_view name) {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const auto& field) { return lower(field.first) == name; });
}

int connect_to(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0)
    throw std::runtime_error("no address: " + host);
  const int made = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = made >= 0 && ::connect(made, found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  if (!connected) {
    if (made >= 0) ::close(made);
    throw std::runtime_error("cannot connect to " + host + ":" + port);
  }
  const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  ::setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return made;
}

}  // namespace

std::string HttpAnswer::field(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (key == name) return value;
  return {};
}

std::size_t HttpAnswer::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(
      fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; }));
}

base::json::object HttpAnswer::json() const {
  auto parsed = base::parse_json(body);
  EXPECT_TRUE(parsed && parsed->is_object()) << status << ' ' << body;
  return parsed && parsed->is_object() ? parsed->as_object() : base::json::object();
}

HttpClient::HttpClient(const std::string& url) {
  const auto begin = url.find("//");
  host_ = begin == std::string::npos ? url : url.substr(begin + 2);
  const auto colon = host_.rfind(':');
  std::string name = host_.substr(0, colon);
  if (name.size() > 2 && name.front() == '[') name = name.substr(1, name.size() - 2);
  socket_ = connect_to(name, host_.substr(colon + 1));
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      host_(std::move(other.host_)),
      buffer_(std::move(other.buffer_)) {}

HttpClient::~HttpClient() {
  if (socket_ >= 0) ::close(socket_);
}

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      throw std::runtime_error("the peer takes nothing");
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void HttpClient::end_sending() {
  ::shutdown(socket_, SHUT_WR);
}

bool HttpClient::fill() {
  char bytes[16384];
  ssize_t count = 0;
  // A fuzzer's alarm is no end of the peer's.
  do {
    count = ::recv(socket_, bytes, sizeof bytes, 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    throw std::runtime_error("no answer within a minute");
  if (count <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

std::optional<std::string> HttpClient::line() {
  for (std::size_t from = 0;;) {
    const auto end = buffer_.find("\r\n", from);
    if (end != std::string::npos) {
      std::string found = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      return found;
    }
    from = buffer_.empty() ? 0 : buffer_.size() - 1;
    if (!fill()) return {};
  }
}

std::optional<std::string> HttpClient::exactly(std::size_t bytes) {
  while (buffer_.size() < bytes)
    if (!fill()) return {};
  std::string found = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return found;
}

std::optional<HttpAnswer> HttpClient::read_head() {
  const auto start = line();
  if (!start) return {};
  HttpAnswer answer;
  answer.version = start->substr(0, start->find(' '));
  if (answer.version.substr(0, 5) != "HTTP/" || start->size() < 12)
    throw std::runtime_error("this is no answer: " + *start);
  answer.status = std::stoi(start->substr(start->find(' ') + 1));
  for (;;) {
    const auto field = line();
    if (!field) return {};
    if (field->empty()) return answer;
    const auto colon = field->find(':');
    if (colon == std::string::npos) throw std::runtime_error("this is no field: " + *field);
    const auto value = field->find_first_not_of(' ', colon + 1);
    answer.fields.emplace_back(lower(field->substr(0, colon)),
                               value == std::string::npos ? "" : field->substr(value));
  }
}

std::optional<std::string> HttpClient::read_chunk() {
  const auto size = line();
  if (!size) return {};
  const std::size_t bytes = std::stoul(*size, nullptr, 16);
  if (bytes == 0) {
    static_cast<void>(line());
    return {};
  }
  auto chunk = exactly(bytes);
  if (!chunk || !exactly(2)) return {};
  return chunk;
}

std::optional<HttpAnswer> HttpClient::read(bool head_only) {
  auto answer = read_head();
  if (answer && !read_body(*answer, head_only)) return {};
  return answer;
}

bool HttpClient::read_body(HttpAnswer& answer, bool head_only) {
  const bool has_no_body = head_only || answer.status == 204 || answer.status == 304 ||
                           (answer.status >= 100 && answer.status < 200);
  if (has_no_body) return true;
  if (answer.field("transfer-encoding") == "chunked") {
    while (auto chunk = read_chunk()) answer.body += *chunk;
    return true;
  }
  const std::string length = answer.field("content-length");
  if (length.empty()) {
    answer.body = rest();
    return true;
  }
  auto body = exactly(std::stoul(length));
  if (body) answer.body = *std::move(body);
  return body.has_value();
}

std::string HttpClient::rest() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

bool HttpClient::ends() {
  return buffer_.empty() && !fill();
}

std::string HttpClient::request(std::string_view method, std::string_view target,
                                std::string_view body, const HttpFields& fields) const {
  std::string text;
  text.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  if (!has(fields, "host")) text += "Host: " + host_ + "\r\n";
  if (!body.empty() && !has(fields, "content-type")) text += "Content-Type: application/json\r\n";
  if (!body.empty() && !has(fields, "content-length"))
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  for (const auto& [name, value] : fields) {
    text += name;
    text += ": ";
    text += value;
    text += "\r\n";
  }
  text += "\r\n";
  text += body;
  return text;
}

HttpAnswer HttpClient::ask(std::string_view method, std::string_view target, std::string_view body,
                           const HttpFields& fields) {
  send(request(method, target, body, fields));
  return read(method == "HEAD").value_or(HttpAnswer());
}

EventStream::EventStream(const std::string& url, std::string_view target,
                         const std::string& last_id, HttpFields fields)
    : client_(url) {
  if (!last_id.empty()) fields.emplace_back("Last-Event-ID", last_id);
  client_.send(client_.request("GET", target, {}, fields));
  head_ = client_.read_head().value_or(HttpAnswer());
}

std::optional<SseEvent> EventStream::next() {
  if (status() != 200) return {};
  // Heartbeats keep a connection open for ever.
  const auto patience_ends = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    if (std::chrono::steady_clock::now() > patience_ends)
      throw std::runtime_error("no event within a minute");
    const auto end = text_.find("\n\n");
    if (end == std::string::npos) {
      auto chunk = client_.read_chunk();
      if (!chunk) return {};
      text_ += *chunk;
      continue;
    }
    SseEvent event;
    bool has_field = false;
    for (std::size_t at = 0; at < end;) {
      const auto next = std::min(text_.find('\n', at), end);
      const std::string_view line = std::string_view(text_).substr(at, next - at);
      at = next + 1;
      if (line.empty() || line[0] == ':') continue;
      const auto colon = line.find(": ");
      const std::string_view name = line.substr(0, colon);
      const std::string value(colon == std::string_view::npos ? "" : line.substr(colon + 2));
      has_field = true;
      if (name == "id") event.id = value;
      if (name == "event") event.type = value;
      if (name == "data") event.data += (event.data.empty() ? "" : "\n") + value;
    }
    text_.erase(0, end + 2);
    if (has_field) return event;
    ++comments_;
  }
}

}  // namespace tertulia::test
