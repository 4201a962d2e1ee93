#include "server/chat_transcript.h"

#include <fmt/format.h>

#include "base/json_members.h"
#include "flow/prompt.h"

namespace tertulia::server {

namespace json = base::json;
using base::integer_at;
using base::text_at;
using Type = engine::Event::Type;

namespace {

constexpr std::string_view kBlank = " \t\r\n\f\v";
// What may stand around a name at a text's beginning: "**NAME** :**".
constexpr std::size_t kAroundName = 10;

// May the text still turn out to begin with the speaker's own name?
bool may_begin_with_name(std::string_view text, std::string_view name) {
  if (text.size() >= name.size() + kAroundName) return false;
  while (!text.empty() && text.front() == '*') text.remove_prefix(1);
  return text.starts_with(name) || name.starts_with(text);
}

bool is_limit(std::string_view reason) {
  return reason.starts_with("limit_");
}

}  // namespace

std::string escape_markdown(std::string_view name) {
  constexpr std::string_view kMarks = "\\`*_{}[]<>#|~!&";
  std::string out;
  for (const char c : name) {
    const bool is_control = static_cast<unsigned char>(c) < ' ' || c == 0x7f;
    if (kMarks.find(c) != std::string_view::npos) out += '\\';
    out += is_control ? ' ' : c;
  }
  return out;
}

void ChatTranscript::learn(const engine::Event& event) {
  static_cast<void>(take(event));
  has_text_ = false;
}

void ChatTranscript::miss(const engine::Event& token) {
  const std::int64_t order = integer_at(token.data, "order");
  if (const auto turn = turns_.find(order); turn != turns_.end()) {
    turn->second.has_gap = true;
  } else if (order > last_order_) {
    missed_.insert(order);
  }
}

std::string ChatTranscript::take(const engine::Event& event) {
  stopped_.reset();
  switch (event.type) {
    case Type::step_started:
      take_start(event.data);
      return {};
    case Type::message:
      if (const json::value* message = event.data.if_contains("message");
          message != nullptr && message->is_object())
        return take_message(message->get_object());
      return {};
    case Type::attempt_failed:
      return take_failure(integer_at(event.data, "order"));
    case Type::step_completed:
      return take_end(event.data);
    case Type::session_waiting:
      take_question(event.data);
      return {};
    case Type::session_paused:
    case Type::session_finished:
      stopped_ = event.data;
      return {};
    case Type::session_started:
    case Type::token:
    case Type::message_placed:
      return {};
  }
  return {};
}

void ChatTranscript::take_start(const json::object& data) {
  const std::int64_t order = integer_at(data, "order");
  last_order_ = std::max(last_order_, order);
  const std::string_view kind = text_at(data, "kind");
  if (!data.contains("role") || kind == "ask") return;
  speaking_.insert(order);
  if (kind != "speak") return;
  Turn turn;
  turn.role = text_at(data, "role");
  turn.is_shown_live = !data.contains("structured");
  turn.has_gap = missed_.erase(order) > 0;
  turns_.insert_or_assign(order, std::move(turn));
}

std::string ChatTranscript::take_token(const engine::Event& token) {
  const std::int64_t order = integer_at(token.data, "order");
  const auto found = turns_.find(order);
  if (found == turns_.end()) {
    miss(token);  // it may have overtaken its row's beginning; else it came after its end
    return {};
  }
  Turn& turn = found->second;
  if (!turn.is_shown_live || turn.has_gap) return {};
  turn.text += text_at(token.data, "text");
  if (shown_ != 0 && shown_ != order) return {};
  std::string shown = show(turn);
  if (!shown.empty()) shown_ = order;
  return shown;
}

std::string ChatTranscript::show(Turn& turn) {
  if (!turn.has_begun) {
    const auto first = turn.text.find_first_not_of(kBlank);
    if (first == std::string::npos) return {};
    const std::string name = name_of(turn.role);
    const std::string_view begun = std::string_view(turn.text).substr(first);
    if (may_begin_with_name(begun, name)) return {};
    const std::string blanks(begun.substr(begun.find_last_not_of(kBlank) + 1));
    flow::CastRole speaker;
    speaker.ref = turn.role;
    speaker.name = name;
    std::string tidy = flow::tidy_answer(begun, speaker, {}).text;
    if (tidy.empty()) return {};
    turn.text = std::move(tidy) + blanks;
    turn.has_begun = true;
  }
  // Blanks at the end are none of the message: they are shown once something follows them.
  const std::size_t until = turn.text.find_last_not_of(kBlank) + 1;
  if (until <= turn.shown) return {};
  std::string out = turn.shown == 0 ? head(name_of(turn.role)) : std::string();
  out += std::string_view(turn.text).substr(turn.shown, until - turn.shown);
  turn.shown = until;
  return out;
}

std::string ChatTranscript::take_message(const json::object& message) {
  const std::int64_t order = integer_at(message, "order");
  const std::string_view text = text_at(message, "text");
  Turn turn;
  if (const auto found = turns_.find(order); found != turns_.end()) {
    turn = std::move(found->second);
    turns_.erase(found);
  }
  std::string rest;
  if (shown_ == order && turn.shown > 0) {
    const std::string_view shown = std::string_view(turn.text).substr(0, turn.shown);
    rest = text.starts_with(shown) ? std::string(text.substr(shown.size()))
                                   : block("[the same, as it is kept]") + block(text);
  } else {
    std::string whole =
        fmt::format("**{}:** {}", escape_markdown(text_at(message, "speaker")), text);
    if (shown_ != 0) {
      whole_.push_back(std::move(whole));
      return {};
    }
    rest = block(whole);
  }
  return rest + next_turn();
}

std::string ChatTranscript::take_failure(std::int64_t order) {
  const auto found = turns_.find(order);
  if (found == turns_.end()) return {};
  Turn& turn = found->second;
  const bool was_shown = turn.shown > 0;
  turn.text.clear();
  turn.shown = 0;
  turn.has_begun = false;
  turn.has_gap = false;
  // Whose turn it is now is open again: the next attempt may be long in coming.
  if (!was_shown || shown_ != order) return {};
  return block("[attempt failed, again]") + next_turn();
}

std::string ChatTranscript::take_end(const json::object& data) {
  const std::int64_t order = integer_at(data, "order");
  speaking_.erase(order);
  questions_.erase(order);
  const auto found = turns_.find(order);
  if (found == turns_.end() || text_at(data, "status") == "completed") return {};
  const bool was_shown = found->second.shown > 0;
  turns_.erase(found);
  if (shown_ != order || !was_shown) return {};
  return block("[broken off]") + next_turn();
}

void ChatTranscript::take_question(const json::object& data) {
  Question question;
  question.role = text_at(data, "role");
  question.text = text_at(data, "question");
  if (const json::value* choices = data.if_contains("choices"); choices && choices->is_array())
    for (const json::value& choice : choices->get_array())
      if (choice.is_string()) question.choices.emplace_back(choice.get_string());
  const std::int64_t order = integer_at(data, "order");
  // A role that a person plays: no model speaks there.
  speaking_.erase(order);
  turns_.erase(order);
  questions_.insert_or_assign(order, std::move(question));
}

std::string ChatTranscript::next_turn() {
  shown_ = 0;
  std::string out;
  for (const std::string& whole : whole_) out += block(whole);
  whole_.clear();
  for (auto& [order, turn] : turns_) {
    if (!turn.is_shown_live || turn.has_gap) continue;
    const std::string shown = show(turn);
    if (shown.empty()) continue;
    shown_ = order;
    return out + shown;
  }
  return out;
}

std::string ChatTranscript::head(std::string_view name) {
  return block(fmt::format("**{}:** ", escape_markdown(name)));
}

std::string ChatTranscript::block(std::string_view text) {
  std::string out = has_text_ ? "\n\n" : "";
  has_text_ = true;
  return out.append(text);
}

std::string ChatTranscript::name_of(std::string_view role) const {
  const flow::CastRole* found = cast_.find(role);
  return found == nullptr ? std::string(role) : found->name;
}

std::optional<ChatEnding> ChatTranscript::ending() const {
  ChatEnding ending{.finish_reason = "stop", .words = {}, .status = {}, .stop_reason = {}};
  std::string words;
  if (stopped_) {
    ending.status = text_at(*stopped_, "status");
    ending.stop_reason = text_at(*stopped_, "stop_reason");
    if (is_limit(ending.stop_reason)) ending.finish_reason = "length";
    const bool is_at_its_end = ending.status == "finished" && !is_limit(ending.stop_reason);
    if (!is_at_its_end) {
      std::string why = ending.stop_reason;
      if (const auto text = text_at(*stopped_, "text"); !text.empty())
        why += fmt::format("{}{}", why.empty() ? "" : ": ", text);
      words = fmt::format("[The session is {}: {}]", ending.status, why);
    }
  } else if (!questions_.empty() && speaking_.empty()) {
    // Of several the first: it is the one that an answer goes to.
    const Question& question = questions_.begin()->second;
    ending.status = "waiting";
    words = fmt::format("**{}** is asked: {}", escape_markdown(name_of(question.role)),
                        question.text.empty() ? "what do you say?" : question.text);
    for (const std::string& choice : question.choices) words += fmt::format("\n- {}", choice);
  } else {
    return {};
  }
  if (!words.empty()) ending.words = (has_text_ ? "\n\n" : "") + words;
  return ending;
}

}  // namespace tertulia::server
