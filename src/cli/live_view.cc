#include "cli/live_view.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/json_members.h"
#include "base/utf8.h"
#include "cli/context.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using base::integer_at;
using base::text_at;

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

std::string value_words(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_object()) return base::to_text(value);
  std::string words;
  for (const auto& member : value.get_object()) {
    if (!words.empty()) words += '\n';
    words += fmt::format("  {}: {}", std::string_view(member.key()),
                         member.value().is_string() ? std::string(member.value().get_string())
                                                    : base::to_text(member.value()));
  }
  return words;
}

LiveView::LiveView(const json::object& session, bool json)
    : session_(integer_at(session, "id")),
      flow_(text_at(session, "flow")),
      topic_(text_at(session, "topic")),
      json_(json),
      is_live_(!json && output_is_terminal()) {
  is_rehearsal_ = base::flag_at(session, "rehearsal");
  for (const json::object* role : base::objects_at(session, "cast")) {
    const std::size_t colour = speakers_.size();
    speakers_[std::string(text_at(*role, "ref"))] = {std::string(text_at(*role, "name")), colour};
  }
}

void LiveView::begin() {
  if (json_) return;
  put(fmt::format("session {}{}\n", session_,
                  is_rehearsal_
                      ? styled("  (rehearsal: a stand-in speaks, no model is asked)", Style::yellow)
                      : std::string()));
  put(styled(fmt::format("{}: {}", flow_, base::shorten(safe_for_terminal(topic_), 200)),
             Style::bold) +
      "\n");
  std::fflush(stdout);
}

void LiveView::show(const engine::Event& event) {
  using Type = engine::Event::Type;
  if (json_) {
    print_json(event.to_json());
    return;
  }
  switch (event.type) {
    case Type::session_started:
      break;
    case Type::step_started:
      show_step(event.data);
      break;
    case Type::token:
      show_token(event.data);
      break;
    case Type::message:
      if (const json::object* message = base::object_at(event.data, "message"))
        show_message(*message);
      break;
    case Type::step_completed:
      show_completed(event.data);
      break;
    case Type::attempt_failed:
      clear_status();
      if (is_streaming_) put("\n");
      is_streaming_ = false;
      put(styled(fmt::format("  attempt {} at step {} failed ({}): {}\n",
                             integer_at(event.data, "attempt"), integer_at(event.data, "order"),
                             text_at(event.data, "outcome"),
                             safe_for_terminal(text_at(event.data, "error"))),
                 Style::yellow));
      break;
    case Type::message_placed:
      break;
    case Type::session_waiting:
    case Type::session_paused:
    case Type::session_finished:
      clear_status();
      break;
  }
  std::fflush(stdout);
}

void LiveView::show_step(const json::object& data) {
  round_ = integer_at(data, "round");
  steps_ = integer_at(data, "order");
  const std::string_view kind = text_at(data, "kind");
  if (kind == "ask" || !data.contains("role")) return;
  // Branches speak at the same time: their words are shown when they are said, not as they stream.
  const bool streams = kind == "speak" && !data.contains("branch");
  order_ = streams ? integer_at(data, "order") : 0;
  role_ = text_at(data, "role");
  is_structured_ = data.contains("structured");
  is_streaming_ = false;
  streamed_.clear();
  if (is_live_) status();
}

void LiveView::show_token(const json::object& data) {
  if (!is_live_ || is_structured_ || integer_at(data, "order") != order_) return;
  clear_status();
  if (!is_streaming_) speaker_line(role_, {});
  is_streaming_ = true;
  const std::string text = safe_for_terminal(text_at(data, "text"));
  streamed_ += text;
  put(text);
}

void LiveView::show_message(const json::object& message) {
  clear_status();
  const std::string_view ref = text_at(message, "role");
  if (!is_streaming_) {
    speaker_line(ref, text_at(message, "to"));
    std::string text(text_at(message, "text"));
    if (auto value = base::parse_json(text); value && value->is_object())
      text = value_words(*value);
    put(safe_for_terminal(text));
  }
  put("\n");
  if (const auto version = integer_at(message, "document_version"); version > 0)
    put(styled(fmt::format("  (document {}, version {})\n", text_at(message, "document"), version),
               Style::dim));
  is_streaming_ = false;
}

void LiveView::show_completed(const json::object& data) {
  const json::object* result = base::object_at(data, "result_data");
  if (result == nullptr) return;
  show_decision(*result);
  if (const json::array* tokens = base::array_at(*result, "tokens"))
    for (const json::value& count : *tokens)
      if (count.is_int64()) tokens_ += count.get_int64();
}

// What a judge decided, or a moderator: it stands in no message.
void LiveView::show_decision(const json::object& result) {
  const auto name_of = [&](std::string_view ref) {
    const auto speaker = speakers_.find(ref);
    return safe_for_terminal(speaker == speakers_.end() ? ref : speaker->second.name);
  };
  std::string words;
  for (const json::object* judge : base::objects_at(result, "judges"))
    words += fmt::format("  ({} says {}: {})\n", name_of(text_at(*judge, "role")),
                         base::flag_at(*judge, "answer") ? "yes" : "no",
                         safe_for_terminal(text_at(*judge, "reason")));
  if (const auto chosen = text_at(result, "chosen"); !chosen.empty())
    words += fmt::format("  ({} has the next turn{})\n", name_of(chosen),
                         result.contains("fell_to_next") ? ", as nobody was named" : "");
  if (words.empty()) return;
  clear_status();
  put(styled(words, Style::dim));
}

void LiveView::speaker_line(std::string_view ref, std::string_view to) {
  if (round_ != shown_round_) {
    put(styled(fmt::format("\n--- round {} ---\n", round_), Style::dim));
    shown_round_ = round_;
  }
  const auto speaker = speakers_.find(ref);
  const Speaker who = speaker == speakers_.end() ? Speaker{std::string(ref), 0} : speaker->second;
  const auto addressee = speakers_.find(to);
  put("\n" + in_speaker_colour(safe_for_terminal(who.name), who.colour) +
      (addressee == speakers_.end()
           ? std::string()
           : styled(fmt::format(" (to {})", safe_for_terminal(addressee->second.name)),
                    Style::dim)) +
      (is_live_ ? "\n" : ": "));
}

void LiveView::tick() {
  if (is_live_ && !is_streaming_ && order_ != 0) status();
}

void LiveView::finish() {
  clear_status();
  std::fflush(stdout);
}

void LiveView::status() {
  const auto speaker = speakers_.find(role_);
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
  const std::string line = fmt::format("{} is thinking · step {} · round {} · {} tokens · {} s",
                                       speaker == speakers_.end() ? role_ : speaker->second.name,
                                       steps_, round_, tokens_, elapsed.count());
  put("\r\x1b[2K" + styled(base::shorten(line, terminal_columns() - 1), Style::dim));
  has_status_ = true;
  std::fflush(stdout);
}

void LiveView::clear_status() {
  if (!has_status_) return;
  put("\r\x1b[2K");
  has_status_ = false;
}

}  // namespace tertulia::cli
