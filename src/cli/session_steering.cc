#include "cli/session_steering.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>

#include "cli/perform.h"
#include "cli/perform_ending.h"
#include "remote/event_follower.h"
#include "remote/server_records.h"
#include "service/limit_wishes.h"
#include "store/leases.h"
#include "store/sessions.h"

namespace tertulia::cli {
namespace {

using model::Id;

struct ResumeOptions {
  Id id = 0;
  service::LimitWishes limits;
  std::int64_t order = 0;
};

base::Result<int> go_on(Context& context, const ResumeOptions& options, engine::Action action) {
  auto records = context.records();
  if (!records) return records.error();
  auto session = (*records)->session(options.id);
  if (!session) return session.error();
  if (ending_of(*session).status == model::SessionStatus::finished &&
      action == engine::Action::resume) {
    fmt::print(stderr, "session {} is finished already\n", options.id);
    return kExitDone;
  }
  return perform_shown(context, options.id,
                       {.action = action, .limits = options.limits, .order = options.order});
}

// Asks whoever performs the session; false where nobody does.
base::Result<bool> ask_performer(Context& context, Id id, const std::string& request) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto row = store::load_session(**reader, id);
  if (!row) return row.error();
  if (row->status != model::SessionStatus::running) return false;
  bool asked = false;
  auto done = context.write([&](db::Connection& connection) -> base::Result<void> {
    auto held = store::ask_holder(connection, id, request);
    if (!held) return held.error();
    asked = *held;
    return {};
  });
  if (!done) return done.error();
  return asked;
}

base::Result<int> answer(Context& context, Id id, const std::string& words, std::int64_t order) {
  Performing performing{.action = engine::Action::answer, .words = words, .order = order};
  if (words == "-") performing.words.assign(std::istreambuf_iterator<char>(std::cin), {});
  return perform_shown(context, id, std::move(performing));
}

base::Result<bool> pause_there(const remote::ApiClient& server, Id id) {
  auto asked = server.post(remote::session_path(id, "/pause"));
  if (asked) return true;
  if (asked.error().code == base::Code::conflict) return false;
  return asked.error();
}

base::Result<int> pause(Context& context, Id id) {
  auto server = context.server();
  if (!server) return server.error();
  auto asked = *server != nullptr ? pause_there(**server, id) : ask_performer(context, id, "pause");
  if (!asked) return asked.error();
  if (*asked) {
    fmt::print(stderr, "session {} pauses after its present step\n", id);
    return kExitDone;
  }
  fmt::print(stderr, "nobody performs session {}: there is nothing to pause\n", id);
  return kExitDone;
}

int say_cancelled(Id id, bool by_another) {
  if (by_another)
    fmt::print(stderr, "session {} is being cancelled by the process that performs it\n", id);
  else
    fmt::print(stderr, "session {} is cancelled\n", id);
  return kExitDone;
}

// A session that nobody performed is ended by the server at once; its event says when.
void wait_for_end(const remote::ApiClient& server, const base::json::object& session) {
  const base::json::value* last = session.if_contains("last_event");
  remote::EventFollower events(server, remote::session_path(ending_of(session).session, "/events"),
                               last != nullptr ? base::to_text(*last) : "0");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end && !events.is_over()) {
    auto event = events.next(std::chrono::milliseconds(100));
    if (!event || (*event && (*event)->type == engine::Event::Type::session_finished)) return;
  }
}

base::Result<int> cancel(Context& context, Id id) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) {
    auto before = (*server)->get(remote::session_path(id));
    if (!before) return before.error();
    auto asked = (*server)->post(remote::session_path(id, "/cancel"));
    if (!asked) return asked.error();
    const bool by_another = ending_of(*before).status == model::SessionStatus::running;
    if (!by_another) wait_for_end(**server, *before);
    return say_cancelled(id, by_another);
  }
  auto engine = context.engine();
  if (!engine) return engine.error();
  auto ended = (*engine)->perform_and_wait(id, {.action = engine::Action::cancel});
  if (ended && ended->error) return *ended->error;
  if (ended) return say_cancelled(id, false);
  if (ended.error().code != base::Code::conflict) return ended.error();
  auto asked = ask_performer(context, id, "cancel");
  if (!asked) return asked.error();
  if (!*asked) return ended.error();
  return say_cancelled(id, true);
}

}  // namespace

void add_session_steering(CLI::App& session, Context& context) {
  const auto steer = [&](const char* name, const char* help, engine::Action action) {
    auto* command = session.add_subcommand(name, help);
    auto options = std::make_shared<ResumeOptions>();
    command->add_option("id", options->id, "The session's id")->required();
    command->add_option("--script", context.script_file, "What rehearsal says (YAML)");
    command->add_option("--record", context.record_file,
                        "Keeps every call of a model in this file, after what it holds already");
    if (action == engine::Action::resume) {
      command->add_option("--max-steps", options->limits.steps, "Raise the limit on steps to this")
          ->check(CLI::PositiveNumber);
      command
          ->add_option("--max-rounds", options->limits.rounds, "Raise the limit on rounds to this")
          ->check(CLI::PositiveNumber);
      command
          ->add_option("--max-tokens", options->limits.tokens, "Raise the limit on tokens to this")
          ->check(CLI::PositiveNumber);
      command
          ->add_option("--max-cost", options->limits.cost_usd,
                       "Raise the limit on cost to this, in US dollars")
          ->check(CLI::PositiveNumber);
      static const std::map<std::string, std::int64_t> kUnits = {
          {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};
      command
          ->add_option("--max-time", options->limits.time_ms,
                       "Raise the limit on time to this, such as 20m")
          ->transform(CLI::AsNumberWithUnit(kUnits, CLI::AsNumberWithUnit::UNIT_REQUIRED));
    }
    if (action == engine::Action::retry || action == engine::Action::skip)
      command
          ->add_option("--order", options->order,
                       "Which step, where several stand (session log shows their numbers)")
          ->check(CLI::PositiveNumber);
    run_on_parse(
        *command, [&context, options, action] { return go_on(context, *options, action); },
        Place::anywhere);
  };
  steer("resume", "Begins a session, or goes on with it, to its end", engine::Action::resume);
  steer("step", "One step that asks a model, then pauses", engine::Action::step);
  steer("retry", "Tries the failed step again, and goes on", engine::Action::retry);
  steer("skip", "Leaves the open step out, then pauses", engine::Action::skip);

  auto* answering = session.add_subcommand(
      "answer", "A person's words for the step that waits for them; goes on");
  auto answered = std::make_shared<std::pair<Id, std::string>>();
  answering->add_option("id", answered->first, "The session's id")->required();
  answering->add_option("words", answered->second, "What is said, or a choice's number; - reads it")
      ->required();
  auto order = std::make_shared<std::int64_t>(0);
  answering
      ->add_option("--order", *order,
                   "Which step, where several persons are asked (session show names them)")
      ->check(CLI::PositiveNumber);
  answering->add_option("--script", context.script_file, "What rehearsal says (YAML)");
  answering->footer("Example: tertulia session answer 7 \"I would cut the second paragraph.\"");
  run_on_parse(
      *answering,
      [&context, answered, order] {
        return answer(context, answered->first, answered->second, *order);
      },
      Place::anywhere);

  const auto with_id = [&](const char* name, const char* help, auto body) {
    auto* command = session.add_subcommand(name, help);
    auto id = std::make_shared<Id>();
    command->add_option("id", *id, "The session's id")->required();
    run_on_parse(
        *command, [&context, id, body] { return body(context, *id); }, Place::anywhere);
  };
  with_id("pause", "Asks the process that performs the session to pause after its step", pause);
  with_id("cancel", "Ends a session for good", cancel);
}

}  // namespace tertulia::cli
