// tertulia role: the library of roles that any flow may use.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cstdio>

#include "base/near_name.h"
#include "base/utf8.h"
#include "cli/context.h"
#include "cli/flow_source.h"
#include "cli/terminal.h"
#include "remote/server_library.h"
#include "service/role_library.h"
#include "store/flows.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
constexpr std::size_t kMaxRoleFile = 1 << 20;

base::Result<json::object> listed_roles(Context& context) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) {
    auto told = (*server)->get("/api/v1/roles");
    if (!told) return told.error();
    return json::object{{"items", std::move((*told)["items"])}};
  }
  auto reader = context.reader();
  if (!reader) return reader.error();
  return service::list_roles_json(**reader);
}

base::Result<int> list(Context& context) {
  auto listed = listed_roles(context);
  if (!listed) return listed.error();
  if (context.json) {
    print_json(*listed);
    return kExitDone;
  }
  const json::value* items = listed->if_contains("items");
  if (items == nullptr || !items->is_array() || items->get_array().empty()) {
    fmt::print("no stored roles; a flow may write its own\n");
    return kExitDone;
  }
  for (const json::value& role : items->get_array()) {
    const auto text = [&](std::string_view member) {
      const json::value* value = base::at_pointer(role, member);
      return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                    : std::string();
    };
    fmt::print("{:<24} {}\n", safe_for_terminal(text("/name")),
               base::shorten(safe_for_terminal(text("/prompt")), 80));
  }
  return kExitDone;
}

base::Result<model::Role> find(Context& context, const std::string& name) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return remote::find_role(**server, name);
  auto reader = context.reader();
  if (!reader) return reader.error();
  return service::find_role(**reader, name);
}

base::Result<void> save(Context& context, const model::Role& role) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return remote::save_role(**server, role);
  return context.write([&](db::Connection& connection) {
    return store::save_role(connection, role.name, role.prompt, role.settings,
                            base::Clock::system().now());
  });
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
  if (!settings.empty()) role.settings = base::to_text(settings);
  if (auto done = save(context, role); !done) return done.error();
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
  run_on_parse(
      *listing, [&context] { return list(context); }, Place::anywhere);
  const auto with = [&](const char* name, const char* help, const char* argument, auto body) {
    auto* command = role->add_subcommand(name, help);
    auto value = std::make_shared<std::string>();
    command->add_option(argument, *value, help)->required();
    run_on_parse(
        *command, [&context, value, body] { return body(context, *value); }, Place::anywhere);
  };
  with("show", "A role whole", "name", show);
  with("import", "Stores a role from a YAML file with name, prompt and settings", "file", import);
  with("export", "A role as YAML", "name", export_role);
}

}  // namespace tertulia::cli
