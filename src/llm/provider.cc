#include "llm/provider.h"

#include <fmt/format.h>

#include <cmath>

#include "base/near_name.h"
#include "llm/wrapping_provider.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

class FinishedCall final : public Call {
 public:
  void cancel() override {}
};

class RefusingProvider final : public WrappingProvider {
 public:
  RefusingProvider(std::shared_ptr<Provider> original, Outcome outcome, std::string error)
      : WrappingProvider(std::move(original)), outcome_(outcome), error_(std::move(error)) {}

  std::unique_ptr<Call> start(const Request& /*request*/, std::string /*body*/,
                              const Deadlines& /*deadlines*/, Listener listener) override {
    Answer answer;
    answer.outcome = outcome_;
    answer.error = error_;
    if (listener.on_done) listener.on_done(std::move(answer));
    return finished_call();
  }

 private:
  const Outcome outcome_;
  const std::string error_;
};

base::Error wrong(std::string_view key, std::string_view expected, const json::value& found) {
  return {.code = base::Code::invalid,
          .message = fmt::format("parameter {}: expected {}, found {}", key, expected,
                                 base::to_text(found))};
}

std::optional<double> as_number(const json::value& value) {
  if (value.is_double() && std::isfinite(value.get_double())) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return {};
}

base::Result<void> read_stop(const json::value& value, std::vector<std::string>& stop) {
  stop.clear();
  if (value.is_string()) {
    stop.emplace_back(value.get_string());
    return {};
  }
  if (!value.is_array()) return wrong("stop", "a text or a list of texts", value);
  for (const json::value& item : value.get_array()) {
    if (!item.is_string()) return wrong("stop", "a text or a list of texts", value);
    stop.emplace_back(item.get_string());
  }
  return {};
}

base::Result<void> read_member(std::string_view key, const json::value& value, Parameters& into) {
  if (key == "temperature" || key == "top_p") {
    const auto number = as_number(value);
    if (!number || *number < 0) return wrong(key, "a number from 0 up", value);
    (key == "top_p" ? into.top_p : into.temperature) = number;
  } else if (key == "max_tokens") {
    if (!value.is_int64() || value.get_int64() < 1)
      return wrong(key, "an integer from 1 up", value);
    into.max_tokens = value.get_int64();
  } else if (key == "seed") {
    if (!value.is_int64()) return wrong(key, "an integer", value);
    into.seed = value.get_int64();
  } else if (key == "stop") {
    return read_stop(value, into.stop);
  } else if (key == "reasoning_effort") {
    if (!value.is_string()) return wrong(key, "a text", value);
    into.reasoning_effort = std::string(value.get_string());
  } else {
    static const std::vector<std::string> kKnown{"temperature", "top_p", "max_tokens",
                                                 "stop",        "seed",  "reasoning_effort"};
    const std::string near = base::near_name(key, kKnown);
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("unknown parameter {}", key),
                       .remedy = near.empty() ? fmt::format("known are {}", fmt::join(kKnown, ", "))
                                              : fmt::format("did you mean {}?", near)};
  }
  return {};
}

}  // namespace

json::object Parameters::to_json() const {
  json::object out;
  if (temperature) out["temperature"] = *temperature;
  if (top_p) out["top_p"] = *top_p;
  if (max_tokens) out["max_tokens"] = *max_tokens;
  if (!stop.empty()) out["stop"] = json::array(stop.begin(), stop.end());
  if (seed) out["seed"] = *seed;
  if (!reasoning_effort.empty()) out["reasoning_effort"] = reasoning_effort;
  return out;
}

base::Result<Parameters> Parameters::from_json(const json::value& value) {
  if (!value.is_object())
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("parameters: expected an object, found {}", base::to_text(value))};
  Parameters out;
  for (const auto& member : value.get_object())
    if (auto read = read_member(member.key(), member.value(), out); !read)
      return std::move(read).error();
  return out;
}

Parameters Parameters::with(const Parameters& over) const {
  Parameters out = *this;
  if (over.temperature) out.temperature = over.temperature;
  if (over.top_p) out.top_p = over.top_p;
  if (over.max_tokens) out.max_tokens = over.max_tokens;
  if (!over.stop.empty()) out.stop = over.stop;
  if (over.seed) out.seed = over.seed;
  if (!over.reasoning_effort.empty()) out.reasoning_effort = over.reasoning_effort;
  return out;
}

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::ok:
      return "ok";
    case Outcome::connection:
      return "connection";
    case Outcome::timeout:
      return "timeout";
    case Outcome::rate_limited:
      return "rate_limited";
    case Outcome::quota:
      return "quota";
    case Outcome::server:
      return "server";
    case Outcome::auth:
      return "auth";
    case Outcome::refused:
      return "refused";
    case Outcome::context_overflow:
      return "context_overflow";
    case Outcome::content_filter:
      return "content_filter";
    case Outcome::incomplete:
      return "incomplete";
    case Outcome::malformed:
      return "malformed";
    case Outcome::wrong_output:
      return "wrong_output";
    case Outcome::interrupted:
      return "interrupted";
    case Outcome::cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::optional<Outcome> outcome_from_name(std::string_view name) {
  for (const Outcome outcome : kOutcomes)
    if (outcome_name(outcome) == name) return outcome;
  return {};
}

std::unique_ptr<Call> finished_call() {
  return std::make_unique<FinishedCall>();
}

std::shared_ptr<Provider> make_refusing(std::shared_ptr<Provider> original, Outcome outcome,
                                        std::string error) {
  return std::make_shared<RefusingProvider>(std::move(original), outcome, std::move(error));
}

}  // namespace tertulia::llm
