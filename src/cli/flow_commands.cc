// tertulia flow: listing, checking, previewing, storing flows.
#include <fmt/format.h>

#include <cstdio>

#include "base/utf8.h"
#include "cli/context.h"
#include "cli/flow_preview.h"
#include "cli/flow_rehearse.h"
#include "cli/flow_source.h"
#include "cli/terminal.h"
#include "flow/language_schema.h"
#include "remote/server_library.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

base::Result<json::object> listed_flows(Context& context) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) {
    auto told = (*server)->get("/api/v1/flows");
    if (!told) return told.error();
    return json::object{{"items", std::move((*told)["items"])}};
  }
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto around = surroundings(context);
  if (!around) return around.error();
  return service::list_flows_json(**reader, *around);
}

base::Result<int> list(Context& context) {
  auto listed = listed_flows(context);
  if (!listed) return listed.error();
  if (context.json) {
    print_json(*listed);
    return kExitDone;
  }
  for (const json::value& item : listed->at("items").get_array()) {
    const json::object& flow = item.get_object();
    const auto version = flow.at("version").get_int64();
    fmt::print("{:<24} {:<9} {}\n", std::string_view(flow.at("name").get_string()),
               flow.at("shipped").get_bool() ? "shipped" : fmt::format("version {}", version),
               safe_for_terminal(flow.at("title").get_string()));
  }
  return kExitDone;
}

base::Result<int> show(Context& context, const std::string& name) {
  auto text = find_flow_text(context, name);
  if (!text) return text.error();
  auto checked = check_text(context, *text);
  if (!checked) return checked.error();
  if (!checked->ok()) {
    print_problems(*text, checked->problems, context.json);
    return base::Error{.code = base::Code::invalid, .message = text->shown + " has mistakes"};
  }
  const flow::Program& program = *checked->program;
  if (context.json) {
    print_json(service::flow_json(program));
    return kExitDone;
  }
  fmt::print("{}\n{}\n", styled(program.title, Style::bold), safe_for_terminal(program.topic));
  for (const auto& role : program.roles)
    fmt::print("  {:<16} {}\n", role.ref, base::shorten(safe_for_terminal(role.prompt), 80));
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const flow::Instruction& step = program.steps[i];
    std::string words;
    if (const auto* speak = std::get_if<flow::Speak>(&step.step))
      words = fmt::format("{}: {}", speak->role, speak->task.source());
    if (const auto* ask = std::get_if<flow::AskPerson>(&step.step))
      words = fmt::format("{} (a person): {}", ask->role, ask->prompt.source());
    fmt::print("{:>4}  {}{:<20} {}\n", i + 1, std::string(2 * step.loops.size(), ' '), step.label(),
               base::shorten(safe_for_terminal(words), 80));
  }
  return kExitDone;
}

base::Result<int> check(Context& context, const std::string& name) {
  auto text = find_flow_text(context, name);
  if (!text) return text.error();
  auto checked = check_text(context, *text);
  if (!checked) return checked.error();
  print_problems(*text, checked->problems, context.json);
  if (!checked->ok())
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} has mistakes", text->shown)};
  if (!context.json)
    fmt::print("{}: good, {} steps{}\n", text->shown, checked->program->steps.size(),
               checked->problems.empty() ? std::string()
                                         : fmt::format(", {} warnings", checked->problems.size()));
  return kExitDone;
}

base::Result<int> import(Context& context, const std::string& file) {
  auto text = find_flow_text(context, file);
  if (!text) return text.error();
  text->is_shipped = false;
  auto stored = store_flow(context, *text, false);
  if (!stored) return stored.error();
  if (context.json) {
    json::object out;
    out["name"] = stored->program.name;
    out["version"] = stored->saved.version.number;
    out["new"] = stored->saved.is_new;
    print_json(out);
  } else {
    fmt::print("{} is stored as version {}{}\n", stored->program.name, stored->saved.version.number,
               stored->saved.is_new ? "" : " already");
  }
  return kExitDone;
}

base::Result<std::string> version_source(Context& context, const std::string& name,
                                         std::int64_t version) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return remote::load_flow_source(**server, name, version);
  auto reader = context.reader();
  if (!reader) return reader.error();
  return service::load_flow_source(**reader, name, version);
}

base::Result<int> export_flow(Context& context, const std::string& name, std::int64_t version) {
  std::string source;
  if (version > 0) {
    auto stored = version_source(context, name, version);
    if (!stored) return stored.error();
    source = *std::move(stored);
  } else {
    auto text = find_flow_text(context, name);
    if (!text) return text.error();
    source = text->source;
  }
  std::fwrite(source.data(), 1, source.size(), stdout);
  return kExitDone;
}

}  // namespace

void add_flow(CLI::App& app, Context& context) {
  auto* flow = app.add_subcommand("flow", "Flows: list, check, preview, store");
  flow->require_subcommand(1);
  flow->footer("Example: tertulia flow check my-flow.yaml");
  auto* listing = flow->add_subcommand("list", "Stored and shipped flows");
  run_on_parse(
      *listing, [&context] { return list(context); }, Place::anywhere);

  const auto with_name = [&](const char* name, const char* help, const char* argument, auto body) {
    auto* command = flow->add_subcommand(name, help);
    auto value = std::make_shared<std::string>();
    command->add_option(argument, *value, "A flow's file, or its name")->required();
    run_on_parse(
        *command, [&context, value, body] { return body(context, *value); }, Place::anywhere);
  };
  with_name("show", "A flow's roles and compiled steps", "flow", show);
  with_name("check", "Checks a flow whole: every mistake with its place", "flow", check);
  with_name("import", "Stores a flow from a file", "file", import);

  auto* exporting = flow->add_subcommand("export", "A flow's text as it was written");
  auto name = std::make_shared<std::string>();
  auto version = std::make_shared<std::int64_t>(0);
  exporting->add_option("name", *name, "The flow's name")->required();
  exporting->add_option("--version", *version, "Not the latest, but this one")
      ->check(CLI::PositiveNumber);
  run_on_parse(
      *exporting, [&context, name, version] { return export_flow(context, *name, *version); },
      Place::anywhere);

  auto* schema = flow->add_subcommand("schema", "The JSON Schema of the language, for editors");
  run_on_parse(
      *schema,
      []() -> base::Result<int> {
        fmt::print("{}\n", base::to_pretty_text(flow::language_schema()));
        return kExitDone;
      },
      Place::anywhere);
  add_flow_preview(*flow, context);
  add_flow_rehearse(*flow, context);
}

}  // namespace tertulia::cli
