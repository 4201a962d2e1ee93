#include "service/session_compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "db/read_transaction.h"
#include "service/session_json.h"
#include "store/sessions.h"

namespace tertulia::service {
namespace {

namespace json = base::json;
using model::Id;

base::Result<ComparedSession> load_compared(db::Connection& reader, engine::FlowCache& flows,
                                            Id id) {
  auto moment = db::ReadTransaction::begin(reader);
  if (!moment) return moment.error();
  ComparedSession one;
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

bool says_the_same(const ComparedSession& a, const ComparedSession& b, std::size_t at) {
  const flow::Said one = engine::to_said(a.messages[at], a.session);
  const flow::Said other = engine::to_said(b.messages[at], b.session);
  return one.role == other.role && one.text == other.text;
}

// The first message that differs, by its place; nothing where all are alike.
std::optional<std::size_t> parting(const ComparedSession& a, const ComparedSession& b) {
  const std::size_t both = std::min(a.messages.size(), b.messages.size());
  for (std::size_t i = 0; i < both; ++i)
    if (!says_the_same(a, b, i)) return i;
  if (a.messages.size() == b.messages.size()) return {};
  return both;
}

json::object summary(const ComparedSession& one) {
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

json::value message_at(const ComparedSession& one, std::size_t at) {
  if (at >= one.messages.size()) return nullptr;
  return message_json(one.messages[at], one.session);
}

// All runs of words, or only those that one of the two has alone.
json::array words_json(const Comparison& comparison, bool only_differing) {
  json::array list;
  for (const DiffLine& piece : comparison.words) {
    if (only_differing && piece.kind == DiffLine::Kind::same) continue;
    const char* const whose = piece.kind == DiffLine::Kind::same      ? "same"
                              : piece.kind == DiffLine::Kind::removed ? "only_first"
                                                                      : "only_second";
    list.push_back(json::object{{whose, piece.text}});
  }
  return list;
}

}  // namespace

base::Result<Comparison> compare_sessions(db::Connection& reader, engine::FlowCache& flows,
                                          Id first, Id second) {
  auto a = load_compared(reader, flows, first);
  if (!a) return a.error();
  auto b = load_compared(reader, flows, second);
  if (!b) return b.error();
  Comparison found;
  found.same_flow = a->row.flow_version_id == b->row.flow_version_id;
  found.same_topic = a->session.topic == b->session.topic;
  found.parting = parting(*a, *b);
  if (const auto at = found.parting; at && *at < a->messages.size() && *at < b->messages.size())
    found.words = merged(diff_words(a->messages[*at].content, b->messages[*at].content));
  found.first = *std::move(a);
  found.second = *std::move(b);
  return found;
}

json::object comparison_json(const Comparison& comparison) {
  json::object out;
  out["sessions"] = json::array{summary(comparison.first), summary(comparison.second)};
  out["same_flow"] = comparison.same_flow;
  out["same_topic"] = comparison.same_topic;
  const auto& at = comparison.parting;
  out["part_at"] = at ? json::value(*at + 1) : json::value(nullptr);
  if (at) {
    out["messages"] =
        json::array{message_at(comparison.first, *at), message_at(comparison.second, *at)};
    out["words"] = words_json(comparison, false);
    out["differing_words"] = words_json(comparison, true);
  }
  return out;
}

}  // namespace tertulia::service
