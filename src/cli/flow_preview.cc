#include "cli/flow_preview.h"

#include <fmt/format.h>

#include <cstdio>

#include "cli/flow_source.h"
#include "cli/terminal.h"
#include "engine/dry_run.h"
#include "engine/explain.h"
#include "service/new_session.h"
#include "service/role_library.h"

namespace tertulia::cli {
namespace {

struct PreviewOptions {
  std::string flow;
  std::string step;
  std::int64_t visit = 1;
  std::string topic;
  bool has_topic = false;
  model::Id session = 0;
  std::int64_t order = 0;
  std::int64_t seed = 1;
};

void print_request(Context& context, const std::string& step, std::int64_t order,
                   const engine::PreparedRequest& request) {
  if (context.json) {
    base::json::object out;
    out["step"] = step;
    out["order"] = order;
    out["request_sha256"] = request.sha256;
    out["body"] = request.body;
    out["context_snapshot"] = request.context_snapshot;
    print_json(out);
    return;
  }
  // The body alone on standard output: it can be compared byte for byte, or sent.
  fmt::print(stderr, "step {} (order {}), sha256 {}\n", step, order, request.sha256);
  std::fwrite(request.body.data(), 1, request.body.size(), stdout);
  std::fputc('\n', stdout);
}

base::Result<int> preview_session(Context& context, const PreviewOptions& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  bool found = false;
  std::int64_t visit = 0;
  auto explained = engine::explain(
      **reader, flows, options.session, context.providers(),
      [&](const engine::RebuiltRequest& rebuilt) {
        const bool wanted = options.order > 0
                                ? rebuilt.order == options.order
                                : (rebuilt.step == options.step ||
                                   rebuilt.request.request.hints.step == options.step) &&
                                      ++visit == options.visit;
        if (!wanted) return;
        found = true;
        print_request(context, rebuilt.step, rebuilt.order, rebuilt.request);
      });
  if (!explained) return explained.error();
  if (found) return kExitDone;
  return base::Error{
      .code = base::Code::not_found,
      .message = fmt::format("session {} has made no such request", options.session),
      .remedy = fmt::format("tertulia session log {} shows its steps", options.session)};
}

base::Result<int> preview_invented(Context& context, const PreviewOptions& options) {
  auto config = context.config();
  if (!config) return config.error();
  auto text = find_flow_text(context, options.flow);
  if (!text) return text.error();
  auto checked = check_text(context, *text);
  if (!checked.ok()) {
    print_problems(*text, checked.problems, context.json);
    return base::Error{.code = base::Code::invalid, .message = text->shown + " has mistakes"};
  }
  auto reader = context.reader();
  if (!reader) return reader.error();
  model::FlowVersion version;
  service::SessionWishes wishes;
  wishes.profile = (*config)->model.value;
  if (options.has_topic) wishes.topic = options.topic;
  wishes.seed = options.seed;
  auto found = engine::dry_run(service::casting_call(*checked.program, version, wishes, {}),
                               context.profiles(), service::roles_of(**reader), context.providers(),
                               options.step, options.visit);
  if (!found) return found.error();
  print_request(context, options.step, found->order, found->request);
  return kExitDone;
}

}  // namespace

void add_flow_preview(CLI::App& flow, Context& context) {
  auto* command = flow.add_subcommand("preview", "The exact request that a step makes");
  auto options = std::make_shared<PreviewOptions>();
  command->add_option("flow", options->flow, "A flow's file, or its name (not with --session)");
  command->add_option("--step", options->step, "The step's id, or its role where it has none");
  command->add_option("--visit", options->visit, "Its n-th execution")->check(CLI::PositiveNumber);
  command->add_option("--topic", options->topic, "The topic of the invented session");
  command->add_option("--seed", options->seed, "The seed of the invented history")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--session", options->session, "A real session instead of an invented one");
  command->add_option("--order", options->order, "The execution order in that session");
  command->add_option("--model", context.flags.model, "As for run");
  command->footer("Example: tertulia flow preview debate --step verdict --model openai/gpt-5-mini");
  run_on_parse(*command, [&context, options, command]() -> base::Result<int> {
    options->has_topic = command->count("--topic") > 0;
    if (options->session > 0) return preview_session(context, *options);
    if (options->flow.empty() || options->step.empty())
      return base::Error{.code = base::Code::invalid,
                         .message = "preview wants a flow and --step, or --session and --order"};
    return preview_invented(context, *options);
  });
}

}  // namespace tertulia::cli
