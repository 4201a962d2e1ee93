#include "llm/http_provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "llm/retry.h"
#include "llm/token_estimate.h"

namespace tertulia::llm {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

class HttpReceiver final : public Receiver {
 public:
  HttpReceiver(const Endpoint& endpoint, const HttpProtocol& protocol, std::string key,
               const Request& request, Listener listener)
      : endpoint_(endpoint),
        url_(display_url(protocol.url)),
        framing_(protocol.framing),
        key_(std::move(key)),
        prompt_estimate_(estimate_request_tokens(request)),
        listener_(std::move(listener)),
        dialect_(protocol.dialect(request)) {}

  void on_head(const ResponseHead& head) override {
    head_ = head;
    reply_.emplace(head.status, head.content_type, framing_, std::move(dialect_));
  }

  Took on_bytes(std::string_view bytes) override {
    switch (reply_->feed(bytes, hear_)) {
      case ReplyReader::Progress::nothing:
        return Took::nothing;
      case ReplyReader::Progress::meaningful:
        return Took::meaningful;
      case ReplyReader::Progress::finishing:
        return Took::finishing;
      case ReplyReader::Progress::complete:
        report({});
        return Took::complete;
      case ReplyReader::Progress::hopeless:
        report({});
        return Took::hopeless;
    }
    return Took::hopeless;
  }

  void on_end(const Ending& ending) override { report(ending); }

 private:
  void report(const Ending& ending) {
    if (!listener_.on_done) return;
    Answer answer;
    if (reply_) answer = reply_->finish(ending.why == Ending::Why::finished, hear_);
    if (!head_.request_id.empty()) answer.request_id = head_.request_id;
    for (std::string* const text :
         {&answer.error, &answer.request_id, &answer.model, &answer.finish_reason})
      mask_key(*text, key_);
    judge(ending, answer);
    answer.http_status = head_.status;
    if (answer.outcome != Outcome::ok)
      answer.retry_after =
          parse_retry_after(head_.retry_after_ms, head_.retry_after, base::Clock::system().now());
    if (!answer.usage.reported && (answer.outcome == Outcome::ok || !answer.text.empty())) {
      answer.usage.prompt_tokens = prompt_estimate_;
      answer.usage.completion_tokens = estimate_text_tokens(answer.text);
    }
    answer.first_token = first_token_;
    answer.duration =
        std::max(first_token_, duration_cast<milliseconds>(steady_clock::now() - started_));
    const auto on_done = std::move(listener_.on_done);
    listener_ = {};
    on_done(std::move(answer));
  }

  // What the reading found, in the light of how the connection ended. A complete answer stays one,
  // whatever became of the connection; a failure that the server itself named stays that.
  void judge(const Ending& ending, Answer& answer) const {
    using Why = Ending::Why;
    if (ending.why == Why::cancelled) {
      set(answer, Outcome::cancelled, "cancelled");
    } else if (!reply_ || answer.outcome == Outcome::incomplete) {
      switch (ending.why) {
        case Why::finished:
          if (!reply_) set(answer, Outcome::incomplete, "the answer is empty");
          break;
        case Why::no_connection:
          set(answer, Outcome::connection, ending.error);
          break;
        case Why::broken:
          set(answer, Outcome::incomplete, ending.error);
          break;
        case Why::timeout:
          set(answer, Outcome::timeout, ending.error);
          break;
        case Why::not_http:
        case Why::too_large:
          set(answer, Outcome::malformed, ending.error);
          break;
        case Why::forbidden_address:
          set(answer, Outcome::refused, ending.error);
          break;
        case Why::cancelled:
          break;
      }
    }
    if (answer.outcome == Outcome::ok || answer.outcome == Outcome::cancelled) return;
    answer.error = fmt::format("model profile {}, {}: {}", endpoint_.profile, url_, answer.error);
    if (answer.outcome == Outcome::auth) answer.error += key_advice(endpoint_);
    if (head_.status >= 300 && head_.status < 400)
      answer.error += " (a redirect, which is not followed; give base_url as it should be)";
  }

  static void set(Answer& answer, Outcome outcome, std::string error) {
    answer.outcome = outcome;
    answer.error = std::move(error);
  }

  const Endpoint endpoint_;
  const std::string url_;  // as errors may show it
  const Framing framing_;
  const std::string key_;
  const std::int64_t prompt_estimate_;
  Listener listener_;
  std::unique_ptr<WireDialect> dialect_;  // the reader's, once the head has come
  const steady_clock::time_point started_ = steady_clock::now();
  milliseconds first_token_{0};
  ResponseHead head_;
  std::optional<ReplyReader> reply_;
  const ReplyReader::OnText hear_ = [this](std::string_view text) {
    if (first_token_.count() == 0)
      first_token_ =
          std::max(milliseconds(1), duration_cast<milliseconds>(steady_clock::now() - started_));
    if (listener_.on_text) listener_.on_text(text);
  };
};

class HttpProvider final : public Provider {
 public:
  HttpProvider(Endpoint endpoint, HttpProtocol protocol, Transport& transport)
      : endpoint_(std::move(endpoint)), protocol_(std::move(protocol)), transport_(transport) {}

  std::string_view protocol() const override { return protocol_.name; }
  std::string wire_body(const Request& request) const override { return protocol_.body(request); }

  std::unique_ptr<Call> start(const Request& request, std::string body, const Deadlines& deadlines,
                              Listener listener) override {
    auto key = read_key(endpoint_);
    if (!key) {
      Answer answer;
      answer.outcome = Outcome::auth;
      answer.error = fmt::format("{}; {}", key.error().message, key.error().remedy);
      if (listener.on_done) listener.on_done(std::move(answer));
      return finished_call();
    }
    HttpRequest post{.url = protocol_.url,
                     .headers = protocol_.headers,
                     .body = std::move(body),
                     .deadlines = deadlines};
    for (const char* const header :
         {"Content-Type: application/json", "User-Agent: tertulia/" TERTULIA_VERSION, "Expect:"})
      post.headers.emplace_back(header);
    if (!key->empty()) post.headers.push_back(protocol_.key_header + *key);
    auto receiver = std::make_unique<HttpReceiver>(endpoint_, protocol_, std::move(key).value(),
                                                   request, std::move(listener));
    return transport_.post(std::move(post), std::move(receiver));
  }

  std::int64_t estimate_tokens(std::string_view text) const override {
    return estimate_text_tokens(text);
  }

 private:
  const Endpoint endpoint_;
  const HttpProtocol protocol_;
  Transport& transport_;
};

}  // namespace

std::int64_t estimate_request_tokens(const Request& request) {
  constexpr std::int64_t kFrame = 4;  // OpenAI's own counting rule
  std::int64_t tokens = estimate_text_tokens(request.system) + kFrame;
  for (const Turn& turn : request.turns) tokens += estimate_text_tokens(turn.text) + kFrame;
  return tokens;
}

std::unique_ptr<Provider> make_http_provider(Endpoint endpoint, HttpProtocol protocol,
                                             Transport& transport) {
  return std::make_unique<HttpProvider>(std::move(endpoint), std::move(protocol), transport);
}

}  // namespace tertulia::llm
