#include "llm/profile.h"

#include <fmt/format.h>

#include <cstdlib>
#include <vector>

#include "base/near_name.h"
#include "llm/openai.h"

namespace tertulia::llm {
namespace {

constexpr std::string_view kAccepted =
    "accepted are openai/MODEL, openai/MODEL@BASE-URL, rehearsal, "
    "rehearsal?latency=200ms&fail=0.05, or the name of a profile";

base::Error refuse(std::string message, std::string remedy) {
  return {.code = base::Code::invalid, .message = std::move(message), .remedy = std::move(remedy)};
}

std::string_view without_slash(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return url;
}

// The URL that OPENAI_API_KEY belongs to.
std::string openai_url(const Environment& environment) {
  return std::string(
      without_slash(environment("OPENAI_BASE_URL").value_or(std::string(kOpenAiBaseUrl))));
}

base::Error unknown_provider(std::string_view provider) {
  if (provider == "ollama")
    return refuse("this release has no provider ollama of its own",
                  "Ollama speaks OpenAI's format too: openai/MODEL@http://127.0.0.1:11434/v1");
  if (provider == "anthropic")
    return refuse("this release has no provider anthropic",
                  "any server that speaks OpenAI's format can be used: openai/MODEL@BASE-URL");
  static const std::vector<std::string> kKnown{"openai", "rehearsal"};
  const std::string near = base::near_name(provider, kKnown);
  return refuse(
      fmt::format("no model profile or provider is called {}", provider),
      near.empty() ? std::string(kAccepted) : fmt::format("did you mean {}? {}", near, kAccepted));
}

base::Result<ModelProfile> parse_openai(std::string_view rest, const Environment& environment) {
  ModelProfile profile;
  profile.provider = "openai";
  // Model names may hold an @ themselves; a URL begins with its scheme.
  const std::size_t at = rest.find("@http");
  const std::size_t sign = at != std::string_view::npos ? at : rest.size();
  profile.model = rest.substr(0, sign);
  if (profile.model.empty()) return refuse("openai: which model?", std::string(kAccepted));
  const std::string own_url = openai_url(environment);
  profile.base_url = sign < rest.size() ? without_slash(rest.substr(sign + 1)) : own_url;
  if (profile.base_url == own_url) {
    profile.key.env = "OPENAI_API_KEY";
    profile.organization = environment("OPENAI_ORG_ID").value_or("");
    profile.project = environment("OPENAI_PROJECT_ID").value_or("");
  }
  if (auto url = chat_url(profile.base_url); !url) return std::move(url).error();
  profile.name = fmt::format("openai/{}", profile.model);
  if (sign < rest.size()) profile.name += "@" + display_url(profile.base_url);
  return profile;
}

}  // namespace

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
  if (provider == "openai")
    return parse_openai(slash == std::string_view::npos ? "" : text.substr(slash + 1), environment);
  return unknown_provider(provider.substr(0, provider.find('?')));
}

base::Result<std::unique_ptr<Provider>> make_provider(const ModelProfile& profile,
                                                      Transport& transport, RehearsalScript script,
                                                      const Environment& environment) {
  if (profile.provider == "rehearsal")
    return make_rehearsal(profile.rehearsal, std::move(script), transport);
  if (profile.provider != "openai") return unknown_provider(profile.provider);
  const std::string_view url = without_slash(profile.base_url);
  if (profile.key.env == "OPENAI_API_KEY" && url != kOpenAiBaseUrl &&
      url != openai_url(environment))
    return base::Error{
        .code = base::Code::denied,
        .message = fmt::format("model profile {}: OPENAI_API_KEY is not sent to {}", profile.name,
                               display_url(profile.base_url)),
        .remedy = "set OPENAI_BASE_URL to that URL, or keep its key in a variable of its own"};
  return make_openai({.profile = profile.name,
                      .base_url = profile.base_url,
                      .key_env = profile.key.env,
                      .key_file = profile.key.file,
                      .organization = profile.organization,
                      .project = profile.project},
                     transport);
}

}  // namespace tertulia::llm
