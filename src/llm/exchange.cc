#include "llm/exchange.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/clock.h"
#include "llm/address_policy.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMaxHeaders = 256 * 1024;
// Small, because ten thousand streams each hold one; tokens come in pieces of a few hundred bytes.
constexpr long kReceiveBuffer = 4096;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
         });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The host of a URL that Boost.URL has found valid.
std::string_view host_of(std::string_view url) {
  url.remove_prefix(std::min(url.size(), url.find("://") + 3));
  url = url.substr(0, url.find_first_of("/?#"));
  const std::size_t bracket = url.find(']');
  if (bracket != std::string_view::npos) return url.substr(0, bracket + 1);
  return url.substr(0, url.find(':'));
}

}  // namespace

Exchange::Exchange(std::uint64_t id, HttpRequest request, std::unique_ptr<Receiver> receiver,
                   std::vector<std::uint64_t>& hastened)
    : id_(id),
      request_(std::move(request)),
      receiver_(std::move(receiver)),
      hastened_(hastened),
      started_(steady_clock::now()),
      easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
  set_options();
}

Exchange::~Exchange() = default;

void Exchange::set_options() {
  CURL* const easy = easy_.get();
  for (const std::string& header : request_.headers) {
    curl_slist* const longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)headers_.release();
    headers_.reset(longer);
  }
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.data());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(request_.body.size()));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_.data());
  curl_easy_setopt(
      easy, CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::max(request_.deadlines.connect, milliseconds(1)).count()));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  // A name lookup that hangs must not hang this thread when its exchange is given up.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  // libcurl sends a request again by itself when a kept connection turns out to be closed; the
  // younger a kept connection must be, the rarer that is.
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 30L);
  if (is_loopback_host(host_of(request_.url))) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Exchange::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Exchange::on_open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
}

std::size_t Exchange::on_header(char* bytes, std::size_t size, std::size_t count,
                                void* self) noexcept {
  const bool taken = static_cast<Exchange*>(self)->take_header({bytes, size * count});
  return taken ? size * count : 0;
}

std::size_t Exchange::on_body(char* bytes, std::size_t size, std::size_t count,
                              void* self) noexcept {
  const bool taken = static_cast<Exchange*>(self)->take_body({bytes, size * count});
  return taken ? size * count : 0;
}

curl_socket_t Exchange::on_open(void* self, curlsocktype, curl_sockaddr* address) noexcept {
  if (is_forbidden_address(address->addr)) {
    static_cast<Exchange*>(self)->verdict_ = Ending{
        .why = Ending::Why::forbidden_address,
        .error = "the address is link-local or a cloud's metadata service, which are never called"};
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

bool Exchange::take_header(std::string_view line) {
  if (!last_event_) {
    last_event_ = steady_clock::now();
    hastened_.push_back(id_);
  }
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaders) {
    verdict_ = Ending{.why = Ending::Why::too_large,
                      .error = fmt::format("the response's header exceeds {} bytes", kMaxHeaders)};
    return false;
  }
  if (head_done_) return true;  // a trailer
  line = trimmed(line);
  if (line.starts_with("HTTP/")) {
    head_ = {};
    return true;
  }
  if (line.empty()) {
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) {  // else an interim response: the real one follows
      head_.status = static_cast<int>(status);
      head_done_ = true;
      receiver_->on_head(head_);
    }
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same_name(name, "content-type")) head_.content_type = value;
  if (same_name(name, "retry-after")) head_.retry_after = value;
  if (same_name(name, "retry-after-ms")) head_.retry_after_ms = value;
  if (same_name(name, "x-request-id") || same_name(name, "request-id")) head_.request_id = value;
  return true;
}

bool Exchange::take_body(std::string_view bytes) {
  body_bytes_ += bytes.size();
  if (body_bytes_ > Transport::kMaxResponse) {
    verdict_ =
        Ending{.why = Ending::Why::too_large,
               .error = fmt::format("the response exceeds {} bytes", Transport::kMaxResponse)};
    return false;
  }
  if (draining_) return true;
  switch (receiver_->on_bytes(bytes)) {
    case Receiver::Took::nothing:
      break;
    case Receiver::Took::meaningful:
      last_event_ = steady_clock::now();
      break;
    case Receiver::Took::finishing:
      last_event_ = steady_clock::now();
      if (!last_call_) hasten(Transport::kAfterwords);
      break;
    case Receiver::Took::complete:
      draining_ = true;
      hasten(Transport::kDrain);
      break;
    case Receiver::Took::hopeless:
      verdict_ = Ending{};
      return false;
  }
  return true;
}

void Exchange::hasten(milliseconds left) {
  last_call_ = steady_clock::now() + left;
  hastened_.push_back(id_);
}

Exchange::Time Exchange::due() const {
  const Deadlines& deadlines = request_.deadlines;
  Time due = started_ + deadlines.total;
  due =
      std::min(due, last_event_ ? *last_event_ + deadlines.idle : started_ + deadlines.first_byte);
  if (last_call_) due = std::min(due, *last_call_);
  return due;
}

Ending Exchange::overdue(Time now) const {
  const auto words = [](std::string_view what, milliseconds limit) {
    return Ending{.why = Ending::Why::timeout,
                  .error = fmt::format("{} {}", what, base::duration_words(limit))};
  };
  if (now >= started_ + request_.deadlines.total)
    return words("not finished after", request_.deadlines.total);
  if (!last_event_) return words("no answer began within", request_.deadlines.first_byte);
  return words("nothing meaningful came for", request_.deadlines.idle);
}

Ending Exchange::ending(CURLcode code) const {
  if (verdict_) return *verdict_;
  if (code == CURLE_OK) return {};
  using Why = Ending::Why;
  const Why lost = last_event_ ? Why::broken : Why::no_connection;
  const std::string said = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {.why = Why::timeout, .error = said};
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {.why = Why::not_http, .error = said};
    default:
      return {.why = lost, .error = said};
  }
}

}  // namespace tertulia::llm
