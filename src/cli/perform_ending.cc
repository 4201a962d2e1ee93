#include "cli/perform_ending.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/json_members.h"
#include "cli/terminal.h"

namespace tertulia::cli {

namespace json = base::json;
using model::SessionStatus;
using model::StopReason;

Ending ending_of(const json::object& session) {
  Ending ending;
  ending.session = base::integer_at(session, "id");
  ending.status =
      model::from_text<SessionStatus>(base::text_at(session, "status")).value_or(ending.status);
  ending.stop_reason = model::from_text<StopReason>(base::text_at(session, "stop_reason"));
  ending.text = base::text_at(session, "reason");
  ending.flow = base::text_at(session, "flow");
  if (const json::value* cast = session.if_contains("cast"))
    if (const json::value* profile = base::at_pointer(*cast, "/0/profile");
        profile != nullptr && profile->is_string())
      ending.model_hint = fmt::format("profile {}", std::string_view(profile->get_string()));
  return ending;
}

int say_ending(const Context& context, const Ending& ending) {
  const auto id = ending.session;
  const std::string program = context.program_words();
  const std::string reason =
      ending.stop_reason ? std::string(model::to_text(*ending.stop_reason)) : std::string();
  const std::string why =
      ending.text.empty() ? std::string() : ": " + safe_for_terminal(ending.text);
  switch (ending.status) {
    case SessionStatus::finished:
      fmt::print(stderr, "session {} is finished ({}{}); its log: {} session log {} --tree\n", id,
                 reason, why, program, id);
      return kExitDone;
    case SessionStatus::terminated:
      fmt::print(stderr, "session {} is cancelled\n", id);
      return kExitDone;
    case SessionStatus::failed:
      fmt::print(stderr, "session {} has failed: {}\n", id, safe_for_terminal(ending.text));
      return kExitFailed;
    default:
      break;
  }
  fmt::print(stderr, "session {} of {} is paused ({}){}\n", id, ending.flow, reason, why);
  if (ending.stop_reason == StopReason::model_unavailable) {
    fmt::print(stderr, "the model could not be used: {}; see to its key and address, then\n",
               ending.model_hint);
    fmt::print(stderr, "{} session resume {}\n", program, id);
    return kExitModel;
  }
  // The last line is the command that goes on; at a limit that is one that raises it.
  const char* raise = ending.stop_reason == StopReason::limit_steps    ? " --max-steps N"
                      : ending.stop_reason == StopReason::limit_rounds ? " --max-rounds N"
                      : ending.stop_reason == StopReason::limit_tokens ? " --max-tokens N"
                      : ending.stop_reason == StopReason::limit_cost   ? " --max-cost USD"
                      : ending.stop_reason == StopReason::limit_time   ? " --max-time 1h"
                                                                       : "";
  fmt::print(stderr, "{} session resume {}{}\n", program, id, raise);
  return kExitPaused;
}

}  // namespace tertulia::cli
