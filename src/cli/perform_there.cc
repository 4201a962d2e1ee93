#include "cli/perform_there.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/json_members.h"
#include "cli/interrupts.h"
#include "cli/live_view.h"
#include "cli/perform_ending.h"
#include "remote/event_follower.h"
#include "remote/server_records.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using engine::Action;
using model::Id;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Type = engine::Event::Type;

// How often a session from which nothing comes is looked at.
constexpr std::chrono::seconds kQuiet{5};

std::string_view path_of(Action action) {
  switch (action) {
    case Action::resume:
      return "/resume";
    case Action::step:
      return "/step";
    case Action::retry:
      return "/retry";
    case Action::skip:
      return "/skip";
    case Action::answer:
      return "/answer";
    case Action::cancel:
      return "/cancel";
  }
  return "";
}

json::object body_of(const Performing& performing) {
  json::object body;
  const bool has_limits = performing.action == Action::resume || performing.action == Action::step;
  if (has_limits && !performing.limits.empty()) body["limits"] = limits_json(performing.limits);
  if (performing.action == Action::answer) body["text"] = performing.words;
  if (!has_limits && performing.order > 0) body["order"] = performing.order;
  return body;
}

// Shows a session's events until it stops.
class Following final {
 public:
  // `last_event`: what is shown comes after it. `passes_on`: Ctrl-C pauses the session.
  Following(Context& context, remote::ApiClient& client, const json::object& session,
            std::int64_t last_event, bool passes_on)
      : context_(context),
        client_(client),
        id_(base::integer_at(session, "id")),
        first_(last_event),
        seen_(last_event),
        passes_on_(passes_on),
        view_(session, context.json),
        follower_(client, remote::session_path(id_, "/events"), std::to_string(last_event)) {}

  LiveView& view() { return view_; }

  base::Result<int> run() {
    auto looked_at = steady_clock::now();
    for (;;) {
      auto event = follower_.next(milliseconds(100));
      if (!event) return away(event.error());
      bool look = follower_.is_over();
      if (*event) {
        if ((*event)->id > 0) seen_ = (*event)->id;
        view_.show(**event);
        look = look || (*event)->type == Type::session_waiting ||
               (*event)->type == Type::session_paused || (*event)->type == Type::session_finished;
        looked_at = steady_clock::now();
      } else {
        view_.tick();
      }
      if (auto status = heed_interrupts()) return *status;
      tell_absence();
      const bool is_quiet = !*event && steady_clock::now() - looked_at > kQuiet;
      if (!look && (!is_quiet || follower_.is_away())) continue;
      looked_at = steady_clock::now();
      auto session = client_.get(remote::session_path(id_));
      if (!session) {
        // It went away with its answer; the follower waits for it.
        if (session.error().code == base::Code::unavailable && !follower_.is_over()) continue;
        return session.error();
      }
      if (has_stopped(*session, is_quiet)) return ended(*session);
    }
  }

 private:
  // Has everything been shown, and does nobody go on?
  bool has_stopped(const json::object& session, bool is_quiet) {
    const Ending ending = ending_of(session);
    if (ending.status == model::SessionStatus::running ||
        seen_ < base::integer_at(session, "last_event"))
      return false;
    // The next server goes on with it.
    if (ending.status == model::SessionStatus::paused &&
        ending.stop_reason == model::StopReason::shutdown)
      return false;
    if (seen_ > first_ || follower_.is_over()) return true;
    // Of a disk that is full, what would be told cannot be stored.
    if (ending.stop_reason == model::StopReason::storage_full) return true;
    // It may not have begun yet.
    return is_quiet && ++quiet_ > 2;
  }

  int ended(const json::object& session) {
    view_.finish();
    const Ending ending = ending_of(session);
    if (ending.status == model::SessionStatus::waiting) return kExitPaused;
    const int status = say_ending(context_, ending);
    return passed_on_ > 0 && status == kExitPaused ? kExitInterrupted : status;
  }

  // The exit code where nothing more is to be shown.
  std::optional<int> heed_interrupts() {
    if (interrupts() <= passed_on_) return {};
    passed_on_ = interrupts();
    view_.finish();
    if (!passes_on_) return kExitInterrupted;
    if (follower_.is_away() || passed_on_ > 2) {
      fmt::print(stderr,
                 "\nnot waiting for it any more; the server goes on with the session when it is "
                 "back. To look at it:\n{} session resume {}\n",
                 context_.program_words(), id_);
      return kExitInterrupted;
    }
    if (passed_on_ == 1)
      fmt::print(stderr, "\npausing after this step; Ctrl-C again stops it now\n");
    json::object body;
    if (passed_on_ > 1) body["now"] = true;
    // Where nobody performs it any more, its last events are on their way.
    auto asked = client_.post(remote::session_path(id_, "/pause"), body);
    if (!asked && asked.error().code != base::Code::conflict)
      static_cast<void>(tell(asked.error(), context_.json));
    return {};
  }

  void tell_absence() {
    if (follower_.is_away() == was_away_) return;
    was_away_ = follower_.is_away();
    view_.finish();
    fmt::print(stderr, "{}\n",
               was_away_ ? "the server is away; waiting for it" : "the server is back");
  }

  base::Result<int> away(base::Error error) {
    view_.finish();
    if (error.code == base::Code::unavailable)
      error.remedy = fmt::format(
          "the server goes on with the session when it is back; to look at it: {} session resume "
          "{}",
          context_.program_words(), id_);
    return error;
  }

  Context& context_;
  remote::ApiClient& client_;
  const Id id_;
  const std::int64_t first_;
  std::int64_t seen_;
  const bool passes_on_;
  LiveView view_;
  remote::EventFollower follower_;
  int passed_on_ = 0;
  int quiet_ = 0;
  bool was_away_ = false;
};

}  // namespace

json::object limits_json(const service::LimitWishes& limits) {
  json::object out;
  if (limits.steps) out["steps"] = *limits.steps;
  if (limits.rounds) out["rounds"] = *limits.rounds;
  if (limits.tokens) out["tokens"] = *limits.tokens;
  if (limits.cost_usd) out["cost_usd"] = *limits.cost_usd;
  if (limits.time_ms) out["time_ms"] = *limits.time_ms;
  return out;
}

base::Result<int> perform_there(Context& context, remote::ApiClient& client, Id id,
                                const Performing& performing) {
  const InterruptGuard guard;
  client.stop_when([] { return interrupts() > 2; });
  auto session = client.get(remote::session_path(id));
  if (!session) return session.error();
  std::optional<Following> following(std::in_place, context, client, *session,
                                     base::integer_at(*session, "last_event"), true);
  following->view().begin();
  auto begun =
      client.post(remote::session_path(id, path_of(performing.action)), body_of(performing));
  if (!begun) {
    const bool is_performed = begun.error().code == base::Code::conflict &&
                              performing.action == Action::resume &&
                              ending_of(*session).status == model::SessionStatus::running;
    if (!is_performed) return begun.error();
    fmt::print(stderr,
               "session {} is performed by the server already; watching it (Ctrl-C stops "
               "watching, not the session)\n",
               id);
    following.emplace(context, client, *session, 0, false);
  }
  return following->run();
}

}  // namespace tertulia::cli
