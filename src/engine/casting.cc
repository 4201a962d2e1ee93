#include "engine/casting.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/near_name.h"
#include "engine/cost.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

// Where a profile says nothing: what small models of today have. Rehearsal reads little.
constexpr std::int64_t kContextWindow = 32'000;
constexpr std::int64_t kRehearsalWindow = 4'000;

// Mistakes, gathered so that all are told at once.
class Mistakes final {
 public:
  void add(std::string mistake) {
    if (std::find(list_.begin(), list_.end(), mistake) == list_.end())
      list_.push_back(std::move(mistake));
  }
  void add(const base::Error& error) {
    add(error.remedy.empty() ? error.message : fmt::format("{}: {}", error.message, error.remedy));
  }
  [[nodiscard]] bool any() const { return !list_.empty(); }
  [[nodiscard]] base::Error error() const {
    return {.code = base::Code::invalid, .message = fmt::format("{}", fmt::join(list_, "\n"))};
  }

 private:
  std::vector<std::string> list_;
};

std::string did_you_mean(const std::string& name, const std::vector<std::string>& known) {
  const std::string near = base::near_name(name, known);
  if (!near.empty()) return fmt::format("; did you mean '{}'?", near);
  return known.empty() ? std::string() : fmt::format("; there are: {}", fmt::join(known, ", "));
}

bool has_type(const json::value& value, const std::string& type) {
  if (type.empty()) return true;
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

std::optional<std::string> bound_broken(const json::value& value, const json::object& schema) {
  if (const json::value* list = schema.if_contains("enum"); list && list->is_array()) {
    for (const json::value& each : list->get_array())
      if (base::equal(each, value)) return {};
    return fmt::format("must be one of {}", base::to_text(*list));
  }
  if (!value.is_number()) return {};
  const double number = value.to_number<double>();
  if (const json::value* least = schema.if_contains("minimum");
      least && least->is_number() && number < least->to_number<double>())
    return fmt::format("must be at least {}", base::to_text(*least));
  if (const json::value* most = schema.if_contains("maximum");
      most && most->is_number() && number > most->to_number<double>())
    return fmt::format("must be at most {}", base::to_text(*most));
  return {};
}

// What a person wrote for a variable: a text where it is declared one, else JSON, else a text.
json::value value_written(const std::string& text, const std::string& type) {
  if (type == "string") return json::value(text);
  if (auto parsed = base::parse_json(text)) return *std::move(parsed);
  return json::value(text);
}

FlowSnapshot snapshot_of(const CastingCall& call, Mistakes& mistakes) {
  const flow::Program& program = *call.program;
  FlowSnapshot snapshot;
  snapshot.flow = program.name;
  snapshot.version = call.version->number;
  snapshot.source_sha256 = call.version->source_sha256;
  snapshot.header = program.header_json();
  snapshot.limits = call.limits.value_or(program.limits);
  std::vector<std::string> known;
  for (const auto& variable : program.variables) {
    known.push_back(variable.name);
    const auto given = call.variables.find(variable.name);
    if (given != call.variables.end()) {
      json::value value = value_written(given->second, variable.type);
      if (!has_type(value, variable.type)) {
        mistakes.add(fmt::format("variable '{}' is declared as {}, '{}' is not", variable.name,
                                 variable.type, given->second));
      } else if (const auto broken = bound_broken(value, variable.schema)) {
        mistakes.add(
            fmt::format("variable '{}' {}, not {}", variable.name, *broken, given->second));
      }
      snapshot.variables[variable.name] = std::move(value);
    } else if (variable.initial) {
      snapshot.variables[variable.name] = *variable.initial;
    } else {
      mistakes.add(fmt::format("variable '{0}' has no default: give it with --var {0}=VALUE",
                               variable.name));
    }
  }
  for (const auto& [name, text] : call.variables)
    if (!snapshot.variables.contains(name))
      mistakes.add(fmt::format("the flow has no variable '{}'{}", name, did_you_mean(name, known)));
  return snapshot;
}

struct Character {
  std::string name;
  std::string prompt;
  std::string model;
  json::object parameters;
  std::optional<Id> role_id;
};

// What a role's settings say: `model`, and the parameters beside it.
void take_settings(Character& character, const std::optional<std::string>& settings,
                   Mistakes& mistakes) {
  if (!settings) return;
  auto parsed = base::parse_json(*settings);
  if (!parsed || !parsed->is_object()) {
    mistakes.add(
        fmt::format("the stored role '{}' has settings that are no JSON object", character.name));
    return;
  }
  for (const auto& member : parsed->get_object()) {
    if (member.key() == "model" && member.value().is_string()) {
      character.model = std::string(member.value().get_string());
    } else {
      character.parameters[member.key()] = member.value();
    }
  }
}

Character character_of(const flow::RoleDeclaration& declared, const std::string& stored_name,
                       const RoleSource& roles, Mistakes& mistakes) {
  Character character{.name = declared.name.empty() ? declared.ref : declared.name,
                      .prompt = declared.prompt,
                      .model = {},
                      .parameters = {},
                      .role_id = {}};
  if (!stored_name.empty()) {
    auto stored = roles(stored_name);
    if (!stored) {
      mistakes.add(stored.error());
    } else if (!*stored) {
      mistakes.add(
          fmt::format("role '{}' is to be played by '{}', but there is no such stored role "
                      "(tertulia role list)",
                      declared.ref, stored_name));
    } else {
      const bool is_override = stored_name != declared.use;
      if (declared.name.empty() || is_override) character.name = (*stored)->name;
      if (declared.prompt.empty() || is_override) character.prompt = (*stored)->prompt;
      character.role_id = (*stored)->id;
      take_settings(character, (*stored)->settings, mistakes);
    }
  }
  if (!declared.model.empty()) character.model = declared.model;
  for (const auto& member : declared.parameters)
    character.parameters[member.key()] = member.value();
  return character;
}

std::int64_t window_of(const llm::ModelProfile& profile) {
  return profile.context_window.value_or(profile.provider == "rehearsal" ? kRehearsalWindow
                                                                         : kContextWindow);
}

base::Result<json::object> frozen_with(llm::ModelProfile profile, const json::object& parameters) {
  auto over = llm::Parameters::from_json(json::value(parameters));
  if (!over) return over.error();
  profile.parameters = profile.parameters.with(*over);
  return profile.to_json();
}

// The profiles that a step names.
std::vector<std::string> profiles_of(const flow::Instruction& step) {
  std::vector<std::string> names;
  if (const auto* speak = std::get_if<flow::Speak>(&step.step)) {
    if (!speak->model.empty()) names.push_back(speak->model);
    names.insert(names.end(), speak->fallback.begin(), speak->fallback.end());
  }
  if (const auto* choice = std::get_if<flow::Choice>(&step.step); choice && !choice->model.empty())
    names.push_back(choice->model);
  return names;
}

// A limit on cost means nothing where a call's cost is not known. Rehearsal costs nothing.
void check_prices(const FlowSnapshot& snapshot, const flow::Cast& cast, Mistakes& mistakes) {
  bool any = snapshot.limits.cost_nano.has_value();
  for (const auto& [role, limits] : snapshot.limits.roles) any = any || limits.cost_nano;
  if (!any) return;
  std::set<std::string> told;
  const auto check = [&](const std::string& profile, const json::object& model) {
    const json::value* provider = model.if_contains("provider");
    const bool is_free =
        provider != nullptr && provider->is_string() && provider->get_string() == "rehearsal";
    if (is_free || has_price(model) || !told.insert(profile).second) return;
    mistakes.add(
        fmt::format("the flow has a limit on cost, but the price of the model profile "
                    "'{}' is not known: give it a 'price' in the configuration",
                    profile));
  };
  for (const flow::CastRole& role : cast.roles) check(role.profile, role.model);
  for (const auto& [name, model] : snapshot.models) check(name, model);
}

}  // namespace

base::Result<store::NewSession> cast(const CastingCall& call, const ProfileSource& profiles,
                                     const RoleSource& roles) {
  const flow::Program& program = *call.program;
  Mistakes mistakes;
  FlowSnapshot snapshot = snapshot_of(call, mistakes);
  flow::Cast cast;
  store::NewSession session;
  std::vector<std::string> refs;
  for (const auto& declared : program.roles) {
    refs.push_back(declared.ref);
    // A called flow's part may be played by a role of the caller, which stands before it.
    if (const flow::CastRole* player = declared.as.empty() ? nullptr : cast.find(declared.as)) {
      flow::CastRole part = *player;
      part.ref = declared.ref;
      const auto role_id = std::find_if(session.roles.begin(), session.roles.end(),
                                        [&](const auto& each) { return each.ref == declared.as; });
      session.roles.push_back(
          {declared.ref, role_id == session.roles.end() ? std::nullopt : role_id->role_id});
      cast.roles.push_back(std::move(part));
      continue;
    }
    const auto chosen = call.roles.find(declared.ref);
    const std::string stored = chosen != call.roles.end() ? chosen->second : declared.use;
    const Character character = character_of(declared, stored, roles, mistakes);
    const std::string& name = character.model.empty() ? call.profile : character.model;
    auto profile = profiles(name);
    if (!profile) {
      mistakes.add(profile.error());
      continue;
    }
    auto frozen = frozen_with(*profile, character.parameters);
    if (!frozen) {
      mistakes.add(frozen.error().in(fmt::format("role '{}'", declared.ref)));
      continue;
    }
    cast.roles.push_back({.ref = declared.ref,
                          .name = character.name,
                          .prompt = character.prompt,
                          .profile = profile->name,
                          .model = *std::move(frozen),
                          .context_window = window_of(*profile)});
    session.roles.push_back({declared.ref, character.role_id});
  }
  for (const auto& [ref, name] : call.roles)
    if (program.role(ref) == nullptr)
      mistakes.add(fmt::format("the flow has no role '{}'{}", ref, did_you_mean(ref, refs)));
  for (const auto& step : program.steps) {
    for (const std::string& name : profiles_of(step)) {
      if (snapshot.models.contains(name)) continue;
      auto profile = profiles(name);
      if (!profile) {
        mistakes.add(profile.error().in(fmt::format("step '{}'", step.label())));
      } else {
        snapshot.models[name] = profile->to_json();
      }
    }
  }
  check_prices(snapshot, cast, mistakes);
  for (const std::string& ref : call.played)
    if (program.role(ref) == nullptr)
      mistakes.add(
          fmt::format("the flow has no role '{}' to play{}", ref, did_you_mean(ref, refs)));
  snapshot.played.insert(call.played.begin(), call.played.end());
  if (mistakes.any()) return mistakes.error();

  session.topic = call.topic.value_or(program.topic);
  session.flow_template_id = call.flow_template_id;
  session.flow_version_id = call.version->id;
  session.flow_snapshot = snapshot.to_text();
  session.roles_snapshot = cast.to_text();
  session.seed = call.seed;
  flow::State state;
  state.limits = snapshot.limits;
  session.state = state.to_text();
  session.now = call.now;
  return session;
}

base::Result<void> recast(flow::CastRole& role, const flow::RoleDeclaration& declared,
                          const std::optional<std::string>& stored_settings,
                          const llm::ModelProfile& profile) {
  Mistakes mistakes;
  Character character;
  character.name = role.name;
  take_settings(character, stored_settings, mistakes);
  if (mistakes.any()) return mistakes.error();
  if (!declared.model.empty() || !character.model.empty()) return {};
  for (const auto& member : declared.parameters)
    character.parameters[member.key()] = member.value();
  auto frozen = frozen_with(profile, character.parameters);
  if (!frozen) return frozen.error().in(fmt::format("role '{}'", role.ref));
  role.profile = profile.name;
  role.model = *std::move(frozen);
  role.context_window = window_of(profile);
  return {};
}

}  // namespace tertulia::engine
