// tertulia model: what is configured, and whether it answers.
#include <fmt/format.h>

#include <cstdlib>
#include <future>

#include "cli/context.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

std::string key_words(const llm::ModelProfile& profile) {
  if (!profile.key.env.empty())
    return fmt::format("key from {} ({})", profile.key.env,
                       std::getenv(profile.key.env.c_str()) != nullptr ? "set" : "not set");
  if (!profile.key.file.empty()) return fmt::format("key from {}", profile.key.file);
  return "no key";
}

// What a server tells of its profiles: not where they are, nor where their keys come from.
base::Result<int> list_there(Context& context, const remote::ApiClient& server) {
  auto told = server.get("/api/v1/models");
  if (!told) return told.error();
  json::value items = std::move((*told)["items"]);
  if (!items.is_array()) items.emplace_array();
  const auto text = [](const json::value& item, std::string_view member) {
    const json::value* value = base::at_pointer(item, member);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
  };
  std::string standard;
  for (const json::value& item : items.get_array())
    if (const json::value* is = base::at_pointer(item, "/default"); is && *is == json::value(true))
      standard = text(item, "/name");
  if (context.json) {
    print_json(json::object{{"default", standard}, {"items", std::move(items)}});
    return kExitDone;
  }
  fmt::print("default: {} ({})\n", safe_for_terminal(standard), server.url());
  for (const json::value& item : items.get_array())
    fmt::print("{:<16} {}/{}\n", safe_for_terminal(text(item, "/name")),
               safe_for_terminal(text(item, "/provider")), safe_for_terminal(text(item, "/model")));
  return kExitDone;
}

base::Result<int> list(Context& context) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return list_there(context, **server);
  auto config = context.config();
  if (!config) return config.error();
  const Config& in_force = **config;
  if (context.json) {
    json::array items;
    for (const auto& [name, profile] : in_force.models) {
      json::object item = profile.to_json();
      item["is_default"] = name == in_force.model.value;
      items.push_back(std::move(item));
    }
    json::object out;
    out["default"] = in_force.model.value;
    out["items"] = std::move(items);
    print_json(out);
    return kExitDone;
  }
  fmt::print("default: {} ({})\n", in_force.model.value, in_force.model.source);
  for (const auto& [name, profile] : in_force.models)
    fmt::print("{:<16} {}/{}  {}  {}\n", name, profile.provider, profile.model, profile.base_url,
               styled(key_words(profile), Style::dim));
  if (in_force.models.empty())
    fmt::print(
        "no profiles are configured; docs/using-models.md shows how, or use\n"
        "  tertulia run debate --model openai/MODEL[@BASE-URL]   or anthropic/ or ollama/\n");
  for (const auto& [variable, model] : {std::pair{"OPENAI_API_KEY", "openai/gpt-5-mini"},
                                        {"ANTHROPIC_API_KEY", "anthropic/claude-haiku-4-5"}})
    if (in_force.models.empty() && std::getenv(variable) != nullptr)
      fmt::print("{} is set: --model {} would use it (and cost money)\n", variable, model);
  return kExitDone;
}

base::Result<int> test(Context& context, const std::string& name) {
  auto profile = context.profiles()(name);
  if (!profile) return profile.error();
  auto provider = context.providers()(profile->to_json());
  if (!provider) return provider.error();
  llm::Request request;
  request.model = profile->model;
  request.system = "Answer with one word.";
  request.turns.push_back({llm::Turn::Kind::user, "Say: ready"});
  request.parameters = profile->parameters;
  request.hints.speaker = "Test";
  request.hints.language = "en";
  std::promise<llm::Answer> answered;
  llm::Listener listener;
  listener.on_done = [&](llm::Answer answer) { answered.set_value(std::move(answer)); };
  const auto call = (*provider)->start(request, (*provider)->wire_body(request), llm::Deadlines(),
                                       std::move(listener));
  const llm::Answer answer = answered.get_future().get();
  if (context.json) {
    json::object out;
    out["profile"] = profile->name;
    out["outcome"] = llm::outcome_name(answer.outcome);
    out["duration_ms"] = answer.duration.count();
    out["text"] = answer.text;
    if (!answer.error.empty()) out["error"] = answer.error;
    print_json(out);
  }
  if (answer.outcome != llm::Outcome::ok)
    return base::Error{
        .code = base::Code::unavailable,
        .message =
            fmt::format("profile {} ({}): {}", profile->name, profile->base_url, answer.error),
        .remedy = fmt::format("see its key ({}) and its base_url", key_words(*profile))};
  if (!context.json)
    fmt::print("{} answered in {} ms: {}\n", profile->name, answer.duration.count(),
               safe_for_terminal(answer.text));
  return kExitDone;
}

}  // namespace

void add_model(CLI::App& app, Context& context) {
  auto* model = app.add_subcommand("model", "Model profiles");
  model->require_subcommand(1);
  model->footer("Example: tertulia model test openai/llama3@http://127.0.0.1:11434/v1");
  auto* listing = model->add_subcommand("list", "What is configured");
  run_on_parse(
      *listing, [&context] { return list(context); }, Place::anywhere);
  auto* testing = model->add_subcommand("test", "A one-word round trip, with its latency");
  auto name = std::make_shared<std::string>();
  testing->add_option("profile", *name, "A profile, or provider/model[@base-url]")->required();
  run_on_parse(*testing, [&context, name] { return test(context, *name); });
}

}  // namespace tertulia::cli
