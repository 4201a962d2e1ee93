// The program's door: parses the command line, runs the command, turns what came of it into an exit
// status.
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>

#include "base/failpoint.h"
#include "base/log.h"
#include "cli/context.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

constexpr const char* kFooter = R"(Examples:
  tertulia run debate --topic "Is a library better than a framework?"
  tertulia run writer-and-critic --model openai/gpt-5-mini
  tertulia session log 1 --tree

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 the database needs something,
4 the model could not be reached, 5 paused, 130 interrupted (work is safe).)";

void add_globals(CLI::App& app, Context& context) {
  app.add_option("--db", context.flags.database,
                 "The database: a path, sqlite:PATH or postgresql://USER@HOST/NAME");
  app.add_option("--server", context.flags.server,
                 "Work through the server at this URL, not on a database");
  app.add_option("--token-file", context.server_flags.token_file,
                 "The token for that server is in this file (else in TERTULIA_TOKEN)");
  app.add_option("--ca-file", context.server_flags.ca_file,
                 "Who may have signed that server's certificate (PEM)");
  app.add_flag("--allow-plain-http", context.server_flags.allows_plain_http,
               "Send the token unencrypted to another machine");
  app.add_option("--config", context.flags.config_file, "A configuration file, read last");
  app.add_option("--log", context.flags.log, "How much to log on standard error")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}));
  app.add_option("--log-format", context.log_format, "The log as lines of text, or of JSON")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--json", context.json, "Machine-readable output");
  app.add_option("--migrate", context.migrate,
                 "What to do with a database that is behind this program")
      ->check(CLI::IsMember({"ask", "auto", "refuse"}))
      ->capture_default_str();
  app.fallthrough();
}

base::Result<void> start_logging(Context& context) {
  auto config = context.config();
  if (!config) return config.error();
  const std::string& level = (*config)->log.value;
  const auto format = context.log_format == "json" ? base::LogFormat::json : base::LogFormat::text;
  if (level == "error") {
    base::start_log(base::LogLevel::error, format);
  } else if (level == "info") {
    base::start_log(base::LogLevel::info, format);
  } else if (level == "debug") {
    base::start_log(base::LogLevel::debug, format);
  } else if (level == "warn") {
    base::start_log(base::LogLevel::warn, format);
  } else {
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{}: '{}' is no log level", (*config)->log.source, level),
        .remedy = "use error, warn, info or debug"};
  }
  return {};
}

int run(int argc, char** argv) {
  CLI::App app(
      "Tertulia stages conversations between AI roles, and keeps a record that can be "
      "trusted.",
      "tertulia");
  app.require_subcommand(1);
  app.footer(kFooter);
  Context context;
  add_globals(app, context);
  add_run(app, context);
  add_batch(app, context);
  add_session(app, context);
  add_flow(app, context);
  add_role(app, context);
  add_model(app, context);
  add_db(app, context);
  add_serve(app, context);
  add_token(app, context);
  add_doctor(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    const int status = app.exit(problem);
    return status == 0 ? 0 : 2;  // help and version are no errors
  }
  if (const char* points = std::getenv("TERTULIA_FAILPOINTS"))
    if (auto armed = base::arm_failpoints(points); !armed) return tell(armed.error(), context.json);
  if (auto started = start_logging(context); !started) return tell(started.error(), context.json);
  if (auto good = check_place(context, chosen_command()); !good)
    return tell(good.error(), context.json);
  auto done = chosen_command().body();
  if (!done) return tell(done.error(), context.json);
  return *done;
}

}  // namespace
}  // namespace tertulia::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return tertulia::cli::run(argc, argv);
}
