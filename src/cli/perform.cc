#include "cli/perform.h"

#include <fmt/format.h>

#include <mutex>

#include "cli/interrupts.h"
#include "cli/live_view.h"
#include "cli/person.h"
#include "cli/terminal.h"
#include "service/session_export.h"
#include "store/leases.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

using std::chrono::milliseconds;

// Where a model was not reached: which profile, which URL, what to set.
std::string model_hint(const flow::Cast& cast) {
  for (const auto& role : cast.roles) {
    const auto* url = role.model.if_contains("base_url");
    if (url == nullptr || !url->is_string()) continue;
    return fmt::format("profile {}, {}", role.profile, std::string_view(url->get_string()));
  }
  return {};
}

// Says how the session stands; the exit code.
int say_end(const engine::Outcome& outcome, const flow::Cast& cast, const std::string& flow) {
  using model::SessionStatus;
  const auto id = outcome.session_id;
  const std::string reason =
      outcome.stop_reason ? std::string(model::to_text(*outcome.stop_reason)) : std::string();
  switch (outcome.status) {
    case SessionStatus::finished:
      fmt::print(
          stderr, "{}\n",
          fmt::format("session {} is finished ({}{}); its log: tertulia session log {} --tree", id,
                      reason,
                      outcome.stop_text.empty() ? std::string()
                                                : ": " + safe_for_terminal(outcome.stop_text),
                      id));
      return kExitDone;
    case SessionStatus::terminated:
      fmt::print(stderr, "session {} is cancelled\n", id);
      return kExitDone;
    case SessionStatus::failed:
      fmt::print(stderr, "session {} has failed: {}\n", id, safe_for_terminal(outcome.stop_text));
      return kExitFailed;
    default:
      break;
  }
  fmt::print(
      stderr, "session {} of {} is paused ({}){}\n", id, flow, reason,
      outcome.stop_text.empty() ? std::string() : ": " + safe_for_terminal(outcome.stop_text));
  if (outcome.stop_reason == model::StopReason::model_unavailable) {
    fmt::print(stderr, "the model could not be used: {}; see to its key and address, then\n",
               model_hint(cast));
    fmt::print(stderr, "tertulia session resume {}\n", id);
    return kExitModel;
  }
  // The last line is the command that goes on; at a limit that is one that raises it.
  const char* raise = outcome.stop_reason == model::StopReason::limit_steps    ? " --max-steps N"
                      : outcome.stop_reason == model::StopReason::limit_rounds ? " --max-rounds N"
                      : outcome.stop_reason == model::StopReason::limit_tokens ? " --max-tokens N"
                      : outcome.stop_reason == model::StopReason::limit_cost   ? " --max-cost USD"
                      : outcome.stop_reason == model::StopReason::limit_time   ? " --max-time 1h"
                                                                               : "";
  fmt::print(stderr, "tertulia session resume {}{}\n", id, raise);
  return kExitPaused;
}

// What stands in the database of the session, as the events would have told it.
void show_stored(db::Connection& reader, const engine::SessionData& session, LiveView& view,
                 std::int64_t& position) {
  auto messages = store::load_messages(reader, session.id, position, 1000);
  if (!messages) return;  // told by the next query that matters
  for (const auto& message : *messages) {
    const flow::Said said = engine::to_said(message, session);
    base::json::object out;
    out["position"] = said.position;
    out["role"] = said.role;
    out["round"] = said.round;
    out["text"] = said.text;
    engine::Event event{.id = 0,
                        .type = engine::Event::Type::message,
                        .session_id = session.id,
                        .time = message.created_at,
                        .data = {}};
    event.data["message"] = std::move(out);
    view.show(event);
    position = said.position;
  }
}

// Watches a session that another process performs, until it stops.
base::Result<int> watch(Context& context, const engine::SessionData& session) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  fmt::print(stderr,
             "session {} is performed by another process; watching it (Ctrl-C stops "
             "watching, not the session)\n",
             session.id);
  LiveView view(session.cast, session.is_rehearsed(), context.json);
  const InterruptGuard guard;
  std::int64_t position = 0;
  engine::EventBus quiet;
  const auto pause = quiet.subscribe();
  while (interrupts() == 0) {
    show_stored(**reader, session, view, position);
    auto row = store::load_session(**reader, session.id);
    if (!row) return row.error();
    if (row->status != model::SessionStatus::running) {
      show_stored(**reader, session, view, position);
      return say_end({.session_id = session.id,
                      .status = row->status,
                      .stop_reason = row->stop_reason,
                      .stop_text = row->error_reason.value_or(""),
                      .error = {}},
                     session.cast, session.flow_name);
    }
    bool closed = false;  // nothing ever comes: this waits
    static_cast<void>(
        pause->next_until(std::chrono::steady_clock::now() + milliseconds(200), closed));
  }
  return kExitInterrupted;
}

// Whom the session waits for first, by its present log; nothing where it does not only wait.
base::Result<std::optional<engine::Waiting>> waiting_of(Context& context, model::Id session) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto row = store::load_session(**reader, session);
  if (!row) return row.error();
  if (row->status != model::SessionStatus::waiting) return std::optional<engine::Waiting>();
  engine::FlowCache flows;
  auto waiting = engine::find_waiting(**reader, flows, session);
  if (!waiting) return waiting.error();
  if (waiting->empty()) return std::optional<engine::Waiting>();
  return std::optional(waiting->front());
}

int say_waiting(const engine::Waiting& waiting, model::Id session) {
  fmt::print(stderr, "session {} waits for a person\n{}tertulia session answer {} \"...\"\n",
             session, question_words(waiting), session);
  return kExitPaused;
}

base::Result<int> perform_once(Context& context, model::Id session, const engine::Wish& wish) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto data = engine::load_session_data(**reader, flows, session);
  if (!data) return data.error();
  auto engine = context.engine();
  if (!engine) return engine.error();

  LiveView view(data->cast, data->is_rehearsed(), context.json);
  const auto events = (*engine)->bus().subscribe();
  const InterruptGuard guard;
  std::mutex mutex;
  std::optional<engine::Outcome> outcome;
  view.begin(session, data->flow_name, data->topic);
  auto begun = (*engine)->perform(session, wish, [&](const engine::Outcome& ended) {
    {
      const std::lock_guard lock(mutex);
      outcome = ended;
    }
    events->close();
  });
  if (!begun) {
    if (begun.error().code == base::Code::conflict &&
        begun.error().message.find("another process") != std::string::npos &&
        wish.action == engine::Action::resume)
      return watch(context, *data);
    return begun.error();
  }
  int passed_on = 0;
  bool closed = false;
  while (!closed) {
    auto event = events->next_until(std::chrono::steady_clock::now() + milliseconds(100), closed);
    if (event) {
      view.show(*event);
    } else if (!closed) {
      view.tick();
    }
    if (interrupts() > passed_on) {
      passed_on = interrupts();
      view.finish();
      if (passed_on == 1) {
        fmt::print(stderr, "\npausing after this step; Ctrl-C again stops it now\n");
        (*engine)->pause_all(false);
      } else {
        (*engine)->pause_all(true);
      }
    }
  }
  view.finish();
  (*engine)->wait_until_idle();
  const std::lock_guard lock(mutex);
  if (outcome->error) {
    base::Error error = *outcome->error;
    if (error.remedy.empty()) error.remedy = fmt::format("tertulia session resume {}", session);
    return error;
  }
  if (outcome->status == model::SessionStatus::waiting) return kExitPaused;
  const int status = say_end(*outcome, data->cast, data->flow_name);
  if (auto fared = context.recordings_fared(); !fared) {
    static_cast<void>(tell(fared.error(), context.json));
    return kExitFailed;
  }
  return passed_on > 0 && status == kExitPaused ? kExitInterrupted : status;
}

}  // namespace

base::Result<int> perform_shown(Context& context, model::Id session, engine::Wish wish) {
  const bool has_person = !context.json && input_is_terminal() && output_is_terminal();
  auto waiting = waiting_of(context, session);
  if (!waiting) return waiting.error();
  const bool goes_on = wish.action == engine::Action::resume || wish.action == engine::Action::step;
  bool asks = *waiting && goes_on && !(*waiting)->is_expired(base::Clock::system().now());
  for (;;) {
    if (asks) {
      std::optional<std::string> words;
      if (has_person) words = ask_at_terminal(**waiting);
      if (!words) return say_waiting(**waiting, session);
      wish = {.action = engine::Action::answer,
              .limits = {},
              .words = *std::move(words),
              .order = (*waiting)->order};
    }
    auto status = perform_once(context, session, wish);
    if (!status || *status != kExitPaused) return status;
    waiting = waiting_of(context, session);
    if (!waiting) return waiting.error();
    if (!*waiting) return status;
    asks = true;
  }
}

}  // namespace tertulia::cli
