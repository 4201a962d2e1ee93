#include "flow/parse.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/near_name.h"
#include "base/utf8.h"
#include "flow/output_place.h"
#include "flow/standing_words.h"

namespace tertulia::flow {
namespace {

constexpr std::size_t kMaxRefCharacters = 50;
constexpr std::int64_t kMaxTokens = 1'000'000'000'000;
constexpr double kMaxCostUsd = 1e6;

std::size_t characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count)
    static_cast<void>(base::next_code_point(text, at));
  return count;
}

bool is_flow_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// A role reference: 1 to 50 printable characters, without blanks around it.
bool is_role_ref(std::string_view ref) {
  if (ref.empty() || characters(ref) > kMaxRefCharacters) return false;
  if (ref.front() == ' ' || ref.back() == ' ') return false;
  for (std::size_t at = 0; at < ref.size();) {
    const char32_t c = base::next_code_point(ref, at);
    if (c < 0x20 || c == 0x7F || (c >= 0x80 && c < 0xA0)) return false;
  }
  return true;
}

// Names that prompt_file may have: below the flow's folder.
bool stays_below(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\\') != std::string_view::npos)
    return false;
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('/'));
    if (part == ".." || part.empty()) return false;
    name.remove_prefix(std::min(name.size(), part.size() + 1));
  }
  return true;
}

bool is_type(std::string_view type) {
  for (const char* known : {"string", "integer", "number", "boolean", "array", "object"})
    if (type == known) return true;
  return false;
}

// Parses what stands above the steps.
class FlowParser final {
 public:
  FlowParser(const YamlReader& reader, const CheckOptions& options, Problems& problems)
      : reader_(reader), options_(options), problems_(problems) {}

  std::optional<FlowDraft> parse(const YAML::Node& root) {
    if (!root.IsMap()) {
      reader_.error(root, "a flow is a mapping that begins with 'tertulia: 1'");
      return {};
    }
    static_cast<void>(reader_.mapping(root, Construct::flow, "a flow"));
    if (!root["tertulia"]) {
      reader_.error(root, "the language's version is missing: begin with 'tertulia: 1'");
    } else if (!root["tertulia"].IsScalar() || root["tertulia"].Scalar() != "1") {
      reader_.error(root["tertulia"], "this program knows version 1 of the language");
    }
    head(root);
    StepParser steps(reader_, options_, draft_, problems_);
    if (const auto node = root["roles"]) {
      roles(node, steps);
    } else {
      reader_.error(root, "'roles' is missing: a flow has at least one role");
    }
    if (const auto node = root["vars"]) variables(node);
    draft_.limits_place = reader_.place(root["limits"] ? root["limits"] : root);
    if (const auto node = root["limits"]) limits(node);
    if (const auto node = root["on_limit"]) on_limit(node);
    if (const auto node = root["steps"]) {
      draft_.steps = steps.steps(node, "steps");
      if (steps.count() > kMaxFlowSteps)
        reader_.error(node, fmt::format("a flow may have {} steps at most, this has {}",
                                        kMaxFlowSteps, steps.count()));
    } else {
      reader_.error(root, "'steps' is missing: a flow has at least one step");
    }
    if (const auto node = root["result"]) result(node);
    return std::move(draft_);
  }

 private:
  void head(const YAML::Node& root) {
    Program& program = draft_.program;
    if (!root["name"]) {
      reader_.error(root, "'name' is missing");
    } else if (auto name = reader_.text(root["name"], "name")) {
      if (!is_flow_name(*name))
        reader_.error(root["name"],
                      fmt::format("a flow's name is made of a-z, 0-9 and -, found '{}'",
                                  base::shorten(*name, 40)));
      program.name = *std::move(name);
    }
    program.title = program.name;
    if (const auto node = root["title"]) program.title = reader_.text(node, "title").value_or("");
    if (const auto node = root["topic"]) program.topic = reader_.text(node, "topic").value_or("");
    if (const auto node = root["language"]) {
      program.language = reader_.text(node, "language").value_or("en");
      const auto& known = standing_word_languages();
      if (std::find(known.begin(), known.end(), program.language) == known.end())
        reader_.error(node, fmt::format("unknown language '{}'; built in are {}", program.language,
                                        fmt::join(known, ", ")));
    }
    if (const auto node = root["format"]; node && reader_.names(node, "format")) {
      for (const auto& each : node) {
        auto words = reader_.text(each.second, "format." + each.first.Scalar());
        if (!words) continue;
        if (auto good = check_standing_word(each.first.Scalar(), *words); !good)
          reader_.error(each.first, good.error().message);
        program.format[each.first.Scalar()] = *std::move(words);
      }
    }
  }

  void roles(const YAML::Node& node, StepParser& steps) {
    if (!reader_.names(node, "roles")) return;
    if (node.size() == 0) reader_.error(node, "a flow has at least one role");
    if (node.size() > kMaxFlowRoles)
      reader_.error(node, fmt::format("a flow may have {} roles at most", kMaxFlowRoles));
    for (const auto& each : node) {
      const std::string& ref = each.first.Scalar();
      if (!is_role_ref(ref))
        reader_.error(each.first, fmt::format("a role reference is 1 to {} printable characters",
                                              kMaxRefCharacters));
      if (ref == kEach)
        reader_.error(each.first,
                      "'each' stands for the role of a branch in parallel: {each: ...}: call this "
                      "role otherwise");
      RoleDeclaration role = this->role(ref, each.second, steps);
      draft_.role_places.emplace(ref, reader_.place(each.first));
      draft_.program.roles.push_back(std::move(role));
    }
  }

  RoleDeclaration role(const std::string& ref, const YAML::Node& node, StepParser& steps) {
    RoleDeclaration role;
    role.ref = ref;
    const std::string where = fmt::format("role '{}'", ref);
    if (!reader_.mapping(node, Construct::role, where)) return role;
    if (const auto name = node["name"]) role.name = reader_.text(name, "name").value_or("");
    if (const auto use = node["use"]) {
      role.use = reader_.text(use, "use").value_or("");
      draft_.uses.push_back({.kind = Use::Kind::stored_role,
                             .name = role.use,
                             .place = reader_.place(use),
                             .pointer = {},
                             .test = {},
                             .value = {}});
    }
    if (const auto prompt = node["prompt"])
      role.prompt = reader_.text(prompt, "prompt").value_or("");
    if (const auto file = node["prompt_file"]) {
      if (node["prompt"]) reader_.error(file, "a role has 'prompt' or 'prompt_file', not both");
      prompt_file(file, role);
    }
    if (role.use.empty() && !node["prompt"] && !node["prompt_file"])
      reader_.error(
          node,
          fmt::format("{} needs a 'prompt', a 'prompt_file' or a stored role to 'use'", where));
    if (const auto model = node["model"]) {
      role.model = reader_.text(model, "model").value_or("");
      draft_.uses.push_back({.kind = Use::Kind::profile,
                             .name = role.model,
                             .place = reader_.place(model),
                             .pointer = {},
                             .test = {},
                             .value = {}});
    }
    role.parameters = steps.parameters(node);
    if (const auto most = node["limits"]) role_limits(most, ref);
    return role;
  }

  void role_limits(const YAML::Node& node, const std::string& ref) {
    if (!reader_.mapping(node, Construct::role_limits, fmt::format("limits of '{}'", ref))) return;
    RoleLimits limits;
    if (const auto steps = node["steps"])
      limits.steps = reader_.count(steps, "limits.steps", 1, 1'000'000);
    if (const auto tokens = node["tokens"])
      limits.tokens = reader_.count(tokens, "limits.tokens", 1, kMaxTokens);
    if (const auto cost = node["cost_usd"]) limits.cost_nano = cost_nano(cost);
    if (!limits.empty()) draft_.program.limits.roles[ref] = limits;
  }

  std::optional<std::int64_t> cost_nano(const YAML::Node& node) {
    const auto usd = reader_.number(node, "limits.cost_usd");
    if (!usd) return {};
    if (*usd > 0 && *usd <= kMaxCostUsd) return to_nano(*usd);
    reader_.error(node, fmt::format("cost_usd is more than 0 and at most {}", kMaxCostUsd));
    return {};
  }

  void prompt_file(const YAML::Node& node, RoleDeclaration& role) {
    const auto name = reader_.text(node, "prompt_file");
    if (!name) return;
    if (!stays_below(*name)) {
      reader_.error(node, "prompt_file names a file below the flow's own folder");
    } else if (!options_.read_file) {
      reader_.error(node, "prompt_file needs a folder: this flow does not come from a file");
    } else if (auto text = options_.read_file(*name)) {
      if (base::first_invalid_utf8(*text)) reader_.error(node, *name + " is not valid UTF-8");
      role.prompt = *std::move(text);
    } else {
      reader_.error(node, text.error().message);
    }
  }

  void variables(const YAML::Node& node) {
    if (!reader_.names(node, "vars")) return;
    for (const auto& each : node) {
      VariableDeclaration variable;
      variable.name = each.first.Scalar();
      if (!is_word(variable.name))
        reader_.error(each.first, fmt::format("a variable's name is one word (letters, digits, _ "
                                              "and -), found '{}'",
                                              base::shorten(variable.name, 40)));
      if (!each.second.IsMap()) {
        variable.initial = reader_.value(each.second);
      } else {
        described_variable(each.second, variable);
      }
      draft_.program.variables.push_back(std::move(variable));
    }
  }

  void described_variable(const YAML::Node& node, VariableDeclaration& variable) {
    const std::string where = fmt::format("variable '{}'", variable.name);
    if (!reader_.mapping(node, Construct::variable, where)) return;
    if (const auto type = node["type"]) {
      variable.type = reader_.text(type, "type").value_or("");
      if (!is_type(variable.type))
        reader_.error(type, fmt::format("unknown type '{}'; known are string, integer, number, "
                                        "boolean, array, object",
                                        variable.type));
    }
    for (const char* bound : {"minimum", "maximum"})
      if (const auto limit = node[bound]; limit && reader_.number(limit, bound))
        variable.schema[bound] = reader_.value(limit);
    if (const auto list = node["enum"]) {
      if (list.IsSequence() && list.size() > 0) {
        variable.schema["enum"] = reader_.value(list);
      } else {
        reader_.error(list, "enum is a list of the values that the variable may have");
      }
    }
    if (const auto initial = node["default"]) {
      variable.initial = reader_.value(initial);
      if (const auto broken = why_not(*variable.initial, variable))
        reader_.error(initial, fmt::format("the default of '{}' {}, found {}", variable.name,
                                           *broken, base::to_text(*variable.initial)));
    }
  }

  void limits(const YAML::Node& node) {
    if (!reader_.mapping(node, Construct::limits, "limits")) return;
    Limits& limits = draft_.program.limits;
    if (const auto steps = node["steps"])
      limits.steps = reader_.count(steps, "limits.steps", 1, 1'000'000).value_or(limits.steps);
    if (const auto rounds = node["rounds"])
      limits.rounds = reader_.count(rounds, "limits.rounds", 1, 1'000'000).value_or(limits.rounds);
    if (const auto tokens = node["tokens"])
      limits.tokens = reader_.count(tokens, "limits.tokens", 1, kMaxTokens);
    if (const auto cost = node["cost_usd"]) limits.cost_nano = cost_nano(cost);
    if (const auto time = node["time"]) limits.time_ms = reader_.duration_ms(time, "limits.time");
    if (const auto on = node["on_limit"]) on_limit(on);
  }

  void on_limit(const YAML::Node& node) {
    const auto word = reader_.text(node, "on_limit");
    if (!word) return;
    if (*word != "pause" && *word != "finish")
      reader_.error(node, fmt::format("on_limit is pause or finish, found '{}'", *word));
    draft_.program.limits.finish = *word == "finish";
  }

  void result(const YAML::Node& node) {
    draft_.result_place = reader_.place(node);
    if (!reader_.mapping(node, Construct::result, "result")) return;
    if (!node["output"]) {
      reader_.error(node, "result names the step whose output it is: { output: STEP }");
      return;
    }
    draft_.program.result = reader_.text(node["output"], "result.output").value_or("");
    draft_.uses.push_back({.kind = Use::Kind::output,
                           .name = draft_.program.result,
                           .place = reader_.place(node["output"]),
                           .pointer = {},
                           .test = {},
                           .value = {}});
  }

  const YamlReader& reader_;
  const CheckOptions& options_;
  Problems& problems_;
  FlowDraft draft_;
};

}  // namespace

std::optional<std::string> why_not(const json::value& value, const VariableDeclaration& variable) {
  if (!variable.type.empty() && !has_type(value, variable.type))
    return fmt::format("must be of type {}", variable.type);
  const json::object& schema = variable.schema;
  if (const json::value* list = schema.if_contains("enum")) {
    for (const json::value& each : list->get_array())
      if (base::equal(each, value)) return {};
    return fmt::format("must be one of {}", base::to_text(*list));
  }
  if (!value.is_number()) return {};
  const double number = value.to_number<double>();
  const json::value* least = schema.if_contains("minimum");
  if (least != nullptr && number < least->to_number<double>())
    return fmt::format("must be at least {}", base::to_text(*least));
  const json::value* most = schema.if_contains("maximum");
  if (most != nullptr && number > most->to_number<double>())
    return fmt::format("must be at most {}", base::to_text(*most));
  return {};
}

std::optional<FlowDraft> parse_draft(std::string_view source, const CheckOptions& options,
                                     Problems& problems) {
  const auto root = load_yaml(source, problems);
  if (!root) return {};
  const YamlReader reader(source, problems);
  return FlowParser(reader, options, problems).parse(*root);
}

}  // namespace tertulia::flow
