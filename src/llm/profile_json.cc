// ModelProfile to JSON and back; tested with the rest of the profile in profile_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/near_name.h"
#include "llm/profile.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

// Reads the members of one object; keeps the first thing that was wrong.
class Members final {
 public:
  Members(const json::value& value, std::string path) : path_(std::move(path)) {
    object_ = value.if_object();
    if (object_ == nullptr) fail("expected an object");
  }

  // The member, if it is there.
  const json::value* take(std::string_view key) {
    known_.emplace_back(key);
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }

  void text(std::string_view key, std::string& into) {
    const json::value* const value = take(key);
    if (value == nullptr) return;
    if (!value->is_string()) return fail(fmt::format("{}: expected a text", key));
    into = std::string(value->get_string());
  }

  template <class Number>
  void number(std::string_view key, Number& into) {
    const json::value* const value = take(key);
    if (value == nullptr) return;
    json::error_code failed;
    const Number read = value->is_number() ? value->to_number<Number>(failed) : Number(-1);
    if (failed || read < 0) return fail(fmt::format("{}: expected a number from 0 up", key));
    into = read;
  }

  void truth(std::string_view key, bool& into) {
    const json::value* const value = take(key);
    if (value == nullptr) return;
    if (!value->is_bool()) return fail(fmt::format("{}: expected true or false", key));
    into = value->get_bool();
  }

  void fail(std::string_view what) {
    if (!error_.message.empty()) return;
    error_ = {.code = base::Code::invalid, .message = fmt::format("{}: {}", path_, what)};
  }
  void fail(const base::Error& error) {
    if (error_.message.empty()) error_ = error.in(path_);
  }

  // Only after every known member was taken.
  [[nodiscard]] base::Result<void> done() {
    if (object_ != nullptr)
      for (const auto& member : *object_) {
        const std::string key(member.key());
        if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
        const std::string near = base::near_name(key, known_);
        fail(near.empty() ? fmt::format("unknown member {}", key)
                          : fmt::format("unknown member {}; did you mean {}?", key, near));
      }
    if (!error_.message.empty()) return error_;
    return {};
  }

 private:
  const json::object* object_ = nullptr;
  std::string path_;
  std::vector<std::string> known_;
  base::Error error_;
};

base::Result<KeySource> read_key_source(const json::value& value, const std::string& path) {
  // The text is not repeated: it may well be the key itself.
  if (!value.is_object())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: a key is never written here", path),
                       .remedy = "say where it is: {env: NAME} or {file: PATH}"};
  KeySource source;
  Members members(value, path);
  members.text("env", source.env);
  members.text("file", source.file);
  if (!source.env.empty() && !source.file.empty()) members.fail("either env or file, not both");
  if (auto done = members.done(); !done) return std::move(done).error();
  return source;
}

base::Result<RehearsalOptions> read_rehearsal(const json::value& value, const std::string& path) {
  RehearsalOptions options;
  Members members(value, path);
  std::int64_t latency_ms = 0;
  std::string kind(outcome_name(options.kind));
  members.number("latency_ms", latency_ms);
  members.number("fail", options.fail);
  members.text("kind", kind);
  if (auto done = members.done(); !done) return std::move(done).error();
  // The command line's reader knows what is allowed.
  auto checked = parse_rehearsal_options(
      fmt::format("latency={}ms&fail={}&kind={}", latency_ms, options.fail, kind));
  if (!checked) return std::move(checked).error().in(path);
  return checked;
}

}  // namespace

json::object ModelProfile::to_json() const {
  json::object out{{"name", name}, {"provider", provider}, {"model", model}};
  const auto put = [&out](std::string_view key_name, const std::string& text) {
    if (!text.empty()) out[key_name] = text;
  };
  put("base_url", base_url);
  if (!key.env.empty()) out["key"] = json::object{{"env", key.env}};
  if (!key.file.empty()) out["key"] = json::object{{"file", key.file}};
  put("organization", organization);
  put("project", project);
  if (json::object set = parameters.to_json(); !set.empty()) out["parameters"] = std::move(set);
  if (context_window) out["context_window"] = *context_window;
  if (price) out["price"] = json::object{{"input", price->input}, {"output", price->output}};
  json::object bounds;
  if (limits.requests_per_minute > 0) bounds["requests_per_minute"] = limits.requests_per_minute;
  if (limits.tokens_per_minute > 0) bounds["tokens_per_minute"] = limits.tokens_per_minute;
  if (limits.concurrent > 0) bounds["concurrent"] = limits.concurrent;
  if (!bounds.empty()) out["limits"] = std::move(bounds);
  if (breaker != BreakerOptions{})
    out["breaker"] =
        json::object{{"failures", breaker.failures}, {"pause_ms", breaker.pause.count()}};
  if (json_schema) out["json_schema"] = true;
  put("recording", recording);
  if (rehearsal.latency.count() > 0 || rehearsal.fail > 0)
    out["rehearsal"] = json::object{{"latency_ms", rehearsal.latency.count()},
                                    {"fail", rehearsal.fail},
                                    {"kind", outcome_name(rehearsal.kind)}};
  return out;
}

base::Result<ModelProfile> ModelProfile::from_json(const json::value& value) {
  ModelProfile out;
  std::string path = "model profile";
  if (const auto* const object = value.if_object())
    if (const auto* const given = object->if_contains("name");
        given != nullptr && given->is_string())
      path += " " + std::string(given->get_string());
  Members members(value, path);
  members.text("name", out.name);
  members.text("provider", out.provider);
  members.text("model", out.model);
  members.text("base_url", out.base_url);
  if (const json::value* const source = members.take("key")) {
    auto read = read_key_source(*source, path + ": key");
    if (!read) return std::move(read).error();
    out.key = std::move(read).value();
  }
  members.text("organization", out.organization);
  members.text("project", out.project);
  if (const json::value* const set = members.take("parameters")) {
    auto read = Parameters::from_json(*set);
    if (!read) return std::move(read).error().in(path);
    out.parameters = std::move(read).value();
  }
  if (std::int64_t window = 0; members.take("context_window") != nullptr) {
    members.number("context_window", window);
    out.context_window = window;
  }
  if (const json::value* const given = members.take("price")) {
    Members prices(*given, path + ": price");
    out.price.emplace();
    prices.number("input", out.price->input);
    prices.number("output", out.price->output);
    if (auto done = prices.done(); !done) return std::move(done).error();
  }
  if (const json::value* const given = members.take("limits")) {
    Members bounds(*given, path + ": limits");
    bounds.number("requests_per_minute", out.limits.requests_per_minute);
    bounds.number("tokens_per_minute", out.limits.tokens_per_minute);
    bounds.number("concurrent", out.limits.concurrent);
    if (auto done = bounds.done(); !done) return std::move(done).error();
  }
  if (const json::value* const given = members.take("breaker")) {
    Members bounds(*given, path + ": breaker");
    std::int64_t pause_ms = out.breaker.pause.count();
    bounds.number("failures", out.breaker.failures);
    bounds.number("pause_ms", pause_ms);
    out.breaker.pause = std::chrono::milliseconds(pause_ms);
    if (auto done = bounds.done(); !done) return std::move(done).error();
  }
  members.truth("json_schema", out.json_schema);
  members.text("recording", out.recording);
  if (const json::value* const given = members.take("rehearsal")) {
    auto read = read_rehearsal(*given, path + ": rehearsal");
    if (!read) return std::move(read).error();
    out.rehearsal = *read;
  }
  if (auto done = members.done(); !done) return std::move(done).error();
  if (out.provider.empty())
    return base::Error{.code = base::Code::invalid, .message = path + ": provider is missing"};
  return out;
}

}  // namespace tertulia::llm
