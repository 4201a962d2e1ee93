// The steps of called flows, put behind the caller's own: compile.cc numbers and links a flow's own
// steps, this moves whole programs.
#include <fmt/format.h>

#include "flow/draft.h"

namespace tertulia::flow {
namespace {

// A program's instructions, moved: their indexes by an offset, their paths and role references
// below the call's.
class Moved final {
 public:
  Moved(int offset, std::string path, std::string prefix)
      : offset_(offset), path_(std::move(path)), prefix_(std::move(prefix)) {}

  [[nodiscard]] Instruction operator()(Instruction step) const {
    step.path = fmt::format("{}.call.{}", path_, step.path);
    shift(step.next);
    for (int& loop : step.loops) shift(loop);
    if (step.jump) {
      shift(step.jump->target);
      if (step.jump->when) rename(*step.jump->when);
    }
    std::visit([&](auto& kind) { move(kind); }, step.step);
    return step;
  }

 private:
  void shift(int& index) const {
    if (index >= 0) index += offset_;
  }
  void rename(std::string& role) const {
    if (!role.empty() && role != kEach && !role.starts_with("call ")) role.insert(0, prefix_);
  }
  void rename(std::vector<std::string>& roles) const {
    for (std::string& role : roles) rename(role);
  }
  void rename(ContextRule& rule) const {
    rename(rule.from);
    rename(rule.except);
  }
  void rename(Condition& condition) const {
    rename(condition.of);
    if (condition.kind == Condition::Kind::judge) rename(condition.subject);
    for (Condition& part : condition.parts) rename(part);
  }

  void move(Speak& speak) const {
    rename(speak.role);
    rename(speak.to);
    rename(speak.context);
  }
  void move(AskPerson& ask) const {
    rename(ask.role);
    rename(ask.to);
  }
  void move(Loop& loop) const {
    shift(loop.body);
    shift(loop.check);
  }
  void move(LoopCheck& check) const {
    shift(check.loop);
    if (check.until) rename(*check.until);
    if (check.while_) rename(*check.while_);
  }
  void move(If& choice) const {
    rename(choice.condition);
    shift(choice.then);
    shift(choice.otherwise);
  }
  void move(Set&) const {}
  void move(End&) const {}
  void move(Discuss& discuss) const {
    rename(discuss.among);
    shift(discuss.turn);
    shift(discuss.choice);
    shift(discuss.check);
  }
  void move(Choice& choice) const {
    shift(choice.discuss);
    rename(choice.role);
    rename(choice.context);
  }
  void move(Parallel& parallel) const {
    for (int& branch : parallel.branches) shift(branch);
    rename(parallel.each);
  }
  void move(Call& call) const {
    call.prefix.insert(0, prefix_);
    shift(call.entry);
  }

  int offset_;
  std::string path_;
  std::string prefix_;
};

}  // namespace

void add_called(Compiled& compiled) {
  Program& program = compiled.program;
  for (const auto& [index, called] : compiled.called) {
    if (!called.program) continue;
    const auto at = static_cast<std::size_t>(index);
    const std::string path = program.steps[at].path;
    const std::string prefix =
        (program.steps[at].name.empty() ? path : program.steps[at].name) + '/';
    const auto offset = static_cast<int>(program.steps.size());
    auto& call = std::get<Call>(program.steps[at].step);
    call.prefix = prefix;
    call.entry = called.program->entry < 0 ? Instruction::kEnd : called.program->entry + offset;
    const Moved moved(offset, path, prefix);
    for (const Instruction& step : called.program->steps) {
      program.steps.push_back(moved(step));
      compiled.places.push_back(compiled.places[at]);
    }
    for (RoleDeclaration role : called.program->roles) {
      const auto played = called.roles.find(role.ref);
      if (played != called.roles.end()) {
        role.as = played->second;
      } else if (!role.as.empty()) {
        role.as.insert(0, prefix);
      }
      role.ref.insert(0, prefix);
      role.scope.insert(0, prefix);
      program.roles.push_back(std::move(role));
    }
  }
}

}  // namespace tertulia::flow
