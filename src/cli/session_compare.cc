// tertulia session compare: two sessions side by side, and where they part.
#include "service/session_compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/utf8.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

using Compared = service::ComparedSession;
using model::Id;

constexpr std::size_t kColumn = 34;

std::string cell(std::string text) {
  text = base::shorten(safe_for_terminal(text), kColumn);
  const std::size_t width = base::display_width(text);
  if (width < kColumn) text.append(kColumn - width, ' ');
  return text;
}

void print_table(const Compared& a, const Compared& b) {
  const auto line = [&](std::string_view name, const std::string& left, const std::string& right) {
    fmt::print("{:<12} {}  {}\n", name, cell(left),
               safe_for_terminal(base::shorten(right, kColumn)));
  };
  const auto both = [&](std::string_view name, const auto& of) { line(name, of(a), of(b)); };
  both("", [](const auto& one) { return fmt::format("session {}", one.row.id); });
  both("flow", [](const auto& one) {
    return fmt::format("{} version {}", one.session.flow_name, one.session.flow_version);
  });
  both("topic", [](const auto& one) { return one.session.topic; });
  both("models", [](const auto& one) { return fmt::format("{}", fmt::join(one.models, ", ")); });
  both("status", [](const auto& one) { return std::string(model::to_text(one.row.status)); });
  both("steps", [](const auto& one) { return std::to_string(one.steps); });
  both("messages", [](const auto& one) { return std::to_string(one.messages.size()); });
  both("calls", [](const auto& one) { return std::to_string(one.usage.calls); });
  both("tokens", [](const auto& one) {
    return fmt::format("{} in, {} out", one.usage.prompt_tokens, one.usage.completion_tokens);
  });
  both("US dollars", [](const auto& one) {
    return one.usage.cost_usd ? fmt::format("{:.4f}", *one.usage.cost_usd) : std::string("-");
  });
  both("step time", [](const auto& one) {
    return base::duration_words(std::chrono::milliseconds(one.step_time_ms));
  });
}

void print_parting(const service::Comparison& comparison, std::size_t at) {
  fmt::print("\nthey part at message {}\n", at + 1);
  for (const Compared* one : {&comparison.first, &comparison.second}) {
    if (at >= one->messages.size()) {
      fmt::print("session {} says nothing more\n", one->row.id);
      continue;
    }
    const flow::Said said = engine::to_said(one->messages[at], one->session);
    const flow::CastRole* role = one->session.cast.find(said.role);
    fmt::print("session {}: {} in round {}\n", one->row.id,
               safe_for_terminal(role != nullptr ? role->name : said.role), said.round);
  }
  using service::DiffLine;
  for (const DiffLine& piece : comparison.words) {
    const std::string words = safe_for_terminal(piece.text);
    if (piece.kind == DiffLine::Kind::same) fmt::print("  {}\n", base::shorten(words, 100));
    if (piece.kind == DiffLine::Kind::removed) fmt::print("{}\n", styled("- " + words, Style::red));
    if (piece.kind == DiffLine::Kind::added) fmt::print("{}\n", styled("+ " + words, Style::green));
  }
}

base::Result<int> compare(Context& context, Id first, Id second) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto found = service::compare_sessions(**reader, flows, first, second);
  if (!found) return found.error();
  if (context.json) {
    print_json(service::comparison_json(*found));
    return kExitDone;
  }
  print_table(found->first, found->second);
  if (!found->same_flow) fmt::print("\nthey perform different flows, or versions of one\n");
  if (!found->same_topic) fmt::print("{}their topics differ\n", found->same_flow ? "\n" : "");
  if (found->parting)
    print_parting(*found, *found->parting);
  else
    fmt::print("\nthey say the same in all {} messages\n", found->first.messages.size());
  return kExitDone;
}

}  // namespace

void add_session_compare(CLI::App& session, Context& context) {
  auto* command =
      session.add_subcommand("compare", "Two sessions side by side, and where they part");
  auto ids = std::make_shared<std::pair<Id, Id>>();
  command->add_option("first", ids->first, "A session's id")->required();
  command->add_option("second", ids->second, "Another's")->required();
  command->footer("Example: tertulia session compare 7 9");
  run_on_parse(*command, [&context, ids] { return compare(context, ids->first, ids->second); });
}

}  // namespace tertulia::cli
