#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <set>

#include "base/log.h"
#include "engine/full_disk.h"
#include "store/leases.h"
#include "store/session_events.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::engine {
namespace {

constexpr std::chrono::milliseconds kRequestPoll{200};
constexpr std::int64_t kMessagesAtStart = 64;

base::Error performed_already(Id session) {
  return {.code = base::Code::conflict,
          .message = fmt::format("session {} is performed already", session)};
}

// Does the action fit the session's state? The machine would refuse it too, but not in these words.
base::Result<void> check_fit(const flow::State& state, Action action, Id session) {
  using model::SessionStatus;
  const auto refuse = [&](std::string why, std::string remedy) {
    return base::Error{.code = base::Code::conflict,
                       .message = fmt::format("session {} {}", session, why),
                       .remedy = std::move(remedy)};
  };
  if (state.stop_reason == model::StopReason::does_not_fit)
    return refuse(fmt::format("can be read, but not gone on with: {}", state.stop_text),
                  fmt::format("tertulia session messages {}", session));
  if (state.status == SessionStatus::finished || state.status == SessionStatus::terminated ||
      state.status == SessionStatus::failed)
    return refuse(fmt::format("is {} already", model::to_text(state.status)),
                  fmt::format("tertulia session show {}", session));
  const auto open = state.open_strands();
  const auto any = [&](auto&&... statuses) {
    return std::any_of(open.begin(), open.end(), [&](const flow::Strand* strand) {
      return ((strand->open->status == statuses) || ...);
    });
  };
  if (action == Action::retry && !any(model::StepStatus::failed, model::StepStatus::timeout))
    return refuse("has no failed step to try again",
                  fmt::format("tertulia session resume {}", session));
  if (action == Action::answer && !any(model::StepStatus::waiting))
    return refuse("waits for nobody's answer", fmt::format("tertulia session show {}", session));
  if (action == Action::skip && open.empty())
    return refuse("has no open step to skip", fmt::format("tertulia session resume {}", session));
  return {};
}

// Which of those that wait the wish is for: the one whose words are given, or, of a session that
// can do nothing but wait, one whose time is used up. Nothing where the wish is for no person.
base::Result<std::optional<Waiting>> meant(const std::vector<Waiting>& waiting, const Wish& wish,
                                           const flow::State& state, Id session,
                                           base::Timestamp now) {
  if (wish.action == Action::answer) {
    const auto* found = &waiting.front();
    if (wish.order != 0) {
      const auto at = std::find_if(waiting.begin(), waiting.end(),
                                   [&](const Waiting& each) { return each.order == wish.order; });
      if (at == waiting.end())
        return base::Error{.code = base::Code::conflict,
                           .message = fmt::format("step {} of session {} waits for nobody's answer",
                                                  wish.order, session),
                           .remedy = fmt::format("tertulia session show {}", session)};
      found = &*at;
    } else if (waiting.size() > 1) {
      std::string all;
      for (const Waiting& each : waiting)
        all += fmt::format("{}{} ({})", all.empty() ? "" : ", ", each.order, each.name);
      return base::Error{
          .code = base::Code::conflict,
          .message = fmt::format("session {} waits for several persons, at steps {}: say which",
                                 session, all),
          .remedy = fmt::format("tertulia session answer {} --order {} \"...\"", session,
                                waiting.front().order)};
    }
    auto accepted = found->accept(wish.words);
    if (!accepted) return accepted.error();
    return std::optional(*found);
  }
  const bool goes_on = wish.action == Action::resume || wish.action == Action::step;
  if (!goes_on || waiting.empty() || state.status != model::SessionStatus::waiting)
    return std::optional<Waiting>();
  for (const Waiting& each : waiting)
    if (each.is_expired(now)) return std::optional(each);
  return base::Error{.code = base::Code::conflict,
                     .message = fmt::format("session {} waits for the words of {}: {}", session,
                                            waiting.front().name, waiting.front().question),
                     .remedy = fmt::format("tertulia session answer {} \"...\"", session)};
}

}  // namespace

base::Result<std::unique_ptr<Engine>> Engine::start(EngineOptions options) {
  const auto open_writer = [location = options.location] {
    return db::open(location, {.access = db::Access::write, .create = false});
  };
  auto connection = open_writer();
  if (!connection) return connection.error();
  auto node = Node::join(options.location, **connection);
  if (!node) return node.error();
  auto reader = db::open(options.location, {.access = db::Access::read});
  if (!reader) return reader.error();
  auto writer = std::make_unique<Writer>(*std::move(connection), open_writer, options.observer);
  return std::unique_ptr<Engine>(
      new Engine(std::move(options), *std::move(node), std::move(writer), *std::move(reader)));
}

Engine::Engine(EngineOptions options, Node node, std::unique_ptr<Writer> writer,
               std::unique_ptr<db::Connection> reader)
    : options_(std::move(options)),
      node_(std::move(node)),
      reader_(std::move(reader)),
      writer_(std::move(writer)),
      loop_(std::make_unique<Loop>()) {
  services_ = {.loop = loop_.get(),
               .writer = writer_.get(),
               .bus = &bus_,
               .clock = options_.clock,
               .providers = options_.providers,
               .observer = options_.observer};
  loop_->post([this] {
    heartbeat();
    look_for_requests();
  });
}

Engine::~Engine() {
  std::promise<void> abandoned;
  loop_->post([&] {
    closing_ = true;
    for (auto& [id, performance] : performances_) performance->abandon();
    abandoned.set_value();
  });
  abandoned.get_future().wait();
  // Sessions that were not paused are given up at once, so that others need not wait.
  for (const auto& [id, performance] : performances_) release(id, performance->lease_token(), {});
  reader_.reset();  // readers close before the writer, so that a clean exit leaves no -wal
  writer_.reset();
  loop_.reset();
}

base::Result<void> Engine::perform(model::Id session, Wish wish, Performance::Ended ended) {
  std::promise<base::Result<void>> begun;
  perform_soon(
      session, std::move(wish), [&](const base::Result<void>& result) { begun.set_value(result); },
      std::move(ended));
  return begun.get_future().get();
}

void Engine::perform_soon(model::Id session, Wish wish, Performance::Ended ended) {
  perform_soon(
      session, std::move(wish),
      [session, ended](const base::Result<void>& begun) {
        if (!begun)
          ended({.session_id = session,
                 .status = model::SessionStatus::not_started,
                 .stop_reason = {},
                 .stop_text = {},
                 .error = begun.error()});
      },
      ended);
}

void Engine::perform_soon(model::Id session, Wish wish, Begun begun, Performance::Ended ended) {
  if (!enter(session)) {
    begun(performed_already(session));
    return;
  }
  auto wanted = std::make_shared<const Wish>(std::move(wish));
  take_soon(session, wanted,
            [this, session, wanted, begun = std::move(begun),
             ended = std::move(ended)](const base::Result<std::shared_ptr<Taken>>& taken) {
              if (!taken) {
                leave(session);
                begun(taken.error());
                return;
              }
              begun({});
              loop_->post([this, session, taken = *taken, wanted, ended] {
                this->begin(std::move(*taken), *wanted, ended);
                ask_what_was_kept(session);
              });
            });
}

void Engine::take_soon(model::Id session, std::shared_ptr<const Wish> wish, TakenOrNot then) {
  auto taken = std::make_shared<std::shared_ptr<Taken>>();
  auto refused = std::make_shared<base::Result<void>>();
  writer_->submit(
      [this, session, wish = std::move(wish), taken,
       refused](db::Connection& connection) -> base::Result<void> {
        taken->reset();
        *refused = {};
        auto result = take(connection, session, *wish);
        if (result) {
          *taken = std::make_shared<Taken>(*std::move(result));
          return {};
        }
        *refused = result.error();
        if (is_of_storage(result.error())) return *refused;
        // A refusal is no failure of the transaction: others are in it. What the claim wrote is
        // given back in it.
        return {};
      },
      [taken, refused, then = std::move(then)](const base::Result<void>& done) {
        if (!*refused) return then(refused->error());
        if (!done) return then(done.error());
        then(std::move(*taken));
      });
}

bool Engine::enter(model::Id session) {
  const std::lock_guard lock(mutex_);
  return entered_.emplace(session, ++last_entry_).second;
}

void Engine::leave(model::Id session) {
  const std::lock_guard lock(mutex_);
  entered_.erase(session);
  kept_.erase(session);
  idle_.notify_all();
}

void Engine::release(model::Id session, std::int64_t token, std::function<void()> then) {
  writer_->submit(
      [session, token](db::Connection& connection) {
        return store::release_lease(connection, session, token);
      },
      [session, then = std::move(then)](const base::Result<void>& done) {
        // On a full disk that is told of the session itself.
        const bool is_full = !done && done.error().code == base::Code::storage_full;
        if (!done)
          spdlog::log(is_full ? spdlog::level::debug : spdlog::level::warn, "session {}: {}",
                      session, done.error().message);
        if (then) then();
      });
}

base::Result<Outcome> Engine::perform_and_wait(model::Id session, Wish wish) {
  auto ended = std::make_shared<std::promise<Outcome>>();
  auto begun = perform(session, std::move(wish),
                       [ended](const Outcome& outcome) { ended->set_value(outcome); });
  if (!begun) return begun.error();
  Outcome outcome = ended->get_future().get();
  // Left by this engine too, so that the caller may have it performed again at once.
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return entered_.count(session) == 0; });
  return outcome;
}

base::Result<std::int64_t> Engine::claim(db::Connection& connection, model::Id session) {
  const auto now = options_.clock->now();
  auto lease = store::find_lease(connection, session);
  if (!lease) return lease.error();
  std::optional<std::string> dead;
  // A lease of this very node is of a claim whose success was lost: `enter` knows of the others.
  if (*lease && !(*lease)->node.empty() &&
      ((*lease)->node == node_.name() || node_.is_dead((*lease)->node, connection)))
    dead = (*lease)->node;
  auto token = store::claim_lease(connection, session, node_.name(), dead, now);
  if (!token) return token.error();
  if (*token) return **token;
  return base::Error{.code = base::Code::conflict,
                     .message = fmt::format("session {} is performed by another process (node {})",
                                            session, *lease ? (*lease)->node : "unknown"),
                     .remedy = fmt::format("watch it: tertulia session messages {}", session)};
}

base::Result<Engine::Taken> Engine::take(db::Connection& connection, model::Id session,
                                         const Wish& wish) {
  // The session first: a lease refers to it.
  if (auto row = store::load_session(connection, session); !row) return row.error();
  auto token = claim(connection, session);
  if (!token) return token.error();
  const auto give_up = [&](const base::Error& error) {
    if (auto done = store::release_lease(connection, session, *token); !done)
      spdlog::warn("session {}: {}", session, done.error().message);
    return error;
  };
  auto data = load_session_data(connection, flows_, session);
  if (!data) return give_up(data.error());
  // Read under the lease: what another node committed before it lost the session is seen.
  auto stored = store::load_machine_state(connection, session);
  if (!stored) return give_up(stored.error());
  auto state = flow::State::from_text(stored->state);
  if (!state) return give_up(state.error());
  if (auto fits = check_fit(*state, wish.action, session); !fits) return give_up(fits.error());
  auto all = find_waiting(connection, *data, *state);
  if (!all) return give_up(all.error());
  auto waiting = meant(*all, wish, *state, session, options_.clock->now());
  if (!waiting) return give_up(waiting.error());
  auto messages = store::load_messages(
      connection, session, std::max<std::int64_t>(0, state->last_position - kMessagesAtStart),
      kMessagesAtStart);
  if (!messages) return give_up(messages.error());
  auto unplaced = store::load_unplaced_messages(connection, session);
  if (!unplaced) return give_up(unplaced.error());

  auto last_event = store::last_event_number(connection, session);
  if (!last_event) return give_up(last_event.error());

  Taken taken{.session = *std::move(data),
              .state = *std::move(state),
              .record = {},
              .token = *token,
              .last_event = *last_event,
              .waiting = *std::move(waiting)};
  auto shared = std::make_shared<SessionData>();  // what to_said needs of it
  shared->role_refs = taken.session.role_refs;
  taken.record = std::make_unique<SessionRecord>(
      taken.session.topic, taken.session.seed,
      [this, shared, session](std::int64_t first,
                              std::int64_t last) -> base::Result<std::vector<flow::Said>> {
        auto rows = store::load_messages_between(*reader_, session, first, last);
        if (!rows) return rows.error();
        std::vector<flow::Said> said;
        for (const auto& row : *rows) said.push_back(to_said(row, *shared));
        return said;
      });
  for (const auto& message : *messages) taken.record->add(to_said(message, taken.session));
  for (const auto& message : *unplaced) taken.record->add(to_said(message, taken.session));
  for (const std::int64_t order : flow::outputs_in_use(taken.state)) {
    auto row = store::load_log_row(connection, session, order);
    if (!row) return give_up(row.error());
    auto result = base::parse_json(row->result_data.value_or("null"));
    if (!result) return give_up(result.error());
    if (const auto* output = base::at_pointer(*result, "/output"))
      taken.record->put_out(order, *output);
  }
  return taken;
}

void Engine::begin(Taken taken, const Wish& wish, const Performance::Ended& ended) {
  if (closing_) {  // the writer may be gone by now, and the lease with its node
    leave(taken.session.id);
    return;
  }
  const bool is_new = taken.state.status == model::SessionStatus::not_started;
  const model::Id id = taken.session.id;
  std::map<std::string, base::json::value, std::less<>> variables =
      taken.session.snapshot.variables;
  std::set<std::string, std::less<>> played = taken.session.snapshot.played;
  const flow::Limits at_start = wish.limits.value_or(taken.session.snapshot.limits);
  const auto waiting = std::move(taken.waiting);
  const auto waited = [&] { return waiting->waited_ms(options_.clock->now()); };
  const auto lack = forget_lack_of_room(id);
  const auto performance = make_performance(
      std::move(taken), [this, ended](const Outcome& outcome) { on_ended(outcome, ended); });
  switch (wish.action) {
    case Action::step:
      performance->pause_after_step(model::StopReason::single_step);
      [[fallthrough]];
    case Action::resume:
      if (is_new) {
        performance->begin(flow::Start{
            .variables = std::move(variables), .limits = at_start, .played = std::move(played)});
      } else if (waiting) {
        performance->begin(
            flow::StepTimedOut{.duration_ms = waited(), .spent = {}, .order = waiting->order});
      } else if (lack) {
        performance->resume(wish.limits, answer_not_stored(*lack));
      } else {
        performance->resume(wish.limits);
      }
      return;
    case Action::answer: {
      auto accepted = waiting->accept(wish.words).value();
      performance->begin(flow::Answered{.text = std::move(accepted.words),
                                        .output = std::move(accepted.output),
                                        .duration_ms = waited(),
                                        .data = {},
                                        .spent = {},
                                        .order = waiting->order});
      return;
    }
    case Action::retry:
      performance->begin(flow::RetryStep{.order = wish.order});
      return;
    case Action::skip:
      performance->skip_then_pause(wish.order);
      return;
    case Action::cancel:
      performance->begin(flow::Cancel{});
      return;
  }
}

std::shared_ptr<Performance> Engine::make_performance(Taken taken, Performance::Ended ended) {
  const model::Id id = taken.session.id;
  auto performance = std::make_shared<Performance>(services_, std::move(taken.session),
                                                   std::move(taken.state), std::move(taken.record),
                                                   taken.token, taken.last_event, std::move(ended));
  performances_[id] = performance;
  return performance;
}

void Engine::on_ended(const Outcome& outcome, const Performance::Ended& ended) {
  end_performance(outcome, [this, ended](const Outcome& told) {
    if (told.error && told.error->code == base::Code::storage_full && !closing_)
      return on_full_disk(told, ended);
    ended(told);
    leave(told.session_id);
  });
}

void Engine::end_performance(const Outcome& outcome, const Performance::Ended& then) {
  const auto found = performances_.find(outcome.session_id);
  const std::int64_t token = found->second->lease_token();
  // The performance is on the stack: it goes when the loop comes back.
  loop_->post([gone = std::move(found->second)] {});
  performances_.erase(found);
  // Whoever hears of the end may perform the session again: the lease is given back first.
  release(outcome.session_id, token,
          [this, outcome, then] { loop_->post([outcome, then] { then(outcome); }); });
}

base::Result<void> Engine::remove(model::Id session) {
  // The lease alone would not tell: this very node's own is no hindrance to a claim.
  if (!enter(session)) return performed_already(session);
  base::Result<void> done;
  writer_->run([&](db::Connection& connection) {
    if (auto row = store::load_session(connection, session); !row) {
      done = row.error();
    } else if (auto token = claim(connection, session); !token) {
      done = token.error();
    } else {
      done = store::delete_session(connection, session);
    }
  });
  if (done) forget_lack_of_room(session);
  leave(session);
  return done;
}

void Engine::ask(model::Id session, Request request) {
  const std::lock_guard lock(mutex_);
  if (const auto entered = entered_.find(session); entered != entered_.end())
    loop_->post([this, session, entry = entered->second, request] {
      ask_performance(session, entry, asking(request));
    });
}

Engine::Asking Engine::asking(Request request) {
  return [request](Performance& performance) {
    switch (request) {
      case Request::pause:
        return performance.pause_after_step(model::StopReason::asked);
      case Request::pause_now:
        return performance.pause_now();
      case Request::cancel:
        return performance.cancel();
    }
  };
}

void Engine::ask_performance(model::Id session, std::uint64_t entry, const Asking& asking) {
  const auto found = performances_.find(session);
  {
    const std::lock_guard lock(mutex_);
    const auto entered = entered_.find(session);
    if (entered == entered_.end() || entered->second != entry) return;
    if (found == performances_.end()) return kept_[session].push_back(asking);
  }
  const auto performance = found->second;  // it may end by what it is asked
  asking(*performance);
}

void Engine::ask_what_was_kept(model::Id session) {
  std::vector<Asking> kept;
  {
    const std::lock_guard lock(mutex_);
    if (auto node = kept_.extract(session)) kept = std::move(node.mapped());
  }
  const auto found = performances_.find(session);
  if (found == performances_.end()) return;
  const auto performance = found->second;
  for (const Asking& asking : kept) asking(*performance);
}

bool Engine::performs(model::Id session) {
  const std::lock_guard lock(mutex_);
  return entered_.count(session) > 0;
}

bool Engine::wait_until_left(model::Id session, std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, time, [&] { return entered_.count(session) == 0; });
}

void Engine::pause_all(bool at_once, model::StopReason reason) {
  const Asking pause = [at_once, reason](Performance& performance) {
    if (at_once) {
      performance.pause_now(reason);
    } else {
      performance.pause_after_step(reason);
    }
  };
  const std::lock_guard lock(mutex_);
  loop_->post([this, pause, all = entered_] {
    for (const auto& [id, entry] : all) ask_performance(id, entry, pause);
  });
}

bool Engine::wait_until_idle_for(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, time, [&] { return entered_.empty(); });
}

void Engine::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return entered_.empty(); });
}

void Engine::heartbeat() {
  if (closing_) return;
  if (!performances_.empty()) {
    writer_->submit(
        [this](db::Connection& connection) {
          return store::renew_leases(connection, node_.name(), options_.clock->now());
        },
        [](const base::Result<void>& renewed) {
          if (!renewed)
            spdlog::warn("the leases could not be renewed: {}", renewed.error().message);
        });
  }
  loop_->post_at(std::chrono::steady_clock::now() + store::kLeaseHeartbeat,
                 [this] { heartbeat(); });
}

void Engine::look_for_requests() {
  if (closing_) return;
  if (!performances_.empty()) {
    auto requests = store::load_requests(*reader_, node_.name());
    if (!requests) {
      spdlog::warn("requests could not be read: {}", requests.error().message);
    } else {
      for (const auto& request : *requests) {
        const auto found = performances_.find(request.session);
        if (found == performances_.end() || found->second->lease_token() != request.token) continue;
        const auto performance = found->second;  // it may end by what it is asked
        writer_->submit(
            [request](db::Connection& connection) {
              return store::clear_request(connection, request.session, request.token);
            },
            [id = request.session](const base::Result<void>& done) {
              if (!done) spdlog::warn("session {}: {}", id, done.error().message);
            });
        if (request.request == "pause") asking(Request::pause)(*performance);
        if (request.request == "pause_now") asking(Request::pause_now)(*performance);
        if (request.request == "cancel") asking(Request::cancel)(*performance);
      }
    }
  }
  loop_->post_at(std::chrono::steady_clock::now() + kRequestPoll, [this] { look_for_requests(); });
}

}  // namespace tertulia::engine
