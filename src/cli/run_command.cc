// tertulia run: performs a flow and shows the conversation as it happens.
#include <fmt/format.h>

#include <cstdio>

#include "cli/context.h"
#include "cli/flow_source.h"
#include "cli/perform.h"
#include "cli/perform_there.h"
#include "service/new_session.h"

namespace tertulia::cli {
namespace {

struct RunOptions {
  std::string flow;
  std::string topic;
  bool has_topic = false;
  std::vector<std::string> roles;
  std::vector<std::string> variables;
  std::vector<std::string> played;
  std::int64_t max_steps = 0;
  std::int64_t seed = -1;
  bool create_only = false;
};

base::Result<std::map<std::string, std::string>> pairs_of(const std::vector<std::string>& words,
                                                          std::string_view option) {
  std::map<std::string, std::string> pairs;
  for (const std::string& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{} wants NAME=VALUE, found '{}'", option, word)};
    pairs[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return pairs;
}

// Steps that a rehearsal script speaks of and the flow does not have.
base::Result<void> check_script(const std::string& path, const flow::Program& program) {
  if (path.empty()) return {};
  auto script = llm::RehearsalScript::load(path);
  if (!script) return script.error();
  for (const std::string& step : script->steps()) {
    if (program.named(step) != nullptr || program.role(step) != nullptr) continue;
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{}: the flow has no step or role '{}'", path, step),
        .remedy = "a script names steps by their id, or by their role where they have none"};
  }
  return {};
}

// A replay draws what the recorded session drew.
std::optional<std::int64_t> seed_of(const RunOptions& options, const llm::Recording* replayed) {
  if (options.seed >= 0) return options.seed;
  if (replayed != nullptr)
    if (const auto seed = replayed->seed()) return static_cast<std::int64_t>(*seed);
  return {};
}

base::Result<service::SessionWishes> wishes_of(const RunOptions& options) {
  auto roles = pairs_of(options.roles, "--role");
  if (!roles) return roles.error();
  auto variables = pairs_of(options.variables, "--var");
  if (!variables) return variables.error();
  service::SessionWishes wishes;
  if (options.has_topic) wishes.topic = options.topic;
  wishes.roles = *std::move(roles);
  wishes.variables = *std::move(variables);
  wishes.played.insert(options.played.begin(), options.played.end());
  if (options.max_steps > 0) wishes.limits.steps = options.max_steps;
  return wishes;
}

// Makes the session in the database.
base::Result<model::Id> make_here(Context& context, const RunOptions& options,
                                  service::SessionWishes wishes) {
  auto config = context.config();
  if (!config) return config.error();
  auto text = find_flow_text(context, options.flow);
  if (!text) return text.error();
  auto flow = store_flow(context, *text, false);
  if (!flow) return flow.error();
  if (auto good = check_script(context.script_file, flow->program); !good) return good.error();
  wishes.profile = (*config)->model.value;
  auto replayed = context.replayed();
  if (!replayed) return replayed.error();
  wishes.seed = seed_of(options, replayed->get());
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto wanted = service::cast_session(**reader, *flow, wishes, context.profiles(),
                                      base::Clock::system().now());
  if (!wanted) return wanted.error();
  model::Id session = 0;
  auto made = context.write([&](db::Connection& connection) -> base::Result<void> {
    auto id = store::create_session(connection, *wanted);
    if (!id) return id.error();
    session = *id;
    return {};
  });
  if (!made) return made.error();
  return session;
}

// Makes the session at the server, whose own model speaks unless one is named.
base::Result<model::Id> make_there(Context& context, remote::ApiClient& server,
                                   const RunOptions& options,
                                   const service::SessionWishes& wishes) {
  auto text = find_flow_text(context, options.flow);
  if (!text) return text.error();
  base::json::object body;
  body["flow"] = options.flow;
  if (names_a_file(options.flow)) {
    auto stored = store_flow(context, *text, false);
    if (!stored) return stored.error();
    body["flow"] = stored->program.name;
    body["flow_version"] = stored->saved.version.number;
  } else if (!text->is_shipped) {  // as here, where it would be stored if it were not yet
    auto checked = check_text(context, *text);
    if (!checked) return checked.error();
    print_problems(*text, checked->problems, context.json);
  }
  const auto texts = [](const std::map<std::string, std::string>& pairs) {
    base::json::object out;
    for (const auto& [name, value] : pairs) out[name] = value;
    return out;
  };
  if (wishes.topic) body["topic"] = *wishes.topic;
  if (!wishes.roles.empty()) body["cast"] = texts(wishes.roles);
  if (!wishes.variables.empty()) body["vars"] = texts(wishes.variables);
  if (!wishes.played.empty())
    body["play"] = base::json::array(wishes.played.begin(), wishes.played.end());
  if (!context.flags.model.empty()) body["model"] = context.flags.model;
  if (!wishes.limits.empty()) body["limits"] = limits_json(wishes.limits);
  if (options.seed >= 0) body["seed"] = options.seed;
  body["autostart"] = false;  // its events are followed first
  auto made = server.post("/api/v1/sessions", body);
  if (!made) return made.error();
  const base::json::value* id = made->if_contains("id");
  if (id == nullptr || !id->is_int64())
    return base::Error{.code = base::Code::invalid,
                       .message = server.url() + " made a session and did not say which"};
  return id->get_int64();
}

base::Result<int> run(Context& context, const RunOptions& options) {
  auto wishes = wishes_of(options);
  if (!wishes) return wishes.error();
  auto server = context.server();
  if (!server) return server.error();
  auto session = *server != nullptr ? make_there(context, **server, options, *wishes)
                                    : make_here(context, options, *wishes);
  if (!session) return session.error();
  if (options.create_only) {
    if (context.json) {
      base::json::object out;
      out["session_id"] = *session;
      print_json(out);
    } else {
      fmt::print("session {}\n", *session);
    }
    return kExitDone;
  }
  auto status = perform_shown(context, *session, {});
  if (!status || *status != kExitDone || *server != nullptr) return status;
  auto replayed = context.replayed();
  if (!replayed) return replayed.error();
  if (*replayed == nullptr) return status;
  const std::string left_over = (*replayed)->left_over();
  if (left_over.empty()) return status;
  static_cast<void>(tell({.code = base::Code::conflict, .message = left_over}, context.json));
  return kExitFailed;
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("run", "Performs a flow and shows the conversation");
  auto options = std::make_shared<RunOptions>();
  command
      ->add_option("flow", options->flow, "A flow's file, or the name of a stored or shipped one")
      ->required();
  command->add_option("--topic", options->topic, "What the session is about");
  command->add_option("--role", options->roles, "REF=NAME: a stored role plays this reference")
      ->allow_extra_args(false);
  command->add_option("--var", options->variables, "NAME=VALUE: a variable of the flow")
      ->allow_extra_args(false);
  command
      ->add_option("--play", options->played,
                   "REF: you play this role, and are asked for its words at the terminal")
      ->allow_extra_args(false);
  command->add_option(
      "--model", context.flags.model,
      "A profile, or provider/model[@base-url], or rehearsal[?latency=200ms&fail=0.05], or "
      "replay:FILE");
  command->add_option("--record", context.record_file,
                      "Keeps every call of a model in this file, for --model replay:FILE");
  command->add_option("--script", context.script_file,
                      "What rehearsal says, by step and iteration (YAML)");
  command->add_option("--max-steps", options->max_steps, "Pause after so many steps")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--seed", options->seed, "The session's seed: the same one rehearses the same")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--create-only", options->create_only,
                    "Make the session and print its id; `session resume` performs it");
  command->footer("Example: tertulia run debate --topic \"Tabs or spaces?\" --model rehearsal");
  run_on_parse(
      *command,
      [&context, options, command] {
        options->has_topic = command->count("--topic") > 0;
        context.existing_recording = llm::Recorder::Existing::refuse;
        return run(context, *options);
      },
      Place::anywhere);
}

}  // namespace tertulia::cli
