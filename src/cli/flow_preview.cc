#include "cli/flow_preview.h"

#include <fmt/format.h>

#include <cstdio>

#include "cli/flow_source.h"
#include "service/flow_preview.h"

namespace tertulia::cli {
namespace {

struct PreviewOptions {
  std::string flow;
  service::PreviewedStep step;
  std::string topic;
  bool has_topic = false;
  model::Id session = 0;
  std::int64_t seed = 1;
};

void print_request(Context& context, const service::PreviewedRequest& preview) {
  if (context.json) {
    print_json(service::preview_json(preview));
    return;
  }
  // The body alone on standard output: it can be compared byte for byte, or sent.
  const std::string& body = preview.request.body;
  fmt::print(stderr, "step {} (order {}), sha256 {}\n", preview.step, preview.order,
             preview.request.sha256);
  std::fwrite(body.data(), 1, body.size(), stdout);
  std::fputc('\n', stdout);
}

base::Result<int> preview_session(Context& context, const PreviewOptions& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto found = service::preview_in_session(**reader, flows, options.session, options.step,
                                           context.providers());
  if (!found) return found.error();
  print_request(context, *found);
  return kExitDone;
}

base::Result<int> preview_invented(Context& context, const PreviewOptions& options) {
  auto config = context.config();
  if (!config) return config.error();
  auto program = find_program(context, options.flow);
  if (!program) return program.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  service::SessionWishes wishes;
  wishes.profile = (*config)->model.value;
  if (options.has_topic) wishes.topic = options.topic;
  wishes.seed = options.seed;
  auto found = service::preview_invented(**reader, *program, wishes, options.step,
                                         context.profiles(), context.providers());
  if (!found) return found.error();
  print_request(context, *found);
  return kExitDone;
}

}  // namespace

void add_flow_preview(CLI::App& flow, Context& context) {
  auto* command = flow.add_subcommand("preview", "The exact request that a step makes");
  auto options = std::make_shared<PreviewOptions>();
  command->add_option("flow", options->flow, "A flow's file, or its name (not with --session)");
  command->add_option("--step", options->step.step, "The step's id, or its role where it has none");
  command->add_option("--visit", options->step.visit, "Its n-th execution")
      ->check(CLI::PositiveNumber);
  command->add_option("--topic", options->topic, "The topic of the invented session");
  command->add_option("--seed", options->seed, "The seed of the invented history")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--session", options->session, "A real session instead of an invented one");
  command->add_option("--order", options->step.order, "The execution order in that session");
  command->add_option("--model", context.flags.model, "As for run");
  command->footer("Example: tertulia flow preview debate --step verdict --model openai/gpt-5-mini");
  run_on_parse(*command, [&context, options, command]() -> base::Result<int> {
    options->has_topic = command->count("--topic") > 0;
    if (options->session > 0) return preview_session(context, *options);
    if (options->flow.empty() || options->step.step.empty())
      return base::Error{.code = base::Code::invalid,
                         .message = "preview wants a flow and --step, or --session and --order"};
    return preview_invented(context, *options);
  });
}

}  // namespace tertulia::cli
