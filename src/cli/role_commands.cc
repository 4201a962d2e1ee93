// tertulia role: the library of roles that any flow may use.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cstdio>

#include "base/near_name.h"
#include "base/utf8.h"
#include "cli/context.h"
#include "cli/flow_source.h"
#include "cli/terminal.h"
#include "service/role_library.h"
#include "store/flows.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
constexpr std::size_t kMaxRoleFile = 1 << 20;

base::Result<int> list(Context& context) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  if (context.json) {
    auto listed = service::list_roles_json(**reader);
    if (!listed) return listed.error();
    print_json(*listed);
    return kExitDone;
  }
  auto roles = store::list_roles(**reader);
  if (!roles) return roles.error();
  if (roles->empty()) fmt::print("no stored roles; a flow may write its own\n");
  for (const auto& role : *roles)
    fmt::print("{:<24} {}\n", safe_for_terminal(role.name),
               base::shorten(safe_for_terminal(role.prompt), 80));
  return kExitDone;
}

base::Result<model::Role> find(Context& context, const std::string& name) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  return service::find_role(**reader, name);
}

base::Result<int> show(Context& context, const std::string& name) {
  auto role = find(context, name);
  if (!role) return role.error();
  if (context.json) {
    print_json(service::role_json(*role));
  } else {
    fmt::print("{}\n{}\n", styled(role->name, Style::bold), safe_for_terminal(role->prompt));
    if (role->settings) fmt::print("{}\n", *role->settings);
  }
  return kExitDone;
}

// A role file: name, prompt, and settings as a flow's role has them.
base::Result<int> import(Context& context, const std::string& path) {
  auto text = read_text_file(path, kMaxRoleFile);
  if (!text) return text.error();
  if (const auto wrong = base::first_invalid_utf8(*text))
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}: not valid UTF-8 at byte {}", path, *wrong)};
  model::Role role;
  json::object settings;
  try {
    const YAML::Node root = YAML::Load(*text);
    if (!root.IsMap() || !root["name"] || !root["prompt"])
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{}: a role has a name and a prompt", path)};
    static const std::vector<std::string> known = {"name",        "prompt",          "model",
                                                   "temperature", "top_p",           "max_tokens",
                                                   "seed",        "reasoning_effort"};
    for (const auto& each : root) {
      const std::string key = each.first.Scalar();
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        const std::string near = base::near_name(key, known);
        throw YAML::Exception(each.first.Mark(),
                              fmt::format("unknown key '{}'{}", key,
                                          near.empty() ? "" : "; did you mean '" + near + "'?"));
      }
      if (key == "name") {
        role.name = each.second.as<std::string>();
      } else if (key == "prompt") {
        role.prompt = each.second.as<std::string>();
      } else if (key == "model" || key == "reasoning_effort") {
        settings[key] = each.second.as<std::string>();
      } else if (key == "max_tokens" || key == "seed") {
        settings[key] = each.second.as<std::int64_t>();
      } else {
        settings[key] = each.second.as<double>();
      }
    }
  } catch (const YAML::Exception& problem) {
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{}:{}:{}: {}", path, problem.mark.line + 1,
                                              problem.mark.column + 1, problem.msg)};
  }
  std::optional<std::string> as_text;
  if (!settings.empty()) as_text = base::to_text(settings);
  auto done = context.write([&](db::Connection& connection) {
    return store::save_role(connection, role.name, role.prompt, as_text,
                            base::Clock::system().now());
  });
  if (!done) return done.error();
  fmt::print("the role '{}' is stored\n", role.name);
  return kExitDone;
}

base::Result<int> export_role(Context& context, const std::string& name) {
  auto role = find(context, name);
  if (!role) return role.error();
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << role->name << YAML::Key << "prompt"
      << YAML::Value << YAML::Literal << role->prompt;
  if (role->settings)
    if (auto settings = base::parse_json(*role->settings); settings && settings->is_object())
      for (const auto& member : settings->get_object())
        out << YAML::Key << std::string(member.key()) << YAML::Value
            << (member.value().is_string() ? std::string(member.value().get_string())
                                           : base::to_text(member.value()));
  out << YAML::EndMap;
  fmt::print("{}\n", out.c_str());
  return kExitDone;
}

}  // namespace

void add_role(CLI::App& app, Context& context) {
  auto* role = app.add_subcommand("role", "The library of roles");
  role->require_subcommand(1);
  role->footer("Example: tertulia role import chairperson.yaml");
  auto* listing = role->add_subcommand("list", "The stored roles");
  run_on_parse(*listing, [&context] { return list(context); });
  const auto with = [&](const char* name, const char* help, const char* argument, auto body) {
    auto* command = role->add_subcommand(name, help);
    auto value = std::make_shared<std::string>();
    command->add_option(argument, *value, help)->required();
    run_on_parse(*command, [&context, value, body] { return body(context, *value); });
  };
  with("show", "A role whole", "name", show);
  with("import", "Stores a role from a YAML file with name, prompt and settings", "file", import);
  with("export", "A role as YAML", "name", export_role);
}

}  // namespace tertulia::cli
