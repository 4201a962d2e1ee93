// tertulia serve: the engine and its HTTP API in one process.
#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "cli/context.h"
#include "server/server.h"

namespace tertulia::cli {
namespace {

// Waited for by one thread, and by no other: so they are blocked before any other begins.
sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// Each connection is a file descriptor, and the soft limit is often 1,024. What is more than may be
// had stays refused by accept, which is logged.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    spdlog::warn("the limit of open files stays at its soft value: {}", std::strerror(errno));
}

base::Result<int> serve(Context& context) {
  raise_descriptor_limit();
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  auto config = context.config();
  if (!config) return config.error();
  const Config& in_force = **config;
  if (in_force.model.source == "built-in")
    return base::Error{.code = base::Code::invalid,
                       .message = "serve does not choose a model by itself",
                       .remedy =
                           "tertulia serve --model rehearsal rehearses; or name a profile, see "
                           "docs/using-models.md"};
  if (auto profile = in_force.profile(in_force.model.value); !profile) return profile.error();
  auto listen = server::parse_listen(in_force.listen.value);
  if (!listen) return listen.error().in(in_force.listen.source);
  if (auto ready = context.ready_database(); !ready) return ready.error();
  auto location = context.location();
  if (!location) return location.error();
  auto tracing = server::tracing_options([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return {};
    return std::string(value);
  });
  if (!tracing) return tracing.error();
  const char* token = std::getenv("TERTULIA_TOKEN");
  auto started = server::Server::start({.location = *location,
                                        .providers = context.providers(),
                                        .profiles = context.profiles(),
                                        .profile_names = in_force.profile_names(),
                                        .default_profile = in_force.model.value,
                                        .version = TERTULIA_VERSION,
                                        .listen = *listen,
                                        .hosts = in_force.server.hosts,
                                        .cors_origins = in_force.server.cors_origins,
                                        .require_token = in_force.server.require_token,
                                        .environment_token = token == nullptr ? "" : token,
                                        .certificate_file = in_force.server.certificate,
                                        .key_file = in_force.server.key,
                                        .requests_a_minute = in_force.server.requests_per_minute,
                                        .tracing = *std::move(tracing)});
  if (!started) return started.error();
  const std::string url = (*started)->url();
  if (context.json) {
    base::json::object line;
    line["type"] = "serving";
    line["url"] = url;
    print_json(line);
  } else {
    fmt::print(stderr, "tertulia serves {} (database {}, model {}); Ctrl-C stops it\n", url,
               location->shown(), in_force.model.value);
  }
  sd_notify(0, "READY=1");
  int signal = 0;
  sigwait(&signals, &signal);
  sd_notify(0, "STOPPING=1");
  fmt::print(stderr, "stopping: steps under way finish\n");
  (*started)->stop();
  fmt::print(stderr, "stopped; tertulia serve goes on with what was under way\n");
  return kExitDone;
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("serve", "Performs sessions and answers the HTTP API");
  command->add_option("--listen", context.flags.listen,
                      "ADDRESS:PORT; 127.0.0.1:5010 where nothing else says so");
  command->add_option("--model", context.flags.model,
                      "The profile of roles that name none: a name, provider/model[@base-url], or "
                      "rehearsal");
  command->footer("Example: tertulia serve --model rehearsal");
  run_on_parse(
      *command, [&context] { return serve(context); }, Place::here);
}

}  // namespace tertulia::cli
