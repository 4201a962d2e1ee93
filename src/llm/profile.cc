#include "llm/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/near_name.h"
#include "llm/anthropic.h"
#include "llm/endpoint.h"
#include "llm/ollama.h"
#include "llm/openai.h"

namespace tertulia::llm {
namespace {

constexpr std::string_view kAccepted =
    "accepted are openai/MODEL, anthropic/MODEL or ollama/MODEL, each with @BASE-URL after it or "
    "without, rehearsal, rehearsal?latency=200ms&fail=0.05, or the name of a profile";

constexpr std::array<Protocol, 3> kProtocols{{
    {"openai", kOpenAiBaseUrl, "OPENAI_BASE_URL", "OPENAI_API_KEY"},
    {"anthropic", kAnthropicBaseUrl, "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"},
    {"ollama", kOllamaBaseUrl, "OLLAMA_HOST", nullptr},
}};

base::Error refuse(std::string message, std::string remedy) {
  return {.code = base::Code::invalid, .message = std::move(message), .remedy = std::move(remedy)};
}

std::string_view without_slash(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return url;
}

// OLLAMA_HOST as Ollama reads it: the scheme and, without one, the port may be left out; and what
// its server listens at (0.0.0.0, or only a port) is called at loopback.
std::string ollama_url(std::string_view host) {
  host = without_slash(host);
  const std::size_t mark = host.find("://");
  const bool has_scheme = mark != std::string_view::npos;
  const std::string scheme = has_scheme ? std::string(host.substr(0, mark + 3)) : "http://";
  if (has_scheme) host.remove_prefix(mark + 3);
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  const std::string_view port = has_port ? host.substr(colon) : has_scheme ? "" : ":11434";
  if (has_port) host = host.substr(0, colon);
  if (host.empty() || host == "0.0.0.0" || host == "[::]") host = "127.0.0.1";
  return scheme + std::string(host) + std::string(port);
}

// The URL that the protocol's key belongs to.
std::string own_url(const Protocol& protocol, const Environment& environment) {
  const auto set = environment(protocol.url_variable);
  if (!set) return std::string(protocol.base_url);
  return protocol.name == "ollama" ? ollama_url(*set) : std::string(without_slash(*set));
}

// Whether both mean the same place. Anthropic's is written with and without its /v1.
bool same_url(std::string_view a, std::string_view b) {
  const auto plain = [](std::string_view url) {
    url = without_slash(url);
    if (url.starts_with(kAnthropicBaseUrl) && url.ends_with("/v1")) url.remove_suffix(3);
    return url;
  };
  return plain(a) == plain(b);
}

base::Error unknown_provider(std::string_view provider) {
  const std::string near = base::near_name(provider, provider_names());
  return refuse(
      fmt::format("no model profile or provider is called {}", provider),
      near.empty() ? std::string(kAccepted) : fmt::format("did you mean {}? {}", near, kAccepted));
}

base::Result<ModelProfile> parse_with(const Protocol& protocol, std::string_view rest,
                                      const Environment& environment) {
  ModelProfile profile;
  profile.provider = protocol.name;
  // Model names may hold an @ themselves; a URL begins with its scheme.
  const std::size_t at = rest.find("@http");
  const std::size_t sign = at != std::string_view::npos ? at : rest.size();
  profile.model = rest.substr(0, sign);
  if (profile.model.empty())
    return refuse(fmt::format("{}: which model?", protocol.name), std::string(kAccepted));
  const std::string own = own_url(protocol, environment);
  profile.base_url = sign < rest.size() ? without_slash(rest.substr(sign + 1)) : own;
  if (protocol.key_variable != nullptr && same_url(profile.base_url, own)) {
    profile.key.env = protocol.key_variable;
    if (protocol.name == "openai") {
      profile.organization = environment("OPENAI_ORG_ID").value_or("");
      profile.project = environment("OPENAI_PROJECT_ID").value_or("");
    }
  }
  if (auto url = endpoint_url(profile.base_url, "/"); !url) return std::move(url).error();
  profile.name = fmt::format("{}/{}", protocol.name, profile.model);
  if (sign < rest.size()) profile.name += "@" + display_url(profile.base_url);
  return profile;
}

// A key that belongs to one server is not sent to another.
base::Result<void> check_key(const ModelProfile& profile, const Environment& environment) {
  for (const Protocol& protocol : kProtocols)
    if (protocol.key_variable != nullptr && profile.key.env == protocol.key_variable &&
        !same_url(profile.base_url, protocol.base_url) &&
        !same_url(profile.base_url, own_url(protocol, environment)))
      return base::Error{
          .code = base::Code::denied,
          .message = fmt::format("model profile {}: {} is not sent to {}", profile.name,
                                 protocol.key_variable, display_url(profile.base_url)),
          .remedy = fmt::format("set {} to that URL, or keep its key in a variable of its own",
                                protocol.url_variable)};
  return {};
}

}  // namespace

const Protocol* find_protocol(std::string_view name) {
  const auto found = std::find_if(kProtocols.begin(), kProtocols.end(),
                                  [name](const Protocol& each) { return each.name == name; });
  return found == kProtocols.end() ? nullptr : &*found;
}

std::vector<std::string> provider_names() {
  std::vector<std::string> names{"rehearsal"};
  for (const Protocol& protocol : kProtocols) names.emplace_back(protocol.name);
  return names;
}

bool is_bound_key(const KeySource& key) {
  return std::any_of(kProtocols.begin(), kProtocols.end(), [&key](const Protocol& protocol) {
    return protocol.key_variable != nullptr && key.env == protocol.key_variable;
  });
}

std::optional<std::string> process_environment(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') return {};
  return value;
}

base::Result<ModelProfile> parse_model_spec(std::string_view text, const Environment& environment) {
  if (text.empty()) return refuse("which model?", std::string(kAccepted));
  if (text == "rehearsal" || text.starts_with("rehearsal?")) {
    ModelProfile profile;
    profile.provider = profile.model = "rehearsal";
    profile.name = text;
    const std::size_t mark = text.find('?');
    if (mark == std::string_view::npos) return profile;
    auto options = parse_rehearsal_options(text.substr(mark + 1));
    if (!options) return std::move(options).error();
    profile.rehearsal = *options;
    return profile;
  }
  const std::size_t slash = text.find('/');
  const std::string_view provider = text.substr(0, slash);
  if (const Protocol* const protocol = find_protocol(provider))
    return parse_with(*protocol, slash == std::string_view::npos ? "" : text.substr(slash + 1),
                      environment);
  return unknown_provider(provider.substr(0, provider.find('?')));
}

base::Result<std::unique_ptr<Provider>> make_provider(const ModelProfile& profile,
                                                      Transport& transport, RehearsalScript script,
                                                      const Environment& environment) {
  if (profile.provider == "rehearsal")
    return make_rehearsal(profile.rehearsal, std::move(script), transport);
  if (find_protocol(profile.provider) == nullptr) return unknown_provider(profile.provider);
  if (auto allowed = check_key(profile, environment); !allowed) return std::move(allowed).error();
  Endpoint endpoint{.profile = profile.name,
                    .base_url = profile.base_url,
                    .key_env = profile.key.env,
                    .key_file = profile.key.file};
  if (profile.provider == "anthropic") return make_anthropic(std::move(endpoint), transport);
  if (profile.provider == "ollama")
    return make_ollama(std::move(endpoint), profile.context_window, transport);
  return make_openai(std::move(endpoint),
                     {.organization = profile.organization, .project = profile.project}, transport);
}

}  // namespace tertulia::llm
