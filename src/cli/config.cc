#include "cli/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/near_name.h"

namespace tertulia::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxConfigBytes = 1 << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string xdg(const char* variable, const char* below_home) {
  const std::string set = environment(variable);
  if (!set.empty()) return set;
  return environment("HOME") + below_home;
}

// One file on its way into a Config.
class File final {
 public:
  File(std::string path, Config& config) : path_(std::move(path)), config_(config) {}

  base::Result<void> read() {
    std::error_code failed;
    if (fs::file_size(path_, failed) > kMaxConfigBytes || failed)
      return base::Error{
          .code = base::Code::invalid,
          .message = failed ? fmt::format("{}: {}", path_, failed.message())
                            : fmt::format("{}: a configuration may have 1 MB at most", path_)};
    try {
      const YAML::Node root = YAML::LoadFile(path_);
      if (root.IsNull()) return {};
      keys(root, "",
           {"database", "listen", "log", "model", "models", "remote", "retention", "server"});
      if (const auto node = root["database"]) config_.database = {text(node), path_};
      if (const auto node = root["model"]) config_.model = {text(node), path_};
      if (const auto node = root["log"]) config_.log = {text(node), path_};
      if (const auto node = root["listen"]) config_.listen = {text(node), path_};
      if (const auto node = root["server"]) server(node);
      if (const auto node = root["remote"]) remote(node);
      if (const auto node = root["models"]) models(node);
    } catch (const YAML::Exception& problem) {
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}:{}:{}: {}", path_, problem.mark.line + 1,
                                                problem.mark.column + 1, problem.msg)};
    }
    config_.files.push_back(path_);
    return {};
  }

 private:
  [[noreturn]] static void fail(const YAML::Node& at, const std::string& what) {
    throw YAML::Exception(at.Mark(), what);
  }

  static std::string text(const YAML::Node& node) {
    if (!node.IsScalar()) fail(node, "expected a text");
    return node.Scalar();
  }

  static double number(const YAML::Node& node) {
    try {
      return node.as<double>();
    } catch (const YAML::BadConversion&) {
      fail(node, "expected a number");
    }
  }

  // 200k and 1m as people write them.
  static std::int64_t count(const YAML::Node& node) {
    std::string digits = text(node);
    std::int64_t times = 1;
    if (!digits.empty() && (digits.back() == 'k' || digits.back() == 'm')) {
      times = digits.back() == 'k' ? 1'000 : 1'000'000;
      digits.pop_back();
    }
    try {
      size_t read = 0;
      const auto value = std::stoll(digits, &read);
      if (read == digits.size() && value >= 0) return value * times;
    } catch (const std::exception&) {  // told below, with the position
    }
    fail(node, fmt::format("expected a count such as 500 or 200k, found '{}'", node.Scalar()));
  }

  // 30s, 500ms, 2m.
  static std::chrono::milliseconds pause(const YAML::Node& node) {
    const std::string words = text(node);
    for (const auto& [unit, ms] : {std::pair<std::string_view, std::int64_t>{"ms", 1},
                                   {"s", 1'000},
                                   {"m", 60'000},
                                   {"h", 3'600'000}}) {
      if (!words.ends_with(unit)) continue;
      std::int64_t number = 0;
      const char* const end = words.data() + words.size() - unit.size();
      const auto read = std::from_chars(words.data(), end, number);
      if (read.ec == std::errc() && read.ptr == end && number >= 0 && number <= 24 * 3'600'000 / ms)
        return std::chrono::milliseconds(number * ms);
    }
    fail(node,
         fmt::format("expected a time of at most a day such as 30s or 2m, found '{}'", words));
  }

  static void keys(const YAML::Node& map, const std::string& where,
                   const std::vector<std::string>& known) {
    if (!map.IsMap()) fail(map, "expected a mapping" + where);
    for (const auto& each : map) {
      const std::string key = each.first.Scalar();
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const std::string near = base::near_name(key, known);
      fail(each.first,
           fmt::format("unknown key '{}'{}{}", key, where,
                       near.empty() ? fmt::format("; known are {}", fmt::join(known, ", "))
                                    : fmt::format("; did you mean '{}'?", near)));
    }
  }

  static std::vector<std::string> texts(const YAML::Node& node) {
    if (node.IsScalar()) return {node.Scalar()};
    if (!node.IsSequence()) fail(node, "expected a list of texts");
    std::vector<std::string> all;
    for (const auto& each : node) all.push_back(text(each));
    return all;
  }

  void server(const YAML::Node& node) {
    keys(node, " under 'server'",
         {"hosts", "cors_origins", "require_token", "certificate", "key", "requests_per_minute"});
    Config::Server& server = config_.server;
    if (node["hosts"]) server.hosts = texts(node["hosts"]);
    if (node["cors_origins"]) server.cors_origins = texts(node["cors_origins"]);
    if (node["require_token"]) server.require_token = node["require_token"].as<bool>();
    if (node["certificate"]) server.certificate = text(node["certificate"]);
    if (node["key"]) server.key = text(node["key"]);
    if (node["requests_per_minute"])
      server.requests_per_minute = count(node["requests_per_minute"]);
    if (server.certificate.empty() != server.key.empty())
      fail(node, "TLS wants both certificate and key");
  }

  // Whole: a file that names another server has no part of what an earlier one says of its own.
  void remote(const YAML::Node& node) {
    keys(node, " under 'remote'", {"url", "token", "ca_file"});
    if (!node["url"]) fail(node, "a server elsewhere needs its url under 'remote'");
    Config::Remote remote;
    remote.url = {text(node["url"]), path_};
    remote.configured_url = remote.url.value;
    if (node["ca_file"]) remote.ca_file = text(node["ca_file"]);
    if (const auto token = node["token"]) {
      if (token.IsScalar())
        fail(token,
             "a token is never written here: say where it is, { env: NAME } or { file: PATH }");
      keys(token, " under 'remote: token'", {"env", "file"});
      if (token["env"] && token["file"]) fail(token, "a token has one source, env or file");
      if (token["env"]) remote.token_env = text(token["env"]);
      if (token["file"]) remote.token_file = text(token["file"]);
    }
    config_.remote = std::move(remote);
  }

  void models(const YAML::Node& node) {
    if (!node.IsMap()) fail(node, "expected profiles by name under 'models'");
    for (const auto& each : node) {
      const std::string name = each.first.Scalar();
      llm::ModelProfile profile = model(name, each.second);
      config_.models.insert_or_assign(name, std::move(profile));
      config_.model_sources[name] = path_;
    }
  }

  llm::ModelProfile model(const std::string& name, const YAML::Node& node) {
    const std::string where = fmt::format(" in the profile '{}'", name);
    keys(node, where,
         {"provider", "model", "base_url", "key", "parameters", "context_window", "price", "limits",
          "breaker", "json_schema", "organization", "project"});
    llm::ModelProfile profile;
    profile.name = name;
    if (!node["provider"]) fail(node, "a profile needs a provider" + where);
    profile.provider = text(node["provider"]);
    const llm::Protocol* const protocol = llm::find_protocol(profile.provider);
    if (protocol == nullptr && profile.provider.rfind("rehearsal", 0) != 0)
      fail(node["provider"], fmt::format("provider '{}' is not in this release; known are {}",
                                         profile.provider, fmt::join(llm::provider_names(), ", ")));
    if (const auto at = profile.provider.find('?'); at != std::string::npos) {
      auto options = llm::parse_rehearsal_options(profile.provider.substr(at + 1));
      if (!options) fail(node["provider"], options.error().message);
      profile.rehearsal = *options;
      profile.provider = "rehearsal";
    }
    profile.model = node["model"] ? text(node["model"]) : profile.provider;
    if (protocol != nullptr && !node["model"]) fail(node, "a profile needs a model" + where);
    if (protocol != nullptr) profile.base_url = protocol->base_url;
    if (const auto url = node["base_url"]) profile.base_url = text(url);
    if (const auto key = node["key"]) {
      if (key.IsScalar())
        fail(key, "a key is never written here: say where it is, { env: NAME } or { file: PATH }");
      keys(key, where, {"env", "file"});
      if (key["env"] && key["file"]) fail(key, "a key has one source, env or file" + where);
      if (key["env"]) profile.key.env = text(key["env"]);
      if (key["file"]) profile.key.file = text(key["file"]);
    }
    if (const auto flag = node["json_schema"]) profile.json_schema = flag.as<bool>();
    if (const auto organization = node["organization"]) profile.organization = text(organization);
    if (const auto project = node["project"]) profile.project = text(project);
    if (const auto window = node["context_window"]) profile.context_window = count(window);
    if (const auto price = node["price"]) {
      keys(price, where, {"input", "output"});
      profile.price = llm::Price{price["input"] ? number(price["input"]) : 0,
                                 price["output"] ? number(price["output"]) : 0};
    }
    if (const auto limits = node["limits"]) {
      keys(limits, where, {"requests_per_minute", "tokens_per_minute", "concurrent"});
      const auto set = [&](const char* key, std::int64_t& value) {
        if (limits[key]) value = count(limits[key]);
      };
      set("requests_per_minute", profile.limits.requests_per_minute);
      set("tokens_per_minute", profile.limits.tokens_per_minute);
      set("concurrent", profile.limits.concurrent);
    }
    if (const auto breaker = node["breaker"]) {
      keys(breaker, where, {"failures", "pause"});
      if (breaker["failures"]) profile.breaker.failures = count(breaker["failures"]);
      if (breaker["pause"]) profile.breaker.pause = pause(breaker["pause"]);
    }
    if (const auto parameters = node["parameters"]) set_parameters(profile, parameters, where);
    return profile;
  }

  static void set_parameters(llm::ModelProfile& profile, const YAML::Node& node,
                             const std::string& where) {
    keys(node, where, {"temperature", "top_p", "max_tokens", "stop", "seed", "reasoning_effort"});
    llm::Parameters& parameters = profile.parameters;
    if (node["temperature"]) parameters.temperature = number(node["temperature"]);
    if (node["top_p"]) parameters.top_p = number(node["top_p"]);
    if (node["max_tokens"]) parameters.max_tokens = count(node["max_tokens"]);
    if (node["seed"]) parameters.seed = count(node["seed"]);
    if (node["reasoning_effort"]) parameters.reasoning_effort = text(node["reasoning_effort"]);
    if (const auto stop = node["stop"]) {
      if (stop.IsScalar()) parameters.stop.push_back(stop.Scalar());
      for (const auto& each : stop) parameters.stop.push_back(text(each));
    }
  }

  std::string path_;
  Config& config_;
};

}  // namespace

base::Result<llm::ModelProfile> Config::profile(const std::string& name) const {
  const auto known = models.find(name);
  if (known != models.end()) return known->second;
  if (name.find('/') != std::string::npos || name.rfind("rehearsal", 0) == 0)
    return llm::parse_model_spec(name);
  const auto names = profile_names();
  const std::string near = base::near_name(name, names);
  std::string message = fmt::format("there is no model profile '{}'", name);
  if (!near.empty()) message += fmt::format("; did you mean '{}'?", near);
  if (near.empty() && !names.empty())
    message += fmt::format("; configured are {}", fmt::join(names, ", "));
  return base::Error{.code = base::Code::invalid,
                     .message = std::move(message),
                     .remedy =
                         "write provider/model[@base-url], or configure the profile: see "
                         "docs/configuration.md"};
}

std::vector<std::string> Config::profile_names() const {
  std::vector<std::string> names;
  for (const auto& [name, profile] : models) names.push_back(name);
  return names;
}

base::Result<void> Config::allows_key(const llm::ModelProfile& profile) const {
  if (profile.key == llm::KeySource{} || llm::is_bound_key(profile.key)) return {};
  for (const auto& [name, known] : models)
    if (known.key == profile.key && known.base_url == profile.base_url) return {};
  return base::Error{
      .code = base::Code::denied,
      .message =
          fmt::format("model profile {}: the configuration does not give the key of {} to {}",
                      profile.name, profile.key.env + profile.key.file, profile.base_url),
      .remedy = "a profile with this key and this base_url in the configuration allows it"};
}

base::Result<Config> load_config(const ConfigFlags& flags) {
  Config config;
  const std::string data = xdg("XDG_DATA_HOME", "/.local/share");
  config.database = {data + "/tertulia/tertulia.db", "built-in"};
  config.model = {"rehearsal", "built-in"};
  config.log = {"warn", "built-in"};
  config.listen = {"127.0.0.1:5010", "built-in"};
  for (const std::string& path : {std::string("/etc/tertulia/config.yaml"),
                                  xdg("XDG_CONFIG_HOME", "/.config") + "/tertulia/config.yaml"}) {
    if (!fs::exists(path)) continue;
    if (auto read = File(path, config).read(); !read) return read.error();
  }
  if (!flags.config_file.empty())
    if (auto read = File(flags.config_file, config).read(); !read) return read.error();
  for (const auto& [variable, setting] :
       {std::pair<const char*, Setting*>{"TERTULIA_DB", &config.database},
        {"TERTULIA_MODEL", &config.model},
        {"TERTULIA_LOG", &config.log},
        {"TERTULIA_LISTEN", &config.listen},
        {"TERTULIA_SERVER", &config.remote.url}})
    if (const std::string value = environment(variable); !value.empty())
      *setting = {value, variable};
  if (!flags.database.empty()) config.database = {flags.database, "--db"};
  if (!flags.model.empty()) config.model = {flags.model, "--model"};
  if (!flags.log.empty()) config.log = {flags.log, "--log"};
  if (!flags.listen.empty()) config.listen = {flags.listen, "--listen"};
  if (!flags.server.empty()) config.remote.url = {flags.server, "--server"};
  return config;
}

}  // namespace tertulia::cli
