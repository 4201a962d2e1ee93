#include "remote/server_batch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/json_members.h"

namespace tertulia::remote {

namespace json = base::json;
using base::integer_at;
using base::number_at;
using base::objects_at;
using base::text_at;
using engine::BatchInput;
using engine::StoppedSession;
using model::Id;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kPartBytes = std::size_t{4} << 20;
// How long after the last session stopped the server is asked for more: soon while they stop one
// after another, seldom while all take their time.
constexpr milliseconds kSoonest{20}, kLatest{500};
// A session that the server drops again and again is given up.
constexpr int kMostBeginnings = 20;
constexpr milliseconds kAskAgain{1000};

model::SessionStatus status_at(const json::object& object) {
  return model::from_text<model::SessionStatus>(text_at(object, "status"))
      .value_or(model::SessionStatus::failed);
}

json::array ids_of(const std::vector<Id>& sessions) {
  return json::array(sessions.begin(), sessions.end());
}

engine::BatchStanding standing_of(const json::object& batch) {
  return {.id = integer_at(batch, "id"),
          .results = integer_at(batch, "results"),
          .usage = {.calls = integer_at(batch, "model_calls"),
                    .prompt_tokens = integer_at(batch, "prompt_tokens"),
                    .completion_tokens = integer_at(batch, "completion_tokens"),
                    .cost_usd = number_at(batch, "cost_usd")}};
}

// Should be performed, and is not: the server was stopped, or it died.
bool was_dropped(const StoppedSession& stopped) {
  using model::SessionStatus;
  return stopped.status == SessionStatus::running || stopped.status == SessionStatus::not_started ||
         (stopped.status == SessionStatus::paused &&
          stopped.stop_reason == model::StopReason::shutdown);
}

}  // namespace

ServerBatch::ServerBatch(const ApiClient& client, ServerBatchWish wish)
    : client_(client), wish_(std::move(wish)) {}

base::Result<json::object> ServerBatch::post(const std::string& target,
                                             const json::object& body) const {
  auto value = client_.ask(
      {.method = "POST", .target = target, .body = base::to_text(body), .is_repeatable = true});
  if (!value) return value.error();
  return value->is_object() ? std::move(value->get_object()) : json::object();
}

std::string ServerBatch::path(std::string_view more) const {
  return fmt::format("/api/v1/batches/{}{}", batch_, more);
}

json::object ServerBatch::with_flow(json::object body) const {
  body["flow"] = wish_.flow;
  body["flow_version"] = wish_.flow_version;
  if (!wish_.model.empty()) body["model"] = wish_.model;
  return body;
}

json::array ServerBatch::performed() const {
  json::array sessions;
  for (const auto& each : performed_) sessions.push_back(each.first);
  return sessions;
}

base::Result<void> ServerBatch::in_parts(
    const Part& inputs, const std::function<base::Result<void>(json::array part)>& send) const {
  json::array part;
  std::size_t bytes = 0;
  for (const BatchInput& input : inputs) {
    json::object each = input.to_json();
    const std::size_t size = base::to_text(each).size();
    if (!part.empty() && bytes + size > kPartBytes) {
      if (auto done = send(std::move(part)); !done) return done;
      part = {};
      bytes = 0;
    }
    bytes += size;
    part.push_back(std::move(each));
  }
  return part.empty() ? base::Result<void>() : send(std::move(part));
}

base::Result<void> ServerBatch::check(const std::vector<BatchInput>& inputs, bool needs_price) {
  return in_parts(inputs, [&](json::array part) -> base::Result<void> {
    json::object body = with_flow({});
    if (needs_price) body["needs_price"] = true;
    body["inputs"] = std::move(part);
    auto good = post("/api/v1/batches/check", body);
    return good ? base::Result<void>() : good.error();
  });
}

base::Result<engine::BatchEstimate> ServerBatch::estimate(const std::vector<BatchInput>& inputs) {
  engine::BatchEstimate sum;
  sum.inputs = sum.sampled = static_cast<std::int64_t>(inputs.size());
  double cost = 0;
  bool has_cost = true;
  auto done = in_parts(inputs, [&](json::array part) -> base::Result<void> {
    json::object body = with_flow({});
    body["estimate"] = true;
    body["inputs"] = std::move(part);
    auto told = post("/api/v1/batches/check", body);
    if (!told) return told.error();
    const json::object* estimate = base::object_at(*told, "estimate");
    const json::object each = estimate != nullptr ? *estimate : json::object();
    sum.calls += number_at(each, "calls").value_or(0);
    sum.prompt_tokens += number_at(each, "prompt_tokens").value_or(0);
    sum.completion_tokens += number_at(each, "completion_tokens").value_or(0);
    const auto price = number_at(each, "cost_usd");
    cost += price.value_or(0);
    has_cost = has_cost && price;
    return {};
  });
  if (!done) return done.error();
  if (has_cost) sum.cost_usd = cost;
  return sum;
}

base::Result<engine::BatchStanding> ServerBatch::open(const std::string& inputs,
                                                      const std::string& name) {
  json::object body = with_flow({});
  body["source"] = wish_.machine.empty() ? inputs : wish_.machine + ":" + inputs;
  body["name"] = name;
  auto batch = post("/api/v1/batches", body);
  if (!batch) return batch.error();
  const engine::BatchStanding standing = standing_of(*batch);
  batch_ = standing.id;
  stopped_at_ = Clock::now();
  return standing;
}

base::Result<engine::BatchStanding> ServerBatch::standing() {
  auto batch = client_.get(path());
  if (!batch) return batch.error();
  return standing_of(*batch);
}

base::Result<std::vector<engine::PlacedInput>> ServerBatch::place(
    const std::vector<BatchInput>& inputs) {
  std::vector<engine::PlacedInput> placed;
  auto done = in_parts(inputs, [&](json::array part) -> base::Result<void> {
    json::object body;
    if (!wish_.model.empty()) body["model"] = wish_.model;
    body["inputs"] = std::move(part);
    auto told = post(path("/inputs"), body);
    if (!told) return told.error();
    for (const json::object* each : objects_at(*told, "items")) {
      placed.push_back({.has_result = base::flag_at(*each, "has_result"),
                        .session = integer_at(*each, "session"),
                        .status = status_at(*each),
                        .spent_usd = number_at(*each, "spent_usd").value_or(0)});
    }
    return {};
  });
  if (!done) return done.error();
  if (placed.size() != inputs.size())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} was sent {} inputs and answers of {}",
                                              client_.url(), inputs.size(), placed.size()),
                       .remedy = "see that the server is a Tertulia of this version"};
  return placed;
}

base::Result<void> ServerBatch::begin(const std::vector<Id>& sessions) {
  auto told = post(path("/begin"), {{"sessions", ids_of(sessions)}});
  if (!told) return told.error();
  for (const Id session : sessions) performed_.emplace(session, 0);
  asked_to_pause_.reset();
  for (const json::object* each : objects_at(*told, "refused")) {
    // Somebody else performs it: it is waited for.
    if (text_at(*each, "code") == base::code_name(base::Code::conflict)) {
      --performed_[integer_at(*each, "session")];
      continue;
    }
    StoppedSession refused;
    refused.session = integer_at(*each, "session");
    refused.error =
        base::Error{.code = base::Code::invalid, .message = std::string(text_at(*each, "message"))};
    performed_.erase(refused.session);
    refused_.push_back(std::move(refused));
  }
  return {};
}

base::Result<std::vector<StoppedSession>> ServerBatch::take_stopped() {
  std::vector<StoppedSession> stopped = std::exchange(refused_, {});
  if (performed_.empty()) return stopped;
  auto told = post(path("/stopped"), {{"sessions", performed()}});
  if (!told) return told.error();
  std::vector<Id> dropped;
  for (const json::object* each : objects_at(*told, "items")) {
    StoppedSession one{
        .session = integer_at(*each, "session"),
        .status = status_at(*each),
        .stop_reason = model::from_text<model::StopReason>(text_at(*each, "stop_reason")),
        .reason = std::string(text_at(*each, "reason")),
        .spent_usd = number_at(*each, "spent_usd"),
        .error = {}};
    const auto found = performed_.find(one.session);
    if (found == performed_.end()) continue;
    // One that is not to go on is left as the server's end left it.
    if (was_dropped(one) && !asked_to_pause_) {
      if (++found->second <= kMostBeginnings) {
        dropped.push_back(one.session);
        continue;
      }
      one.error = base::Error{
          .code = base::Code::unavailable,
          .message = fmt::format("the server begins session {} again and again, and does not go on "
                                 "with it: its log says why",
                                 one.session)};
    } else if (was_dropped(one)) {
      one.stop_reason = model::StopReason::asked;
    }
    performed_.erase(found);
    stopped.push_back(std::move(one));
  }
  if (!stopped.empty()) stopped_at_ = Clock::now();
  if (!dropped.empty())
    if (auto begun = begin(dropped); !begun) return begun.error();
  return stopped;
}

void ServerBatch::wait(milliseconds longest) {
  const auto quiet = std::chrono::duration_cast<milliseconds>(Clock::now() - stopped_at_);
  const milliseconds pause = std::min(longest, std::clamp(quiet / 4, kSoonest, kLatest));
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, pause, [&] { return is_woken_; });
  is_woken_ = false;
}

void ServerBatch::wake() {
  const std::lock_guard lock(mutex_);
  is_woken_ = true;
  changed_.notify_all();
}

base::Result<void> ServerBatch::pause(bool at_once) {
  const auto now = Clock::now();
  if (performed_.empty() || (asked_to_pause_ == at_once && now - asked_at_ < kAskAgain)) return {};
  asked_to_pause_ = at_once;
  asked_at_ = now;
  json::object body{{"sessions", performed()}};
  body["now"] = at_once;
  auto told = post(path("/pause"), body);
  return told ? base::Result<void>() : told.error();
}

void ServerBatch::abandon() {
  // Where the server does not answer there is nobody to be told: a batch's sessions are not gone on
  // with by a server that starts.
  static_cast<void>(pause(true));
}

base::Result<std::int64_t> ServerBatch::give_lines(const std::vector<Id>& finished) {
  auto told = post(path("/results"), {{"sessions", ids_of(finished)}});
  if (!told) return told.error();
  return integer_at(*told, "results");
}

base::Result<std::vector<engine::ResultLine>> ServerBatch::lines(std::int64_t first,
                                                                 std::int64_t limit) {
  constexpr std::string_view kFormats[] = {"jsonl", "openai", "sharegpt"};
  std::string target = path(fmt::format("/results?limit={}&format={}", limit,
                                        kFormats[static_cast<int>(wish_.view.format)]));
  if (first > 1) target += fmt::format("&cursor={}", first - 1);
  if (!wish_.view.as.empty()) target += "&as=" + encoded(wish_.view.as);
  if (!wish_.view.roles.empty())
    target += "&roles=" + encoded(fmt::format("{}", fmt::join(wish_.view.roles, ",")));
  auto told = client_.get(target);
  if (!told) return told.error();
  std::vector<engine::ResultLine> lines;
  for (const json::object* each : objects_at(*told, "items")) {
    engine::ResultLine line{.number = integer_at(*each, "line"),
                            .input = std::string(text_at(*each, "input")),
                            .text = {}};
    const json::value* text = each->if_contains("text");
    if (text != nullptr && text->is_string()) line.text = std::string(text->get_string());
    lines.push_back(std::move(line));
  }
  return lines;
}

base::Result<std::vector<store::OpenBatchInput>> ServerBatch::open_inputs(Id after,
                                                                          std::int64_t limit) {
  std::string target = path(fmt::format("/open?limit={}", limit));
  if (after > 0) target += fmt::format("&cursor={}", after);
  auto told = client_.get(target);
  if (!told) return told.error();
  std::vector<store::OpenBatchInput> inputs;
  for (const json::object* each : objects_at(*told, "items"))
    inputs.push_back(
        {.id = integer_at(*each, "number"),
         .input_id = std::string(text_at(*each, "id")),
         .session_id = integer_at(*each, "session"),
         .status = status_at(*each),
         .stop_reason = model::from_text<model::StopReason>(text_at(*each, "stop_reason")),
         .error_reason = std::string(text_at(*each, "reason"))});
  return inputs;
}

}  // namespace tertulia::remote
