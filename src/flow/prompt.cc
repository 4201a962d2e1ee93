// prompt_test.cc holds what this makes against golden files, in English and Chinese.
#include "flow/prompt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "flow/asked.h"
#include "flow/context.h"
#include "flow/render.h"
#include "flow/standing_words.h"

namespace tertulia::flow {
namespace {

// What wire formats add to a message around its text, in tokens.
constexpr std::int64_t kTurnOverhead = 4;

// "A" ... "Z", "AA", "AB" ...
std::string letters(std::size_t index) {
  std::string name(1, static_cast<char>('A' + index % 26));
  return index < 26 ? name : letters(index / 26 - 1) + name;
}

// Names of speakers, as this step's speaker is to see them.
class Speakers final {
 public:
  Speakers(const Cast& cast, const StandingWords& words, bool anonymous)
      : cast_(cast), words_(words), anonymous_(anonymous) {}

  [[nodiscard]] std::string name(std::string_view ref) {
    if (!anonymous_) return real_name(ref);
    const auto known = letters_.try_emplace(std::string(ref), letters(letters_.size())).first;
    return words_.fill("anonymous_speaker", {{"letter", known->second}});
  }
  [[nodiscard]] std::string real_name(std::string_view ref) const {
    const CastRole* role = cast_.find(ref);
    return role == nullptr ? std::string(ref) : role->name;
  }

 private:
  const Cast& cast_;
  const StandingWords& words_;
  bool anonymous_;
  std::map<std::string, std::string> letters_;  // by role, given at its first appearance
};

std::optional<std::int64_t> whole_number(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  return value != nullptr && value->is_int64() ? std::optional(value->get_int64()) : std::nullopt;
}

// Tokens left free for the answer: what it may take at most, else a quarter of the window.
std::int64_t answer_allowance(const Speak& speak, const CastRole& role) {
  if (const auto step = whole_number(speak.parameters, "max_tokens")) return *step;
  if (const auto model = whole_number(role.model, "max_tokens")) return *model;
  return role.context_window / 4;
}

class PromptMaker final {
 public:
  PromptMaker(const Program& program, const State& state, const Strand& strand, const Cast& cast,
              std::string_view topic, const History& history, const Record& record,
              const TokenEstimate& estimate)
      : program_(program),
        step_(program.steps[static_cast<std::size_t>(strand.open->instruction)]),
        asked_(program, state, strand, cast, record),
        speak_(asked_.speak()),
        state_(state),
        strand_(strand),
        cast_(cast),
        topic_(strand.topic ? *strand.topic : topic),
        history_(history),
        record_(record),
        estimate_(estimate),
        words_(program.language, program.format) {}

  base::Result<Prompt> make() {
    const CastRole* role = cast_.find(speak_.role);
    if (role == nullptr)
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("step {}: nobody is cast as \"{}\"", step_.label(), speak_.role)};
    if (auto framed = add_system(*role); !framed) return std::move(framed).error();
    const std::string last = request(*role);
    if (auto shown = add_turns(*role, last); !shown) return std::move(shown).error();
    add_turn(false, last);

    prompt_.schema = speak_.output;
    prompt_.shown.estimated_tokens = estimate_(prompt_.system);
    for (const Prompt::Turn& turn : prompt_.turns)
      prompt_.shown.estimated_tokens += estimate_(turn.text) + kTurnOverhead;
    return std::move(prompt_);
  }

 private:
  base::Result<void> add_system(const CastRole& role) {
    add_block(role.prompt);
    const std::string separator = words_.fill("name_separator");
    std::string names;
    for (const CastRole& each : cast_.roles)
      if (is_here(each.ref)) names += (names.empty() ? "" : separator) + each.name;
    add_block(words_.fill("participants", {{"names", names}}) + '\n' +
              words_.fill("you_are", {{"name", role.name}}));
    if (shows_topic() && !topic_.empty()) add_block(words_.fill("topic", {{"topic", topic_}}));
    for (const std::string& name : speak_.context.documents)
      if (auto added = add_document(name); !added) return added;
    if (speak_.output)
      add_block(words_.fill("output", {{"schema", base::to_text(*speak_.output)}}));
    return {};
  }

  // Does the role belong to the flow that the strand performs?
  [[nodiscard]] bool is_here(std::string_view role) const {
    return program_.scope_of(role) == strand_.prefix;
  }

  [[nodiscard]] bool shows_topic() const {
    const auto scope = speak_.context.scope;
    return scope == ContextRule::Scope::topic ||
           (scope != ContextRule::Scope::none && speak_.context.include_topic);
  }

  // A document that nobody has written yet is not mentioned.
  base::Result<void> add_document(const std::string& name) {
    const auto version = strand_.documents.find(name);
    if (version == strand_.documents.end()) return {};
    const std::int64_t number = version->second.number;
    const std::int64_t position = strand_.key_of(version->second.position);
    const auto said = history_.at(position);
    if (!said) return said.error();
    const std::string heading =
        words_.fill("document_title", {{"title", name}, {"version", std::to_string(number)}});
    add_block(words_.fill("document", {{"heading", heading}, {"text", (*said)->text}}));
    prompt_.documents.push_back(heading);
    prompt_.shown.documents.push_back({.name = name, .version = number, .position = position});
    return {};
  }

  void add_block(std::string_view text) {
    if (text.empty()) return;
    if (!prompt_.system.empty()) prompt_.system += "\n\n";
    prompt_.system += text;
  }

  // The last turn: what is asked now.
  std::string request(const CastRole& role) {
    const SessionFacts facts(state_, strand_, record_);
    const std::string to = speak_.to.empty() ? "" : real_name(speak_.to);
    const std::string each = strand_.each_role.empty() ? "" : real_name(strand_.each_role);
    prompt_.task = expand(speak_.task, {.facts = &facts,
                                        .topic = topic_,
                                        .role_name = role.name,
                                        .to_name = to,
                                        .each_name = each});
    if (asked_.kind() == Asked::Kind::judgement)
      prompt_.task = words_.fill("judge", {{"question", prompt_.task}});
    if (asked_.kind() == Asked::Kind::choice) {
      const std::string separator = words_.fill("name_separator");
      prompt_.task = words_.fill(
          "choose", {{"names", fmt::format("{}", fmt::join(asked_.among_names(), separator))}});
    }
    if (prompt_.task.empty()) prompt_.task = words_.fill("default_task");
    return to.empty() ? prompt_.task : prompt_.task + '\n' + words_.fill("to", {{"name", to}});
  }

  [[nodiscard]] std::string real_name(std::string_view ref) const {
    return Speakers(cast_, words_, false).real_name(ref);
  }

  base::Result<void> add_turns(const CastRole& role, const std::string& last) {
    const ContextRule& rule = speak_.context;
    const std::string stranger = words_.fill("anonymous_speaker", {{"letter", "A"}});
    const auto cost = [&](const Said& said) {
      if (said.role == speak_.role) return estimate_(said.text) + kTurnOverhead;
      const std::string name = rule.anonymous ? stranger : real_name(said.role);
      return estimate_(words_.fill("speaker", {{"name", name}, {"words", said.text}})) +
             kTurnOverhead;
    };
    auto selected = select_context(rule, strand_, history_, budget(role, last), cost,
                                   [&](const std::string& ref) { return is_here(ref); });
    if (!selected) return std::move(selected).error();

    const std::vector<Said>& messages = selected->messages;
    Shown& shown = prompt_.shown;
    shown.count = static_cast<std::int64_t>(messages.size());
    shown.dropped_through = selected->dropped_through;
    if (messages.empty()) return {};
    shown.first = messages.front().position;
    shown.last = messages.back().position;
    prompt_.last_shown = messages.back().text;
    if (messages.front().role == speak_.role) add_turn(false, words_.fill("opening"));
    Speakers speakers(cast_, words_, rule.anonymous);
    for (const Said& said : messages) {
      const bool own = said.role == speak_.role;
      const std::string name = own ? role.name : speakers.name(said.role);
      add_turn(own,
               own ? said.text : words_.fill("speaker", {{"name", name}, {"words", said.text}}));
      prompt_.shown_speakers.push_back(name);
    }
    return {};
  }

  // What the messages may take: the rule's own bound, and never more than the model's window has
  // left beside the system text, the request and the answer.
  [[nodiscard]] std::optional<std::int64_t> budget(const CastRole& role,
                                                   const std::string& last) const {
    const auto& bound = speak_.context.max_tokens;
    if (role.context_window <= 0) return bound;
    const std::int64_t room = role.context_window - answer_allowance(speak_, role) -
                              estimate_(prompt_.system) - estimate_(last) -
                              estimate_(words_.fill("opening")) - 2 * kTurnOverhead;
    return std::max<std::int64_t>(0, bound ? std::min(*bound, room) : room);
  }

  void add_turn(bool own, std::string_view text) {
    if (!prompt_.turns.empty() && prompt_.turns.back().own == own)
      prompt_.turns.back().text.append("\n\n").append(text);
    else
      prompt_.turns.push_back({.own = own, .text = std::string(text)});
  }

  const Program& program_;
  const Instruction& step_;
  const Asked asked_;
  const Speak& speak_;
  const State& state_;
  const Strand& strand_;
  const Cast& cast_;
  std::string_view topic_;
  const History& history_;
  const Record& record_;
  const TokenEstimate& estimate_;
  StandingWords words_;
  Prompt prompt_;
};

}  // namespace

std::string question_for_person(const Program& program, const State& state, const Strand& strand,
                                const Cast& cast, std::string_view topic, const Record& record) {
  const auto& step = program.steps[static_cast<std::size_t>(strand.open->instruction)].step;
  const auto* ask = std::get_if<AskPerson>(&step);
  const auto* speak = std::get_if<Speak>(&step);
  const auto name_of = [&](const std::string& ref) {
    const CastRole* role = cast.find(ref);
    return role != nullptr ? role->name : ref;
  };
  const SessionFacts facts(state, strand, record);
  const std::string role = name_of(speaker_of(program, strand));
  const std::string& addressee = ask != nullptr ? ask->to : speak->to;
  const std::string to =
      addressee.empty() ? "" : name_of(addressee == kEach ? strand.each_role : addressee);
  const std::string each = strand.each_role.empty() ? "" : name_of(strand.each_role);
  std::string question = expand(ask != nullptr ? ask->prompt : speak->task,
                                {.facts = &facts,
                                 .topic = strand.topic ? *strand.topic : topic,
                                 .role_name = role,
                                 .to_name = to,
                                 .each_name = each});
  if (question.empty())
    question = StandingWords(program.language, program.format).fill("default_task");
  return question;
}

json::object Shown::to_json(const ContextRule& rule) const {
  json::object out;
  out["rule"] = rule.to_json();
  if (count > 0) {
    out["first"] = first;
    out["last"] = last;
  }
  out["count"] = count;
  if (dropped_through > 0) out["dropped_through"] = dropped_through;
  if (!documents.empty()) {
    json::array list;
    for (const Document& each : documents)
      list.push_back(json::array{json::string(each.name), each.version, each.position});
    out["documents"] = std::move(list);
  }
  out["estimated_tokens"] = estimated_tokens;
  return out;
}

base::Result<Prompt> make_prompt(const Program& program, const State& state, const Strand& strand,
                                 const Cast& cast, std::string_view topic, const History& history,
                                 const Record& record, const TokenEstimate& estimate) {
  if (!strand.open)
    return base::Error{.code = base::Code::conflict,
                       .message = "no step is open: there is nothing to ask"};
  return PromptMaker(program, state, strand, cast, topic, history, record, estimate).make();
}

}  // namespace tertulia::flow
