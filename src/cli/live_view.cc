#include "cli/live_view.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/utf8.h"
#include "cli/context.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

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
    : session_(number_of(session, "id")),
      flow_(text_of(session, "flow")),
      topic_(text_of(session, "topic")),
      json_(json),
      is_live_(!json && output_is_terminal()) {
  const json::value* rehearsal = session.if_contains("rehearsal");
  is_rehearsal_ = rehearsal != nullptr && rehearsal->is_bool() && rehearsal->get_bool();
  if (const json::value* cast = session.if_contains("cast"); cast && cast->is_array())
    for (const json::value& each : cast->get_array())
      if (const json::object* role = each.if_object()) {
        const std::size_t colour = speakers_.size();
        speakers_[text_of(*role, "ref")] = {text_of(*role, "name"), colour};
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
      if (const json::value* message = event.data.if_contains("message"))
        show_message(message->get_object());
      break;
    case Type::step_completed:
      show_completed(event.data);
      break;
    case Type::attempt_failed:
      clear_status();
      if (is_streaming_) put("\n");
      is_streaming_ = false;
      put(styled(
          fmt::format("  attempt {} at step {} failed ({}): {}\n", number_of(event.data, "attempt"),
                      number_of(event.data, "order"), text_of(event.data, "outcome"),
                      safe_for_terminal(text_of(event.data, "error"))),
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
  round_ = number_of(data, "round");
  steps_ = number_of(data, "order");
  const std::string kind = text_of(data, "kind");
  if (kind == "ask" || !data.contains("role")) return;
  // Branches speak at the same time: their words are shown when they are said, not as they stream.
  const bool streams = kind == "speak" && !data.contains("branch");
  order_ = streams ? number_of(data, "order") : 0;
  role_ = text_of(data, "role");
  is_structured_ = data.contains("structured");
  is_streaming_ = false;
  streamed_.clear();
  if (is_live_) status();
}

void LiveView::show_token(const json::object& data) {
  if (!is_live_ || is_structured_ || number_of(data, "order") != order_) return;
  clear_status();
  if (!is_streaming_) speaker_line(role_, {});
  is_streaming_ = true;
  const std::string text = safe_for_terminal(text_of(data, "text"));
  streamed_ += text;
  put(text);
}

void LiveView::show_message(const json::object& message) {
  clear_status();
  const std::string ref = text_of(message, "role");
  if (!is_streaming_) {
    speaker_line(ref, text_of(message, "to"));
    std::string text = text_of(message, "text");
    if (auto value = base::parse_json(text); value && value->is_object())
      text = value_words(*value);
    put(safe_for_terminal(text));
  }
  put("\n");
  if (const auto version = number_of(message, "document_version"); version > 0)
    put(styled(fmt::format("  (document {}, version {})\n", text_of(message, "document"), version),
               Style::dim));
  is_streaming_ = false;
}

void LiveView::show_completed(const json::object& data) {
  if (const json::value* result = data.if_contains("result_data"); result && result->is_object())
    show_decision(result->get_object());
  if (const json::value* result = data.if_contains("result_data"); result && result->is_object())
    if (const json::value* tokens = result->get_object().if_contains("tokens");
        tokens && tokens->is_array())
      for (const json::value& count : tokens->get_array())
        if (count.is_int64()) tokens_ += count.get_int64();
}

// What a judge decided, or a moderator: it stands in no message.
void LiveView::show_decision(const json::object& result) {
  const auto name_of = [&](const std::string& ref) {
    const auto speaker = speakers_.find(ref);
    return safe_for_terminal(speaker == speakers_.end() ? ref : speaker->second.name);
  };
  std::string words;
  if (const json::value* judges = result.if_contains("judges"); judges && judges->is_array())
    for (const json::value& each : judges->get_array())
      if (const json::object* judge = each.if_object()) {
        const json::value* answer = judge->if_contains("answer");
        words +=
            fmt::format("  ({} says {}: {})\n", name_of(text_of(*judge, "role")),
                        answer != nullptr && answer->is_bool() && answer->get_bool() ? "yes" : "no",
                        safe_for_terminal(text_of(*judge, "reason")));
      }
  if (const std::string chosen = text_of(result, "chosen"); !chosen.empty())
    words += fmt::format("  ({} has the next turn{})\n", name_of(chosen),
                         result.contains("fell_to_next") ? ", as nobody was named" : "");
  if (words.empty()) return;
  clear_status();
  put(styled(words, Style::dim));
}

void LiveView::speaker_line(const std::string& ref, const std::string& to) {
  if (round_ != shown_round_) {
    put(styled(fmt::format("\n--- round {} ---\n", round_), Style::dim));
    shown_round_ = round_;
  }
  const auto speaker = speakers_.find(ref);
  const Speaker who = speaker == speakers_.end() ? Speaker{ref, 0} : speaker->second;
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
