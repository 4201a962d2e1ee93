// ModelProfile is a named connection to a model: which protocol, model and URL, where the key comes
// from, the defaults of its parameters, its limits and price. Profiles are written in config.yaml
// or given in one word as --model; a profile holds no key, only where one is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "llm/breaker.h"
#include "llm/provider.h"
#include "llm/rehearsal.h"
#include "llm/transport.h"

namespace tertulia::llm {

inline constexpr std::string_view kOpenAiBaseUrl = "https://api.openai.com/v1";
inline constexpr std::string_view kAnthropicBaseUrl = "https://api.anthropic.com";
inline constexpr std::string_view kOllamaBaseUrl = "http://127.0.0.1:11434";

// A protocol that is spoken over HTTP, and what users may have set for it already.
struct Protocol {
  std::string_view name;
  std::string_view base_url;  // where a profile gives none
  const char* url_variable;   // names another server
  const char* key_variable;   // bound to that server; null where none is wanted
};
[[nodiscard]] const Protocol* find_protocol(std::string_view name);
// All that a profile's `provider` may be, rehearsal included.
[[nodiscard]] std::vector<std::string> provider_names();

// US dollars a million tokens.
struct Price {
  double input = 0;
  double output = 0;
};

// Zero: no limit.
struct ProfileLimits {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t concurrent = 0;
  bool operator==(const ProfileLimits&) const = default;
};

// Where the key comes from; at most one of the two, and none for servers that want none.
struct KeySource {
  std::string env;
  std::string file;
  bool operator==(const KeySource&) const = default;
};

// Whether the key is one that belongs to a protocol's own server, such as OPENAI_API_KEY.
[[nodiscard]] bool is_bound_key(const KeySource& key);

struct ModelProfile {
  std::string name;
  std::string provider;  // one of provider_names()
  std::string model;
  std::string base_url;
  KeySource key;
  std::string organization;
  std::string project;
  Parameters parameters;
  std::optional<std::int64_t> context_window;
  std::optional<Price> price;
  ProfileLimits limits;
  BreakerOptions breaker;    // of no effect on rehearsal, which has no server
  bool json_schema = false;  // the server knows response_format json_schema
  RehearsalOptions rehearsal;
  std::string recording;  // the file that answers in the model's place; empty: the model itself

  // As sessions keep it: what differs from the defaults, and of the key only its source. The
  // members are named as in config.yaml.
  [[nodiscard]] base::json::object to_json() const;
  // Reads what `to_json` wrote. Invalid, naming the member, where one is unknown or not of its
  // type; a key written out is refused without being repeated.
  [[nodiscard]] static base::Result<ModelProfile> from_json(const base::json::value& value);
};

// The value of an environment variable, if it is set.
using Environment = std::function<std::optional<std::string>(const char* name)>;
[[nodiscard]] std::optional<std::string> process_environment(const char* name);

// Reads what --model takes besides a profile's name: `PROVIDER/MODEL[@BASE-URL]` with openai,
// anthropic or ollama, `rehearsal` or `rehearsal?latency=200ms&fail=0.05`. The profile's name is
// the text without the URL's query.
//
// A key goes only to the URL that it was configured with: OPENAI_API_KEY belongs to OPENAI_BASE_URL
// if that is set, else to api.openai.com; ANTHROPIC_API_KEY likewise. Any other URL written in the
// text is sent no key. OLLAMA_HOST is understood as Ollama's own programs do.
[[nodiscard]] base::Result<ModelProfile> parse_model_spec(
    std::string_view text, const Environment& environment = process_environment);

// The provider for a profile. `script` is rehearsal's, and of no use to others. The transport must
// outlive the provider. Denied for a profile that would send OPENAI_API_KEY or ANTHROPIC_API_KEY to
// a URL to which it does not belong, wherever that profile came from (an imported session may name
// any URL).
[[nodiscard]] base::Result<std::unique_ptr<Provider>> make_provider(
    const ModelProfile& profile, Transport& transport, RehearsalScript script = {},
    const Environment& environment = process_environment);

}  // namespace tertulia::llm
