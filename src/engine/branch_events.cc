#include "engine/branch_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "flow/asked.h"
#include "flow/output_schema.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;
using model::StepStatus;

class Finder final {
 public:
  Finder(const BranchPoint& point, const BranchWish& wish, const flow::Program& program,
         const BranchVariables& variables, bool changes_version, flow::State& state)
      : point_(point),
        wish_(wish),
        program_(program),
        variables_(variables),
        changes_version_(changes_version),
        cut_(point.step()),
        state_(state) {}

  base::Result<std::vector<flow::Event>> run() {
    if (auto done = find(); !done) return done.error();
    return std::move(events_);
  }

 private:
  // The step that is branched at, in the version under which it is closed.
  [[nodiscard]] const flow::Instruction& step() const {
    const int index = state_.strand_of(cut_->execution_order)->open->instruction;
    return program_.steps[static_cast<std::size_t>(index)];
  }

  // What happens first in the branch: what happened there, or what is said instead.
  base::Result<void> find() {
    if (wish_.edit && (cut_ == nullptr || cut_->execution_order != wish_.at))
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("step {} of session {} says nothing that could be edited",
                                 wish_.at, wish_.parent),
          .remedy = fmt::format("tertulia session log {} shows who speaks where", wish_.parent)};
    if (cut_ == nullptr) {
      events_.emplace_back(flow::Start{.variables = variables_,
                                       .limits = state_.limits,
                                       .played = point_.session().snapshot.played});
      return {};
    }
    if (cut_->status == StepStatus::skipped) {
      if (wish_.edit)
        return base::Error{.code = base::Code::invalid,
                           .message = point_.words_of(*cut_) + " was skipped: it said nothing"};
      events_.emplace_back(flow::Skip{.order = cut_->execution_order});
      return {};
    }
    return wish_.edit ? edit() : answer_again();
  }

  base::Result<void> answer_again() {
    auto data = base::parse_json(cut_->result_data.value_or("{}"));
    if (!data) return data.error().in(point_.words_of(*cut_));
    static const json::object kNothing;
    const json::object& recorded = data->is_object() ? data->get_object() : kNothing;
    flow::Answered answered;
    answered.order = cut_->execution_order;
    answered.duration_ms = cut_->duration_ms.value_or(0);
    if (const json::value* judges = recorded.if_contains("judges");
        judges != nullptr && judges->is_array()) {
      // Each judge was asked once, the last at the row's last attempt.
      const auto& all = judges->get_array();
      std::int64_t& attempt = state_.strand_of(cut_->execution_order)->open->attempt;
      attempt -= std::min<std::int64_t>(attempt - 1, static_cast<std::int64_t>(all.size()) - 1);
      for (const json::value& judgement : all) {
        flow::Answered judged = answered;
        judged.output = judgement;
        if (&judgement == &all.back()) judged.spent = flow::spent_in(recorded);
        events_.emplace_back(std::move(judged));
      }
      return {};
    }
    if (step().says()) {
      const auto* said = point_.said();
      if (said == nullptr)
        return base::Error{.code = base::Code::conflict,
                           .message = point_.words_of(*cut_) + " has lost its message",
                           .remedy = fmt::format("tertulia session replay {}", wish_.parent)};
      answered.text = said->content;
    }
    static const std::set<std::string_view> kOwn = {
        "output", "message_id", "position",     "tokens", "cost_usd", "role",
        "turn",   "chosen",     "fell_to_next", "branch", "each",     "commit_seq"};
    for (const auto& member : recorded) {
      if (member.key() == "output") answered.output = member.value();
      if (!kOwn.contains(std::string_view(member.key())))
        answered.data[member.key()] = member.value();
    }
    // Its limits count what the row had used, though the branch did not pay it.
    answered.spent = flow::spent_in(recorded);
    if (changes_version_)
      if (auto fits = fit(answered, "what was said there does"); !fits) return fits;
    events_.emplace_back(std::move(answered));
    return {};
  }

  base::Result<void> edit() {
    const flow::Instruction& asked = step();
    flow::Answered answered;
    answered.order = cut_->execution_order;
    answered.text = *wish_.edit;
    answered.duration_ms = cut_->duration_ms.value_or(0);
    answered.data["edited"] = true;
    if (!asked.says())
      return base::Error{.code = base::Code::invalid,
                         .message = point_.words_of(*cut_) + " says nothing that could be edited"};
    if (asked.says() && !std::holds_alternative<flow::AskPerson>(asked.step) &&
        answered.text.find_first_not_of(" \t\r\n") == std::string::npos)
      return base::Error{.code = base::Code::invalid,
                         .message = "the edited words of " + point_.words_of(*cut_) + " are empty"};
    if (auto fits = fit(answered, "the edited words do"); !fits) return fits;
    events_.emplace_back(std::move(answered));
    return {};
  }

  // What the step asks of an answer's words: a choice, or an output, which is made of them.
  base::Result<void> fit(flow::Answered& answered, std::string_view what) const {
    const flow::Instruction& asked = step();
    if (const auto* person = std::get_if<flow::AskPerson>(&asked.step)) {
      auto accepted = person->accept(answered.text);
      if (!accepted) return accepted.error();
      answered.text = *std::move(accepted);
    }
    const auto* speak = std::get_if<flow::Speak>(&asked.step);
    if (speak == nullptr) return {};
    answered.output.reset();
    if (!speak->output) return {};
    auto schema = flow::OutputSchema::compile(*speak->output);
    if (!schema) return schema.error();
    auto output = schema->parse_output(answered.text);
    if (!output)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("{} not fit the output of {}: {}", what,
                                                point_.words_of(*cut_), output.error().message),
                         .remedy = wish_.edit ? std::string()
                                              : "say with --edit what fits, or branch at a step "
                                                "before it"};
    answered.output = *std::move(output);
    return {};
  }

  const BranchPoint& point_;
  const BranchWish& wish_;
  const flow::Program& program_;
  const BranchVariables& variables_;
  const bool changes_version_;
  const model::StepExecutionLog* const cut_;
  flow::State& state_;
  std::vector<flow::Event> events_;
};

}  // namespace

base::Result<std::vector<flow::Event>> events_of_branch(const BranchPoint& point,
                                                        const BranchWish& wish,
                                                        const flow::Program& program,
                                                        const BranchVariables& variables,
                                                        bool changes_version, flow::State& state) {
  return Finder(point, wish, program, variables, changes_version, state).run();
}

}  // namespace tertulia::engine
