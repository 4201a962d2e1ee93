// tertulia session compare: two sessions side by side, and where they part.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <vector>

#include "base/utf8.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

constexpr std::size_t kColumn = 34;

std::string cell(std::string text) {
  text = base::shorten(safe_for_terminal(text), kColumn);
  const std::size_t width = base::display_width(text);
  if (width < kColumn) text.append(kColumn - width, ' ');
  return text;
}

// The value at a pointer into the comparison, in words; empty where there is none.
std::string words_at(const json::value& comparison, const std::string& pointer) {
  const json::value* value = base::at_pointer(comparison, pointer);
  if (value == nullptr || value->is_null()) return {};
  if (value->is_string()) return std::string(value->get_string());
  if (!value->is_array()) return base::to_text(*value);
  std::vector<std::string> words;
  for (const json::value& each : value->get_array())
    words.push_back(each.is_string() ? std::string(each.get_string()) : base::to_text(each));
  return fmt::format("{}", fmt::join(words, ", "));
}

bool is_true(const json::value& comparison, std::string_view pointer) {
  const json::value* value = base::at_pointer(comparison, pointer);
  return value != nullptr && value->is_bool() && value->get_bool();
}

void print_table(const json::value& comparison) {
  const auto line = [&](std::string_view name, const auto& of) {
    const auto one = [&](int which) {
      const std::string pointer = fmt::format("/sessions/{}/", which);
      return of([&](const char* member) { return words_at(comparison, pointer + member); });
    };
    fmt::print("{:<12} {}  {}\n", name, cell(one(0)),
               safe_for_terminal(base::shorten(one(1), kColumn)));
  };
  const auto member = [&](std::string_view name, const char* which) {
    line(name, [&](const auto& at) { return at(which); });
  };
  line("", [](const auto& at) { return "session " + at("id"); });
  line("flow",
       [](const auto& at) { return fmt::format("{} version {}", at("flow"), at("flow_version")); });
  member("topic", "topic");
  member("models", "models");
  member("status", "status");
  member("steps", "steps");
  member("messages", "messages");
  member("calls", "model_calls");
  line("tokens", [](const auto& at) {
    return fmt::format("{} in, {} out", at("prompt_tokens"), at("completion_tokens"));
  });
  line("US dollars", [](const auto& at) {
    const std::string cost = at("cost_usd");
    return cost.empty() ? "-" : fmt::format("{:.4f}", std::strtod(cost.c_str(), nullptr));
  });
  line("step time", [](const auto& at) {
    return base::duration_words(std::chrono::milliseconds(std::atoll(at("step_time_ms").c_str())));
  });
}

void print_parting(const json::value& comparison) {
  fmt::print("\nthey part at message {}\n", words_at(comparison, "/part_at"));
  for (const int which : {0, 1}) {
    const std::string id = words_at(comparison, fmt::format("/sessions/{}/id", which));
    const std::string message = fmt::format("/messages/{}/", which);
    if (base::at_pointer(comparison, message + "role") == nullptr) {
      fmt::print("session {} says nothing more\n", id);
      continue;
    }
    fmt::print("session {}: {} in round {}\n", id,
               safe_for_terminal(words_at(comparison, message + "speaker")),
               words_at(comparison, message + "round"));
  }
  const json::value* pieces = base::at_pointer(comparison, "/words");
  if (pieces == nullptr || !pieces->is_array()) return;
  for (const json::value& piece : pieces->get_array()) {
    const auto words = [&](const char* whose) { return safe_for_terminal(words_at(piece, whose)); };
    if (base::at_pointer(piece, "/same") != nullptr)
      fmt::print("  {}\n", base::shorten(words("/same"), 100));
    if (base::at_pointer(piece, "/only_first") != nullptr)
      fmt::print("{}\n", styled("- " + words("/only_first"), Style::red));
    if (base::at_pointer(piece, "/only_second") != nullptr)
      fmt::print("{}\n", styled("+ " + words("/only_second"), Style::green));
  }
}

base::Result<int> compare(Context& context, Id first, Id second) {
  auto records = context.records();
  if (!records) return records.error();
  auto found = (*records)->comparison(first, second);
  if (!found) return found.error();
  const json::value comparison(*std::move(found));
  if (context.json) {
    print_json(comparison);
    return kExitDone;
  }
  print_table(comparison);
  const bool same_flow = is_true(comparison, "/same_flow");
  if (!same_flow) fmt::print("\nthey perform different flows, or versions of one\n");
  if (!is_true(comparison, "/same_topic"))
    fmt::print("{}their topics differ\n", same_flow ? "\n" : "");
  if (!words_at(comparison, "/part_at").empty())
    print_parting(comparison);
  else
    fmt::print("\nthey say the same in all {} messages\n",
               words_at(comparison, "/sessions/0/messages"));
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
  run_on_parse(
      *command, [&context, ids] { return compare(context, ids->first, ids->second); },
      Place::anywhere);
}

}  // namespace tertulia::cli
