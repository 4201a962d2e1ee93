// tertulia db: the schema, its history, and what mends it.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

#include "cli/context.h"
#include "cli/terminal.h"
#include "engine/explain.h"
#include "schema/proof.h"
#include "schema/repair.h"
#include "schema/runner.h"
#include "store/sessions.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

json::object proof_json(const schema::Proof& proof, const db::Location& location) {
  json::object out;
  out["database"] = location.shown();
  out["engine"] = db::engine_name(location.engine);
  out["state"] = schema::state_name(proof.state);
  out["version"] = proof.version;
  out["head"] = proof.head;
  json::array pending, differences, notices;
  for (const auto& each : proof.pending) pending.emplace_back(each);
  for (const auto& each : proof.differences) {
    json::object one;
    one["table"] = each.table;
    one["object"] = each.object;
    one["kind"] = schema::kind_name(each.kind);
    one["expected"] = each.expected;
    one["found"] = each.found;
    differences.push_back(std::move(one));
  }
  for (const auto& each : proof.notices) notices.emplace_back(each);
  out["pending"] = std::move(pending);
  out["differences"] = std::move(differences);
  out["notices"] = std::move(notices);
  if (!proof.why.empty()) out["why"] = proof.why;
  if (!proof.remedy.empty()) out["remedy"] = proof.remedy;
  return out;
}

// Says how the database stands; exit 0 only if the program could start.
int say(const schema::Proof& proof, const db::Location& location, bool as_json) {
  const bool good = proof.may_run();
  if (as_json) {
    print_json(proof_json(proof, location));
    return good ? kExitDone : kExitDatabase;
  }
  fmt::print("{} ({})\nversion {} of {}: {}\n", location.shown(), db::engine_name(location.engine),
             proof.version, proof.head,
             styled(schema::state_name(proof.state), good ? Style::green : Style::red));
  for (const std::string& line : proof.lines()) fmt::print("{}\n", line);
  for (const std::string& notice : proof.notices) fmt::print("{}\n", styled(notice, Style::dim));
  if (!good && !proof.remedy.empty()) fmt::print("{}\n", proof.remedy);
  return good ? kExitDone : kExitDatabase;
}

base::Result<int> status(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  return say(*proof, *location, context.json);
}

base::Result<std::unique_ptr<db::Connection>> open_writer(const db::Location& location,
                                                          bool create) {
  return db::open(location, {.access = db::Access::write, .create = create});
}

base::Result<int> init(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  if (proof->state != schema::State::fresh) return say(*proof, *location, context.json);
  auto connection = open_writer(*location, true);
  if (!connection) return connection.error();
  const auto migrations = schema::migrations(location->engine);
  auto done = schema::migrate(**connection, static_cast<int>(migrations.size()), migrations);
  if (!done) return done.error();
  connection->reset();
  proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  return say(*proof, *location, context.json);
}

struct MoveOptions {
  int to = -1;
  bool dry_run = false;
  bool allow_data_loss = false;
};

void print_plan(const schema::Plan& plan, bool with_sql, bool as_json) {
  json::array moves;
  for (const schema::Move& move : plan.moves) {
    const char* direction = move.direction == schema::Direction::up ? "up" : "down";
    if (as_json) {
      json::object one;
      one["migration"] = move.migration->full_name();
      one["direction"] = direction;
      json::array losses;
      for (const auto& loss : move.losses) losses.emplace_back(loss.words());
      one["losses"] = std::move(losses);
      if (with_sql) one["sql"] = move.script().text;
      moves.push_back(std::move(one));
      continue;
    }
    fmt::print("{} {}\n", styled(direction, Style::bold), move.migration->full_name());
    for (const auto& loss : move.losses)
      fmt::print("{}\n", styled("  would lose " + loss.words(), Style::red));
    if (with_sql) fmt::print("{}\n", std::string(move.script().text));
  }
  if (as_json) {
    json::object out;
    out["from"] = plan.from;
    out["to"] = plan.to;
    out["moves"] = std::move(moves);
    print_json(out);
  } else if (plan.moves.empty()) {
    fmt::print("nothing to do: the database is at version {}\n", plan.from);
  }
}

base::Result<int> plan(Context& context, const MoveOptions& options) {
  auto location = context.location();
  if (!location) return location.error();
  const auto migrations = schema::migrations(location->engine);
  const int to = options.to >= 0 ? options.to : static_cast<int>(migrations.size());
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  if (proof->state == schema::State::fresh) {
    schema::Plan whole{.from = 0, .to = to, .moves = {}};
    for (int i = 0; i < to && i < static_cast<int>(migrations.size()); ++i)
      whole.moves.push_back({.migration = &migrations[static_cast<size_t>(i)],
                             .direction = schema::Direction::up,
                             .losses = {}});
    print_plan(whole, true, context.json);
    return kExitDone;
  }
  auto connection = db::open(*location, {.access = db::Access::read});
  if (!connection) return connection.error();
  auto planned = schema::plan(**connection, to, migrations);
  if (!planned) return planned.error();
  print_plan(*planned, true, context.json);
  return kExitDone;
}

base::Result<int> move(Context& context, const MoveOptions& options, schema::Direction direction) {
  if (options.dry_run) return plan(context, options);
  auto location = context.location();
  if (!location) return location.error();
  const auto migrations = schema::migrations(location->engine);
  const int head = static_cast<int>(migrations.size());
  auto proof = schema::prove_at(*location);
  if (!proof) return proof.error();
  const bool is_up = direction == schema::Direction::up;
  const int to = options.to >= 0 ? options.to : (is_up ? head : std::max(0, proof->version - 1));
  auto connection = open_writer(*location, is_up);
  if (!connection) return connection.error();
  schema::RunOptions run;
  run.allow_data_loss = options.allow_data_loss;
  run.on_move = [](const schema::Move& each) {
    fmt::print(stderr, "{} {} ...\n", each.direction == schema::Direction::up ? "up" : "down",
               each.migration->full_name());
  };
  auto done = is_up ? schema::migrate(**connection, to, migrations, run)
                    : schema::rollback(**connection, to, migrations, run);
  if (!done) return done.error();
  print_plan(*done, false, context.json);
  if (!context.json) fmt::print("the database is at version {}\n", to);
  return kExitDone;
}

base::Result<int> repair(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto connection = open_writer(*location, false);
  if (!connection) return connection.error();
  auto done = schema::repair(**connection);
  if (!done) return done.error();
  if (context.json) {
    json::array added;
    for (const std::string& each : done->added) added.emplace_back(each);
    json::object out;
    out["added"] = std::move(added);
    for (const auto& member : proof_json(done->proof, *location)) out[member.key()] = member.value();
    print_json(out);
    return done->proof.may_run() ? kExitDone : kExitDatabase;
  }
  for (const std::string& each : done->added) fmt::print("added {}\n", each);
  return say(done->proof, *location, false);
}

// The log of every session explains its state.
base::Result<std::vector<std::string>> unexplained(Context& context, db::Connection& reader,
                                                   std::int64_t& checked) {
  std::vector<std::string> found;
  engine::FlowCache flows;
  store::SessionFilter filter;
  filter.limit = 500;
  for (;;) {
    auto sessions = store::list_sessions(reader, filter);
    if (!sessions) return sessions.error();
    if (sessions->empty()) return found;
    for (const auto& session : *sessions) {
      filter.below = session.id;
      auto explained = engine::explain(reader, flows, session.id, context.providers());
      ++checked;
      if (!explained) {
        found.push_back(fmt::format("session {}: {}", session.id, explained.error().message));
        continue;
      }
      for (const auto* list : {&explained->replay.disagreements, &explained->request_disagreements})
        for (const auto& each : *list)
          found.push_back(
              fmt::format("session {}, step {}: {}", session.id, each.order, each.what));
      if (error_is_terminal()) fmt::print(stderr, "\r{} sessions replayed", checked);
    }
  }
}

base::Result<int> verify(Context& context) {
  auto location = context.location();
  if (!location) return location.error();
  auto connection = db::open(*location, {.access = db::Access::read});
  if (!connection) return connection.error();
  auto verified = schema::verify(**connection);
  if (!verified) return verified.error();
  std::vector<std::string> logs;
  std::int64_t sessions = 0;
  if (verified->proof.may_run()) {
    auto found = unexplained(context, **connection, sessions);
    if (!found) return found.error();
    logs = *std::move(found);
    if (error_is_terminal()) fmt::print(stderr, "\n");
  }
  const bool good = verified->good() && logs.empty();
  if (context.json) {
    json::object out = proof_json(verified->proof, *location);
    const auto list = [](const std::vector<std::string>& lines) {
      json::array array;
      for (const auto& line : lines) array.emplace_back(line);
      return array;
    };
    out["broken_references"] = list(verified->broken_references);
    out["integrity"] = list(verified->integrity);
    out["sessions_replayed"] = sessions;
    out["unexplained"] = list(logs);
    out["good"] = good;
    print_json(out);
    return good ? kExitDone : kExitDatabase;
  }
  say(verified->proof, *location, false);
  for (const auto* lines : {&verified->broken_references, &verified->integrity, &logs})
    for (const std::string& line : *lines) fmt::print("{}\n", styled(line, Style::red));
  fmt::print(
      "integrity {}, references {}, {} sessions replayed: {}\n",
      verified->integrity.empty() ? "good" : "broken",
      verified->broken_references.empty() ? "good" : "broken", sessions,
      logs.empty() ? "every log explains its session" : "not every log explains its session");
  return good ? kExitDone : kExitDatabase;
}

}  // namespace

void add_db(CLI::App& app, Context& context) {
  auto* db = app.add_subcommand("db", "The database: its schema, history and soundness");
  db->require_subcommand(1);
  db->footer("Example: tertulia db status --db postgresql://me@localhost/tertulia");
  const auto plain = [&](const char* name, const char* help, auto body) {
    auto* command = db->add_subcommand(name, help);
    run_on_parse(*command, [&context, body] { return body(context); });
    return command;
  };
  plain("init", "Makes the schema in an empty database", init)->alias("init-db");
  plain("status", "Version, pending migrations, drift; exit 0 only if the program could start",
        status);
  plain("verify", "Drift in full, references, integrity, and every log against its session",
        verify);
  plain("repair", "Adds what is missing and can be added safely", repair);

  const auto moving = [&](const char* name, const char* help, auto body) {
    auto* command = db->add_subcommand(name, help);
    auto options = std::make_shared<MoveOptions>();
    command->add_option("--to", options->to, "The version to arrive at")
        ->check(CLI::NonNegativeNumber);
    run_on_parse(*command, [&context, options, body] { return body(context, *options); });
    return std::pair(command, options);
  };
  moving("plan", "The SQL that migrate would run", plan);
  auto [migrating, migrate_options] =
      moving("migrate", "Applies pending migrations", [](Context& in, const MoveOptions& options) {
        return move(in, options, schema::Direction::up);
      });
  migrating->add_flag("--dry-run", migrate_options->dry_run, "Only shows what it would do");
  auto [rolling, roll_options] = moving("rollback", "Goes back one version, or to --to",
                                        [](Context& in, const MoveOptions& options) {
                                          return move(in, options, schema::Direction::down);
                                        });
  rolling->add_flag("--dry-run", roll_options->dry_run, "Only shows what it would do");
  rolling->add_flag("--allow-data-loss", roll_options->allow_data_loss,
                    "Even where rows would be lost");
}

}  // namespace tertulia::cli
