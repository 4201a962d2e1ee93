#include "adopt/translate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/utf8.h"

namespace tertulia::adopt {
namespace {

namespace json = base::json;

constexpr std::string_view kTopic = "__TOPIC__";
// What is in force where a flow says nothing: flow::Limits.
constexpr std::int64_t kStandingSteps = 200;
constexpr std::int64_t kStandingRounds = 50;
constexpr std::int64_t kMostCounted = 1'000'000;  // of anything the language counts

// A scalar of YAML that is read back as this text, whatever it holds.
std::string scalar(std::string_view text) {
  return base::to_text(json::value(text));
}

// A text that stands for itself, where the language would expand references.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '{' && out.ends_with('{')) out += ' ';
    out += c;
  }
  return out;
}

bool is_chinese(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = base::next_code_point(text, at);
    if (c >= 0x4E00 && c <= 0x9FFF) return true;
  }
  return false;
}

struct TaskWords {
  std::string_view type;
  std::string_view en;
  std::string_view zh;
};
constexpr TaskWords kTasks[] = {
    {"ask_question", "Ask a question.", "提出一个问题。"},
    {"answer_question", "Answer the question.", "回答这个问题。"},
    {"review_answer", "Review the answer.", "评审这个回答。"},
    {"question", "Challenge what was said by a question.", "就刚才的发言提出质疑。"},
    {"summarize", "Summarise what was said.", "总结刚才的讨论。"},
    {"evaluate", "Evaluate what was said.", "评价刚才的发言。"},
    {"suggest", "Make a suggestion.", "提出建议。"},
    {"challenge", "Challenge what was said.", "反驳刚才的发言。"},
    {"support", "Support what was said.", "支持刚才的发言。"},
    {"conclude", "Draw the conclusion.", "得出结论。"}};

// Holds for a JSON object whose own member `accept` is true. Members may nest two levels deep; a
// deeper text is taken for no acceptance.
const std::string& acceptance() {
  static const std::string pattern = [] {
    const std::string text = R"("(?:[^"\\]|\\.)*")";
    const auto inside = [&](const std::string& nested) {
      return fmt::format(R"((?:{}|{}[^"\[\]{{}}])*)", text, nested.empty() ? "" : nested + "|");
    };
    const auto nest = [](const std::string& content) {
      return fmt::format(R"([\[{{]{}[\]}}])", content);
    };
    const std::string members = inside(nest(inside(nest(inside("")))));
    return fmt::format(R"re((?s)^\s*\{{(?:{0},)?\s*"accept"\s*:\s*true\s*(?:,{0})?\}}\s*$)re",
                       members);
  }();
  return pattern;
}

class Translator final {
 public:
  Translator(const Template& from, const std::vector<model::Role>& roles)
      : from_(from), roles_(roles) {
    is_chinese_ = is_chinese(from.title) || is_chinese(from.topic.value_or("")) ||
                  is_chinese(from.description);
    for (const auto& step : from.steps)
      is_chinese_ = is_chinese_ || is_chinese(step.speaker_role_ref.value_or(""));
  }

  base::Result<Translation> translate() {
    if (from_.steps.empty())
      return base::Error{.code = base::Code::invalid, .message = "it has no steps"};
    std::int64_t position = 0;
    for (const auto& step : from_.steps) {
      ++position;
      if (step.speaker_role_ref.value_or("").empty())
        return base::Error{
            .code = base::Code::invalid,
            .message = fmt::format("its step {} (id {}) has no speaker", position, step.id)};
      declare(*step.speaker_role_ref);
    }
    position = 0;
    for (const auto& step : from_.steps) add_step(step, ++position);
    return Translation{.source = head() + steps_, .remarks = std::move(remarks_)};
  }

 private:
  struct Declared {
    std::string ref;
    const model::Role* role;
  };

  // The reference by which the flow knows this role.
  std::string declare(const std::string& ref) {
    const model::Role* role = role_of(ref, roles_);
    for (const Declared& each : declared_)
      if (each.ref == ref) return each.ref;
    declared_.push_back({ref, role});
    return ref;
  }
  // The same for a reference that only listens or is listened to: another name of a speaker is that
  // speaker.
  std::string known(const std::string& ref) {
    const model::Role* role = role_of(ref, roles_);
    for (const Declared& each : declared_)
      if (each.ref == ref || (role != nullptr && each.role == role)) return each.ref;
    return declare(ref);
  }

  void remark(const model::FlowStep& step, std::string_view column, std::string words) {
    remarks_.push_back({step.id, std::string(column), std::move(words)});
  }

  [[nodiscard]] std::string head() const {
    std::string out = "tertulia: 1\n";
    out += fmt::format("name: {}\ntitle: {}\n", flow_name(from_.id), scalar(from_.title));
    if (is_chinese_) out += "language: zh\n";
    if (!from_.topic.value_or("").empty()) out += fmt::format("topic: {}\n", scalar(*from_.topic));
    if (!from_.description.empty())
      out += fmt::format("# description: {}\n", scalar(from_.description));
    out += "roles:\n";
    for (const Declared& each : declared_) {
      if (each.role != nullptr) {
        out += fmt::format("  {}: {{ use: {} }}\n", scalar(each.ref), scalar(each.role->name));
      } else {
        out += fmt::format("  {}: {{ prompt: {} }}\n", scalar(each.ref),
                           scalar(is_chinese_ ? fmt::format("你是{}。", each.ref)
                                              : fmt::format("You are {}.", each.ref)));
      }
    }
    // The older system knew no limits; these never stop what it would have gone on with.
    const auto count = static_cast<std::int64_t>(from_.steps.size());
    const std::int64_t most = std::min(kMostCounted, count * (1 + jumps_));
    const std::int64_t rounds = std::min(kMostCounted, 1 + jumps_);
    if (most > kStandingSteps || rounds > kStandingRounds)
      out += fmt::format("limits: {{ steps: {}, rounds: {} }}\n", std::max(most, kStandingSteps),
                         std::max(rounds, kStandingRounds));
    return out + "steps:\n";
  }

  void add_step(const model::FlowStep& step, std::int64_t position) {
    const std::string& speaker = *step.speaker_role_ref;
    std::string out = fmt::format("  - id: step-{}\n    speak: {}\n", position, scalar(speaker));
    const std::string target = step.target_role_ref.value_or("");
    if (!target.empty() && target != kTopic) {
      const std::string to = known(target);
      if (to != speaker) out += fmt::format("    to: {}\n", scalar(to));
    }
    const std::string task = task_of(step);
    if (!task.empty()) out += fmt::format("    task: {}\n", scalar(task));
    out += fmt::format("    context: {}\n", context_of(step));
    steps_ += out + logic_of(step, position);
    const std::string knowledge = step.knowledge_base_config.value_or("");
    if (auto config = base::parse_json(knowledge); config && config->is_object()) {
      const json::value* enabled = config->get_object().if_contains("enabled");
      if (enabled != nullptr && enabled->is_bool() && enabled->get_bool())
        remark(step, "_knowledge_base_config",
               "its knowledge bases are not searched: this version of the program cannot");
    }
  }

  [[nodiscard]] std::string task_of(const model::FlowStep& step) {
    std::string words;
    const std::string type = step.task_type.value_or("");
    for (const TaskWords& each : kTasks)
      if (each.type == type) words = is_chinese_ ? each.zh : each.en;
    if (words.empty() && !type.empty())
      remark(step, "task_type", fmt::format("'{}' is no kind of task that is known", type));
    const std::string description = plain(step.description.value_or(""));
    if (description != step.description.value_or(""))
      remark(step, "description", "its double braces are set apart: they would be references");
    if (!words.empty() && !description.empty() && !is_chinese_) words += ' ';
    return words + description;
  }

  [[nodiscard]] std::string context_of(const model::FlowStep& step) {
    const std::string scope = step.context_scope.value_or("");
    if (scope.empty() || scope == "all") return "all";
    if (scope == "none" || scope == "last_round") return scope;
    if (scope == "last_message") return "last";
    if (scope == kTopic) return "topic";
    if (scope == "last_n_messages") {
      if (auto param = base::parse_json(step.context_param.value_or("")))
        if (const json::value* n = base::at_pointer(*param, "/n");
            n != nullptr && n->is_int64() && n->get_int64() >= 1 && n->get_int64() <= kMostCounted)
          return fmt::format("{{ last: {} }}", n->get_int64());
      remark(step, "context_param", "it does not say how many messages: all are shown");
      return "all";
    }
    if (auto list = base::parse_json(scope); list && list->is_array())
      return context_of_list(step, list->get_array());
    return fmt::format("[{}]", scalar(known(scope)));
  }

  [[nodiscard]] std::string context_of_list(const model::FlowStep& step, const json::array& list) {
    bool all = false, topic = false;
    std::vector<std::string> from;
    for (const json::value& each : list) {
      if (!each.is_string()) {
        remark(step, "context_scope", fmt::format("{} names no role", base::to_text(each)));
        continue;
      }
      const std::string name(each.get_string());
      if (name == "all") {
        all = true;
      } else if (name == kTopic) {
        topic = true;
      } else if (!name.empty()) {
        from.push_back(scalar(known(name)));
      }
    }
    if (all) return fmt::format("{{ scope: all, include_topic: {} }}", topic);
    if (!from.empty())
      return fmt::format("{{ from: [{}], include_topic: {} }}", fmt::join(from, ", "), topic);
    return topic ? "topic" : "none";
  }

  // The step's jump and the session's early end.
  [[nodiscard]] std::string logic_of(const model::FlowStep& step, std::int64_t position) {
    const std::string text = step.logic_config.value_or("");
    if (text.empty()) return {};
    auto config = base::parse_json(text);
    if (!config || !(config->is_object() || config->is_null())) {
      remark(step, "logic_config", "it is no JSON object, and has no effect");
      return {};
    }
    const bool accepts = ends_on_acceptance(step, *config);
    const std::string asks = fmt::format("{{ matches: {} }}", scalar(acceptance()));
    std::string out;
    if (const auto jump = jump_of(step, *config)) {
      jumps_ += jump->max;
      out += fmt::format("    goto: {{ step: step-{}, max: {}{} }}\n", jump->target, jump->max,
                         accepts ? fmt::format(", when: {{ not: {} }}", asks) : "");
    }
    if (accepts)
      out += fmt::format("  - id: accepted-{}\n    if: {}\n    then: [ {{ end: accepted }} ]\n",
                         position, asks);
    return out;
  }

  struct Jump {
    std::int64_t target;
    std::int64_t max;
  };
  std::optional<Jump> jump_of(const model::FlowStep& step, const json::value& config) {
    const auto number = [&](std::string_view pointer) -> std::optional<std::int64_t> {
      const json::value* value = base::at_pointer(config, pointer);
      if (value == nullptr || !value->is_int64()) return {};
      return value->get_int64();
    };
    const json::value* mode = base::at_pointer(config, "/loop_mode");
    if (mode != nullptr && !mode->is_null())
      remark(step, "logic_config",
             fmt::format("loop_mode {} has no effect: a jump is counted over the whole session",
                         base::to_text(*mode)));
    const json::value* next = base::at_pointer(config, "/next_step_order");
    if (next == nullptr || next->is_null()) return {};
    const auto target = number("/next_step_order");
    const auto max = number("/max_loops");
    if (!max || *max < 1) {
      remark(step, "logic_config", "its jump has no max_loops, so it was never taken, and is not");
      return {};
    }
    if (!target || *target < 1 || *target > static_cast<std::int64_t>(from_.steps.size())) {
      remark(step, "logic_config",
             fmt::format("next_step_order {} is no position of a step: the jump is not taken",
                         base::to_text(*next)));
      return {};
    }
    return Jump{*target, std::min(*max, kMostCounted)};
  }

  bool ends_on_acceptance(const model::FlowStep& step, const json::value& config) {
    const json::value* exit = base::at_pointer(config, "/exit_condition");
    if (exit == nullptr || exit->is_null()) return false;
    const json::value* type = base::at_pointer(*exit, "/type");
    if (type != nullptr && type->is_string() && type->get_string() == "llm_accept_flag")
      return true;
    if (!(exit->is_string() && exit->get_string().empty()))
      remark(step, "logic_config",
             fmt::format("the exit condition {} had no effect, and has none",
                         base::shorten(base::to_text(*exit), 200)));
    return false;
  }

  const Template& from_;
  const std::vector<model::Role>& roles_;
  bool is_chinese_ = false;
  std::vector<Declared> declared_;
  std::vector<Remark> remarks_;
  std::string steps_;
  std::int64_t jumps_ = 0;
};

}  // namespace

const model::Role* role_of(std::string_view reference, const std::vector<model::Role>& roles) {
  for (const auto& role : roles)
    if (role.name == reference) return &role;
  if (reference.empty()) return nullptr;
  for (const auto& role : roles)
    if (role.name.find(reference) != std::string::npos) return &role;
  return nullptr;
}

base::Result<Translation> translate(const Template& from, const std::vector<model::Role>& roles) {
  return Translator(from, roles).translate();
}

std::string flow_name(model::Id flow_template) {
  return fmt::format("adopted-{}", flow_template);
}

}  // namespace tertulia::adopt
