// tertulia batch: performs a flow over many inputs.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <climits>
#include <cmath>
#include <cstdio>

#include "cli/batch_view.h"
#include "cli/context.h"
#include "cli/flow_source.h"
#include "cli/interrupts.h"
#include "cli/terminal.h"
#include "engine/batch.h"
#include "engine/batch_failures.h"
#include "engine/batch_here.h"
#include "remote/server_batch.h"
#include "service/role_library.h"

namespace tertulia::cli {
namespace {

struct BatchFlags {
  std::string flow;
  std::string inputs;
  std::string out;
  std::string name;
  std::int64_t concurrency = 0;
  double max_cost = -1;
  bool dry_run = false;
  std::string format = "jsonl";
  std::string as;
  std::vector<std::string> roles;
};

constexpr std::int64_t kConcurrency = 64;

std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%,+";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The command that goes on with the batch.
std::string again(const Context& context, const BatchFlags& flags, const std::string& model) {
  std::string line = fmt::format("{} batch {} --inputs {} --out {}", context.program_words(),
                                 quoted(flags.flow), quoted(flags.inputs), quoted(flags.out));
  const auto add = [&](std::string_view option, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {} {}", option, quoted(value));
  };
  add("--model", model);
  if (flags.format != "jsonl") add("--format", flags.format);
  add("--as", flags.as);
  if (!flags.roles.empty()) add("--roles", fmt::format("{}", fmt::join(flags.roles, ",")));
  add("--name", flags.name);
  if (flags.concurrency > 0) add("--concurrency", std::to_string(flags.concurrency));
  add("--config", context.flags.config_file);
  // Never with its password.
  if (auto where = db::Location::parse(context.flags.database); !context.flags.database.empty())
    add("--db", where ? where->shown() : std::string());
  return line;
}

base::json::object usage_json(std::int64_t calls, std::int64_t prompt, std::int64_t completion,
                              std::optional<double> cost) {
  base::json::object out;
  out["calls"] = calls;
  out["prompt_tokens"] = prompt;
  out["completion_tokens"] = completion;
  out["cost_usd"] = cost ? base::json::value(*cost) : base::json::value(nullptr);
  return out;
}

int say_estimate(const Context& context, const engine::BatchEstimate& estimate) {
  const auto whole = [](double number) { return static_cast<std::int64_t>(std::llround(number)); };
  if (context.json) {
    base::json::object out;
    out["inputs"] = estimate.inputs;
    out["sampled"] = estimate.sampled;
    out["estimate"] = usage_json(whole(estimate.calls), whole(estimate.prompt_tokens),
                                 whole(estimate.completion_tokens), estimate.cost_usd);
    print_json(out);
    return kExitDone;
  }
  fmt::print("{} inputs; nothing was called. From {} of them, rehearsed in memory:\n",
             estimate.inputs, estimate.sampled);
  fmt::print("  calls              about {}\n", whole(estimate.calls));
  fmt::print("  prompt tokens      about {}\n", whole(estimate.prompt_tokens));
  fmt::print("  completion tokens  about {} (rehearsal's words; a model may say more)\n",
             whole(estimate.completion_tokens));
  fmt::print("  cost               {}\n", estimate.cost_usd ? "about " + dollars(*estimate.cost_usd)
                                                            : "unknown: a profile has no price");
  return kExitDone;
}

std::string_view ending_name(engine::BatchReport::Ending ending) {
  switch (ending) {
    case engine::BatchReport::Ending::complete:
      return "complete";
    case engine::BatchReport::Ending::paused:
      return "paused";
    case engine::BatchReport::Ending::max_cost:
      return "max_cost";
    case engine::BatchReport::Ending::unavailable:
      return "unavailable";
  }
  return "";
}

int exit_of(const engine::BatchReport& report) {
  switch (report.ending) {
    case engine::BatchReport::Ending::paused:
      return kExitInterrupted;
    case engine::BatchReport::Ending::max_cost:
      return kExitPaused;
    case engine::BatchReport::Ending::unavailable:
      return kExitModel;
    case engine::BatchReport::Ending::complete:
      break;
  }
  return report.failures > 0 ? kExitFailed : kExitDone;
}

int say_report(const Context& context, const BatchFlags& flags, const std::string& go_on,
               const engine::BatchReport& report) {
  const engine::BatchProgress& progress = report.progress;
  const std::string failures_file = engine::failures_file(flags.out);
  if (context.json) {
    base::json::object out;
    out["batch"] = report.batch;
    out["ending"] = ending_name(report.ending);
    out["inputs"] = progress.inputs;
    out["done"] = progress.done;
    out["done_now"] = progress.done_now;
    out["failures"] = report.failures;
    if (report.failures > 0) out["failures_file"] = failures_file;
    out["seconds"] = static_cast<double>(progress.elapsed.count()) / 1000.0;
    out["usage"] = usage_json(report.usage.calls, report.usage.prompt_tokens,
                              report.usage.completion_tokens, report.usage.cost_usd);
    print_json(out);
  }
  const double seconds = static_cast<double>(progress.elapsed.count()) / 1000.0;
  fmt::print(stderr, "batch {}: {} of {} inputs have their result in {} ({} now, {:.1f}/s)\n",
             report.batch, progress.done, progress.inputs, flags.out, progress.done_now,
             seconds > 0 ? static_cast<double>(progress.done_now) / seconds : 0.0);
  fmt::print(stderr, "{} calls, {} prompt and {} completion tokens{}\n", report.usage.calls,
             report.usage.prompt_tokens, report.usage.completion_tokens,
             report.usage.cost_usd ? ", " + dollars(*report.usage.cost_usd) : std::string());
  if (report.failures > 0)
    fmt::print(stderr, "{} {} failed, see {}; the last: {}\n", report.failures,
               report.failures == 1 ? "input" : "inputs", failures_file,
               safe_for_terminal(report.last_failure));
  switch (report.ending) {
    case engine::BatchReport::Ending::complete:
      if (report.failures > 0)
        fmt::print(stderr, "the same command tries them again:\n{}\n", go_on);
      break;
    case engine::BatchReport::Ending::paused:
      fmt::print(stderr, "paused; nothing is lost. To go on:\n{}\n", go_on);
      break;
    case engine::BatchReport::Ending::max_cost:
      fmt::print(stderr,
                 "stopped: another session might cost more than --max-cost leaves. To go "
                 "on:\n{} --max-cost MORE\n",
                 go_on);
      break;
    case engine::BatchReport::Ending::unavailable:
      fmt::print(stderr,
                 "stopped: session after session could not use the model; see to its key "
                 "and address, then\n{}\n",
                 go_on);
      break;
  }
  return exit_of(report);
}

base::Result<int> perform(Context& context, const BatchFlags& flags, engine::Batch& batch,
                          const std::string& go_on) {
  BatchView view;
  const InterruptGuard guard;
  int passed_on = 0;
  auto report = batch.run([&](const engine::BatchProgress& progress) {
    if (interrupts() > passed_on) {
      passed_on = interrupts();
      view.finish();
      if (passed_on == 1)
        fmt::print(stderr, "pausing after the steps under way; Ctrl-C again stops them now\n");
      batch.pause(passed_on > 1);
    }
    view.show(progress);
  });
  view.finish();
  if (!report) {
    base::Error error = report.error();
    const bool can_go_on =
        error.code == base::Code::storage || error.code == base::Code::storage_full ||
        error.code == base::Code::unavailable || error.code == base::Code::cancelled;
    if (can_go_on && (error.remedy.empty() || error.code != base::Code::storage))
      error.remedy = go_on;
    return error;
  }
  return say_report(context, flags, go_on, *report);
}

base::Result<int> check_and_perform(Context& context, const BatchFlags& flags,
                                    engine::BatchPlace& place, std::size_t concurrency,
                                    const std::string& go_on) {
  engine::BatchOptions options;
  options.inputs = flags.inputs;
  options.out = flags.out;
  options.name = flags.name;
  options.concurrency = concurrency;
  if (flags.max_cost >= 0) options.max_cost_usd = flags.max_cost;
  engine::Batch batch(std::move(options), place);
  auto inputs = batch.check();
  if (!inputs) return inputs.error();
  if (flags.dry_run) {
    auto estimate = batch.estimate();
    if (!estimate) return estimate.error();
    return say_estimate(context, *estimate);
  }
  if (flags.out.empty())
    return base::Error{.code = base::Code::invalid,
                       .message = "--out is missing: where results go",
                       .remedy = "such as --out results.jsonl"};
  return perform(context, flags, batch, go_on);
}

std::size_t concurrency_of(const BatchFlags& flags, std::int64_t of_profile) {
  const std::int64_t at_once = of_profile > 0 ? of_profile : kConcurrency;
  return static_cast<std::size_t>(flags.concurrency > 0 ? flags.concurrency : at_once);
}

// Where the inputs' path is a path of another machine than the server's.
std::string machine_of_inputs(const remote::ApiClient& server) {
  if (remote::is_this_machine(server.url())) return {};
  char name[HOST_NAME_MAX + 1] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "elsewhere";
}

base::Result<int> run_there(Context& context, remote::ApiClient& server, const BatchFlags& flags,
                            const service::StoredFlow& flow, engine::BatchView view) {
  server.stop_when([] { return interrupts() > 2; });
  remote::ServerBatch place(server, {.flow = flow.program.name,
                                     .flow_version = flow.saved.version.number,
                                     .model = context.flags.model,
                                     .view = std::move(view),
                                     .machine = machine_of_inputs(server)});
  return check_and_perform(context, flags, place, concurrency_of(flags, 0),
                           again(context, flags, context.flags.model));
}

base::Result<int> run_here(Context& context, const BatchFlags& flags,
                           const service::StoredFlow& flow, engine::BatchView view) {
  auto config = context.config();
  if (!config) return config.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::CastingCall call;
  call.program = &flow.program;
  call.flow_template_id = flow.saved.version.flow_template_id;
  call.version = &flow.saved.version;
  call.profile = (*config)->model.value;
  auto casting = engine::BatchCasting::make(std::move(call), context.profiles(),
                                            service::roles_of(**reader), context.providers());
  if (!casting) return casting.error();
  const llm::ModelProfile profile = casting->profile();
  engine::BatchHere place(
      *std::move(casting), std::move(view), [&context] { return context.engine(); }, **reader);
  auto status =
      check_and_perform(context, flags, place, concurrency_of(flags, profile.limits.concurrent),
                        again(context, flags, profile.name));
  if (!status || flags.dry_run) return status;
  if (auto engine = context.engine()) (*engine)->wait_until_idle();
  if (auto fared = context.recordings_fared(); !fared) return fared.error();
  return status;
}

// Whose model speaks must have been said: here, or where the server was started.
base::Result<void> check_model(Context& context, bool is_there) {
  auto config = context.config();
  if (!config) return config.error();
  if (is_there || (*config)->model.source != "built-in") return {};
  return base::Error{
      .code = base::Code::invalid,
      .message = "a batch wants to be told which model speaks",
      .remedy = "--model PROFILE or provider/model; --model rehearsal costs nothing"};
}

base::Result<int> run(Context& context, const BatchFlags& flags) {
  auto server = context.server();
  if (!server) return server.error();
  const bool is_there = *server != nullptr;
  if (auto said = check_model(context, is_there); !said) return said.error();
  if (!is_there) {
    auto config = context.config();
    if (auto known = context.profiles()((*config)->model.value); !known) return known.error();
  }
  auto text = find_flow_text(context, flags.flow);
  if (!text) return text.error();
  auto flow = store_flow(context, *text, false);
  if (!flow) return flow.error();
  engine::BatchView view{
      .format = *engine::batch_format_from(flags.format), .as = flags.as, .roles = flags.roles};
  if (auto fits = engine::check_view(view, flow->program); !fits) return fits.error();
  return is_there ? run_there(context, **server, flags, *flow, std::move(view))
                  : run_here(context, flags, *flow, std::move(view));
}

}  // namespace

void add_batch(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("batch", "Performs a flow over many inputs");
  auto flags = std::make_shared<BatchFlags>();
  command->add_option("flow", flags->flow, "A flow's file, or the name of a stored or shipped one")
      ->required();
  command
      ->add_option("--inputs", flags->inputs,
                   "JSON Lines, or CSV (.csv): id, topic, vars, cast, seed")
      ->required();
  command->add_option("--out", flags->out,
                      "Where results go, a line each; gone on with if it is "
                      "there");
  command->add_option("--model", context.flags.model,
                      "A profile, or provider/model[@base-url], or rehearsal; must be said");
  command
      ->add_option("--concurrency", flags->concurrency,
                   "Sessions at once (the profile's `concurrent`, or 64)")
      ->check(CLI::Range(1, 100'000));
  command
      ->add_option("--max-cost", flags->max_cost,
                   "US dollars that the whole batch may cost; then no more sessions begin")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--dry-run", flags->dry_run,
                    "Only estimate calls, tokens and cost; nothing is called");
  command->add_option("--format", flags->format, "Of the results")
      ->check(CLI::IsMember({"jsonl", "openai", "sharegpt"}))
      ->capture_default_str();
  command->add_option("--as", flags->as, "The role that is the assistant (openai, sharegpt)");
  command->add_option("--roles", flags->roles, "Whose words are kept: a,b (everybody's)")
      ->delimiter(',');
  command->add_option("--script", context.script_file,
                      "What rehearsal says, by step and iteration (YAML)");
  command->add_option("--name", flags->name,
                      "Tells batches of the same flow, model and inputs apart");
  command->footer(
      "Example: tertulia batch debate --inputs topics.jsonl --out debates.jsonl --model rehearsal");
  run_on_parse(
      *command, [&context, flags] { return run(context, *flags); }, Place::anywhere);
}

}  // namespace tertulia::cli
