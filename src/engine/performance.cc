#include "engine/performance.h"

#include <fmt/format.h>

#include <set>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/event_record.h"
#include "engine/full_disk.h"
#include "engine/resident_set.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;
using std::chrono::milliseconds;

// A call of which nothing was stored, `left_by` says why: whether its model had been asked is not
// known.
store::CallMade interrupted_call(const SessionData& session, const flow::State& state,
                                 const flow::Strand& strand, const SessionRecord& record,
                                 base::Timestamp now, std::string_view left_by) {
  store::CallMade made;
  made.order = strand.open->order;
  made.call.attempt = strand.open->attempt;
  made.call.outcome = llm::outcome_name(llm::Outcome::interrupted);
  made.call.error_message = left_by;
  made.call.started_at = now;
  const flow::Asked asked(session.program(), state, strand, session.cast, record);
  if (const flow::CastRole* role = session.cast.find(asked.speak().role)) {
    const ModelInForce force = model_in_force(session, asked.speak(), *role, strand.open->profile);
    made.call.profile = force.profile;
    if (const json::value* name = force.model->if_contains("model"); name && name->is_string())
      made.call.model = name->get_string();
    if (const json::value* name = force.model->if_contains("provider"); name && name->is_string())
      made.call.provider = name->get_string();
  }
  return made;
}

}  // namespace

Performance::Performance(Services& services, SessionData session, flow::State state,
                         std::unique_ptr<SessionRecord> record, std::int64_t lease_token,
                         std::int64_t last_event, Ended ended)
    : services_(services),
      session_(std::move(session)),
      state_(std::move(state)),
      record_(std::move(record)),
      lease_token_(lease_token),
      last_event_(last_event),
      ended_(std::move(ended)) {
  if (services_.observer != nullptr)
    reporter_ = std::make_unique<Reporter>(*services_.observer, session_, state_, lease_token_,
                                           services_.clock->now());
}

// ---- wishes ------------------------------------------------------------------------------------

void Performance::begin(flow::Event first) {
  std::vector<flow::Event> events;
  events.push_back(std::move(first));
  take_up(kProcessEnded, std::move(events));
}

void Performance::resume(std::optional<flow::Limits> limits, std::string_view left_by) {
  if (state_.status != model::SessionStatus::running) {
    begin(flow::Resume{.limits = std::move(limits)});
    return;
  }
  if (limits) state_.limits = *limits;
  take_up(left_by, {});
}

void Performance::stop_for_room(const std::string& why) {
  std::vector<flow::Event> pause;
  pause.emplace_back(
      flow::Pause{.reason = model::StopReason::storage_full, .text = why, .order = 0});
  take_up(answer_not_stored(why), std::move(pause));
}

void Performance::take_up(std::string_view left_by, std::vector<flow::Event> further) {
  std::vector<flow::Event> events;
  std::vector<store::CallMade> calls;
  for (const flow::Strand* strand : state_.open_strands()) {
    if (state_.status != model::SessionStatus::running) break;
    if (strand->open->status != model::StepStatus::running) continue;
    calls.push_back(
        interrupted_call(session_, state_, *strand, *record_, services_.clock->now(), left_by));
    events.emplace_back(flow::Interrupted{.order = strand->open->order});
  }
  if (events.empty() && further.empty()) {
    end(base::Error{.code = base::Code::internal,
                    .message = "the session is running but no step is open",
                    .remedy = fmt::format("tertulia session replay {}", session_.id)});
    return;
  }
  for (flow::Event& event : further) events.push_back(std::move(event));
  apply(std::move(events), std::move(calls));
}

void Performance::skip_then_pause(std::int64_t order) {
  take_up(kProcessEnded, {flow::Skip{.order = order}, flow::Pause{}});
}

void Performance::pause_after_step(model::StopReason reason) {
  wishes_.pause_after_step = reason;
}

void Performance::pause_now(model::StopReason reason) {
  wishes_.pause_now = reason;
  stop_calls();
}

void Performance::cancel() {
  wishes_.cancel = true;
  stop_calls();
}

void Performance::stop_calls() {
  for (auto& [order, asking] : askings_) {
    // A call that is stopped reports it; what only waits for its time has nothing to report.
    if (asking.is_calling()) {
      asking.stop_call();
    } else {
      asking.number = ++last_number_;
    }
  }
  if (!committing_ && !over_) go_on();
}

void Performance::abandon() {
  over_ = true;
  report_end(true);
  askings_.clear();
}

std::optional<flow::Event> Performance::wished() const {
  if (wishes_.cancel) return flow::Cancel{};
  if (wishes_.pause_now) return flow::Pause{.reason = *wishes_.pause_now, .text = {}, .order = 0};
  if (wishes_.pause_after_step)
    return flow::Pause{.reason = *wishes_.pause_after_step, .text = {}, .order = 0};
  return {};
}

// ---- events and commits ------------------------------------------------------------------------

void Performance::apply(std::vector<flow::Event> events, std::vector<store::CallMade> calls) {
  Batch batch;
  batch.calls = std::move(calls);
  batch.starts = state_.status == model::SessionStatus::not_started;
  for (const flow::Event& event : events) {
    if (std::holds_alternative<flow::Pause>(event) &&
        state_.status != model::SessionStatus::running)
      continue;  // it stopped by itself
    if (!advance(event, batch)) return;
  }
  commit(std::move(batch));
}

bool Performance::advance(const flow::Event& event, Batch& batch) {
  auto advanced = flow::advance(session_.program(), state_, event, *record_);
  if (!advanced) {
    end(advanced.error());
    return false;
  }
  for (flow::Effect& effect : *advanced) {
    record_->keep(effect);
    batch.effects.push_back(std::move(effect));
  }
  record_->keep_outputs(state_);
  if (auto error = record_->take_error()) {
    end(std::move(*error));
    return false;
  }
  return true;
}

void Performance::look_at_arrivals() {
  Batch batch;
  for (Arrived& arrived : std::exchange(arrived_, {})) {
    const auto found = askings_.find(arrived.order);
    if (found == askings_.end() || found->second.number != arrived.number) continue;
    Asking& asking = found->second;
    asking.drop_call();
    if (reporter_) reporter_->keep_content(arrived.order, asking.request(), arrived.answer.text);
    const flow::Strand* strand = state_.strand_of(arrived.order);
    if (strand == nullptr || strand->open->status != model::StepStatus::running) {
      // Another branch has ended the block: the call was made all the same.
      batch.calls.push_back(asking.made(arrived.answer));
      continue;
    }
    Meaning meaning = asking.take(std::move(arrived.answer), *strand);
    batch.calls.push_back(std::move(meaning.made));
    if (meaning.delay.count() > 0) batch.delays[arrived.order] = meaning.delay;
    if (meaning.event && !advance(*meaning.event, batch)) return;
  }
  // Whom nobody waits for any more is not heard out.
  for (auto asking = askings_.begin(); asking != askings_.end();) {
    const flow::Strand* strand = state_.strand_of(asking->first);
    if (strand != nullptr && strand->open->status == model::StepStatus::running) {
      ++asking;
      continue;
    }
    if (asking->second.is_calling()) {
      llm::Answer stopped;
      stopped.outcome = llm::Outcome::cancelled;
      batch.calls.push_back(asking->second.made(stopped));
    }
    asking = askings_.erase(asking);
  }
  if (!is_calling() && state_.status == model::SessionStatus::running)
    if (const auto event = wished(); event && !advance(*event, batch)) return;
  commit(std::move(batch));
}

bool Performance::prepare_asks(Batch& batch) {
  // What was opened without being asked (a pause came with it) has a request to record too.
  std::set<std::int64_t> orders;
  for (const flow::Effect& effect : batch.effects) {
    if (const auto* row = std::get_if<flow::OpenRow>(&effect); row && !row->closed)
      orders.insert(row->order);
    if (const auto* asked = std::get_if<flow::Ask>(&effect)) orders.insert(asked->order);
  }
  flow::Spent others;
  for (const auto& [order, asking] : askings_)
    if (asking.is_calling()) others += asking.estimate();
  for (const std::int64_t order : orders) {
    const flow::Strand* strand = state_.strand_of(order);
    if (strand == nullptr || flow::waits_for_person(session_.program(), state_, *strand)) continue;
    if (strand->open->status != model::StepStatus::running &&
        strand->open->status != model::StepStatus::pending)
      continue;
    const auto known = askings_.find(order);
    Asking& asking = known != askings_.end()
                         ? known->second
                         : askings_.emplace(order, Asking(session_, schemas_)).first->second;
    if (auto done =
            asking.prepare(services_.providers, state_, *strand, *record_, known == askings_.end());
        !done) {
      end(done.error());
      return false;
    }
    if (strand->open->status != model::StepStatus::running) continue;
    if (auto excess = asking.excess(state_, others)) {
      const flow::LimitReached reached{.reason = excess->reason,
                                       .text = std::move(excess->text),
                                       .finish = state_.limits.finish,
                                       .order = order};
      if (!advance(reached, batch)) return false;
    } else {
      others += asking.estimate();
    }
  }
  return true;
}

void Performance::commit(Batch batch) {
  if (!prepare_asks(batch)) return;
  std::map<std::int64_t, json::object> questions;
  std::map<std::int64_t, const json::object*> snapshots;
  for (const flow::Strand* strand : state_.open_strands()) {
    const std::int64_t order = strand->open->order;
    if (flow::waits_for_person(session_.program(), state_, *strand)) {
      snapshots[order] =
          &questions.emplace(order, question_snapshot(session_, state_, *strand, *record_))
               .first->second;
    } else if (const auto asking = askings_.find(order); asking != askings_.end()) {
      snapshots[order] = &asking->second.context_snapshot();
    }
  }
  std::vector<std::int64_t> asks;
  for (const flow::Effect& effect : batch.effects) {
    const auto* asked = std::get_if<flow::Ask>(&effect);
    const flow::Strand* strand = asked != nullptr ? state_.strand_of(asked->order) : nullptr;
    if (strand != nullptr && strand->open->status == model::StepStatus::running)
      asks.push_back(asked->order);
  }
  if (batch.effects.empty() && batch.calls.empty()) return on_durable({}, {}, asks, batch.delays);

  CommitFacts facts{.now = services_.clock->now(),
                    .lease_token = lease_token_,
                    .memory_mb = resident_set_mb(),
                    .session_result = session_result(),
                    .context_snapshots = &snapshots};
  std::shared_ptr<const Reporter::Report> report;
  if (reporter_) report = reporter_->note(batch.effects, batch.calls, state_, facts.now);
  BuiltCommit built = build_commit(session_, state_, batch.effects, std::move(batch.calls), facts);
  if (batch.starts) {
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
  for (Event& event : built.announcements) event.id = ++last_event_;
  if (!built.announcements.empty())
    built.commit.events = {.last_number = last_event_, .record = to_record(built.announcements)};
  committing_ = true;
  auto self = shared_from_this();
  services_.writer->submit(
      std::move(built.commit),
      [self, announcements = std::make_shared<Announcements>(std::move(built.announcements)), asks,
       delays = std::move(batch.delays), report](base::Result<void> result) {
        self->services_.loop->post(
            [self, announcements, asks, delays, report, result = std::move(result)] {
              if (report && result) self->reporter_->tell(*report);
              self->on_durable(result, *announcements, asks, delays);
            });
      });
}

void Performance::on_durable(const base::Result<void>& result, const Announcements& announcements,
                             const std::vector<std::int64_t>& asks,
                             const std::map<std::int64_t, milliseconds>& delays) {
  committing_ = false;
  if (over_) return;
  if (!result) return end(result.error());
  for (const Event& event : announcements) services_.bus->publish(event);
  if (state_.status != model::SessionStatus::running) return end({});
  // A pause that was asked for comes before another call; the first is what `step` asks for.
  if (!wishes_.any() || (!has_asked_ && wishes_.pause_after_step)) {
    for (const std::int64_t order : asks) {
      const auto delay = delays.find(order);
      ask_after(order, delay == delays.end() ? milliseconds{0} : delay->second);
    }
    has_asked_ = has_asked_ || !asks.empty();
  }
  go_on();
}

void Performance::go_on() {
  if (over_ || committing_) return;
  const bool may_stop = wishes_.cancel || wishes_.pause_now || has_asked_;
  if (!arrived_.empty() || (wishes_.any() && may_stop && !is_calling())) look_at_arrivals();
}

bool Performance::is_calling() const {
  for (const auto& [order, asking] : askings_)
    if (asking.is_calling()) return true;
  return false;
}

// ---- calls -------------------------------------------------------------------------------------

void Performance::ask_after(std::int64_t order, milliseconds delay) {
  if (delay.count() <= 0) return ask(order);
  const auto asking = askings_.find(order);
  if (asking == askings_.end()) return;
  const std::uint64_t number = asking->second.number = ++last_number_;
  std::weak_ptr<Performance> weak = weak_from_this();
  services_.loop->post_at(std::chrono::steady_clock::now() + delay, [weak, order, number] {
    const auto self = weak.lock();
    if (!self || self->over_) return;
    const auto waiting = self->askings_.find(order);
    if (waiting != self->askings_.end() && waiting->second.number == number) self->ask(order);
  });
}

void Performance::ask(std::int64_t order) {
  const flow::Strand* strand = state_.strand_of(order);
  const auto found = askings_.find(order);
  if (strand == nullptr || found == askings_.end()) return;
  const std::uint64_t number = found->second.number = ++last_number_;
  llm::Listener listener;
  if (services_.bus->has_watchers()) {
    listener.on_text = [bus = services_.bus, clock = services_.clock, id = session_.id,
                        order](std::string_view text) {
      if (!bus->wants_tokens()) return;
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
  listener.on_done = [self, order, number](llm::Answer answer) {
    auto arrived = std::make_shared<Arrived>(
        Arrived{.order = order, .number = number, .answer = std::move(answer)});
    self->services_.loop->post([self, arrived] { self->on_answer(std::move(*arrived)); });
  };
  if (auto passed = base::failpoint("request.before"); !passed) return end(passed.error());
  found->second.start(*strand, services_.clock->now(), std::move(listener));
}

void Performance::on_answer(Arrived arrived) {
  if (over_) return;
  const auto asking = askings_.find(arrived.order);
  if (asking == askings_.end() || asking->second.number != arrived.number) return;
  if (auto passed = base::failpoint("request.after"); !passed) return end(passed.error());
  arrived_.push_back(std::move(arrived));
  if (!committing_) look_at_arrivals();
}

void Performance::end(std::optional<base::Error> error) {
  over_ = true;
  askings_.clear();
  Outcome outcome{.session_id = session_.id,
                  .status = state_.status,
                  .stop_reason = state_.stop_reason,
                  .stop_text = state_.stop_text,
                  .error = std::move(error)};
  report_end(outcome.error.has_value());
  ended_(outcome);
}

void Performance::report_end(bool given_up) {
  if (reporter_)
    reporter_->end(state_.status, state_.stop_reason, given_up, services_.clock->now());
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
