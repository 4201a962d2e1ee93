// tertulia session compare: two sessions side by side, and where they part.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/utf8.h"
#include "cli/session_log_view.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "cli/text_diff.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

constexpr std::size_t kColumn = 34;

struct Compared {
  model::Session row;
  engine::SessionData session;
  std::vector<model::Message> messages;
  store::UsageSum usage;
  std::int64_t steps = 0;
  std::int64_t step_time_ms = 0;  // of steps that asked a model
  std::vector<std::string> models;
};

base::Result<Compared> load_compared(db::Connection& reader, engine::FlowCache& flows, Id id) {
  Compared one;
  auto row = store::load_session(reader, id);
  if (!row) return row.error();
  one.row = *std::move(row);
  auto session = engine::load_session_data(reader, flows, id);
  if (!session) return session.error();
  one.session = *std::move(session);
  auto messages = store::load_messages(reader, id);
  if (!messages) return messages.error();
  one.messages = *std::move(messages);
  auto usage = store::sum_usage(reader, id);
  if (!usage) return usage.error();
  one.usage = *usage;
  auto log = store::load_log(reader, id);
  if (!log) return log.error();
  one.steps = static_cast<std::int64_t>(log->size());
  for (const auto& each : *log)
    if (const auto* step = one.session.step_of(each); step != nullptr && step->kind() == "speak")
      one.step_time_ms += each.duration_ms.value_or(0);
  std::set<std::string> profiles;
  for (const auto& role : one.session.cast.roles) profiles.insert(role.profile);
  one.models.assign(profiles.begin(), profiles.end());
  return one;
}

// Words between blanks; where a script is written without them, each of its characters is one.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t start = 0, at = 0;
  const auto end_word = [&] {
    if (at > start) words.push_back(text.substr(start, at - start));
  };
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    // Three or more bytes in UTF-8 from U+2E80 on: Chinese, Japanese, Korean.
    const std::size_t size = byte < 0xE2 ? 1 : byte < 0xF0 ? 3 : 4;
    const bool stands_alone = byte > 0xE2 || (byte == 0xE2 && at + 1 < text.size() &&
                                              static_cast<unsigned char>(text[at + 1]) >= 0xBA);
    if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') {
      end_word();
      start = ++at;
    } else if (stands_alone) {
      end_word();
      start = at;
      at = std::min(text.size(), at + size);
      end_word();
      start = at;
    } else {
      ++at;
    }
  }
  end_word();
  return words;
}

// A structured output member by member: written in one line it has hardly a blank.
std::string readable(const std::string& text) {
  auto value = base::parse_json(text);
  return value && value->is_object() ? base::to_pretty_text(*value) : text;
}

std::vector<DiffLine> diff_words(const std::string& before, const std::string& after) {
  const std::string a = readable(before), b = readable(after);
  return diff_lines(fmt::format("{}\n", fmt::join(words_of(a), "\n")),
                    fmt::format("{}\n", fmt::join(words_of(b), "\n")));
}

// Neighbouring words of one kind as one piece.
std::vector<DiffLine> merged(const std::vector<DiffLine>& words) {
  std::vector<DiffLine> pieces;
  for (const DiffLine& word : words) {
    if (!pieces.empty() && pieces.back().kind == word.kind)
      pieces.back().text += " " + word.text;
    else
      pieces.push_back(word);
  }
  return pieces;
}

bool says_the_same(const Compared& a, const Compared& b, std::size_t at) {
  const flow::Said one = engine::to_said(a.messages[at], a.session);
  const flow::Said other = engine::to_said(b.messages[at], b.session);
  return one.role == other.role && one.text == other.text;
}

// The first message that differs, by its place; nothing where all are alike.
std::optional<std::size_t> parting(const Compared& a, const Compared& b) {
  const std::size_t both = std::min(a.messages.size(), b.messages.size());
  for (std::size_t i = 0; i < both; ++i)
    if (!says_the_same(a, b, i)) return i;
  if (a.messages.size() == b.messages.size()) return {};
  return both;
}

json::object summary(const Compared& one) {
  json::object out;
  out["id"] = one.row.id;
  out["flow"] = one.session.flow_name;
  out["flow_version"] = one.session.flow_version;
  out["topic"] = one.session.topic;
  json::array models;
  for (const auto& name : one.models) models.emplace_back(name);
  out["models"] = std::move(models);
  out["status"] = model::to_text(one.row.status);
  if (one.row.stop_reason) out["stop_reason"] = model::to_text(*one.row.stop_reason);
  if (const auto& from = one.session.snapshot.branched_from)
    out["branched_from"] = json::object{{"session", from->session}, {"order", from->order}};
  out["steps"] = one.steps;
  out["messages"] = one.messages.size();
  out["model_calls"] = one.usage.calls;
  out["prompt_tokens"] = one.usage.prompt_tokens;
  out["completion_tokens"] = one.usage.completion_tokens;
  if (one.usage.cost_usd) out["cost_usd"] = *one.usage.cost_usd;
  out["step_time_ms"] = one.step_time_ms;
  return out;
}

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

json::value message_at(const Compared& one, std::size_t at) {
  if (at >= one.messages.size()) return nullptr;
  return message_json(one.messages[at], one.session);
}

void print_parting(const Compared& a, const Compared& b, std::size_t at) {
  fmt::print("\nthey part at message {}\n", at + 1);
  for (const Compared* one : {&a, &b}) {
    if (at >= one->messages.size()) {
      fmt::print("session {} says nothing more\n", one->row.id);
      continue;
    }
    const flow::Said said = engine::to_said(one->messages[at], one->session);
    const flow::CastRole* role = one->session.cast.find(said.role);
    fmt::print("session {}: {} in round {}\n", one->row.id,
               safe_for_terminal(role != nullptr ? role->name : said.role), said.round);
  }
  if (at >= a.messages.size() || at >= b.messages.size()) return;
  for (const DiffLine& piece : merged(diff_words(a.messages[at].content, b.messages[at].content))) {
    const std::string words = safe_for_terminal(piece.text);
    if (piece.kind == DiffLine::Kind::same) fmt::print("  {}\n", base::shorten(words, 100));
    if (piece.kind == DiffLine::Kind::removed) fmt::print("{}\n", styled("- " + words, Style::red));
    if (piece.kind == DiffLine::Kind::added) fmt::print("{}\n", styled("+ " + words, Style::green));
  }
}

json::array differing_words(const Compared& a, const Compared& b, std::size_t at) {
  json::array list;
  if (at >= a.messages.size() || at >= b.messages.size()) return list;
  for (const DiffLine& piece : merged(diff_words(a.messages[at].content, b.messages[at].content))) {
    if (piece.kind == DiffLine::Kind::same) continue;
    list.push_back(json::object{
        {piece.kind == DiffLine::Kind::removed ? "only_first" : "only_second", piece.text}});
  }
  return list;
}

base::Result<int> compare(Context& context, Id first, Id second) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto a = load_compared(**reader, flows, first);
  if (!a) return a.error();
  auto b = load_compared(**reader, flows, second);
  if (!b) return b.error();
  const auto at = parting(*a, *b);
  const bool same_flow = a->row.flow_version_id == b->row.flow_version_id;
  const bool same_topic = a->session.topic == b->session.topic;
  if (context.json) {
    json::object out;
    out["sessions"] = json::array{summary(*a), summary(*b)};
    out["same_flow"] = same_flow;
    out["same_topic"] = same_topic;
    out["part_at"] = at ? json::value(*at + 1) : json::value(nullptr);
    if (at) {
      out["messages"] = json::array{message_at(*a, *at), message_at(*b, *at)};
      out["differing_words"] = differing_words(*a, *b, *at);
    }
    print_json(out);
    return kExitDone;
  }
  print_table(*a, *b);
  if (!same_flow) fmt::print("\nthey perform different flows, or versions of one\n");
  if (!same_topic) fmt::print("{}their topics differ\n", same_flow ? "\n" : "");
  if (at)
    print_parting(*a, *b, *at);
  else
    fmt::print("\nthey say the same in all {} messages\n", a->messages.size());
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
