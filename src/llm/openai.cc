#include "llm/openai.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>

#include "base/clock.h"
#include "llm/address_policy.h"
#include "llm/openai_wire.h"
#include "llm/retry.h"
#include "llm/token_estimate.h"

namespace tertulia::llm {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

base::Result<std::string> read_key(const OpenAiConfig& config) {
  const auto missing = [&](std::string what, std::string remedy) {
    return base::Error{.code = base::Code::denied,
                       .message = fmt::format("model profile {}: {}", config.profile, what),
                       .remedy = std::move(remedy)};
  };
  std::string key;
  if (!config.key_env.empty()) {
    const char* const value = std::getenv(config.key_env.c_str());
    if (value == nullptr || *value == '\0')
      return missing(
          fmt::format("no key: the environment variable {} is not set", config.key_env),
          fmt::format("set {} to the key for {}", config.key_env, display_url(config.base_url)));
    key = value;
  } else if (!config.key_file.empty()) {
    std::ifstream file(config.key_file, std::ios::binary);
    constexpr std::size_t kLongest = 16 * 1024;
    std::string text(kLongest, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    if (text.empty())
      return missing(
          fmt::format("no key: the file {} is not there, not readable or empty", config.key_file),
          fmt::format("write the key for {} into it", display_url(config.base_url)));
    key = std::move(text);
  }
  constexpr std::string_view kBlanks = " \t\r\n";
  key.erase(0, std::min(key.size(), key.find_first_not_of(kBlanks)));
  key.erase(key.find_last_not_of(kBlanks) + 1);
  // Anything else could end the header line and begin another.
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7F; }))
    return missing("the key holds characters that no key has", "give the key alone, on one line");
  return key;
}

class ChatReceiver final : public Receiver {
 public:
  ChatReceiver(const OpenAiConfig& config, std::string url, std::string key,
               std::int64_t prompt_estimate, Listener listener)
      : config_(config),
        url_(std::move(url)),
        key_(std::move(key)),
        prompt_estimate_(prompt_estimate),
        listener_(std::move(listener)) {}

  void on_head(const ResponseHead& head) override {
    head_ = head;
    reply_.emplace(head.status, head.content_type);
  }

  Took on_bytes(std::string_view bytes) override {
    switch (reply_->feed(bytes, hear_)) {
      case ChatReply::Progress::nothing:
        return Took::nothing;
      case ChatReply::Progress::meaningful:
        return Took::meaningful;
      case ChatReply::Progress::finishing:
        return Took::finishing;
      case ChatReply::Progress::complete:
        report({});
        return Took::complete;
      case ChatReply::Progress::hopeless:
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
      mask(*text);
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
    answer.error = fmt::format("model profile {}, {}: {}", config_.profile, url_, answer.error);
    if (answer.outcome == Outcome::auth) answer.error += key_advice();
    if (head_.status >= 300 && head_.status < 400)
      answer.error += " (a redirect, which is not followed; give base_url as it should be)";
  }

  static void set(Answer& answer, Outcome outcome, std::string error) {
    answer.outcome = outcome;
    answer.error = std::move(error);
  }

  [[nodiscard]] std::string key_advice() const {
    if (!config_.key_env.empty())
      return fmt::format(" (the key came from the environment variable {})", config_.key_env);
    if (!config_.key_file.empty())
      return fmt::format(" (the key came from the file {})", config_.key_file);
    return " (no key was sent: none is configured for this URL; `tertulia model add` sets one)";
  }

  void mask(std::string& text) const {
    if (key_.empty()) return;
    constexpr std::string_view kMask = "[key]";
    for (std::size_t at = 0; (at = text.find(key_, at)) != std::string::npos; at += kMask.size())
      text.replace(at, key_.size(), kMask);
    // The server's words were shortened, perhaps inside the key: then its beginning stands before
    // the ellipsis.
    constexpr std::string_view kEllipsis = "…";
    const std::size_t cut =
        text.ends_with(kEllipsis) ? text.size() - kEllipsis.size() : text.size();
    for (std::size_t length = std::min(key_.size() - 1, cut); length >= 4; --length)
      if (std::string_view(text).substr(cut - length, length) ==
          std::string_view(key_).substr(0, length)) {
        text.replace(cut - length, length, kMask);
        return;
      }
  }

  const OpenAiConfig config_;
  const std::string url_;  // as errors may show it
  const std::string key_;
  const std::int64_t prompt_estimate_;
  Listener listener_;
  const steady_clock::time_point started_ = steady_clock::now();
  milliseconds first_token_{0};
  ResponseHead head_;
  std::optional<ChatReply> reply_;
  const ChatReply::OnText hear_ = [this](std::string_view text) {
    if (first_token_.count() == 0)
      first_token_ =
          std::max(milliseconds(1), duration_cast<milliseconds>(steady_clock::now() - started_));
    if (listener_.on_text) listener_.on_text(text);
  };
};

class OpenAi final : public Provider {
 public:
  OpenAi(OpenAiConfig config, std::string url, Transport& transport)
      : config_(std::move(config)),
        url_(std::move(url)),
        shown_url_(display_url(url_)),
        own_server_(boost::urls::parse_uri(url_)->host() == "api.openai.com"),
        transport_(transport) {}

  std::string_view protocol() const override { return "openai"; }

  std::string wire_body(const Request& request) const override {
    return chat_body(request, own_server_);
  }

  std::unique_ptr<Call> start(const Request& request, std::string body, const Deadlines& deadlines,
                              Listener listener) override {
    auto key = read_key(config_);
    if (!key) {
      Answer answer;
      answer.outcome = Outcome::auth;
      answer.error = fmt::format("{}; {}", key.error().message, key.error().remedy);
      if (listener.on_done) listener.on_done(std::move(answer));
      return finished_call();
    }
    HttpRequest post{.url = url_, .headers = {}, .body = std::move(body), .deadlines = deadlines};
    post.headers = {"Content-Type: application/json", "Accept: text/event-stream, application/json",
                    "User-Agent: tertulia/" TERTULIA_VERSION, "Expect:"};
    if (!key->empty()) post.headers.push_back("Authorization: Bearer " + *key);
    if (!config_.organization.empty())
      post.headers.push_back("OpenAI-Organization: " + config_.organization);
    if (!config_.project.empty()) post.headers.push_back("OpenAI-Project: " + config_.project);
    auto receiver = std::make_unique<ChatReceiver>(config_, shown_url_, std::move(key).value(),
                                                   estimate_prompt(request), std::move(listener));
    return transport_.post(std::move(post), std::move(receiver));
  }

  std::int64_t estimate_tokens(std::string_view text) const override {
    return estimate_text_tokens(text);
  }

 private:
  // The frame around each message costs about four tokens (OpenAI's own counting rule).
  static std::int64_t estimate_prompt(const Request& request) {
    constexpr std::int64_t kFrame = 4;
    std::int64_t tokens = estimate_text_tokens(request.system) + kFrame;
    for (const Turn& turn : request.turns) tokens += estimate_text_tokens(turn.text) + kFrame;
    return tokens;
  }

  const OpenAiConfig config_;
  const std::string url_;
  const std::string shown_url_;
  const bool own_server_;
  Transport& transport_;
};

bool is_header_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7F; });
}

}  // namespace

std::string display_url(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed) return std::string(url.substr(0, url.find_first_of("@?#")));
  boost::urls::url shown(*parsed);
  shown.remove_userinfo().remove_query().remove_fragment();
  return shown.buffer();
}

base::Result<std::string> chat_url(std::string_view base_url) {
  const auto refuse = [&](std::string_view why) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("base_url {}: {}", display_url(base_url), why),
                       .remedy = "give a URL such as http://127.0.0.1:8080/v1"};
  };
  const auto parsed = boost::urls::parse_uri(base_url);
  if (!parsed) return refuse("not a URL");
  if (parsed->scheme_id() != boost::urls::scheme::http &&
      parsed->scheme_id() != boost::urls::scheme::https)
    return refuse("only http and https are spoken");
  if (parsed->has_userinfo())
    return refuse("a user name or password does not belong here; use `key`");
  if (parsed->has_fragment()) return refuse("a fragment (#...) has no meaning here");
  if (parsed->host().empty()) return refuse("the host is missing");
  if (is_forbidden_host(parsed->host()))
    return refuse("link-local addresses and cloud metadata services are never called");
  boost::urls::url url(*parsed);
  std::string path(url.encoded_path());
  while (path.ends_with('/')) path.pop_back();
  url.set_encoded_path(path + "/chat/completions");
  return std::string(url.buffer());
}

base::Result<std::unique_ptr<Provider>> make_openai(OpenAiConfig config, Transport& transport) {
  auto url = chat_url(config.base_url);
  if (!url) return std::move(url).error().in(fmt::format("model profile {}", config.profile));
  if (!is_header_text(config.organization) || !is_header_text(config.project))
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("model profile {}: organization and project must be "
                                              "printable ASCII",
                                              config.profile)};
  std::unique_ptr<Provider> provider =
      std::make_unique<OpenAi>(std::move(config), std::move(url).value(), transport);
  return provider;
}

}  // namespace tertulia::llm
