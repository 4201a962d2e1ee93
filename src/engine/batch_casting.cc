#include "engine/batch_casting.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "base/sha256.h"
#include "engine/cost.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

// Asked for each input: a role is read once.
RoleSource remembering(RoleSource roles) {
  auto known = std::make_shared<std::map<std::string, std::optional<model::Role>>>();
  return [roles = std::move(roles),
          known](const std::string& name) -> base::Result<std::optional<model::Role>> {
    if (const auto found = known->find(name); found != known->end()) return found->second;
    auto role = roles(name);
    if (!role) return role.error();
    return known->emplace(name, *role).first->second;
  };
}

base::Error no_price(const std::string& profile) {
  return {
      .code = base::Code::invalid,
      .message = fmt::format("a limit on cost needs a price, and the profile {} has none", profile),
      .remedy =
          "give it one in the configuration: price: { input: 0.25, output: 2.00 }, in US "
          "dollars a million tokens"};
}

base::Result<void> check_price(const store::NewSession& session) {
  auto cast = flow::Cast::from_text(session.roles_snapshot);
  if (!cast) return cast.error();
  for (const auto& role : cast->roles)
    if (!has_price(role.model)) return no_price(role.profile);
  auto snapshot = FlowSnapshot::from_text(session.flow_snapshot);
  if (!snapshot) return snapshot.error();
  for (const auto& [name, profile] : snapshot->models)
    if (!has_price(profile)) return no_price(name);
  return {};
}

base::Error at(const BatchInput& input, const base::Error& error) {
  return input.place.empty() ? error : error.in(input.place);
}

}  // namespace

base::Result<BatchCasting> BatchCasting::make(CastingCall call, ProfileSource profiles,
                                              RoleSource roles, ProviderSource providers) {
  auto profile = profiles(call.profile);
  if (!profile) return profile.error();
  return BatchCasting(std::move(call), *std::move(profile), std::move(profiles), std::move(roles),
                      std::move(providers));
}

BatchCasting::BatchCasting(CastingCall call, llm::ModelProfile profile, ProfileSource profiles,
                           RoleSource roles, ProviderSource providers)
    : call_(std::move(call)),
      profile_(std::move(profile)),
      profiles_(std::move(profiles)),
      roles_(remembering(std::move(roles))),
      providers_(std::move(providers)) {}

std::string BatchCasting::identity(const std::string& inputs, const std::string& name) const {
  json::object model{{"provider", profile_.provider}, {"model", profile_.model}};
  model["parameters"] = profile_.parameters.to_json();
  json::object all;
  all["flow"] = call_.program->name;
  all["source_sha256"] = call_.version->source_sha256;
  all["header"] = call_.program->header_json();
  all["model"] = std::move(model);
  all["inputs"] = inputs;
  all["name"] = name;
  return base::sha256_hex(base::to_text(all));
}

CastingCall BatchCasting::call_of(const BatchInput& input) const {
  CastingCall call = call_;
  call.topic = input.topic;
  call.roles = input.cast;
  call.variables = input.variables(*call.program);
  call.seed = input.session_seed();
  call.now = base::Clock::system().now();
  return call;
}

base::Result<store::NewSession> BatchCasting::cast(const BatchInput& input) const {
  auto made = engine::cast(call_of(input), profiles_, roles_);
  if (!made) return at(input, made.error());
  return made;
}

base::Result<void> BatchCasting::check(const BatchInput& input, bool needs_price) const {
  auto made = cast(input);
  if (!made) return made.error();
  return needs_price ? check_price(*made) : base::Result<void>();
}

base::Result<SessionEstimate> BatchCasting::estimate(const BatchInput& input) const {
  auto each = estimate_session(call_of(input), profiles_, roles_, providers_);
  if (!each) return at(input, each.error());
  return each;
}

}  // namespace tertulia::engine
