#include "cli/context.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>

#include "base/log.h"
#include "cli/terminal.h"
#include "llm/gate.h"
#include "llm/limited_provider.h"
#include "remote/server_records.h"
#include "schema/backup.h"
#include "schema/proof.h"
#include "schema/runner.h"

namespace tertulia::cli {

namespace fs = std::filesystem;

// Providers by what they are made from, so that the sessions of a run share connections, and the
// gates that their calls go through, one a profile.
struct Context::ProviderCache {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<llm::Gate>> gates;
  std::map<std::string, std::shared_ptr<llm::Provider>> providers;

  // Null where nothing limits the profile. Limits are the configuration's of today, not those that
  // a session was made with: they are about the server, not about what is said.
  std::shared_ptr<llm::Gate> gate_of(const llm::ModelProfile& frozen, const Config& config,
                                     llm::Transport& transport) {
    const auto known = config.models.find(frozen.name);
    const bool is_same = known != config.models.end() &&
                         known->second.provider == frozen.provider &&
                         known->second.base_url == frozen.base_url;
    const llm::ModelProfile& profile = is_same ? known->second : frozen;
    const bool is_rehearsed = profile.provider == "rehearsal";
    if (is_rehearsed && profile.limits == llm::ProfileLimits{}) return nullptr;
    llm::GateOptions options{
        .profile = profile.name, .limits = profile.limits, .breaker = profile.breaker};
    if (is_rehearsed) options.breaker.failures = 0;
    auto& gate = gates[profile.name + '\n' + profile.base_url];
    if (!gate) gate = llm::Gate::make(std::move(options), transport);
    return gate;
  }
};

Context::Context() : provider_cache_(std::make_unique<ProviderCache>()) {}

Context::~Context() {
  engine_.reset();  // before what it calls
  provider_cache_.reset();
  transport_.reset();
}

base::Result<const Config*> Context::config() {
  const std::lock_guard lock(mutex_);
  if (!config_) {
    auto loaded = load_config(flags);
    if (!loaded) return loaded.error();
    config_ = *std::move(loaded);
  }
  return &*config_;
}

base::Result<db::Location> Context::location() {
  auto in_force = config();
  if (!in_force) return in_force.error();
  if (auto there = server(); !there) return there.error();
  if (server_) return not_through_server("this");
  const Setting& database = (*in_force)->database;
  auto location = db::Location::parse(database.value);
  if (!location) return location.error().in(database.source);
  if (location->engine == db::Engine::sqlite && database.source == "built-in") {
    std::error_code failed;
    fs::create_directories(fs::path(location->target).parent_path(), failed);
    if (failed)
      return base::Error{.code = base::Code::storage,
                         .message = fmt::format("cannot make the folder of {}: {}",
                                                location->target, failed.message()),
                         .remedy = "name another place with --db"};
  }
  return location;
}

base::Result<remote::ApiClient*> Context::server() {
  if (!server_is_chosen_) {
    auto in_force = config();
    if (!in_force) return in_force.error();
    auto address = choose_server(**in_force, server_flags);
    if (!address) return address.error();
    if (*address) {
      auto client = remote::ApiClient::make(**std::move(address));
      if (!client) return client.error();
      server_ = *std::move(client);
    }
    server_is_chosen_ = true;
  }
  return server_.get();
}

void Context::stay_here() {
  if (flags.server.empty()) server_is_chosen_ = true;
}

base::Result<service::Records*> Context::records() {
  if (!records_) {
    auto there = server();
    if (!there) return there.error();
    if (*there != nullptr) {
      records_ = std::make_unique<remote::ServerRecords>(**there);
    } else {
      auto here = reader();
      if (!here) return here.error();
      records_ = std::make_unique<service::StoredRecords>(**here, providers());
    }
  }
  return records_.get();
}

std::string Context::program_words() const {
  return flags.server.empty() || !server_ ? "tertulia" : "tertulia --server " + server_->url();
}

namespace {

base::Result<void> migrate_to_head(const db::Location& location) {
  auto connection = db::open(location, {.access = db::Access::write, .create = true});
  if (!connection) return connection.error();
  const auto migrations = schema::migrations(location.engine);
  schema::RunOptions run;
  run.before_first_move = [&](int) -> base::Result<void> {
    auto saved = schema::back_up(location);
    if (!saved) return saved.error().in("the backup before migrating");
    fmt::print(stderr, "backup: {}\n", saved->file);
    return {};
  };
  auto done = schema::migrate(**connection, static_cast<int>(migrations.size()), migrations, run);
  if (!done) return done.error();
  return {};
}

bool ask_to_migrate(const schema::Proof& proof) {
  for (const std::string& line : proof.lines()) std::cerr << line << "\n";
  std::cerr << "Migrate now? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

base::Result<void> Context::ready_database() {
  if (proved_) return {};
  auto where = location();
  if (!where) return where.error();
  auto proof = schema::prove_at(*where);
  if (!proof) return proof.error();
  bool go = proof->state == schema::State::fresh;
  if (proof->state == schema::State::behind)
    go = migrate == "auto" ||
         (migrate == "ask" && input_is_terminal() && error_is_terminal() && ask_to_migrate(*proof));
  if (go) {
    if (auto done = migrate_to_head(*where); !done) return done;
    proof = schema::prove_at(*where);
    if (!proof) return proof.error();
  }
  if (!proof->may_run()) return proof->error();
  for (const std::string& notice : proof->notices) spdlog::info("{}", notice);
  proved_ = true;
  return {};
}

base::Result<db::Connection*> Context::reader() {
  if (!reader_) {
    if (auto ready = ready_database(); !ready) return ready.error();
    auto where = location();
    if (!where) return where.error();
    auto opened = db::open(*where, {.access = db::Access::read});
    if (!opened) return opened.error();
    reader_ = *std::move(opened);
  }
  return reader_.get();
}

base::Result<engine::Engine*> Context::engine() {
  if (!engine_) {
    if (auto ready = ready_database(); !ready) return ready.error();
    auto where = location();
    if (!where) return where.error();
    auto started = engine::Engine::start({.location = *std::move(where), .providers = providers()});
    if (!started) return started.error();
    engine_ = *std::move(started);
  }
  return engine_.get();
}

base::Result<void> Context::write(const std::function<base::Result<void>(db::Connection&)>& job) {
  if (engine_) {
    base::Result<void> done;
    engine_->writer().run([&](db::Connection& connection) { done = job(connection); });
    return done;
  }
  if (auto ready = ready_database(); !ready) return ready;
  auto where = location();
  if (!where) return where.error();
  auto connection = db::open(*where, {.access = db::Access::write});
  if (!connection) return connection.error();
  return job(**connection);
}

engine::ProviderSource Context::providers() {
  return [this](const base::json::object& model) -> base::Result<std::shared_ptr<llm::Provider>> {
    const std::lock_guard lock(provider_cache_->mutex);
    const std::string key = base::to_text(model);
    auto& known = provider_cache_->providers[key];
    if (known) return known;
    auto profile = llm::ModelProfile::from_json(model);
    if (!profile) return profile.error();
    auto in_force = config();
    if (!in_force) return in_force.error();
    const auto allowed = (*in_force)->allows_key(*profile);
    llm::RehearsalScript script;
    if (!script_file.empty()) {
      auto loaded = llm::RehearsalScript::load(script_file);
      if (!loaded) return loaded.error();
      script = *std::move(loaded);
    }
    if (!transport_) transport_ = std::make_unique<llm::Transport>();
    auto provider = llm::make_provider(*profile, *transport_, std::move(script));
    if (!provider) return provider.error();
    std::shared_ptr<llm::Provider> made = *std::move(provider);
    if (!allowed)  // requests can be shown and rebuilt all the same
      made = llm::make_refusing(
          std::move(made), llm::Outcome::auth,
          fmt::format("{}; {}", allowed.error().message, allowed.error().remedy));
    if (!profile->recording.empty()) {
      auto from = recording(profile->recording);
      if (!from) return from.error();
      made = llm::make_replay(std::move(made), *std::move(from));
    } else if (auto gate = provider_cache_->gate_of(*profile, **in_force, *transport_)) {
      made = llm::make_limited(std::move(made), std::move(gate));
    }
    auto into = recorder();
    if (!into) return into.error();
    if (*into != nullptr) made = llm::make_recording(std::move(made), *profile, *std::move(into));
    known = std::move(made);
    return known;
  };
}

engine::ProfileSource Context::profiles() {
  return [this](const std::string& name) -> base::Result<llm::ModelProfile> {
    auto in_force = config();
    if (!in_force) return in_force.error();
    const std::string& standard = (*in_force)->model.value;
    auto from = replayed();
    if (!from) return from.error();
    auto profile = *from != nullptr ? (*from)->profile(name == standard ? std::string() : name)
                                    : (*in_force)->profile(name);
    if (!profile) return profile;
    auto into = recorder();
    if (!into) return into.error();
    if (*into != nullptr) (*into)->know(*profile, name == standard);
    return profile;
  };
}

base::Result<std::shared_ptr<llm::Recording>> Context::recording(const std::string& file) {
  const std::lock_guard lock(mutex_);
  auto& known = recordings_[file];
  if (!known) {
    auto loaded = llm::Recording::load(file);
    if (!loaded) return loaded.error();
    known = *std::move(loaded);
  }
  return known;
}

base::Result<std::shared_ptr<llm::Recording>> Context::replayed() {
  auto in_force = config();
  if (!in_force) return in_force.error();
  const std::string& model = (*in_force)->model.value;
  if (model.rfind(llm::kReplayScheme, 0) != 0) return std::shared_ptr<llm::Recording>();
  // Absolute, because the session keeps it and may be gone on with from elsewhere.
  return recording(
      fs::absolute(model.substr(llm::kReplayScheme.size())).lexically_normal().string());
}

base::Result<std::shared_ptr<llm::Recorder>> Context::recorder() {
  if (record_file.empty()) return std::shared_ptr<llm::Recorder>();
  const std::lock_guard lock(mutex_);
  if (!recorder_) {
    auto opened = llm::Recorder::open(record_file, existing_recording);
    if (!opened) return opened.error();
    recorder_ = *std::move(opened);
  }
  return recorder_;
}

base::Result<void> Context::recordings_fared() const {
  const std::lock_guard lock(mutex_);
  if (recorder_)
    if (auto failure = recorder_->failure()) return *std::move(failure);
  for (const auto& [file, recording] : recordings_)
    if (const std::string parting = recording ? recording->parting() : ""; !parting.empty())
      return base::Error{.code = base::Code::conflict, .message = parting};
  return {};
}

ChosenCommand& chosen_command() {
  static ChosenCommand command;
  return command;
}

void run_on_parse(CLI::App& command, const Body& body, Place place) {
  command.callback([body, place, &command] {
    std::string name = command.get_name();
    for (const CLI::App* above = command.get_parent(); above && above->get_parent();
         above = above->get_parent())
      name = above->get_name() + ' ' + name;
    chosen_command() = {body, place, std::move(name)};
  });
}

base::Result<void> check_place(Context& context, const ChosenCommand& command) {
  if (command.place == Place::here) context.stay_here();
  auto there = context.server();
  if (!there) return there.error();
  if (*there == nullptr) return {};
  if (command.place != Place::anywhere)
    return not_through_server(fmt::format("tertulia {}", command.name));
  if (!context.script_file.empty()) return not_through_server("--script");
  if (!context.record_file.empty()) return not_through_server("--record");
  if (context.flags.model.rfind(llm::kReplayScheme, 0) == 0)
    return not_through_server(fmt::format("--model {}FILE", llm::kReplayScheme));
  return {};
}

int tell(const base::Error& error, bool json) {
  if (json) {
    base::json::object out;
    out["type"] = "error";
    out["code"] = base::code_name(error.code);
    out["message"] = error.message;
    if (!error.remedy.empty()) out["remedy"] = error.remedy;
    print_json(out);
  }
  fmt::print(stderr, "tertulia: {}\n", safe_for_terminal(error.message));
  if (!error.detail.empty()) spdlog::debug("{}", error.detail);
  if (!error.remedy.empty()) fmt::print(stderr, "{}\n", safe_for_terminal(error.remedy));
  return base::exit_status(error.code);
}

void print_json(const base::json::value& value) {
  const std::string text = base::to_text(value);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace tertulia::cli
