#include "cli/perform.h"

#include <fmt/format.h>

#include <mutex>

#include "cli/interrupts.h"
#include "cli/live_view.h"
#include "cli/perform_ending.h"
#include "cli/perform_there.h"
#include "cli/person.h"
#include "cli/terminal.h"
#include "service/session_json.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
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

// What stands in the database of the session, as the events would have told it.
void show_stored(db::Connection& reader, const engine::SessionData& session, LiveView& view,
                 std::int64_t& position) {
  auto messages = store::load_messages(reader, session.id, position, 1000);
  if (!messages) return;  // told by the next query that matters
  for (const auto& message : *messages) {
    const flow::Said said = engine::to_said(message, session);
    json::object out;
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

Ending ending_here(const engine::SessionData& session, model::SessionStatus status,
                   std::optional<model::StopReason> reason, std::string text) {
  return {.session = session.id,
          .status = status,
          .stop_reason = reason,
          .text = std::move(text),
          .flow = session.flow_name,
          .model_hint = model_hint(session.cast)};
}

// Watches a session that another process performs, until it stops.
base::Result<int> watch(Context& context, const engine::SessionData& session,
                        const json::object& document) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  fmt::print(stderr,
             "session {} is performed by another process; watching it (Ctrl-C stops "
             "watching, not the session)\n",
             session.id);
  LiveView view(document, context.json);
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
      return say_ending(context, ending_here(session, row->status, row->stop_reason,
                                             row->error_reason.value_or("")));
    }
    bool closed = false;  // nothing ever comes: this waits
    static_cast<void>(
        pause->next_until(std::chrono::steady_clock::now() + milliseconds(200), closed));
  }
  return kExitInterrupted;
}

// Whom the session waits for first, by its present log; nothing where it does not only wait.
base::Result<std::optional<engine::Waiting>> waiting_of(Context& context, model::Id id) {
  auto records = context.records();
  if (!records) return records.error();
  auto session = (*records)->session(id);
  if (!session) return session.error();
  const json::value* all = session->if_contains("waiting");
  const json::value* first = all != nullptr ? base::at_pointer(*all, "/0") : nullptr;
  if (first == nullptr) return std::optional<engine::Waiting>();
  auto waiting = service::waiting_from_json(*first);
  if (!waiting) return waiting.error();
  return std::optional(*std::move(waiting));
}

int say_waiting(const Context& context, const engine::Waiting& waiting, model::Id session) {
  fmt::print(stderr, "session {} waits for a person\n{}{} session answer {} \"...\"\n", session,
             question_words(waiting), context.program_words(), session);
  return kExitPaused;
}

// By this process, to its next stop.
base::Result<int> perform_here(Context& context, model::Id session, const Performing& performing) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto data = engine::load_session_data(**reader, flows, session);
  if (!data) return data.error();
  auto document = service::session_json(**reader, flows, session);
  if (!document) return document.error();
  auto limits = service::limits_in_session(**reader, session, performing.limits);
  if (!limits) return limits.error();
  auto engine = context.engine();
  if (!engine) return engine.error();

  LiveView view(*document, context.json);
  const auto events = (*engine)->bus().subscribe();
  const InterruptGuard guard;
  std::mutex mutex;
  std::optional<engine::Outcome> outcome;
  view.begin();
  const engine::Wish wish{.action = performing.action,
                          .limits = *std::move(limits),
                          .words = performing.words,
                          .order = performing.order};
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
      return watch(context, *data, *document);
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
  const int status = say_ending(
      context, ending_here(*data, outcome->status, outcome->stop_reason, outcome->stop_text));
  if (auto fared = context.recordings_fared(); !fared) {
    static_cast<void>(tell(fared.error(), context.json));
    return kExitFailed;
  }
  return passed_on > 0 && status == kExitPaused ? kExitInterrupted : status;
}

}  // namespace

base::Result<int> perform_shown(Context& context, model::Id session, Performing performing) {
  auto server = context.server();
  if (!server) return server.error();
  const bool has_person = !context.json && input_is_terminal() && output_is_terminal();
  auto waiting = waiting_of(context, session);
  if (!waiting) return waiting.error();
  const bool goes_on =
      performing.action == engine::Action::resume || performing.action == engine::Action::step;
  bool asks = *waiting && goes_on && !(*waiting)->is_expired(base::Clock::system().now());
  for (;;) {
    if (asks) {
      std::optional<std::string> words;
      if (has_person) words = ask_at_terminal(**waiting);
      if (!words) return say_waiting(context, **waiting, session);
      performing = {
          .action = engine::Action::answer, .words = *std::move(words), .order = (*waiting)->order};
    }
    auto status = *server != nullptr ? perform_there(context, **server, session, performing)
                                     : perform_here(context, session, performing);
    if (!status || *status != kExitPaused) return status;
    waiting = waiting_of(context, session);
    if (!waiting) return waiting.error();
    if (!*waiting) return status;
    asks = true;
  }
}

}  // namespace tertulia::cli
