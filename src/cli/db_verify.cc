#include "cli/db_verify.h"

#include <fmt/format.h>

#include "cli/db_commands.h"
#include "cli/db_report.h"
#include "cli/terminal.h"
#include "engine/explain.h"
#include "store/sessions.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

base::Result<int> verify(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto verification = verify_in_full(context, *location);
  if (!verification) return verification.error();
  const int status = verification->good() ? kExitDone : kExitDatabase;
  if (context.json) {
    print_json(verification_json(*verification, *location));
    return status;
  }
  if (say(verification->database.proof, *location, false) == kExitDone)
    print_verification(*verification);
  return status;
}

}  // namespace

base::Result<void> replay_all(Context& context, db::Connection& reader,
                              FullVerification& verification) {
  ProgressLine progress("replaying", "sessions");
  engine::FlowCache flows;
  return store::each_session(
      reader, {}, [&](const store::SessionSummary& session) -> base::Result<void> {
        // Its adoption noted that no log explains it.
        if (session.stop_reason == model::StopReason::does_not_fit) {
          ++verification.sessions_only_read;
          return {};
        }
        auto explained = engine::explain(reader, flows, session.id, context.providers());
        progress.show(++verification.sessions_replayed, 0);
        if (!explained) {
          verification.unexplained.push_back(
              fmt::format("session {}: {}", session.id, explained.error().message));
          return {};
        }
        for (const auto* list :
             {&explained->replay.disagreements, &explained->request_disagreements})
          for (const auto& each : *list)
            verification.unexplained.push_back(
                fmt::format("session {}, step {}: {}", session.id, each.order, each.what));
        return {};
      });
}

base::Result<FullVerification> verify_in_full(Context& context, const db::Location& location) {
  auto connection = db::open(location, {.access = db::Access::read});
  if (!connection) return connection.error();
  auto verified = schema::verify(**connection);
  if (!verified) return verified.error();
  FullVerification verification;
  verification.database = *std::move(verified);
  if (verification.database.proof.may_run())
    if (auto replayed = replay_all(context, **connection, verification); !replayed)
      return replayed.error();
  return verification;
}

json::object verification_json(const FullVerification& verification, const db::Location& location) {
  json::object out = proof_json(verification.database.proof, location);
  out["broken_references"] = json_list(verification.database.broken_references);
  out["integrity"] = json_list(verification.database.integrity);
  out["sessions_replayed"] = verification.sessions_replayed;
  out["sessions_only_read"] = verification.sessions_only_read;
  out["unexplained"] = json_list(verification.unexplained);
  out["good"] = verification.good();
  return out;
}

void print_verification(const FullVerification& verification) {
  const auto& [proof, references, integrity] = verification.database;
  for (const auto* lines : {&references, &integrity, &verification.unexplained})
    for (const std::string& line : *lines)
      fmt::print("{}\n", styled(safe_for_terminal(line), Style::red));
  fmt::print("integrity {}, references {}, {} sessions replayed: {}\n",
             integrity.empty() ? "good" : "broken", references.empty() ? "good" : "broken",
             verification.sessions_replayed,
             verification.unexplained.empty() ? "every log explains its session"
                                              : "not every log explains its session");
  if (verification.sessions_only_read > 0)
    fmt::print("{} adopted sessions do not follow their flows and are for reading only\n",
               verification.sessions_only_read);
}

void add_db_verify(CLI::App& db, Context& context) {
  auto* command = db.add_subcommand(
      "verify", "Drift in full, references, integrity, and every log against its session");
  command->footer("Example: tertulia db verify --db ./notes.db");
  run_on_parse(*command, [&context] { return verify(context); });
}

}  // namespace tertulia::cli
