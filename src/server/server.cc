#include "server/server.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "server/api.h"
#include "server/front.h"
#include "server/metrics.h"
#include "server/observers.h"
#include "server/tracing.h"

namespace tertulia::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A third of a supervisor's patience is for steps that finish, the rest for what has to be said.
constexpr seconds kStepsFinish{5};
constexpr seconds kCallsStop{2};
constexpr milliseconds kAnswersFinish{1500};
constexpr std::size_t kMostWaiting = 1000;  // requests, for a worker
constexpr int kSecondsBetweenPickUps = 5;
constexpr std::size_t kMostScansWaiting = 100;
constexpr int kScanNiceness = 10;

std::string with_port(const std::string& host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

// What may stand in Host fields. A browser leaves out the port that its scheme has anyway.
std::vector<std::string> host_names(const ServerOptions& options, std::uint16_t port) {
  std::vector<std::string> hosts = options.hosts;
  std::vector<std::string> names = {options.listen.host};
  if (is_loopback(options.listen)) names.insert(names.end(), {"localhost", "127.0.0.1", "::1"});
  const std::uint16_t usual = options.certificate_file.empty() ? 80 : 443;
  for (const std::string& name : names) {
    hosts.push_back(with_port(name, port));
    if (port == usual) hosts.push_back(name);
  }
  return hosts;
}

}  // namespace

// In the order in which they are made; each may use those above it.
struct Server::Parts {
  explicit Parts(ServerOptions wanted)
      : options(std::move(wanted)),
        tokens(base::Clock::system(), options.environment_token),
        readiness(options.location),
        metrics(options.location, options.version) {
    std::vector<engine::Observer*> all = {&metrics};
    if (!options.tracing.url.empty()) {
      options.tracing.database = options.location.shown();
      tracing = std::make_unique<Tracing>(
          options.tracing, options.version,
          fmt::format("{}-{:08x}", ::getpid(), base::fresh_seed() & 0xffffffff));
      all.push_back(tracing.get());
    }
    observers = std::make_unique<Observers>(std::move(all));
  }

  [[nodiscard]] std::string render_metrics(db::Connection* reader) const {
    Gauges gauges{.is_ready = !readiness.trouble(),
                  .writer_waiting = engine->writer().waiting(),
                  .workers_waiting = workers->waiting(),
                  .followers = hub->followers(),
                  .dropped_tokens = hub->dropped_tokens()};
    if (tracing)
      gauges.spans = {.sent = tracing->exporter().sent(), .dropped = tracing->exporter().dropped()};
    return metrics.render(reader, gauges);
  }

  ServerOptions options;
  TokenBook tokens;
  Readiness readiness;
  Metrics metrics;
  std::unique_ptr<Tracing> tracing;
  std::unique_ptr<Observers> observers;
  engine::FlowCache flows;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<Stage> stage;
  std::unique_ptr<Hub> hub;
  std::unique_ptr<db::Connection> watch_reader;  // the looking thread's
  std::unique_ptr<Workers> workers;
  std::unique_ptr<Workers> scanners;  // for what reads much
  std::unique_ptr<Api> api;
  Router router;
  std::unique_ptr<Front> front;
  std::unique_ptr<Listener> listener;
  int seconds_to_pick_up = 0;  // the looking thread's

  void each_second() {
    if (!watch_reader) {
      auto opened = db::open(options.location, {.access = db::Access::read});
      if (!opened) return;
      watch_reader = *std::move(opened);
    }
    if (auto read = tokens.read(*watch_reader); !read) {
      spdlog::warn("the tokens could not be read: {}", read.error().message);
      watch_reader.reset();
      return;
    }
    if (--seconds_to_pick_up > 0) return;
    seconds_to_pick_up = kSecondsBetweenPickUps;
    stage->pick_up(*watch_reader);
  }
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

base::Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  auto parts = std::make_unique<Parts>(std::move(options));
  Parts& all = *parts;
  const ServerOptions& wanted = all.options;
  auto reader = db::open(wanted.location, {.access = db::Access::read});
  if (!reader) return reader.error();
  if (auto read = all.tokens.read(**reader); !read) return read.error();
  const bool is_local = is_loopback(wanted.listen);
  if (!is_local && !all.tokens.has_any())
    return base::Error{
        .code = base::Code::denied,
        .message = fmt::format("{} can be reached by others, and there is no token yet",
                               wanted.listen.host),
        .remedy = "tertulia token create NAME makes one; 127.0.0.1 needs none"};
  all.watch_reader = *std::move(reader);
  auto engine = engine::Engine::start({.location = wanted.location,
                                       .providers = wanted.providers,
                                       .observer = all.observers.get()});
  if (!engine) return engine.error();
  all.engine = *std::move(engine);
  all.stage = std::make_unique<Stage>(*all.engine, [&all] {
    // On the engine's loop, which must not wait for a proof.
    static_cast<void>(all.workers->submit([&all](auto) {
      static_cast<void>(all.readiness.look());
      return true;
    }));
  });
  auto hub = Hub::start(wanted.location, all.engine->bus());
  if (!hub) return hub.error();
  all.hub = *std::move(hub);
  all.workers = std::make_unique<Workers>(wanted.location, wanted.workers, kMostWaiting);
  all.scanners = std::make_unique<Workers>(wanted.location, 1, kMostScansWaiting, kScanNiceness);
  all.api = std::make_unique<Api>(
      Api{.engine = *all.engine,
          .stage = *all.stage,
          .hub = *all.hub,
          .tokens = all.tokens,
          .readiness = all.readiness,
          .flows = all.flows,
          .location = wanted.location,
          .profiles = wanted.profiles,
          .providers = wanted.providers,
          .profile_names = wanted.profile_names,
          .default_profile = wanted.default_profile,
          .version = wanted.version,
          .metrics = [&all](db::Connection* from) { return all.render_metrics(from); },
          .submit = [&all](Workers::Job job) { return all.workers->submit(std::move(job)); }});
  for (const auto add : {add_health_routes, add_flow_routes, add_role_routes, add_session_routes,
                         add_batch_routes, add_steering_routes, add_record_routes, add_event_routes,
                         add_system_routes, add_openai_routes})
    add(all.router, *all.api);

  // The port is known once it is bound; nobody is let in before the front is there.
  auto listener = Listener::bind({.address = wanted.listen,
                                  .limits = wanted.limits,
                                  .certificate_file = wanted.certificate_file,
                                  .key_file = wanted.key_file});
  if (!listener) return listener.error();
  all.listener = *std::move(listener);
  all.front = std::make_unique<Front>(
      FrontOptions{.guard = {.hosts = host_names(wanted, all.listener->port()),
                             .cors_origins = wanted.cors_origins,
                             .needs_token = !is_local || wanted.require_token ||
                                            !wanted.environment_token.empty(),
                             .scheme = wanted.certificate_file.empty() ? "http" : "https"},
                   .requests_a_minute = wanted.requests_a_minute},
      all.router, all.tokens, all.readiness, *all.workers, *all.scanners, all.engine->writer(),
      [&all](const Answered& answered) {
        all.metrics.answered(answered.route == nullptr ? "" : answered.route->path, answered.method,
                             answered.status, answered.time, answered.waited);
      },
      [&all](std::chrono::nanoseconds after) { all.metrics.written(after); });
  all.readiness.start([&all] { all.each_second(); },
                      [&all] {
                        all.watch_reader.reset();
                        all.seconds_to_pick_up = 0;
                      });
  all.listener->run(*all.front);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::~Server() {
  stop();
}

std::string Server::url() const {
  const ServerOptions& options = parts_->options;
  return fmt::format("{}://{}", options.certificate_file.empty() ? "http" : "https",
                     with_port(options.listen.host, parts_->listener->port()));
}

void Server::stop() {
  Parts& all = *parts_;
  if (!all.listener) return;
  all.readiness.stop();
  all.listener->close();
  all.engine->pause_all(false, model::StopReason::shutdown);
  if (!all.engine->wait_until_idle_for(kStepsFinish)) {
    all.engine->pause_all(true, model::StopReason::shutdown);
    if (!all.engine->wait_until_idle_for(kCallsStop))
      spdlog::warn("steps are under way still: the next server asks their models again");
  }
  all.hub->stop();
  all.listener->stop(kAnswersFinish);
  all.scanners->drop_waiting();
  all.scanners->stop();
  all.workers->stop();
  all.listener.reset();
  all.front.reset();
  all.watch_reader.reset();
  all.hub.reset();
  all.engine.reset();  // its last callbacks go to the stage, and that may ask a worker
  all.stage.reset();
  all.api.reset();
  all.scanners.reset();
  all.workers.reset();
}

}  // namespace tertulia::server
