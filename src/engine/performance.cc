#include "engine/performance.h"

#include <fmt/format.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/commit_builder.h"
#include "engine/resident_set.h"
#include "llm/retry.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;
using std::chrono::milliseconds;

// Why a session pauses when a step's attempts are used up by this outcome.
model::StopReason stop_reason_of(llm::Outcome outcome) {
  switch (outcome) {
    case llm::Outcome::auth:
    case llm::Outcome::quota:
    case llm::Outcome::connection:
      return model::StopReason::model_unavailable;
    default:
      return model::StopReason::step_failed;
  }
}

std::optional<double> cost_of(const json::object& model, const llm::Usage& usage) {
  const json::value* price = model.if_contains("price");
  if (price == nullptr || !price->is_object()) return {};
  const auto per_million = [&](const char* name) {
    const json::value* value = price->get_object().if_contains(name);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0.0;
  };
  return (static_cast<double>(usage.prompt_tokens) * per_million("input") +
          static_cast<double>(usage.completion_tokens) * per_million("output")) /
         1e6;
}

template <class T>
std::optional<std::string> text_or_nothing(T&& text) {
  if (text.empty()) return {};
  return std::string(std::forward<T>(text));
}

}  // namespace

Performance::Performance(Services& services, SessionData session, flow::State state,
                         std::unique_ptr<SessionRecord> record, std::int64_t lease_token,
                         Ended ended)
    : services_(services),
      session_(std::move(session)),
      state_(std::move(state)),
      record_(std::move(record)),
      lease_token_(lease_token),
      ended_(std::move(ended)) {}

void Performance::begin(flow::Event first) {
  apply({std::move(first)}, {});
}

void Performance::resume(std::optional<flow::Limits> limits) {
  if (state_.status != model::SessionStatus::running) {
    begin(flow::Resume{.limits = limits});
    return;
  }
  if (limits) state_.limits = *limits;
  if (!state_.open) {
    end(base::Error{.code = base::Code::internal,
                    .message = "the session is running but no step is open",
                    .remedy = fmt::format("tertulia session replay {}", session_.id)});
    return;
  }
  // Its process died. Whether the model had been asked is not known: it counts as an attempt.
  store::CallMade made;
  made.order = state_.open->order;
  made.call.attempt = state_.open->attempt;
  made.call.outcome = llm::outcome_name(llm::Outcome::interrupted);
  made.call.error_message = "the process that performed the step ended";
  made.call.started_at = services_.clock->now();
  const flow::Speak& speak = open_speak();
  if (const flow::CastRole* role = session_.cast.find(speak.role)) {
    const ModelInForce force = model_in_force(session_, speak, *role);
    made.call.profile = force.profile;
    if (const json::value* name = force.model->if_contains("model"); name && name->is_string())
      made.call.model = name->get_string();
    if (const json::value* name = force.model->if_contains("provider"); name && name->is_string())
      made.call.provider = name->get_string();
  }
  std::vector<store::CallMade> calls;
  calls.push_back(std::move(made));
  apply({flow::Interrupted{}}, std::move(calls));
}

void Performance::skip_then_pause() {
  apply({flow::Skip{}, flow::Pause{}}, {});
}

void Performance::pause_after_step(model::StopReason reason) {
  wishes_.pause_after_step = reason;
}

void Performance::pause_now() {
  wishes_.pause_now = true;
  if (call_) {
    call_->cancel();
  } else if (!committing_ && !over_) {
    static_cast<void>(carry_out_wishes());
  }
}

void Performance::cancel() {
  wishes_.cancel = true;
  if (call_) {
    call_->cancel();
  } else if (!committing_ && !over_) {
    static_cast<void>(carry_out_wishes());
  }
}

void Performance::abandon() {
  over_ = true;
  ++call_number_;
  call_.reset();
}

void Performance::apply(std::vector<flow::Event> events, std::vector<store::CallMade> calls,
                        milliseconds delay) {
  std::vector<flow::Effect> effects;
  bool is_first = state_.status == model::SessionStatus::not_started;
  const bool resumes = std::holds_alternative<flow::Resume>(events.front());
  for (const flow::Event& event : events) {
    if (std::holds_alternative<flow::Pause>(event) &&
        state_.status != model::SessionStatus::running)
      continue;  // it stopped by itself
    auto advanced = flow::advance(session_.program(), state_, event, *record_);
    if (!advanced) return end(advanced.error());
    for (flow::Effect& effect : *advanced) {
      if (const auto* say = std::get_if<flow::Say>(&effect)) {
        record_->add({.position = say->position,
                      .role = say->role,
                      .text = say->text,
                      .round = say->round,
                      .document = say->document,
                      .document_version = say->document_version});
      }
      effects.push_back(std::move(effect));
    }
    if (const auto* answered = std::get_if<flow::Answered>(&event); answered && answered->output)
      for (const flow::Effect& effect : effects)
        if (const auto* close = std::get_if<flow::CloseRow>(&effect))
          record_->put_out(close->order, *answered->output);
  }
  record_->keep_outputs(state_.outputs);
  if (auto error = record_->take_error()) return end(std::move(*error));

  bool asks = false, opens = false;
  for (const flow::Effect& effect : effects) {
    asks = asks || std::holds_alternative<flow::Ask>(effect);
    const auto* open = std::get_if<flow::OpenRow>(&effect);
    opens = opens || (open && state_.open && open->order == state_.open->order);
  }
  asks = asks && state_.status == model::SessionStatus::running;
  if (asks && resumes && !opens && state_.open)
    effects.emplace_back(
        flow::ChangeRow{state_.open->order, state_.open->status, state_.open->attempt});
  const bool waits = state_.status == model::SessionStatus::waiting;
  json::object question_shown;
  if (waits) {
    if (opens) question_shown = question();
  } else if (opens || (asks && !prepared_)) {
    if (auto done = prepare(); !done) return end(done.error());
  }
  if (!state_.open) prepared_.reset();

  CommitFacts facts{.now = services_.clock->now(),
                    .lease_token = lease_token_,
                    .memory_mb = resident_set_mb(),
                    .session_result = session_result(),
                    .context_snapshot = !opens  ? nullptr
                                        : waits ? &question_shown
                                                : &prepared_->context_snapshot,
                    .announce = services_.bus->has_watchers()};
  BuiltCommit built = build_commit(session_, state_, effects, std::move(calls), facts);
  if (is_first && facts.announce) {
    json::object data;
    data["flow"] = session_.flow_name;
    data["flow_version"] = session_.flow_version;
    data["topic"] = session_.topic;
    built.announcements.insert(built.announcements.begin(),
                               Event{.id = 0,
                                     .type = Event::Type::session_started,
                                     .session_id = session_.id,
                                     .time = facts.now,
                                     .data = std::move(data)});
  }
  committing_ = true;
  auto self = shared_from_this();
  services_.writer->submit(
      std::move(built.commit),
      [self, announcements = std::make_shared<Announcements>(std::move(built.announcements)), asks,
       delay](base::Result<void> result) {
        self->services_.loop->post([self, announcements, asks, delay, result = std::move(result)] {
          self->on_durable(result, *announcements, asks, delay);
        });
      });
}

void Performance::on_durable(const base::Result<void>& result, const Announcements& announcements,
                             bool asks, milliseconds delay) {
  committing_ = false;
  if (over_) return;
  if (!result) return end(result.error());
  for (const Event& event : announcements) services_.bus->publish(event);
  if (!asks) return end({});
  if (carry_out_wishes()) return;
  ask_after(delay);
}

bool Performance::carry_out_wishes() {
  if (wishes_.cancel) {
    ++call_number_;
    apply({flow::Cancel{}}, {});
    return true;
  }
  if (wishes_.pause_now) {
    ++call_number_;
    apply({flow::Pause{}}, {});
    return true;
  }
  return false;
}

void Performance::ask_after(milliseconds delay) {
  if (delay.count() <= 0) return ask();
  const std::uint64_t number = ++call_number_;
  std::weak_ptr<Performance> weak = weak_from_this();
  services_.loop->post_at(std::chrono::steady_clock::now() + delay, [weak, number] {
    const auto self = weak.lock();
    if (self && !self->over_ && self->call_number_ == number) self->ask();
  });
}

void Performance::ask() {
  const std::uint64_t number = ++call_number_;
  call_started_ = services_.clock->now();
  prepared_->request.hints.attempt = static_cast<int>(state_.open->attempt);
  llm::Deadlines deadlines;
  deadlines.total = std::max(milliseconds{1}, step_time_left());
  deadlines.first_byte = std::min(deadlines.first_byte, deadlines.total);
  llm::Listener listener;
  if (services_.bus->has_watchers()) {
    listener.on_text = [bus = services_.bus, clock = services_.clock, id = session_.id,
                        order = state_.open->order](std::string_view text) {
      json::object data;
      data["order"] = order;
      data["text"] = text;
      bus->publish({.id = 0,
                    .type = Event::Type::token,
                    .session_id = id,
                    .time = clock->now(),
                    .data = std::move(data)});
    };
  }
  auto self = shared_from_this();
  listener.on_done = [self, number](llm::Answer answer) {
    self->services_.loop->post(
        [self, number, answer = std::make_shared<llm::Answer>(std::move(answer))] {
          self->on_answer(number, std::move(*answer));
        });
  };
  if (auto passed = base::failpoint("request.before"); !passed) return end(passed.error());
  call_ = provider_->start(prepared_->request, prepared_->body, deadlines, std::move(listener));
}

void Performance::on_answer(std::uint64_t number, llm::Answer answer) {
  if (over_ || number != call_number_) return;
  call_.reset();
  // The time before its turn at the profile's gate is neither the call's nor the step's.
  call_started_ += answer.queued;
  step_started_ += answer.queued;
  if (auto passed = base::failpoint("request.after"); !passed) return end(passed.error());
  if (answer.outcome == llm::Outcome::ok) return take_answer(std::move(answer));
  take_failure(answer, call_made(answer));
}

void Performance::take_answer(llm::Answer answer) {
  const flow::Speak& speak = open_speak();
  const flow::CastRole* role = session_.cast.find(speak.role);
  flow::TidyAnswer tidy = flow::tidy_answer(answer.text, *role, session_.cast);
  flow::Answered answered;
  if (tidy.text.empty()) {
    answer.outcome = llm::Outcome::malformed;
    answer.error = "the model said nothing";
  } else if (const flow::OutputSchema* schema = output_schema()) {
    auto output = schema->parse_output(tidy.text);
    if (output) {
      answered.output = *std::move(output);
    } else {
      answer.outcome = llm::Outcome::wrong_output;
      answer.error = output.error().message;
    }
  }
  if (answer.outcome != llm::Outcome::ok) return take_failure(answer, call_made(answer));

  answered.text = std::move(tidy.text);
  answered.duration_ms = step_time().count();
  if (!tidy.spoke_for.empty()) {
    json::array others;
    for (const auto& name : tidy.spoke_for) others.emplace_back(name);
    answered.data["spoke_for"] = std::move(others);
  }
  if (answer.finish_reason == "length") answered.data["finish_reason"] = "length";
  answered.data["tokens"] = json::array{answer.usage.prompt_tokens, answer.usage.completion_tokens};
  std::vector<store::CallMade> calls;
  calls.push_back(call_made(answer));
  std::vector<flow::Event> events;
  events.emplace_back(std::move(answered));
  if (wishes_.cancel) {
    events.emplace_back(flow::Cancel{});
  } else if (wishes_.pause_now) {
    events.emplace_back(flow::Pause{});
  } else if (wishes_.pause_after_step) {
    events.emplace_back(flow::Pause{.reason = *wishes_.pause_after_step, .text = {}});
  }
  apply(std::move(events), std::move(calls));
}

void Performance::take_failure(const llm::Answer& answer, store::CallMade made) {
  std::vector<store::CallMade> calls;
  calls.push_back(std::move(made));
  if (answer.outcome == llm::Outcome::cancelled) {
    std::vector<flow::Event> events;
    if (wishes_.cancel) {
      events.emplace_back(flow::Cancel{});
    } else {
      events.emplace_back(flow::Pause{});
    }
    return apply(std::move(events), std::move(calls));
  }
  if (step_time_left().count() <= 0)
    return apply({flow::StepTimedOut{.duration_ms = step_time().count()}}, std::move(calls));
  const flow::Speak& speak = open_speak();
  const auto delay = llm::retry_delay(answer.outcome, static_cast<int>(state_.open->failures + 1),
                                      answer.retry_after,
                                      {.attempts = static_cast<int>(speak.retry.attempts),
                                       .backoff = milliseconds(speak.retry.backoff_ms)},
                                      session_.seed, prepared_->request.hints.path);
  flow::AttemptFailed failed{.message = answer.error,
                             .again = delay && *delay < step_time_left(),
                             .reason = stop_reason_of(answer.outcome),
                             .duration_ms = step_time().count()};
  // A pause that was asked for comes before another attempt.
  std::vector<flow::Event> events;
  events.emplace_back(std::move(failed));
  if (wishes_.pause_after_step)
    events.emplace_back(flow::Pause{.reason = *wishes_.pause_after_step, .text = {}});
  apply(std::move(events), std::move(calls), delay.value_or(milliseconds{0}));
}

base::Result<void> Performance::prepare() {
  const flow::Speak& speak = open_speak();
  const flow::CastRole* role = session_.cast.find(speak.role);
  if (role == nullptr)
    return base::Error{.code = base::Code::internal,
                       .message = "the cast lacks the role '" + speak.role + "'"};
  auto provider = services_.providers(*model_in_force(session_, speak, *role).model);
  if (!provider) return provider.error();
  provider_ = *std::move(provider);
  auto prepared = prepare_request(session_, state_, *record_, *record_, *provider_);
  if (!prepared) return prepared.error();
  prepared_ = *std::move(prepared);
  step_started_ = std::chrono::steady_clock::now();
  return {};
}

void Performance::end(std::optional<base::Error> error) {
  over_ = true;
  ++call_number_;
  call_.reset();
  Outcome outcome{.session_id = session_.id,
                  .status = state_.status,
                  .stop_reason = state_.stop_reason,
                  .stop_text = state_.stop_text,
                  .error = std::move(error)};
  ended_(outcome);
}

json::object Performance::question() const {
  // A person may read the whole conversation.
  json::object shown;
  shown["rule"] = "all";
  if (state_.last_position > 0) {
    shown["first"] = 1;
    shown["last"] = state_.last_position;
  }
  shown["count"] = state_.last_position;
  shown["question"] = flow::question_for_person(session_.program(), state_, session_.cast,
                                                session_.topic, *record_);
  return shown;
}

const flow::Speak& Performance::open_speak() const {
  return std::get<flow::Speak>(
      session_.program().steps[static_cast<size_t>(state_.open->instruction)].step);
}

store::CallMade Performance::call_made(const llm::Answer& answer) const {
  const flow::Speak& speak = open_speak();
  const ModelInForce force = model_in_force(session_, speak, *session_.cast.find(speak.role));
  store::CallMade made;
  made.order = state_.open->order;
  model::ModelCall& call = made.call;
  call.attempt = state_.open->attempt;
  call.outcome = llm::outcome_name(answer.outcome);
  call.profile = force.profile;
  call.provider = provider_->protocol();
  call.model = answer.model.empty() ? prepared_->request.model : answer.model;
  call.error_message = text_or_nothing(answer.error);
  if (answer.http_status != 0) call.http_status = answer.http_status;
  call.request_id = text_or_nothing(answer.request_id);
  call.finish_reason = text_or_nothing(answer.finish_reason);
  call.prompt_tokens = answer.usage.prompt_tokens;
  call.completion_tokens = answer.usage.completion_tokens;
  if (answer.usage.cached_tokens != 0) call.cached_tokens = answer.usage.cached_tokens;
  if (answer.usage.reasoning_tokens != 0) call.reasoning_tokens = answer.usage.reasoning_tokens;
  call.cost_usd = cost_of(*force.model, answer.usage);
  call.first_token_ms = answer.first_token.count();
  call.duration_ms = answer.duration.count();
  call.started_at = call_started_;
  return made;
}

milliseconds Performance::step_time() const {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - step_started_);
}

milliseconds Performance::step_time_left() const {
  return milliseconds(open_speak().timeout_ms) - step_time();
}

const flow::OutputSchema* Performance::output_schema() {
  const flow::Speak& speak = open_speak();
  if (!speak.output) return nullptr;
  const int index = state_.open->instruction;
  const auto known = schemas_.find(index);
  if (known != schemas_.end()) return &known->second;
  auto schema = flow::OutputSchema::compile(*speak.output);
  if (!schema) {
    // The check has compiled it when the flow was stored.
    spdlog::error("an output schema that was stored does not compile: {}", schema.error().message);
    return nullptr;
  }
  return &schemas_.emplace(index, *std::move(schema)).first->second;
}

std::optional<std::string> Performance::session_result() const {
  const std::string& step = session_.program().result;
  if (step.empty() || state_.status != model::SessionStatus::finished) return {};
  const auto found = state_.outputs.find(step);
  const json::value* output =
      found == state_.outputs.end() ? nullptr : record_->output(found->second);
  return output != nullptr ? base::to_text(*output) : std::string("null");
}

}  // namespace tertulia::engine
