#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/near_name.h"
#include "base/utf8.h"
#include "flow/output_schema.h"
#include "flow/parse.h"

namespace tertulia::flow {
namespace {

constexpr std::size_t kMaxTextBytes = 100'000;

constexpr std::array<std::string_view, 9> kKinds = {"speak",    "ask",  "discuss", "loop", "if",
                                                    "parallel", "call", "set",     "end"};

std::optional<ContextRule::Scope> scope_of(std::string_view word) {
  using Scope = ContextRule::Scope;
  constexpr std::array<std::pair<std::string_view, Scope>, 8> kScopes = {
      std::pair<std::string_view, Scope>{"none", Scope::none},
      {"topic", Scope::topic},
      {"last", Scope::last},
      {"this_round", Scope::this_round},
      {"last_round", Scope::last_round},
      {"all", Scope::all},
      {"last_message", Scope::last},  // the older system's names
      {"__TOPIC__", Scope::topic}};
  for (const auto& [name, scope] : kScopes)
    if (name == word) return scope;
  return {};
}

const std::vector<std::string>& scope_words() {
  static const std::vector<std::string> words = {"none",       "topic",      "last",
                                                 "this_round", "last_round", "all"};
  return words;
}

// Which of the text's references begins at this byte, from 0.
int ordinal_of(std::string_view text, std::size_t offset) {
  int ordinal = 0;
  for (std::size_t at = text.find("{{"); at < offset; at = text.find("{{", text.find("}}", at) + 2))
    ++ordinal;
  return ordinal;
}

// A part of a JSON pointer as it was before it was escaped.
std::string unescaped(std::string_view part) {
  std::string out;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const bool escape = part[i] == '~' && i + 1 < part.size();
    out += escape ? (part[++i] == '1' ? '/' : '~') : part[i];
  }
  return out;
}

// The node at a JSON pointer, as far as it leads: of a member its key.
YAML::Node node_at(const YAML::Node& root, std::string_view pointer) {
  YAML::Node told, inside;
  told.reset(root);
  inside.reset(root);
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string part = unescaped(pointer.substr(0, pointer.find('/')));
    pointer.remove_prefix(std::min(pointer.size(), pointer.find('/')));
    YAML::Node next;
    if (inside.IsMap()) {
      for (const auto& each : inside) {
        if (each.first.Scalar() != part) continue;
        told.reset(each.first);
        next.reset(each.second);
      }
    } else if (inside.IsSequence()) {
      std::size_t index = 0;
      std::from_chars(part.data(), part.data() + part.size(), index);
      if (index >= inside.size()) break;
      const YAML::Node list = inside;
      next.reset(list[index]);
      told.reset(next);
    }
    if (!next.IsDefined() || next.IsNull()) break;
    inside.reset(next);
  }
  return told;
}

}  // namespace

bool is_word(std::string_view name) {
  if (name.empty() || name.size() > 100) return false;
  for (std::size_t at = 0; at < name.size();) {
    const char32_t c = base::next_code_point(name, at);
    if (c < 0x80) {
      const bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
      if (!good) return false;
    } else if (c < 0xC0 || (c >= 0x2000 && c <= 0x206F) || (c >= 0x3000 && c <= 0x303F)) {
      return false;
    }
  }
  return true;
}

std::vector<StepDraft> StepParser::steps(const YAML::Node& node, std::string_view what) {
  std::vector<StepDraft> list;
  if (!node.IsSequence()) {
    reader_.error(node, fmt::format("expected a list of steps for {}", what));
    return list;
  }
  if (node.size() == 0) reader_.error(node, fmt::format("{} has no step", what));
  for (const auto& each : node) {
    ++count_;
    if (auto parsed = step(each)) list.push_back(*std::move(parsed));
  }
  return list;
}

std::optional<StepDraft> StepParser::step(const YAML::Node& node) {
  if (!node.IsMap()) {
    reader_.error(
        node, fmt::format("expected a step: a mapping with one of {}", fmt::join(kKinds, ", ")));
    return {};
  }
  StepDraft draft;
  draft.place = reader_.place(node);
  std::vector<std::string_view> kinds;
  for (const auto kind : kKinds)
    if (node[std::string(kind)]) kinds.push_back(kind);
  if (kinds.size() != 1) {
    if (kinds.size() > 1) {
      reader_.error(node,
                    fmt::format("a step is of one kind, this is {}", fmt::join(kinds, " and ")));
      return {};
    }
    tell_kind(node);
    return {};
  }
  if (const auto id = node["id"]) {
    draft.id = reader_.text(id, "id").value_or("");
    draft.id_place = reader_.place(id);
    if (!is_word(draft.id))
      reader_.error(id,
                    fmt::format("a step's id is one word (letters, digits, _ and -), found '{}'",
                                base::shorten(draft.id, 40)));
  }
  if (const auto to = node["goto"]) draft.jump = jump(to);
  const auto take = [&](auto parsed) -> std::optional<StepDraft> {
    if (!parsed) return {};
    draft.step = *std::move(parsed);
    return std::move(draft);
  };
  if (kinds[0] == "speak") return take(speak(node, draft));
  if (kinds[0] == "ask") return take(ask(node));
  if (kinds[0] == "loop") {
    static_cast<void>(reader_.mapping(node, Construct::loop_step, "a loop step"));
    return take(loop(node["loop"]));
  }
  if (kinds[0] == "discuss") return take(discuss(node, draft));
  if (kinds[0] == "parallel") return take(parallel(node));
  if (kinds[0] == "call") return take(call(node));
  if (kinds[0] == "if") return take(branch(node));
  if (kinds[0] == "set") return take(assignments(node));
  static_cast<void>(reader_.mapping(node, Construct::end, "an end step"));
  auto reason = node["end"].IsNull() ? std::optional<Text>(Text()) : text(node["end"], "end");
  if (reason)
    for (const auto head : {Reference::Head::role_name, Reference::Head::to_name})
      refuse_reference(node["end"], *reason, head,
                       "{{role.name}} and {{to.name}} have no meaning here: nobody speaks");
  return take(reason ? std::optional<End>(End{*std::move(reason)}) : std::nullopt);
}

// A step of no kind, perhaps a misspelt one. One problem, whatever else it holds.
void StepParser::tell_kind(const YAML::Node& node) {
  const auto known = keys_of(Construct::speak);
  const bool has_others = std::any_of(node.begin(), node.end(), [&](const auto& each) {
    return std::find(known.begin(), known.end(), each.first.Scalar()) == known.end();
  });
  if (has_others) {
    static_cast<void>(reader_.mapping(node, Construct::speak, "a step"));
  } else {
    reader_.error(node, fmt::format("a step needs one of {}", fmt::join(kKinds, ", ")));
  }
}

std::optional<Speak> StepParser::speak(const YAML::Node& node, StepDraft& step) {
  static_cast<void>(reader_.mapping(node, Construct::speak, "a speak step"));
  Speak speak;
  speak.role = role(node["speak"], "speak");
  if (const auto to = node["to"]) speak.to = role(to, "to");
  if (const auto task = node["task"])
    if (auto parsed = text(task, "task")) speak.task = *std::move(parsed);
  if (!node["to"])
    refuse_reference(node["task"], speak.task, Reference::Head::to_name,
                     "{{to.name}} has no meaning here: the step has no 'to'");
  if (const auto schema = node["output"]) speak.output = output(schema);
  if (const auto name = node["document"]) speak.document = document(name);
  asking(node, speak, step);
  if (speak.output && speak.continues > 0)
    reader_.error(node["continue"], "'continue' is for text: an output is one piece of JSON");
  return speak;
}

void StepParser::asking(const YAML::Node& node, Speak& speak, StepDraft& step) {
  if (const auto rule = node["context"]) {
    step.context_place = reader_.place(rule);
    speak.context = context(rule);
  }
  if (const auto more = node["continue"])
    speak.continues = reader_.count(more, "continue", 1, 20).value_or(0);
  if (const auto profiles = node["fallback"])
    speak.fallback = used_names(Use::Kind::profile, profiles, "fallback");
  if (const auto model = node["model"]) {
    speak.model = reader_.text(model, "model").value_or("");
    use(Use::Kind::profile, speak.model, model);
  }
  if (const auto policy = node["retry"]) retry(policy, speak.retry);
  if (const auto timeout = node["timeout"])
    speak.timeout_ms = reader_.duration_ms(timeout, "timeout").value_or(speak.timeout_ms);
  speak.parameters = parameters(node);
}

std::string StepParser::role(const YAML::Node& node, std::string_view what) {
  std::string ref = reader_.text(node, what).value_or("");
  if (ref != kEach || each_block_ == 0) use(Use::Kind::role, ref, node);
  return ref;
}

// Also `call ID`: the roles of a called flow.
std::vector<std::string> StepParser::roles(const YAML::Node& node, std::string_view what) {
  std::vector<std::string> found;
  const auto take = [&](const YAML::Node& each) {
    constexpr std::string_view kCall = "call ";
    const auto ref = reader_.text(each, what);
    if (!ref) return;
    if (ref->starts_with(kCall)) {
      use(Use::Kind::call, ref->substr(kCall.size()), each);
      found.push_back(*ref);
    } else {
      found.push_back(role(each, what));
    }
  };
  if (!node.IsSequence()) {
    take(node);
    return found;
  }
  for (const auto& each : node) take(each);
  return found;
}

std::string StepParser::document(const YAML::Node& node) {
  std::string name = reader_.text(node, "document").value_or("");
  if (!is_word(name))
    reader_.error(
        node, fmt::format("a document's name is one word, found '{}'", base::shorten(name, 40)));
  return name;
}

std::optional<AskPerson> StepParser::ask(const YAML::Node& node) {
  static_cast<void>(reader_.mapping(node, Construct::ask, "an ask step"));
  AskPerson ask;
  ask.role = reader_.text(node["ask"], "ask").value_or("");
  use(Use::Kind::role, ask.role, node["ask"]);
  if (const auto to = node["to"]) ask.to = role(to, "to");
  if (const auto prompt = node["prompt"])
    if (auto parsed = text(prompt, "prompt")) ask.prompt = *std::move(parsed);
  if (!node["to"])
    refuse_reference(node["prompt"], ask.prompt, Reference::Head::to_name,
                     "{{to.name}} has no meaning here: the step has no 'to'");
  if (const auto choices = node["choices"]) {
    ask.choices = reader_.texts(choices, "choices");
    if (ask.choices.size() < 2) reader_.error(choices, "'choices' are two at least");
    for (auto each = ask.choices.begin(); each != ask.choices.end(); ++each)
      if (std::find(ask.choices.begin(), each, *each) != each)
        reader_.error(choices, fmt::format("the choice '{}' stands there twice", *each));
  }
  if (const auto timeout = node["timeout"])
    ask.timeout_ms = reader_.duration_ms(timeout, "timeout");
  if (const auto words = node["default"]) {
    ask.otherwise = reader_.text(words, "default").value_or("");
    if (!node["timeout"])
      reader_.error(words, "a 'default' is said when the time is used up: it needs a 'timeout'");
    if (auto accepted = ask.accept(ask.otherwise); !accepted)
      reader_.error(words, "the default: " + accepted.error().message);
  }
  if (const auto name = node["document"]) ask.document = document(name);
  return ask;
}

json::object StepParser::parameters(const YAML::Node& node) {
  json::object parameters;
  const auto bounded = [&](const char* name, double least, double most) {
    const auto given = node[name];
    if (!given) return;
    const auto number = reader_.number(given, name);
    if (number && (*number < least || *number > most)) {
      reader_.error(given, fmt::format("{} must be from {} to {}", name, least, most));
    } else if (number) {
      parameters[name] = *number;
    }
  };
  bounded("temperature", 0, 2);
  bounded("top_p", 0, 1);
  if (const auto given = node["max_tokens"])
    if (const auto count = reader_.count(given, "max_tokens", 1, 10'000'000))
      parameters["max_tokens"] = *count;
  if (const auto given = node["stop"]) {
    json::array words;
    for (const auto& word : reader_.texts(given, "stop")) words.emplace_back(word);
    parameters["stop"] = std::move(words);
  }
  if (const auto given = node["seed"])
    if (const auto seed = reader_.count(given, "seed", 0, INT64_MAX)) parameters["seed"] = *seed;
  if (const auto given = node["reasoning_effort"])
    if (auto word = reader_.text(given, "reasoning_effort"))
      parameters["reasoning_effort"] = *std::move(word);
  return parameters;
}

std::optional<LoopDraft> StepParser::loop(const YAML::Node& node) {
  if (!reader_.mapping(node, Construct::loop, "a loop")) return {};
  LoopDraft loop;
  if (const auto max = node["max"]) {
    loop.max = reader_.count(max, "loop.max", 1, 1'000'000).value_or(1);
  } else {
    reader_.error(node, "a loop needs 'max': how often it goes round at most");
  }
  if (node["until"] && node["while"])
    reader_.error(node["while"], "a loop has 'until' or 'while', not both");
  for (const char* key : {"until", "while"}) {
    const auto asked = node[key];
    if (!asked) continue;
    loop.condition_place = reader_.place(asked);
    auto parsed = condition(asked);
    if (std::string_view(key) == "until") {
      loop.until = std::move(parsed);
    } else {
      loop.while_ = std::move(parsed);
    }
  }
  if (const auto body = node["steps"]) {
    loop.steps = steps(body, "the loop");
  } else {
    reader_.error(node, "a loop needs 'steps'");
  }
  return loop;
}

std::optional<IfDraft> StepParser::branch(const YAML::Node& node) {
  static_cast<void>(reader_.mapping(node, Construct::if_, "an if step"));
  IfDraft draft;
  auto asked = condition(node["if"]);
  draft.condition_place = reader_.place(node["if"]);
  if (node["then"]) draft.then = steps(node["then"], "then");
  if (node["else"]) draft.otherwise = steps(node["else"], "else");
  if (!node["then"] && !node["else"]) reader_.error(node, "an if step needs 'then' or 'else'");
  // With a condition that cannot be read the branches still count: what refers into them is no
  // further mistake.
  if (asked) draft.condition = *std::move(asked);
  return draft;
}

std::optional<Set> StepParser::assignments(const YAML::Node& node) {
  static_cast<void>(reader_.mapping(node, Construct::set, "a set step"));
  const auto values = node["set"];
  if (!reader_.names(values, "set")) return {};
  Set set;
  for (const auto& each : values) {
    auto parsed = assignment(each.first.Scalar(), each.second);
    use(Use::Kind::variable, each.first.Scalar(),
        parsed && parsed->literal ? each.second : each.first, {}, {},
        parsed ? parsed->literal : std::nullopt);
    if (parsed) set.assignments.push_back(*std::move(parsed));
  }
  return set;
}

std::optional<Assignment> StepParser::assignment(const std::string& name, const YAML::Node& node) {
  Assignment assignment;
  assignment.variable = name;
  const bool from_output = node.IsMap() && (node["output"] || node["stat"]);
  if (!from_output) {
    assignment.literal = reader_.value(node);
    return assignment;
  }
  if (!reader_.mapping(node, Construct::assignment, fmt::format("the value of '{}'", name)))
    return {};
  if (node["at"]) assignment.pointer = pointer(node["at"]);
  if (const auto output = node["output"]) {
    assignment.output = reader_.text(output, "output").value_or("");
    use(Use::Kind::output, assignment.output, output, assignment.pointer);
    if (node["stat"] || node["of"])
      reader_.error(node, "a value comes from one 'output', or is a 'stat' of several");
    return assignment;
  }
  static const std::vector<std::string> kStats = {"count", "min", "max",    "mean",    "median",
                                                  "q1",    "q3",  "spread", "majority"};
  assignment.stat = reader_.text(node["stat"], "stat").value_or("");
  if (std::find(kStats.begin(), kStats.end(), assignment.stat) == kStats.end())
    reader_.error(node["stat"], fmt::format("unknown statistic '{}'; known are {}", assignment.stat,
                                            fmt::join(kStats, ", ")));
  if (!node["of"]) {
    reader_.error(node, "a stat needs 'of': the steps whose outputs it is over");
    return {};
  }
  in_stat_ = true;
  assignment.of = used_names(Use::Kind::output, node["of"], "of", assignment.pointer);
  in_stat_ = false;
  return assignment;
}

std::optional<GotoDraft> StepParser::jump(const YAML::Node& node) {
  if (!reader_.mapping(node, Construct::goto_, "goto")) return {};
  GotoDraft jump;
  jump.place = reader_.place(node);
  if (const auto step = node["step"]) {
    jump.step = reader_.text(step, "goto.step").value_or("");
    use(Use::Kind::step, jump.step, step);
  } else {
    reader_.error(node, "goto needs 'step': where to go on");
  }
  if (const auto max = node["max"]) {
    jump.max = reader_.count(max, "goto.max", 1, 1'000'000);
  } else {
    reader_.error(node, "goto needs 'max': how often it is taken at most");
  }
  if (const auto when = node["when"]) {
    jump.when = condition(when);
    if (jump.when && jump.when->asks_judge())
      reader_.error(when, "a goto's 'when' cannot ask a judge: put an 'if' before it that does");
  }
  reader_.warn(node, "a goto is hard to follow: a loop or an if says the same");
  return jump;
}

ContextRule StepParser::context(const YAML::Node& node) {
  ContextRule rule;
  if (node.IsSequence()) {
    // Only what these said.
    rule.from = roles(node, "context");
    if (rule.from.empty()) reader_.error(node, "a context that names roles names at least one");
    return rule;
  }
  if (node.IsMap()) {
    context_object(node, rule);
    return rule;
  }
  const auto word = reader_.text(node, "context");
  if (!word) return rule;
  const auto scope = scope_of(*word);
  if (scope) {
    rule.scope = *scope;
  } else if (*word == "last_n_messages") {
    reader_.error(node, "write { last: N } for the last N messages");
  } else {
    const std::string near = base::near_name(*word, scope_words());
    reader_.error(node, near.empty()
                            ? fmt::format("unknown context '{}'; known are {}, [ROLE, ...] and a "
                                          "mapping",
                                          *word, fmt::join(scope_words(), ", "))
                            : fmt::format("unknown context '{}'; did you mean '{}'?", *word, near));
  }
  return rule;
}

void StepParser::context_object(const YAML::Node& node, ContextRule& rule) {
  if (!reader_.mapping(node, Construct::context, "a context")) return;
  if (const auto scope = node["scope"]) {
    const auto word = reader_.text(scope, "scope");
    const auto known = word ? scope_of(*word) : std::nullopt;
    if (known) {
      rule.scope = *known;
    } else if (word && *word == "last_n_messages") {
      if (!node["last"]) reader_.error(scope, "last_n_messages needs 'last: N'");
    } else if (word) {
      const std::string near = base::near_name(*word, scope_words());
      reader_.error(scope, fmt::format("unknown scope '{}'{}", *word,
                                       near.empty() ? fmt::format("; known are {}",
                                                                  fmt::join(scope_words(), ", "))
                                                    : fmt::format("; did you mean '{}'?", near)));
    }
  }
  const auto named = [&](const char* key, std::vector<std::string>& into) {
    const auto list = node[key];
    if (!list) return;
    into = roles(list, key);
    if (into.empty()) reader_.error(list, fmt::format("'{}' names no role", key));
  };
  named("from", rule.from);
  named("except", rule.except);
  if (node["from"] && node["except"])
    reader_.error(node["except"], "a context has 'from' or 'except', not both");
  if (const auto last = node["last"]) rule.last = reader_.count(last, "last", 1, 1'000'000);
  if (const auto budget = node["max_tokens"])
    rule.max_tokens = reader_.count(budget, "max_tokens", 1, 100'000'000);
  if (const auto topic = node["include_topic"])
    rule.include_topic = reader_.flag(topic, "include_topic").value_or(true);
  if (const auto anonymous = node["anonymous"])
    rule.anonymous = reader_.flag(anonymous, "anonymous").value_or(false);
  if (const auto documents = node["documents"]) {
    rule.documents = used_names(Use::Kind::document, documents, "documents");
  }
}

void StepParser::retry(const YAML::Node& node, Retry& retry) {
  if (!reader_.mapping(node, Construct::retry, "retry")) return;
  if (const auto attempts = node["attempts"])
    retry.attempts = reader_.count(attempts, "retry.attempts", 1, 100).value_or(retry.attempts);
  if (const auto backoff = node["backoff"])
    retry.backoff_ms = reader_.duration_ms(backoff, "retry.backoff").value_or(retry.backoff_ms);
}

std::optional<json::object> StepParser::output(const YAML::Node& node) {
  const json::value schema = reader_.value(node);
  if (!schema.is_object()) {
    reader_.error(node, "output is a JSON Schema, a mapping");
    return json::object();  // an output all the same: what refers to it is no further mistake
  }
  auto compiled = OutputSchema::compile(schema.get_object());
  if (!compiled) {
    reader_.error(node_at(node, compiled.error().detail), compiled.error().message);
    return json::object();
  }
  return schema.get_object();
}

std::optional<Text> StepParser::text(const YAML::Node& node, std::string_view what) {
  const auto source = reader_.text(node, what);
  if (!source) return {};
  if (source->size() > kMaxTextBytes) {
    reader_.error(node, fmt::format("{} may have {} bytes at most, this has {}", what,
                                    kMaxTextBytes, source->size()));
    return {};
  }
  const auto place_of = [&](std::size_t offset) {
    return reader_.place_of_braces(node, ordinal_of(*source, offset));
  };
  auto parsed = Text::parse(*source);
  if (!parsed) {
    std::size_t offset = 0;
    const std::string& detail = parsed.error().detail;
    std::from_chars(detail.data(), detail.data() + detail.size(), offset);
    problems_.error(place_of(offset), fmt::format("{}: {}", what, parsed.error().message));
    return {};
  }
  for (const Text::Piece& piece : parsed->pieces()) {
    if (!piece.is_reference) continue;
    const Reference& reference = piece.reference;
    switch (reference.head) {
      case Reference::Head::each_name:
        if (each_block_ == 0)
          problems_.error(place_of(reference.offset),
                          "{{each.name}} has no meaning here: it is for the steps of "
                          "'parallel: {each: [...], do: [...]}'");
        break;
      case Reference::Head::variable:
        use(Use::Kind::variable, reference.name, place_of(reference.offset));
        break;
      case Reference::Head::document:
        use(Use::Kind::document, reference.name, place_of(reference.offset));
        break;
      case Reference::Head::output: {
        std::string path;
        for (const std::string& part : reference.path) path += "/" + part;
        use(Use::Kind::output, reference.name, place_of(reference.offset), std::move(path));
        break;
      }
      default:
        break;
    }
  }
  return *std::move(parsed);
}

void StepParser::refuse_reference(const YAML::Node& node, const Text& text, Reference::Head head,
                                  std::string_view why) {
  int ordinal = 0;
  for (const Text::Piece& piece : text.pieces()) {
    if (!piece.is_reference) continue;
    if (piece.reference.head == head)
      problems_.error(reader_.place_of_braces(node, ordinal), std::string(why));
    ++ordinal;
  }
}

std::vector<std::string> StepParser::used_names(Use::Kind kind, const YAML::Node& list,
                                                std::string_view what, std::string pointer) {
  if (!list.IsSequence()) {
    auto one = reader_.texts(list, what);
    for (const std::string& name : one) use(kind, name, reader_.place(list), pointer);
    return one;
  }
  std::vector<std::string> all;
  for (const auto& each : list) {
    auto name = reader_.text(each, what);
    if (!name) continue;
    use(kind, *name, reader_.place(each), pointer);
    all.push_back(*std::move(name));
  }
  return all;
}

void StepParser::use(Use::Kind kind, std::string name, Place place, std::string pointer,
                     std::optional<Condition::Test> test, std::optional<json::value> value) {
  draft_.uses.push_back({.kind = kind,
                         .name = std::move(name),
                         .place = place,
                         .pointer = std::move(pointer),
                         .test = test,
                         .value = std::move(value),
                         .each_block = each_block_,
                         .in_stat = in_stat_});
}

std::string StepParser::pointer(const YAML::Node& node) {
  auto written = reader_.text(node, "at");
  if (!written) return {};
  if (!written->empty() && written->front() != '/') {
    reader_.error(node, fmt::format("'at' is a JSON pointer such as /decision, found '{}'",
                                    base::shorten(*written, 40)));
    return {};
  }
  return *std::move(written);
}

}  // namespace tertulia::flow
