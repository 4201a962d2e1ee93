#include "llm/rehearsal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/near_name.h"
#include "base/random.h"
#include "base/utf8.h"
#include "llm/rehearsal_words.h"
#include "llm/schema_filler.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The ways to fail that a server or a network has; the rest of Outcome is the engine's.
constexpr std::array kFaults{
    Outcome::connection,     Outcome::timeout,    Outcome::rate_limited, Outcome::quota,
    Outcome::server,         Outcome::auth,       Outcome::refused,      Outcome::context_overflow,
    Outcome::content_filter, Outcome::incomplete, Outcome::malformed,
};

base::Error wrong_option(std::string message, std::string remedy) {
  return {.code = base::Code::invalid,
          .message = "rehearsal: " + std::move(message),
          .remedy = std::move(remedy)};
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value)) return {};
  return value;
}

base::Result<milliseconds> parse_latency(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    double ms;
  };
  constexpr double kLongest = 3'600'000;
  for (const Unit& unit : {Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000}}) {
    if (!text.ends_with(unit.suffix)) continue;
    const auto value = number(text.substr(0, text.size() - unit.suffix.size()));
    if (!value || *value < 0 || *value * unit.ms > kLongest) break;
    return milliseconds(static_cast<std::int64_t>(*value * unit.ms));
  }
  if (text == "0") return milliseconds(0);
  return wrong_option(fmt::format("latency={} is not a time of at most an hour", text),
                      "write it as 200ms, 1.5s or 2m");
}

base::Result<Outcome> parse_kind(std::string_view text) {
  std::vector<std::string> names;
  for (const Outcome fault : kFaults) {
    if (outcome_name(fault) == text) return fault;
    names.emplace_back(outcome_name(fault));
  }
  const std::string near = base::near_name(text, names);
  return wrong_option(fmt::format("kind={} is not a way to fail", text),
                      near.empty() ? fmt::format("one of {}", fmt::join(names, ", "))
                                   : fmt::format("did you mean kind={}?", near));
}

int fault_status(Outcome outcome) {
  switch (outcome) {
    case Outcome::rate_limited:
    case Outcome::quota:
      return 429;
    case Outcome::server:
      return 503;
    case Outcome::auth:
      return 401;
    case Outcome::refused:
    case Outcome::context_overflow:
      return 400;
    case Outcome::content_filter:
    case Outcome::incomplete:
    case Outcome::malformed:
      return 200;
    default:
      return 0;
  }
}

std::int64_t count_tokens(std::size_t bytes) {
  return static_cast<std::int64_t>((bytes + 3) / 4);
}

// Says an answer piece by piece, evenly over the time that it is to take.
class Speaker final : public Ticker {
 public:
  Speaker(Answer answer, milliseconds latency, Listener listener)
      : answer_(std::move(answer)),
        text_(std::move(answer_.text)),
        pieces_(stream_pieces(text_)),
        latency_(latency),
        listener_(std::move(listener)) {
    answer_.text.clear();
  }

  // The first piece comes after one share of the time; the answer ends with the last.
  [[nodiscard]] Time next() const {
    const auto shares = static_cast<std::int64_t>(std::max<std::size_t>(1, pieces_.size()));
    return started_ + std::chrono::duration_cast<std::chrono::nanoseconds>(latency_) *
                          (static_cast<std::int64_t>(said_) + 1) / shares;
  }

  std::optional<Time> on_tick() override {
    if (said_ < pieces_.size()) {
      if (said_ == 0) answer_.first_token = elapsed();
      const std::string_view piece = pieces_[said_++];
      answer_.text += piece;
      if (listener_.on_text) listener_.on_text(piece);
      if (said_ < pieces_.size()) return next();
    }
    report();
    return {};
  }

  void on_cancel() override {
    answer_.outcome = Outcome::cancelled;
    answer_.error = "cancelled";
    answer_.finish_reason.clear();
    report();
  }

 private:
  [[nodiscard]] milliseconds elapsed() const {
    return std::max(milliseconds(1),
                    std::chrono::duration_cast<milliseconds>(steady_clock::now() - started_));
  }

  void report() {
    answer_.duration = elapsed();
    answer_.usage.completion_tokens = count_tokens(answer_.text.size());
    if (listener_.on_done) listener_.on_done(std::move(answer_));
  }

  Answer answer_;
  const std::string text_;
  const std::vector<std::string_view> pieces_;  // of text_
  const milliseconds latency_;
  Listener listener_;
  const Time started_ = steady_clock::now();
  std::size_t said_ = 0;
};

class Rehearsal final : public Provider {
 public:
  Rehearsal(const RehearsalOptions& options, RehearsalScript script, Transport& transport)
      : options_(options), script_(std::move(script)), transport_(transport) {}

  std::string_view protocol() const override { return "rehearsal"; }

  std::string wire_body(const Request& request) const override {
    std::string out;
    const auto put = [&out](std::string_view before, std::string_view text) {
      out += before;
      out += json::serialize(json::string_view(text.data(), text.size()));
    };
    put(R"({"model":)", request.model);
    put(R"(,"system":)", request.system);
    out += R"(,"messages":[)";
    for (const Turn& turn : request.turns) {
      if (out.back() != '[') out += ',';
      put(turn.kind == Turn::Kind::user ? R"({"role":"user","content":)"
                                        : R"({"role":"assistant","content":)",
          turn.text);
      out += '}';
    }
    out += ']';
    if (request.schema) out += R"(,"schema":)" + base::to_text(*request.schema);
    if (const json::object parameters = request.parameters.to_json(); !parameters.empty())
      out += R"(,"parameters":)" + base::to_text(parameters);
    return out + "}";
  }

  std::unique_ptr<Call> start(const Request& request, std::string, const Deadlines& deadlines,
                              Listener listener) override {
    Answer answer = perform(request);
    if (options_.latency.count() == 0) {
      if (!answer.text.empty() && listener.on_text) listener.on_text(answer.text);
      if (listener.on_done) listener.on_done(std::move(answer));
      return finished_call();
    }
    milliseconds latency = options_.latency;
    if (latency > deadlines.total) {
      latency = deadlines.total;
      fail(answer, Outcome::timeout);
    }
    auto speaker = std::make_unique<Speaker>(std::move(answer), latency, std::move(listener));
    const Ticker::Time first = speaker->next();
    return transport_.tick(first, std::move(speaker));
  }

  std::int64_t estimate_tokens(std::string_view text) const override {
    return count_tokens(text.size());
  }

 private:
  [[nodiscard]] Answer perform(const Request& request) const {
    const Hints& hints = request.hints;
    Answer answer;
    answer.model = "rehearsal";
    answer.http_status = 0;
    answer.usage.reported = true;
    std::size_t prompt_bytes = request.system.size();
    for (const Turn& turn : request.turns) prompt_bytes += turn.text.size();
    answer.usage.prompt_tokens = count_tokens(prompt_bytes);
    if (auto text = words(request)) {
      answer.text = std::move(text).value();
      answer.finish_reason = "stop";
    } else {
      answer.outcome = Outcome::refused;
      answer.error = text.error().message;
    }
    if (is_faulty(hints)) fail(answer, options_.kind);
    answer.usage.completion_tokens = count_tokens(answer.text.size());
    return answer;
  }

  [[nodiscard]] base::Result<std::string> words(const Request& request) const {
    const Hints& hints = request.hints;
    if (const std::string* const line = script_.find(hints.step, hints.iteration)) return *line;
    base::Random random(hints.seed, hints.path);
    if (!request.schema) return rehearsal_text(hints, random);
    auto value = fill_schema(*request.schema, hints.language, random);
    if (!value) return std::move(value).error();
    return base::to_text(*value);
  }

  [[nodiscard]] bool is_faulty(const Hints& hints) const {
    if (options_.fail <= 0) return false;
    base::Random random(hints.seed, fmt::format("{}#fault{}", hints.path, hints.attempt));
    return random.unit() < options_.fail;
  }

  static void fail(Answer& answer, Outcome outcome) {
    const bool breaks_off = outcome == Outcome::incomplete || outcome == Outcome::timeout;
    answer.text = breaks_off ? base::clip_bytes(answer.text, answer.text.size() / 2) : "";
    answer.finish_reason.clear();
    answer.outcome = outcome;
    answer.http_status = fault_status(outcome);
    answer.error =
        fmt::format("rehearsal: an injected fault of the kind {}", outcome_name(outcome));
  }

  const RehearsalOptions options_;
  const RehearsalScript script_;
  Transport& transport_;
};

}  // namespace

base::Result<RehearsalOptions> parse_rehearsal_options(std::string_view query) {
  RehearsalOptions options;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view option = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    const std::size_t equals = option.find('=');
    const std::string_view name = option.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
    if (name == "latency") {
      auto latency = parse_latency(value);
      if (!latency) return std::move(latency).error();
      options.latency = *latency;
    } else if (name == "fail") {
      const auto share = number(value);
      if (!share || *share < 0 || *share > 1)
        return wrong_option(fmt::format("fail={} is not a share", value),
                            "a number from 0 to 1, such as fail=0.05");
      options.fail = *share;
    } else if (name == "kind") {
      auto kind = parse_kind(value);
      if (!kind) return std::move(kind).error();
      options.kind = *kind;
    } else {
      static const std::vector<std::string> kKnown{"latency", "fail", "kind"};
      const std::string near = base::near_name(name, kKnown);
      return wrong_option(fmt::format("unknown option {}", name),
                          near.empty() ? "known are latency, fail and kind"
                                       : fmt::format("did you mean {}?", near));
    }
  }
  return options;
}

std::unique_ptr<Provider> make_rehearsal(const RehearsalOptions& options, RehearsalScript script,
                                         Transport& transport) {
  return std::make_unique<Rehearsal>(options, std::move(script), transport);
}

}  // namespace tertulia::llm
