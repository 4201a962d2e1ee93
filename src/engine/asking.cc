#include "engine/asking.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/cost.h"
#include "llm/retry.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;
using std::chrono::milliseconds;

// What an answer may take where nothing bounds it: a long paragraph.
constexpr std::int64_t kAnswerTokens = 500;
constexpr std::size_t kMaxWrongBytes = 20'000;

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

template <class T>
std::optional<std::string> text_or_nothing(T&& text) {
  if (text.empty()) return {};
  return std::string(std::forward<T>(text));
}

std::string shown_cost(std::int64_t nano) {
  return fmt::format("${:.6g}", flow::from_nano(nano));
}

}  // namespace

base::Result<void> Asking::prepare(const ProviderSource& providers, const flow::State& state,
                                   const flow::Strand& strand, const SessionRecord& record,
                                   bool opens) {
  asked_.emplace(session_->program(), state, strand, session_->cast, record);
  role_ = speak().role;
  order_ = strand.open->order;
  const flow::CastRole* role = session_->cast.find(role_);
  if (role == nullptr)
    return base::Error{.code = base::Code::internal,
                       .message = "the cast lacks the role '" + role_ + "'"};
  force_ = model_in_force(*session_, speak(), *role, strand.open->profile);
  auto provider = providers(*force_.model);
  if (!provider) return provider.error();
  provider_ = *std::move(provider);
  auto prepared = prepare_request(*session_, state, strand, record, record, *provider_);
  if (!prepared) return prepared.error();
  prepared_ = *std::move(prepared);
  schema_ = nullptr;
  if (speak().output) {
    auto known = schemas_->find(strand.open->instruction);
    if (known == schemas_->end()) {
      auto schema = flow::OutputSchema::compile(*speak().output);
      if (!schema) return schema.error();  // the check compiled it when the flow was stored
      known = schemas_->emplace(strand.open->instruction, *std::move(schema)).first;
    }
    schema_ = &known->second;
  }
  llm::Usage usage;
  usage.prompt_tokens = prepared_->estimated_tokens;
  usage.completion_tokens =
      prepared_->request.parameters.max_tokens.value_or(std::int64_t{kAnswerTokens});
  estimate_ = {.prompt_tokens = usage.prompt_tokens,
               .completion_tokens = usage.completion_tokens,
               .cost_nano = flow::to_nano(price_of(*force_.model, usage).value_or(0))};
  if (opens) step_started_ = std::chrono::steady_clock::now();
  return {};
}

std::optional<Asking::Excess> Asking::excess(const flow::State& state,
                                             const flow::Spent& others) const {
  flow::Spent whole = state.spent;
  state.each_strand([&](const flow::Strand& strand) {
    if (strand.open) whole += strand.open->spent;
  });
  whole += others;
  const auto check = [&](const flow::Spent& spent, const std::optional<std::int64_t>& tokens,
                         const std::optional<std::int64_t>& cost,
                         std::string_view whose) -> std::optional<Excess> {
    if (tokens && spent.tokens() + estimate_.tokens() > *tokens)
      return Excess{model::StopReason::limit_tokens,
                    fmt::format("{} tokens are used or being used{}, the next call may take {}, "
                                "the limit is {}",
                                spent.tokens(), whose, estimate_.tokens(), *tokens)};
    if (cost && spent.cost_nano + estimate_.cost_nano > *cost)
      return Excess{model::StopReason::limit_cost,
                    fmt::format("{} is spent or being spent{}, the next call may take {}, the "
                                "limit is {}",
                                shown_cost(spent.cost_nano), whose, shown_cost(estimate_.cost_nano),
                                shown_cost(*cost))};
    return {};
  };
  if (auto found = check(whole, state.limits.tokens, state.limits.cost_nano, "")) return found;
  const auto own = state.limits.roles.find(role_);
  if (own == state.limits.roles.end()) return {};
  const auto spent = state.roles_spent.find(role_);
  return check(spent == state.roles_spent.end() ? flow::Spent{} : spent->second.spent,
               own->second.tokens, own->second.cost_nano, fmt::format(" by the role '{}'", role_));
}

void Asking::start(const flow::Strand& strand, base::Timestamp now, llm::Listener listener) {
  call_started_ = now;
  attempt_ = strand.open->attempt;
  prepared_->request.hints.attempt = static_cast<int>(attempt_);
  llm::Deadlines deadlines;
  deadlines.total = std::max(milliseconds{1}, step_time_left());
  deadlines.first_byte = std::min(deadlines.first_byte, deadlines.total);
  call_ = provider_->start(prepared_->request, prepared_->body, deadlines, std::move(listener));
}

Meaning Asking::take(llm::Answer answer, const flow::Strand& strand) {
  // The time before its turn at the profile's gate is neither the call's nor the step's.
  call_started_ += answer.queued;
  step_started_ += answer.queued;
  if (answer.outcome == llm::Outcome::ok) return answered(std::move(answer), strand);
  return failed(answer, strand, {});
}

Meaning Asking::answered(llm::Answer answer, const flow::Strand& strand) {
  const flow::Strand::Open& open = *strand.open;
  const bool cut_short = answer.finish_reason == "length";
  if (cut_short && asked_->kind() == flow::Asked::Kind::words && !answer.text.empty() &&
      open.parts < speak().continues) {
    flow::Continued continued{.text = answer.text, .spent = spent_by(answer), .order = open.order};
    return {.event = std::move(continued), .made = made(answer), .delay = {}};
  }
  const flow::CastRole* role = session_->cast.find(role_);
  flow::TidyAnswer tidy = flow::tidy_answer(open.part + answer.text, *role, session_->cast);
  flow::Answered answered;
  if (tidy.text.empty()) {
    answer.outcome = llm::Outcome::malformed;
    answer.error = "the model said nothing";
    return failed(answer, strand, {});
  }
  auto output = output_of(tidy.text);
  if (!output && asked_->kind() == flow::Asked::Kind::choice) {
    // Whom it meant is nobody who takes part: the next in order has the turn, and the row says so.
    answered.output = json::object{{"next", tidy.text}};
  } else if (!output) {
    answer.outcome = llm::Outcome::wrong_output;
    answer.error = output.error().message;
    // It goes back to the model once, with what is wrong; then the question is asked anew.
    std::string wrong = open.wrong.empty() ? tidy.text.substr(0, kMaxWrongBytes) : std::string();
    return failed(answer, strand, std::move(wrong));
  } else {
    answered.output = *std::move(output);
    if (answered.output && asked_->kind() == flow::Asked::Kind::choice)
      answered.output = asked_->chosen(*answered.output);
  }
  answered.text = std::move(tidy.text);
  answered.duration_ms = step_time().count();
  if (!tidy.spoke_for.empty()) {
    json::array others;
    for (const auto& name : tidy.spoke_for) others.emplace_back(name);
    answered.data["spoke_for"] = std::move(others);
  }
  if (cut_short) answered.data["finish_reason"] = "length";
  if (open.parts > 0) answered.data["parts"] = open.parts + 1;
  if (open.profile > 0) answered.data["profile"] = force_.profile;
  answered.spent = spent_by(answer);
  answered.order = open.order;
  return {.event = std::move(answered), .made = made(answer), .delay = {}};
}

base::Result<std::optional<json::value>> Asking::output_of(std::string_view text) {
  if (schema_ == nullptr) return std::optional<json::value>();
  auto output = schema_->parse_output(text);
  if (!output) return output.error();
  return std::optional(*std::move(output));
}

Meaning Asking::failed(const llm::Answer& answer, const flow::Strand& strand, std::string wrong) {
  Meaning meaning{.event = {}, .made = made(answer), .delay = {}};
  if (answer.outcome == llm::Outcome::cancelled) return meaning;
  const flow::Strand::Open& open = *strand.open;
  if (step_time_left().count() <= 0) {
    meaning.event = flow::StepTimedOut{
        .duration_ms = step_time().count(), .spent = spent_by(answer), .order = open.order};
    return meaning;
  }
  const auto delay =
      llm::retry_delay(answer.outcome, static_cast<int>(open.failures + 1), answer.retry_after,
                       {.attempts = static_cast<int>(speak().retry.attempts),
                        .backoff = milliseconds(speak().retry.backoff_ms)},
                       session_->seed, prepared_->request.hints.path);
  const bool again = delay && *delay < step_time_left();
  flow::AttemptFailed failure;
  failure.message = answer.error;
  failure.again = again;
  failure.reason = stop_reason_of(answer.outcome);
  failure.duration_ms = step_time().count();
  failure.spent = spent_by(answer);
  failure.wrong = std::move(wrong);
  failure.order = open.order;
  // What goes back to the model need not wait, nor another profile for what the first was told.
  if (again && failure.wrong.empty()) meaning.delay = *delay;
  meaning.event = std::move(failure);
  return meaning;
}

store::CallMade Asking::made(const llm::Answer& answer) const {
  store::CallMade made;
  made.order = order_;
  model::ModelCall& call = made.call;
  call.attempt = attempt_;
  call.outcome = llm::outcome_name(answer.outcome);
  call.profile = force_.profile;
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
  call.cost_usd = price_of(*force_.model, answer.usage);
  call.first_token_ms = answer.first_token.count();
  call.duration_ms = answer.duration.count();
  call.started_at = call_started_;
  return made;
}

flow::Spent Asking::spent_by(const llm::Answer& answer) const {
  return {.prompt_tokens = answer.usage.prompt_tokens,
          .completion_tokens = answer.usage.completion_tokens,
          .cost_nano = flow::to_nano(price_of(*force_.model, answer.usage).value_or(0))};
}

milliseconds Asking::step_time() const {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - step_started_);
}

milliseconds Asking::step_time_left() const {
  return milliseconds(speak().timeout_ms) - step_time();
}

}  // namespace tertulia::engine
