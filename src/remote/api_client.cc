#include "remote/api_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <new>
#include <thread>

#include "base/json_members.h"
#include "base/random.h"

namespace tertulia::remote {

namespace json = base::json;
using base::text_at;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// After decompression: an exported session may be large.
constexpr std::size_t kMostBytes = std::size_t{512} << 20;
constexpr milliseconds kLook{100};  // how often it is asked whether to stop

void initialise_curl() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw std::bad_alloc();
}

std::size_t take_body(char* bytes, std::size_t, std::size_t count, void* into) {
  auto& body = *static_cast<std::string*>(into);
  if (body.size() + count > kMostBytes) return 0;
  body.append(bytes, count);
  return count;
}

std::string field(CURL* easy, const char* name) {
  curl_header* found = nullptr;
  if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK) return {};
  return found->value;
}

std::string fresh_key() {
  return fmt::format("{:016x}{:016x}", base::fresh_seed(), base::fresh_seed());
}

base::Code code_of(std::string_view name, int status) {
  for (int code = 0; code <= static_cast<int>(base::Code::internal); ++code)
    if (base::code_name(static_cast<base::Code>(code)) == name)
      return static_cast<base::Code>(code);
  if (status == 401 || status == 403 || status == 421) return base::Code::denied;
  if (status == 404) return base::Code::not_found;
  if (status == 409 || status == 412) return base::Code::conflict;
  if (status == 429) return base::Code::rate_limited;
  if (status >= 502) return base::Code::unavailable;
  return status >= 500 ? base::Code::internal : base::Code::invalid;
}

// The code of a problem; empty where the answer is none.
std::string problem_code(const Reply& reply) {
  if (reply.content_type.rfind("application/problem+json", 0) != 0) return {};
  auto body = base::parse_json(reply.body);
  return body && body->is_object() ? std::string(text_at(body->get_object(), "code"))
                                   : std::string();
}

// May it be well a little later?
bool is_passing(const Reply& reply) {
  const std::string code = problem_code(reply);
  if (reply.status == 409) return code == "in_progress";
  if (reply.status == 503) return code != base::code_name(base::Code::drift);
  return reply.status == 429 || ((reply.status == 502 || reply.status == 504) && code.empty());
}

bool has_key(const Ask& ask) {
  return ask.method == "POST" && ask.is_keyed && !ask.is_repeatable;
}

milliseconds wished_wait(const Reply& reply, int repetition) {
  std::int64_t seconds = 0;
  const std::string& text = reply.retry_after;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (read.ec != std::errc() || seconds < 0) return back_off(repetition);
  return std::chrono::seconds(std::min<std::int64_t>(seconds, 3600));
}

}  // namespace

std::string encoded(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~,";
  std::string out;
  for (const char c : word) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

milliseconds back_off(int repetition) {
  return std::min(milliseconds(2000), milliseconds(100) * (1 << std::min(repetition, 5)));
}

ApiClient::ApiClient(ServerAddress address, ClientOptions options)
    : address_(std::move(address)), options_(options) {
  initialise_curl();
}

ApiClient::~ApiClient() {
  for (void* easy : idle_) curl_easy_cleanup(easy);
}

base::Result<std::unique_ptr<ApiClient>> ApiClient::make(ServerAddress address,
                                                         ClientOptions options) {
  auto good = checked(std::move(address));
  if (!good) return good.error();
  return std::unique_ptr<ApiClient>(new ApiClient(*std::move(good), options));
}

void* ApiClient::set_up(void* easy, const Ask& ask) const {
  curl_easy_setopt(easy, CURLOPT_URL, (address_.url + ask.target).c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
  // Proxies as the environment names them, but never to this machine itself.
  if (is_this_machine(address_.url)) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "tertulia");
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, ask.method.c_str());
  if (!address_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, address_.ca_file.c_str());
  curl_slist* fields = nullptr;
  const auto add = [&](const std::string& line) {
    curl_slist* const longer = curl_slist_append(fields, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    fields = longer;
  };
  add("Expect:");
  if (!address_.token.empty()) add("Authorization: Bearer " + address_.token);
  if (!ask.accept.empty()) add("Accept: " + ask.accept);
  if (has_key(ask)) add("Idempotency-Key: " + ask.key);
  if (!ask.body.empty()) {
    add("Content-Type: " + ask.content_type);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, ask.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(ask.body.size()));
  } else if (ask.method != "GET") {
    add("Content-Length: 0");
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
  return fields;
}

ApiClient::Attempt ApiClient::attempt(const Ask& ask) const {
  CURL* easy = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      easy = idle_.back();
      idle_.pop_back();
    }
  }
  if (easy == nullptr) easy = curl_easy_init();
  if (easy == nullptr) throw std::bad_alloc();
  Attempt made;
  auto* const fields = static_cast<curl_slist*>(set_up(easy, ask));
  char why[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &made.reply.body);
  using Look = int (*)(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  const Look look = [](void* client, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto& stop = static_cast<const ApiClient*>(client)->stop_;
    return stop && stop() ? 1 : 0;
  };
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, look);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, this);
  const CURLcode done = curl_easy_perform(easy);
  made.failure = static_cast<int>(done);
  curl_off_t sent = 0;
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
  made.was_sent = sent > 0;
  if (done == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    made.reply.status = static_cast<int>(status);
    made.reply.content_type = field(easy, "Content-Type");
    made.reply.retry_after = field(easy, "Retry-After");
    made.reply.location = field(easy, "Location");
    has_answered_ = true;
  } else {
    made.error = why[0] != '\0' ? why : curl_easy_strerror(done);
  }
  curl_easy_reset(easy);  // it keeps its connection, and nothing that ends with this function
  curl_slist_free_all(fields);
  const std::lock_guard lock(mutex_);
  idle_.push_back(easy);
  return made;
}

base::Error ApiClient::unreachable(const std::string& why) const {
  return {.code = base::Code::unavailable,
          .message = fmt::format("the server {} cannot be reached: {}", address_.url, why),
          .remedy =
              "see that it runs (tertulia serve), that the address is right "
              "(--server URL), and what its log says"};
}

base::Error ApiClient::refusal(const Reply& reply) const {
  if (reply.status >= 300 && reply.status < 400)
    return {.code = base::Code::invalid,
            .message = fmt::format("{} sends on to {}, and redirects are not followed: what is "
                                   "shown to one server is not shown to another",
                                   address_.url, reply.location),
            .remedy = "name the server itself with --server URL"};
  auto body = base::parse_json(reply.body);
  const bool is_problem =
      body && body->is_object() && reply.content_type.rfind("application/problem+json", 0) == 0;
  if (!is_problem)
    return {.code = reply.status >= 500 ? base::Code::unavailable : base::Code::invalid,
            .message = fmt::format("{} answers with status {} and not as a Tertulia server does",
                                   address_.url, reply.status),
            .remedy = "see that the address is right: --server URL, without /api/v1"};
  const json::object& told = body->get_object();
  base::Error error{.code = code_of(text_at(told, "code"), reply.status),
                    .message = std::string(text_at(told, "detail")),
                    .remedy = std::string(text_at(told, "remedy"))};
  // The members of a body are the options of a command: each is named with what is wrong there.
  for (const json::object* one : base::objects_at(told, "errors")) {
    const std::string_view detail = text_at(*one, "detail"), pointer = text_at(*one, "pointer");
    if (detail == error.message) continue;
    error.message +=
        pointer.empty() ? fmt::format("; {}", detail) : fmt::format("; {}: {}", pointer, detail);
  }
  if (reply.status == 401)
    error.remedy =
        "give a token of this server: TERTULIA_TOKEN, or --token-file FILE (tertulia "
        "token create NAME makes one, on the server's machine)";
  return error;
}

base::Result<Reply> ApiClient::send(const Ask& asked) const {
  Ask ask = asked;
  if (has_key(ask) && ask.key.empty()) ask.key = fresh_key();
  const bool is_repeatable =
      ask.method != "DELETE" && (ask.method != "POST" || ask.is_keyed || ask.is_repeatable);
  const auto end = steady_clock::now() + options_.patience;
  for (int repetition = 0;; ++repetition) {
    const bool was_known = has_answered_;
    Attempt made = attempt(ask);
    if (made.failure == CURLE_ABORTED_BY_CALLBACK)
      return base::Error{.code = base::Code::cancelled, .message = "stopped"};
    if (made.failure == CURLE_PEER_FAILED_VERIFICATION || made.failure == CURLE_SSL_CACERT_BADFILE)
      return base::Error{
          .code = base::Code::denied,
          .message = fmt::format("{} does not prove who it is: {}", address_.url, made.error),
          .remedy = "name the certificate of who signed its own: --ca-file FILE"};
    milliseconds wait = back_off(repetition);
    if (made.failure == CURLE_OK) {
      if (made.reply.status >= 200 && made.reply.status < 300) return std::move(made.reply);
      if (!is_passing(made.reply)) return refusal(made.reply);
      wait = wished_wait(made.reply, repetition);
    } else if ((made.was_sent && !is_repeatable) || (!was_known && !made.was_sent)) {
      // A server that was never there is not waited for.
      return unreachable(made.error);
    }
    if (steady_clock::now() + wait > end)
      return made.failure == CURLE_OK ? refusal(made.reply) : unreachable(made.error);
    for (const auto until = steady_clock::now() + wait; steady_clock::now() < until;) {
      if (stop_ && stop_()) return base::Error{.code = base::Code::cancelled, .message = "stopped"};
      std::this_thread::sleep_for(std::min<milliseconds>(
          kLook, std::chrono::ceil<milliseconds>(until - steady_clock::now())));
    }
  }
}

base::Result<json::value> ApiClient::ask(const Ask& asked) const {
  auto reply = send(asked);
  if (!reply) return reply.error();
  if (reply->body.empty()) return json::value();
  auto value = base::parse_json(reply->body);
  if (!value || reply->content_type.find("json") == std::string::npos)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} answers with what is no JSON ({})", address_.url,
                                              reply->content_type),
                       .remedy = "see that the address is right: --server URL, without /api/v1"};
  return value;
}

base::Result<json::object> ApiClient::get(const std::string& target) const {
  auto value = ask({.target = target});
  if (!value) return value.error();
  if (!value->is_object())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}{} answers with no object", url(), target)};
  return std::move(value->get_object());
}

base::Result<json::object> ApiClient::post(const std::string& target,
                                           const json::object& body) const {
  auto value = ask({.method = "POST", .target = target, .body = base::to_text(body)});
  if (!value) return value.error();
  if (value->is_object()) return std::move(value->get_object());
  return json::object();
}

}  // namespace tertulia::remote
