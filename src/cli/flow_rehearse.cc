#include "cli/flow_rehearse.h"

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/utf8.h"
#include "cli/flow_source.h"
#include "cli/terminal.h"
#include "service/flow_rehearsal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using base::text_at;

struct RehearseOptions {
  std::string flow;
  std::string topic;
  bool has_topic = false;
  std::int64_t seed = 1;
  bool cover = false;
};

// What the way is, for people.
std::string_view words_of(std::string_view way) {
  if (way == "again") return "goes round again";
  if (way == "condition") return "leaves by its condition";
  if (way == "at_max") return "leaves at its max";
  if (way == "goes_on") return "goes on without its goto";
  if (way == "jumps") return "takes its goto";
  return way.empty() ? "is performed" : way;
}

// How many were not reached.
std::size_t print_ways(const json::object& rehearsal) {
  std::vector<const json::object*> missing;
  const json::array& all = rehearsal.at("ways").get_array();
  for (const json::value& way : all)
    if (!way.at("reached").get_bool()) missing.push_back(&way.get_object());
  fmt::print("{} of {} ways reached in {} session{}\n", all.size() - missing.size(), all.size(),
             rehearsal.at("sessions").get_int64(),
             rehearsal.at("sessions").get_int64() == 1 ? "" : "s");
  for (const json::object* way : missing)
    fmt::print("  not reached: {} ({}) {}\n", text_at(*way, "step"), text_at(*way, "kind"),
               words_of(text_at(*way, "way")));
  if (rehearsal.at("cut_short").get_bool())
    fmt::print("  a session was given up: it had taken 2000 steps\n");
  return missing.size();
}

base::Result<int> rehearse(Context& context, const RehearseOptions& options) {
  auto program = find_program(context, options.flow);
  if (!program) return program.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  service::SessionWishes wishes;
  wishes.profile = "rehearsal";
  if (options.has_topic) wishes.topic = options.topic;
  wishes.seed = options.seed;
  auto rehearsal =
      service::rehearse_json(**reader, *program, wishes, options.cover, context.providers());
  if (!rehearsal) return rehearsal.error();
  if (context.json) {
    print_json(*rehearsal);
    const auto& ways = rehearsal->at("ways").get_array();
    const bool all_reached = std::all_of(ways.begin(), ways.end(), [](const json::value& way) {
      return way.at("reached").get_bool();
    });
    return options.cover && !all_reached ? kExitFailed : kExitDone;
  }
  for (const json::value& each : rehearsal->at("said").get_array()) {
    const json::object& said = each.get_object();
    fmt::print("{:>4}  {} {}\n", said.at("order").get_int64(),
               styled(safe_for_terminal(text_at(said, "speaker")), Style::bold),
               base::shorten(safe_for_terminal(text_at(said, "text")), 100));
  }
  fmt::print("{}: {} model calls\n", text_at(*rehearsal, "status"),
             rehearsal->at("calls").get_int64());
  const std::size_t missing = print_ways(*rehearsal);
  return options.cover && missing > 0 ? kExitFailed : kExitDone;
}

}  // namespace

void add_flow_rehearse(CLI::App& flow, Context& context) {
  auto* command = flow.add_subcommand(
      "rehearse", "Performs a flow by rehearsal, without making a session of it");
  auto options = std::make_shared<RehearseOptions>();
  command->add_option("flow", options->flow, "A flow's file, or its name")->required();
  command->add_option("--topic", options->topic, "What it is about");
  command->add_option("--seed", options->seed, "What is rehearsed varies with it")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--script", context.script_file,
                      "What rehearsal says, by step and iteration (YAML)");
  command->add_flag("--cover", options->cover,
                    "Forces the outcomes of conditions until every branch and every way out of a "
                    "loop was taken; exit 1 where some cannot be");
  command->footer("Example: tertulia flow rehearse my-flow.yaml --cover");
  run_on_parse(*command, [&context, options, command] {
    options->has_topic = command->count("--topic") > 0;
    return rehearse(context, *options);
  });
}

}  // namespace tertulia::cli
